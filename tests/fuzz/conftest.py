"""The lists of members go into the same hub that the hub's own tests use."""

from __future__ import annotations

import tests.hub.conftest  # noqa: F401
