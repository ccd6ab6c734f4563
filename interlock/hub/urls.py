"""Addresses to views: nodes speak to `/node/v1/…`, programs to `/api/v1/…`, people to everything else."""

from __future__ import annotations

from django.urls import include, path

from interlock.hub import node_api
from interlock.hub.api.v1 import api
from interlock.protocol import hubapi

urlpatterns = [
    path(hubapi.PATH_HELLO.lstrip("/"), node_api.hello),
    path(hubapi.PATH_RECORDS.lstrip("/"), node_api.records),
    path(hubapi.PATH_SNAPSHOT.lstrip("/"), node_api.snapshot),
    path(hubapi.PATH_INTERLOCKS.lstrip("/"), node_api.interlocks),
    path("api/v1/", api.urls),
    path("", include("interlock.hub.pages.urls")),
]
