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

CASES_PER_OPERATION = 6
"""Fifteen operations in a quarter of a minute on one slow core; the same ones each time."""
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


def test_the_api_keeps_its_word_whatever_it_is_asked(hub: HubProcess, token: str) -> None:
    schema = schemathesis.openapi.from_url(f"{hub.url}/api/v1/openapi.json")
    operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(operations) >= 15
    headers = {"Authorization": f"Bearer {token}"}
    for operation in operations:
        _keeps_its_word(operation.as_strategy(), headers, hub.url)


def _keeps_its_word(cases: st.SearchStrategy[Case[Any]], headers: dict[str, str], url: str) -> None:
    @settings(
        max_examples=CASES_PER_OPERATION,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(base_url=url, headers=headers, timeout=REQUEST_S_MAX, checks=CHECKS)

    ask()
