"""Accounts that are paid in advance to what machines are told of them: passes expire while nobody works."""

from __future__ import annotations

from django.db import transaction

from interlock.hub import credit
from interlock.hub.jobs import Job
from interlock.hub.models import Lab, Payer
from interlock.hub.permissions import Actor

EVERY_S = 900
"""A pass that expired refuses the next session within a quarter of an hour."""


def run(actor: Actor, lab: Lab) -> str:
    """Members of the lab have the credit that their accounts allow now."""
    payers = list(Payer.objects.filter(lab=lab, prepays=True).values_list("pk", flat=True))
    with transaction.atomic():
        changed = credit.recount(lab, payers, actor.now())
    return f"{len(payers)} accounts, {changed} members changed"


JOB = Job("credit", EVERY_S, run)
