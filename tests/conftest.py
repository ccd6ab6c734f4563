"""What every test gets: one Hypothesis profile without wall-clock deadlines."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Two shared cores: the time one example takes says nothing, so it must not decide a test.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
