"""The state diagram in the documentation is the table in the code."""

from __future__ import annotations

import pytest

from tests.core import diagram

pytestmark = pytest.mark.fast


def test_the_page_of_states_is_up_to_date() -> None:
    assert diagram.PAGE.read_text(encoding="utf-8") == diagram.page(), (
        "run: .venv/bin/python -m tests.core.diagram"
    )
