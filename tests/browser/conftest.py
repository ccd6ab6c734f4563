"""The real demo, a browser and the hub's first owner, for the modules whose stories share one lab."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.visitor import Hub, browsing
from tests.sim.demos import RunningDemo


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningDemo]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        demo = RunningDemo(Path(folder))
        yield demo
        demo.end()


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with browsing() as context:
        yield context


@pytest.fixture(scope="module")
def hub(demo: RunningDemo, context: BrowserContext) -> Hub:
    hub = Hub(context.new_page(), demo.hub)
    hub.become_owner(next(link for link in demo.addresses if "/welcome/" in link))
    return hub
