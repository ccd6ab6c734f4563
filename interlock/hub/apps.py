"""Django's registry to this application: its label is `hub`."""

from __future__ import annotations

from django.apps import AppConfig


class HubAppConfig(AppConfig):
    """The hub as one Django application."""

    name = "interlock.hub"
    label = "hub"
    default_auto_field = "django.db.models.BigAutoField"
