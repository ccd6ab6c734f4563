"""Addresses of the pages people see; every view carries its rule (access.py), and a test walks this table."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from interlock.hub.pages import (
    account,
    actions,
    board,
    confirmations,
    machines,
    member,
    members,
    sessions,
)
from interlock.hub.pages.access import public

urlpatterns = [
    path("", board.board, name="board"),
    path("board/tiles/", board.board_tiles, name="board-tiles"),
    path("confirmations/", confirmations.confirmations, name="confirmations"),
    path("members/", members.members, name="members"),
    path("members/<str:public_id>/", member.member, name="member"),
    path("members/<str:public_id>/grant/", actions.grant, name="grant-training"),
    path(
        "members/<str:public_id>/revoke/<slug:training>/",
        actions.revoke,
        name="revoke-training",
    ),
    path("members/<str:public_id>/suspend/", actions.suspend, name="suspend-member"),
    path("members/<str:public_id>/reinstate/", actions.reinstate, name="reinstate-member"),
    path("badges/<int:number>/block/", actions.block, name="block-badge"),
    path("me/", member.me, name="me"),
    path("machines/", machines.machines, name="machines"),
    path("machines/<slug:slug>/", machines.machine, name="machine"),
    path("machines/<slug:slug>/state/", machines.machine_state, name="machine-state"),
    path("machines/<slug:slug>/lock-out/", actions.lock_out, name="lock-out"),
    path("machines/<slug:slug>/give-back/", actions.clear_lock_out, name="clear-lock-out"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/<int:number>/", sessions.session, name="session"),
    path("sign-in/", account.sign_in, name="login"),
    path("sign-out/", account.sign_out, name="logout"),
    path("welcome/<str:token>/", account.welcome, name="welcome"),
    path("language/", public(set_language), name="set_language"),
]
