"""Addresses to views: nodes speak to `/node/v1/…`, programs to `/api/v1/…` and `/metrics`, people to all else."""

from __future__ import annotations

from django.urls import include, path

from interlock.hub import enrolment_api, node_api
from interlock.hub.api.metrics import metrics
from interlock.hub.api.v1 import api
from interlock.protocol import enrolment, hubapi

urlpatterns = [
    path(enrolment.PATH_AUTHORITY.lstrip("/"), enrolment_api.authority),
    path(enrolment.PATH_ENROL.lstrip("/"), enrolment_api.enrol),
    path(enrolment.PATH_ENROLMENT.lstrip("/"), enrolment_api.confirmation),
    path(hubapi.PATH_HELLO.lstrip("/"), node_api.hello),
    path(hubapi.PATH_RECORDS.lstrip("/"), node_api.records),
    path(hubapi.PATH_SNAPSHOT.lstrip("/"), node_api.snapshot),
    path(hubapi.PATH_INTERLOCKS.lstrip("/"), node_api.interlocks),
    path(hubapi.PATH_COMMANDS.lstrip("/"), node_api.commands),
    path("api/v1/", api.urls),
    path("metrics", metrics, name="metrics"),
    path("", include("interlock.hub.pages.urls")),
]
