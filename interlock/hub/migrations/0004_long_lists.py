"""What keeps lists quick when there are millions of rows: indexes that have what a page asks."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing but indexes: no row is written again. Two million sessions take seconds, not minutes."""

    dependencies = [("hub", "0003_forgetting")]

    operations = [
        migrations.AddIndex(
            "session",
            models.Index(
                fields=["lab", "-started_at", "-id", "ended_at", "purpose"], name="session_listed"
            ),
        ),
        migrations.RemoveIndex("session", "session_by_start"),
        migrations.AddIndex(
            "line",
            models.Index(
                fields=["lab", "month"],
                condition=models.Q(statement__isnull=True),
                name="line_open_by_month",
            ),
        ),
        migrations.AddIndex(
            "line",
            models.Index(
                fields=["payer", "month"],
                condition=models.Q(statement__isnull=True),
                name="line_open_by_payer",
            ),
        ),
    ]
