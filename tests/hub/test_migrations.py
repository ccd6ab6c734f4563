"""The tables of the migrations are those of the models, and Django finds nothing to complain of."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.management import call_command

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def test_no_model_changed_without_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_djangos_own_checks_find_nothing() -> None:
    assert run_checks(include_deployment_checks=False) == []
