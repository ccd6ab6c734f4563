"""Addresses of these pages; pages/urls.py takes them in."""

from __future__ import annotations

from django.urls import URLPattern, path

from interlock.hub.pages.privacy import audit, erasures, member_file

urlpatterns: list[URLPattern] = [
    path("audit/", audit.audit, name="audit"),
    path("audit/looks/", audit.looks, name="audit-looks"),
    path("members/<str:public_id>/data/", member_file.member_file, name="member-data"),
    path("members/<str:public_id>/data.zip", member_file.member_export, name="member-export"),
    path("erasures/", erasures.erasures, name="erasures"),
    path("me/data/", member_file.my_data, name="my-data"),
    path("me/data.zip", member_file.my_export, name="my-export"),
]
