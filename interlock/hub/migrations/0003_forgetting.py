"""Which erasures a node has confirmed, and by which change of rights somebody was erased."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Nodes that confirmed everything before count as soon as they say so again, or decide by the newest list."""

    dependencies = [("hub", "0002_ledger_triggers")]

    operations = [
        migrations.AddField("node", "forgot_seq", models.PositiveBigIntegerField(default=0)),
        migrations.AddField(
            "erasedmember", "rights_seq", models.PositiveBigIntegerField(null=True)
        ),
    ]
