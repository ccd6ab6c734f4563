"""What the proofs share: a prepared lab that each of them copies."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab import Lab, lab_from, make_template


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A lab whose node knows its members' rights, switched off."""
    root = Path(tempfile.mkdtemp(prefix="il-"))
    try:
        make_template(root)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def lab(template: Path) -> Iterator[Lab]:
    """A whole lab, running."""
    with lab_from(template) as lab:
        lab.start()
        lab.locked()
        yield lab


@pytest.fixture
def machine(template: Path) -> Iterator[Lab]:
    """A machine alone: world and node, neither sync nor hub."""
    with lab_from(template) as lab:
        lab.start(hub=False, sync=False)
        lab.locked()
        yield lab
