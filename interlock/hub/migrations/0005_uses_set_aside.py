"""Every start among the records that were set aside is a use that somebody has to decide about."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def _find_starts(apps: Any, _schema_editor: Any) -> None:
    found = apps.get_model("hub", "SetAside").objects.filter(
        wire__contains='"type":"session_started"'
    )
    table = apps.get_model("hub", "UseSetAside")
    starts = found.exclude(wire__contains='"body":null').iterator()
    table.objects.bulk_create(
        (table(lab_id=one.lab_id, start_id=one.pk) for one in starts), batch_size=500
    )


class Migration(migrations.Migration):
    """One table; those of before wait too."""

    dependencies = [("hub", "0004_long_lists")]

    operations = [
        migrations.CreateModel(
            name="UseSetAside",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "decision",
                    models.CharField(
                        choices=[
                            ("waiting", "nobody has looked at it"),
                            ("billed", "billed"),
                            ("left_out", "left out"),
                        ],
                        db_index=True,
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                (
                    "lab",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="hub.lab",
                    ),
                ),
                (
                    "start",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="use",
                        to="hub.setaside",
                    ),
                ),
            ],
        ),
        migrations.RunPython(_find_starts, migrations.RunPython.noop),
    ]
