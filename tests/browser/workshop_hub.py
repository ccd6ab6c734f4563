"""A running hub's folder goes in; activities, maintenance, problems and mail are in it, made by a child process.

python -m tests.browser.workshop_hub FOLDER      prints the saw's two links as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.browser.hub_process import CHILD_S_MAX, ROOT, Hub


def work_in(hub: Hub) -> dict[str, str]:
    """The hub has one or two of everything that the workshop's pages show; the saw's links by purpose."""
    command = [sys.executable, "-m", "tests.browser.workshop_hub", str(hub.folder / "hub")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=CHILD_S_MAX
    )
    links: dict[str, str] = json.loads(done.stdout)
    return links


def fill(directory: Path) -> dict[str, str]:
    """In the child: everything made with the hub's own domain functions."""
    from interlock.clock import SystemClock
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub import mail, sending
    from interlock.hub.domain import (
        activities,
        bookings,
        machine_links,
        maintenance,
        post,
        problems,
        volunteering,
    )
    from interlock.hub.models import Machine, MachineLink, MailKind, Member
    from interlock.hub.permissions import Actor

    actor, lab = Actor(SystemClock()), commands.the_lab()
    saw = Machine.objects.select_related("lab").get(slug="saw")
    ada = Member.objects.select_related("lab").get(email="ada@example.org")
    now = actor.now()
    held = activities.Held(
        "Initiation à la découpe laser pour le collège Jean-Moulin",
        now.date(),
        150,
        people={"teenagers": 24, "adults": 3},
    )
    activities.enter(actor, lab, held)
    gone = activities.enter(
        actor, lab, activities.Held("Visite", now.date(), 60, "visit", {"seniors": 12})
    )
    activities.withdraw(actor, gone)
    volunteering.enter(actor, ada, now.date(), 90, "Entretien de la scie")
    volunteering.declare(actor, ada, now.date(), 45, "Accueil du samedi")
    oil = maintenance.Round("Graisser les guides", every_hours=50, every_days=30)
    plan = maintenance.plan(actor, saw, oil, now - timedelta(days=40))
    maintenance.plan(actor, saw, maintenance.Round("Affûter la lame", every_days=5))
    work = maintenance.Work("Courroie changée", now - timedelta(days=2), None, "Bois & Cie", 75)
    maintenance.intervene(actor, saw, work)
    maintenance.recount(actor, lab)
    asked = problems.report(actor, saw, "La scie fait un bruit de ferraille au démarrage.")
    problems.answer(actor, asked, "Le roulement est commandé, changement vendredi.")
    post.set_way(actor, lab, post.Way("mailbox"))
    mail.queue(lab, MailKind.TRAINING, ada, "fr", "Votre formation arrive à son terme", "Bonjour.")
    sending.send_waiting(actor, lab)
    bookings.set_source(actor, saw, "https://calendar.example.org/saw.ics")
    plans = {"plan": str(plan.pk)}
    links = {
        str(purpose.value): machine_links.link_of(actor, saw, purpose).token
        for purpose in MachineLink.Purpose
    }
    return {**links, **plans}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fill(Path(sys.argv[1]))))
