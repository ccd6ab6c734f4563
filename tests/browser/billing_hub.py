"""A running hub goes in; two months of use to close, with a company, a sponsor and sessions to check, come out.

    python -m tests.browser.billing_hub HUB_FOLDER     fills it; prints what the tests need to know

A process of its own, as tests.browser.hub_process: the tests never touch the database.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.browser.hub_process import ROOT, Hub

FILL_S_MAX = 120
PEOPLE = (
    ("Camille Le Goff", "camille@example.org"),
    ("Inès Benali", "ines@example.org"),
    ("Youssef Marchand", ""),
    ("Wilhelmina Ostrowska-Vandenberghe", "wilhelmina@example.org"),
)
FIRM = "Ébénisterie Łukasz & Fils"
TARIFF = "Atelier et découpe"


def fill_in(hub: Hub) -> dict[str, Any]:
    """The months stand in the hub's database; their years and numbers, the older one first."""
    child = [sys.executable, "-m", "tests.browser.billing_hub", str(hub.folder / "hub")]
    done = subprocess.run(
        child, cwd=ROOT, capture_output=True, text=True, check=True, timeout=FILL_S_MAX
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


# ------------------------------------------------------------------------------ in the child


def fill(directory: Path) -> dict[str, Any]:
    """Made with the hub's own functions; only the sessions are written as ingest would have stored them."""
    from interlock.clock import SystemClock
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub import billing
    from interlock.hub.domain import labs, machines, members, passes, payers, tariffs
    from interlock.hub.domain import statements as statement_deeds
    from interlock.hub.models import MailSettings, Node, PassKind, PayerKind
    from interlock.hub.permissions import Actor

    actor, lab = Actor(SystemClock()), commands.the_lab()
    zone = ZoneInfo(lab.time_zone)
    MailSettings.objects.update_or_create(
        lab=lab, defaults={"backend": MailSettings.Backend.MAILBOX, "sender": "lab@example.org"}
    )
    head = "12 rue des Bœufs\n41000 Blois\nSIREN 732 829 320"
    statement_deeds.set_head(actor, lab, head)
    firms = labs.create_group(actor, lab, "companies", "Entreprises")
    firm = labs.create_payer(actor, lab, FIRM, PayerKind.ORGANISATION)
    payers.change_payer(
        actor,
        firm,
        siren="732829320",
        vat_number="FR44732829320",
        address="Zone artisanale du Grand-Pré\n41100 Vendôme",
        email="compta@example.org",
    )
    region = labs.create_payer(actor, lab, "Région Centre-Val de Loire", PayerKind.ORGANISATION)
    hour = tariffs.Prices(
        cents_per_hour=1_200, minimum_cents=200, forgive_s=0, vat_bp=2_000, account="7083"
    )
    tariff = tariffs.create_tariff(actor, lab, "cutting", TARIFF, hour)
    # As if the lab had had it for a year: what is priced by a later price is something to check.
    tariff.versions.update(starts_at=actor.now() - timedelta(days=365))
    saw = lab.machines.get(slug="saw")
    machines.set_tariff(actor, saw, tariff)
    node = Node.objects.filter(machine=saw).latest("pk")
    who = [
        members.create_member(actor, lab, name, email=email, group=firms if not number else None)
        for number, (name, email) in enumerate(PEOPLE)
    ]
    sponsored = passes.create_sponsorship(
        actor, lab, region, "Chèque innovation", PassKind.TIME, 20 * 3_600, share_percent=50
    )
    passes.allot(actor, sponsored, firm, 5 * 3_600)
    first = actor.now().astimezone(zone).date().replace(day=1)
    last = (first - timedelta(days=1)).replace(day=1)
    before = (last - timedelta(days=1)).replace(day=1)
    where = {"machine": saw, "node": node, "tariff": tariff}
    used = _use(who, firm, before, where) + _use(who, firm, last, where)
    days = [billing.billable_day(lab, one) for one in used]
    billing.reprice(lab, [day for day in days if day is not None], actor.now())
    months = [[month.year, month.month] for month in (before, last)]
    return {"months": months, "firm": firm.pk, "sponsor": sponsored.pk}


def _use(who: list[Any], firm: Any, month: date, where: dict[str, Any]) -> list[Any]:
    """Sixteen sessions of four people, every fourth for the firm, the sixth of them fourteen hours long."""
    from interlock.hub.models import Purpose, Session

    zone = ZoneInfo(firm.lab.time_zone)
    made = []
    for number in range(16):
        member, for_firm = who[number % 4], number % 4 == 0
        minutes = 14 * 60 if number == 5 else 35 + 20 * (number % 5)
        day = month + timedelta(days=1 + number)
        ended = datetime(day.year, day.month, day.day, 17, 30, tzinfo=zone).astimezone(UTC)
        session = Session(
            lab=firm.lab,
            epoch=month.year * 12 + month.month,
            seq=number + 1,
            member=member,
            payer=firm if for_firm else member.payer,
            group=member.group,
            purpose=Purpose.COMPANY if for_firm else Purpose.OWN,
            started_at=ended - timedelta(minutes=minutes),
            ended_at=ended,
            start_boot_id="filled",
            start_boot_ms=0,
            enabled_ms=minutes * 60_000,
            how="tap_off",
            **where,
        )
        session.save()
        made.append(session)
    return made


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fill(Path(sys.argv[1]))))
