"""The path of a page goes in; the address by which people reach it from where they read their mail comes out.

A job has no request that would say how the hub is called: hub.toml says it (`url`), for all labs of this hub.
"""

from __future__ import annotations

from django.conf import settings


def to_page(path: str) -> str:
    """The whole address of that page; empty where hub.toml names none."""
    url = str(settings.HUB.config().url)
    return f"{url.rstrip('/')}{path}" if url else ""
