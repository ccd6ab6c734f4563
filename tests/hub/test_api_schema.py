"""A real hub is asked whatever its own OpenAPI description allows, and what it does not: it never fails, never lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.hub.process import HubFolder, HubProcess, make_folder, running

pytestmark = pytest.mark.real

CASES_PER_OPERATION = 4
"""Every operation in half a minute on one slow core; the same cases each time."""
REQUEST_S_MAX = 20.0
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_TOKEN = """
from interlock.hub.domain.tokens import Scope, create_token
print(create_token(actor, Lab.objects.get(), "schema", list(Scope)).secret)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    return make_folder(tmp_path_factory.mktemp("hub") / "hub")


@pytest.fixture(scope="module")
def token(folder: HubFolder) -> str:
    return folder.run(_TOKEN)


@pytest.fixture(scope="module")
def hub(folder: HubFolder) -> Iterator[HubProcess]:
    with running(folder) as process:
        yield process


def test_the_api_keeps_its_word_whatever_it_is_asked(
    hub: HubProcess, token: str, folder: HubFolder
) -> None:
    schema = schemathesis.openapi.from_url(f"{hub.url}/api/v1/openapi.json")
    operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(operations) >= 43
    headers = {"Authorization": f"Bearer {token}"}
    # What there is, or nothing but 404 would ever be seen of an address that names something.
    there = {"member_id": folder.member, "slug": "saw", "number": 1}
    for operation in operations:
        _keeps_its_word(operation.as_strategy(), headers, hub.url, there)
    # Nobody was erased by chance: that asks for their name.
    assert folder.count(f"Member.objects.filter(public_id='{folder.member}').count()") == 1


def _keeps_its_word(
    cases: st.SearchStrategy[Case[Any]], headers: dict[str, str], url: str, there: dict[str, Any]
) -> None:
    @settings(
        max_examples=CASES_PER_OPERATION,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, is_there=st.booleans())
    def ask(case: Case[Any], is_there: bool) -> None:
        if is_there:
            case.path_parameters = {name: there[name] for name in case.path_parameters}
        case.call_and_validate(base_url=url, headers=headers, timeout=REQUEST_S_MAX, checks=CHECKS)

    ask()
