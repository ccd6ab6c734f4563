"""What every test gets: a stage to run in, and Hypothesis without wall-clock limits."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# ./install.sh test runs one stage per marker: a test with none of them would never run.
STAGES = ("fast", "real", "browser", "root")

# Two shared cores: the time one example takes says nothing, so it must not decide a test.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to run while a test belongs to no stage."""
    homeless = [i.nodeid for i in items if not any(i.get_closest_marker(s) for s in STAGES)]
    if homeless:
        raise pytest.UsageError(
            f"no stage would run these; mark them with one of {', '.join(STAGES)}:\n  "
            + "\n  ".join(homeless)
        )
