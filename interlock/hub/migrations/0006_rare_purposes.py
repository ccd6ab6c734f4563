"""What keeps the list of sessions for a rare purpose quick when there are millions of others: an index of its own."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing but an index: no row is written again. Two million sessions take seconds."""

    dependencies = [("hub", "0005_uses_set_aside")]

    operations = [
        migrations.AddIndex(
            "session",
            models.Index(
                fields=["lab", "purpose", "-started_at", "-id", "ended_at"],
                name="session_by_purpose",
            ),
        ),
        migrations.RemoveIndex("session", "session_listed"),
        migrations.AddIndex(
            "session",
            models.Index(fields=["lab", "-started_at", "-id", "ended_at"], name="session_listed"),
        ),
    ]
