"""Cases that a fuzz run found worth keeping end as they did, and a short run from them finds no breach."""

from __future__ import annotations

import random

import pytest

from interlock.cards import aes
from tests.cards.fuzz import BreachError, corpus, filled, mutated, run

pytestmark = pytest.mark.fast

CASES = list(corpus())
MUTANTS = 1_500


def test_every_kept_case_ends_as_it_did() -> None:
    assert len(CASES) > 50
    assert [(case, str(run(case))) for case, _ in CASES] == CASES


def test_the_kept_cases_reach_every_way_an_exchange_can_fail() -> None:
    reached = {outcome.partition(" @")[0] for _, outcome in CASES}
    assert reached == {
        "forged",
        "an answer it should not give",
        "it asks for a longer pause than it may",
        "it does not answer RATS",
        "it keeps asking for more time",
        "it left in the middle of its answer",
        "it left, or its answers are spoiled",
        "it took too long",
        "its ATS has not the length it says",
        "its ATS is longer than a frame",
        "its ATS makes no sense",
        "its answer does not end",
    }


def test_cases_close_to_the_kept_ones_are_no_breach() -> None:
    draw = random.Random(20261121)
    for _ in range(MUTANTS):
        run(mutated(draw.choice(CASES)[0], draw))


def test_a_card_that_gets_through_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deliberate break: without the comparison of proofs the first seed is genuine."""
    monkeypatch.setattr(aes, "same", lambda one, other: True)
    with pytest.raises(BreachError, match="genuine"):
        run(filled("desfire 067577810280 0200 03af{16} 0200{16}"))
