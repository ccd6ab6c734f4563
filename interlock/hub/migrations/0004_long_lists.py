"""What keeps the list of sessions quick when there are millions: an index that has what a page asks."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing but an index: no row is written again. Two million sessions take seconds, not minutes."""

    dependencies = [("hub", "0003_forgetting")]

    operations = [
        migrations.AddIndex(
            "session",
            models.Index(
                fields=["lab", "-started_at", "-id", "ended_at", "purpose"], name="session_listed"
            ),
        ),
        migrations.RemoveIndex("session", "session_by_start"),
    ]
