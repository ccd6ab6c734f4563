"""The tables of the ledger to triggers that keep what is closed (hub/ledger_triggers.py)."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from interlock.hub import ledger_triggers


def install(_apps: Any, _schema_editor: Any) -> None:
    """The triggers are there."""
    ledger_triggers.install()


def remove(_apps: Any, _schema_editor: Any) -> None:
    """They are not."""
    ledger_triggers.remove()


class Migration(migrations.Migration):
    """No table changes."""

    dependencies = [("hub", "0001_first")]
    operations = [migrations.RunPython(install, remove)]
