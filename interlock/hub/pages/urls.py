"""Addresses of the pages people see; every view carries its rule (access.py), and a test walks this table."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from interlock.hub.pages import (
    account,
    actions,
    badges,
    board,
    commands,
    confirmations,
    grants,
    hours,
    house_rules,
    lab_rules,
    machines,
    member,
    members,
    my_sign_in,
    own,
    public_page,
    reservations,
    second_step,
    sessions,
    todo,
    tokens,
    wall,
)
from interlock.hub.pages.access import public
from interlock.hub.pages.billing.urls import urlpatterns as billing
from interlock.hub.pages.nodes.urls import urlpatterns as nodes
from interlock.hub.pages.people.urls import urlpatterns as people
from interlock.hub.pages.privacy.urls import urlpatterns as privacy
from interlock.hub.pages.reports.urls import urlpatterns as reports
from interlock.hub.pages.workshop.urls import urlpatterns as workshop

urlpatterns = [
    # The rooms first: "members/import/" must not be taken for a member.
    *billing,
    *nodes,
    *people,
    *privacy,
    *reports,
    *workshop,
    path("", board.board, name="board"),
    path("board/tiles/", board.board_tiles, name="board-tiles"),
    path("board/to-do/", todo.todo, name="todo"),
    path("board/wall/", wall.wall, name="wall"),
    path("board/wall/tiles/", wall.wall_tiles, name="wall-tiles"),
    path("public/<slug:lab>/", public_page.public_page, name="public-page"),
    path("wall/<slug:lab>/<str:key>/", wall.open_wall, name="open-wall"),
    path("wall/<slug:lab>/<str:key>/tiles/", wall.open_wall_tiles, name="open-wall-tiles"),
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
    path("members/<str:public_id>/new-badge/", badges.hand_out, name="hand-out"),
    path("members/<str:public_id>/new-badge/taps/", badges.hand_out_taps, name="hand-out-taps"),
    path("members/<str:public_id>/new-badge/<int:number>/", badges.give, name="give-badge"),
    path("badges/<int:number>/block/", actions.block, name="block-badge"),
    path("badges/unknown/", badges.unknown_badges, name="unknown-badges"),
    path("badges/unknown/<int:number>/", badges.unknown_badge, name="unknown-badge"),
    path("badges/to-enrol/", badges.to_enrol, name="badges-to-enrol"),
    path("alarms/<int:number>/close/", actions.close_alarm, name="close-alarm"),
    path("grants/", grants.grants, name="grants"),
    path("grants/<int:number>/confirm/", actions.confirm_grant, name="confirm-grant"),
    path("grants/<int:number>/reject/", actions.reject_grant, name="reject-grant"),
    path("members/<str:public_id>/credit/", actions.set_credit, name="set-credit"),
    path("me/", own.me, name="me"),
    path("me/badges/<int:number>/lost/", own.badge_lost, name="badge-lost"),
    path("machines/", machines.machines, name="machines"),
    path("machines/<slug:slug>/", machines.machine, name="machine"),
    path("machines/<slug:slug>/state/", machines.machine_state, name="machine-state"),
    path("machines/<slug:slug>/lock-out/", actions.lock_out, name="lock-out"),
    path("machines/<slug:slug>/command/", commands.command, name="command"),
    path("machines/<slug:slug>/give-back/", actions.clear_lock_out, name="clear-lock-out"),
    path("machines/<slug:slug>/rules/", house_rules.rules, name="house-rules"),
    path("machines/<slug:slug>/reservations/", reservations.reservations, name="reservations"),
    path("reservations/<int:number>/take-back/", reservations.take_back, name="take-back"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/<int:number>/", sessions.session, name="session"),
    path("settings/", hours.settings, name="settings"),
    path("settings/groups/<int:number>/hours/", hours.group_hours, name="group-hours"),
    path("settings/lab/", lab_rules.lab_rules, name="lab-rules"),
    path("settings/tokens/", tokens.tokens, name="tokens"),
    path("settings/tokens/<int:number>/revoke/", tokens.revoke, name="revoke-token"),
    path("sign-in/", account.sign_in, name="login"),
    path("sign-in/code/", second_step.second_step, name="second-step"),
    path("me/sign-in/", my_sign_in.my_sign_in, name="my-sign-in"),
    path(
        "settings/second-factor/",
        my_sign_in.demand_second_factor,
        name="demand-second-factor",
    ),
    path("sign-out/", account.sign_out, name="logout"),
    path("welcome/<str:token>/", account.welcome, name="welcome"),
    path("language/", public(set_language), name="set_language"),
]
