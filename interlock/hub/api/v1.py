"""The API put together: routers in, addresses and their description (OpenAPI) out."""

from __future__ import annotations

from ninja import NinjaAPI

from interlock import __version__
from interlock.hub.api import badges, lists, people, problems

api = NinjaAPI(
    title="Interlock",
    version=__version__,
    description="What the enrolment desk asks of the hub. docs/badges.md shows it at work.",
    urls_namespace="api-v1",
    # ninja's page of documentation loads scripts from elsewhere; the description itself is enough.
    docs_url=None,
    openapi_url="/openapi.json",
)
problems.install(api)
api.add_router("", people.router)
api.add_router("", badges.router)
api.add_router("", lists.router)
