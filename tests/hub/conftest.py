"""The hub of the tests: the private folder that settings.py made, with real keys in it."""

from __future__ import annotations

from django.conf import settings

from interlock.hub.directory import HubConfig

if not settings.HUB.config_file.exists():
    settings.HUB.create(HubConfig(name="Test lab", time_zone="Europe/Paris", language="en"))
