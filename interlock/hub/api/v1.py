"""The API put together: routers in, addresses and their description (OpenAPI) out."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from interlock import __version__
from interlock.hub.api import (
    badges,
    bills,
    lists,
    machines,
    members,
    people,
    problems,
    sessions,
    trainings,
)


class DescribedAPI(NinjaAPI):
    """An API whose description says of refusals what they are: problem+json."""

    def get_openapi_schema(self, *args: Any, **kwargs: Any) -> OpenAPISchema:
        """The description as ninja makes it, with the media type of every refusal put right."""
        schema = super().get_openapi_schema(*args, **kwargs)
        for verbs in schema["paths"].values():
            for operation in verbs.values():
                for status, said in operation["responses"].items():
                    if int(status) >= 400 and "content" in said:
                        said["content"] = {
                            problems.CONTENT_TYPE: said["content"].pop("application/json")
                        }
        return schema


api = DescribedAPI(
    title="Interlock",
    version=__version__,
    description="What programs read and write at the hub: docs/api.md begins with three examples.",
    urls_namespace="api-v1",
    # ninja's page of documentation loads scripts from elsewhere; the description itself is enough.
    docs_url=None,
    openapi_url="/openapi.json",
)
problems.install(api)
api.add_router("", people.router)
api.add_router("", badges.router)
api.add_router("", lists.router)
for _more in (members, machines, sessions, trainings, bills):
    api.add_router("", _more.router)
