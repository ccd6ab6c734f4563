"""Addresses of these pages; pages/urls.py takes them in."""

from __future__ import annotations

from django.urls import URLPattern, path

from interlock.hub.pages.nodes import computers, enrolling

urlpatterns: list[URLPattern] = [
    path("nodes/", computers.nodes, name="nodes"),
    path("nodes/<int:number>/", computers.node, name="node"),
    path("nodes/<int:number>/revoke/", computers.revoke, name="revoke-node"),
    path("nodes/authority/", computers.next_authority, name="next-authority"),
    path("nodes/add/<slug:slug>/", enrolling.add, name="add-computer"),
    path("nodes/add/<slug:slug>/card/", enrolling.card, name="card-file"),
    path("nodes/add/<slug:slug>/state/", enrolling.state, name="enrolment-state"),
    path("nodes/enrolments/<int:number>/confirm/", enrolling.confirm, name="confirm-enrolment"),
    path("nodes/enrolments/<int:number>/end/", enrolling.end, name="end-enrolment"),
]
