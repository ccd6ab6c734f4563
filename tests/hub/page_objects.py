"""A lab goes in; the address of every page comes out, about things of that lab which exist."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import models
from django.urls import reverse

from interlock.hub import models as hub
from interlock.protocol import canonical
from tests.hub.everywhere import row_of
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab

NUMBERED: dict[str, type[models.Model]] = {
    "activity": hub.Activity,
    "answer-problem": hub.Problem,
    "badge-lost": hub.Badge,
    "billing-add": hub.Payer,
    "billing-allot": hub.Payer,
    "billing-edit-payer": hub.Payer,
    "billing-end-pass": hub.Pass,
    "billing-entitle": hub.Payer,
    "billing-prepays": hub.Payer,
    "billing-give-time": hub.Payer,
    "billing-hand-over": hub.Statement,
    "billing-line": hub.Line,
    "billing-material": hub.Material,
    "billing-payer": hub.Payer,
    "billing-retire": hub.Material,
    "billing-sell-pass": hub.Payer,
    "billing-send-one": hub.Statement,
    "billing-sponsor": hub.Sponsorship,
    "billing-sponsor-csv": hub.Sponsorship,
    "billing-statement": hub.Statement,
    "billing-statement-pdf": hub.Statement,
    "billing-take-back": hub.AccountEntry,
    "bill-set-aside": hub.UseSetAside,
    "block-badge": hub.Badge,
    "close-alarm": hub.Alarm,
    "close-problem": hub.Problem,
    "confirm-enrolment": hub.Enrolment,
    "confirm-grant": hub.PendingGrant,
    "confirm-time": hub.VolunteerTime,
    "correct-session": hub.Session,
    "end-enrolment": hub.Enrolment,
    "group-hours": hub.Group,
    "import-take-back": hub.MemberImport,
    "intervention": hub.Intervention,
    "leave-out-set-aside": hub.UseSetAside,
    "letter": hub.OutboxMail,
    "lock-out-for-problem": hub.Problem,
    "node": hub.Node,
    "plan": hub.MaintenancePlan,
    "reject-grant": hub.PendingGrant,
    "reject-time": hub.VolunteerTime,
    "reopen-problem": hub.Problem,
    "retire-plan": hub.MaintenancePlan,
    "revoke-node": hub.Node,
    "revoke-token": hub.ApiToken,
    "send-again": hub.OutboxMail,
    "session": hub.Session,
    "take-back": hub.Reservation,
    "take-back-set-aside": hub.UseSetAside,
    "take-role": hub.Role,
    "take-up-activity": hub.Activity,
    "training-run": hub.TrainingRun,
    "training-run-add": hub.TrainingRun,
    "training-run-call-off": hub.TrainingRun,
    "unknown-badge": hub.UnknownBadge,
    "volunteer-time": hub.VolunteerTime,
    "withdraw-activity": hub.Activity,
    "withdraw-intervention": hub.Intervention,
}
"""Pages about one row by its number."""

OF_A_MACHINE = {
    *("add-computer", "card-file", "clear-lock-out", "command", "edit-machine", "enrolment-state"),
    *("house-rules", "lock-out", "machine", "machine-calendar", "machine-label", "renew-feed"),
    *("machine-maintenance", "machine-state", "new-intervention", "new-plan", "read-calendar"),
    *("remove-calendar", "renew-label", "reservations", "retire-machine"),
}
OF_A_MEMBER = {
    *("grant-training", "hand-out", "hand-out-taps", "member", "member-data", "member-edit"),
    *("member-export", "member-login", "member-profile", "reinstate-member", "set-credit"),
    "suspend-member",
}
OF_A_TRAINING = {"training", "training-edit", "training-hold"}
OF_A_TARIFF = {"billing-tariff", "billing-prices"}
OF_A_MONTH = {
    *("billing-month", "billing-close", "billing-closing-progress", "billing-send"),
    *("billing-entries-csv",),
    *("billing-entries-xlsx", "billing-statements-csv", "billing-statements-xlsx"),
}
BY_A_SECRET = {
    "import-forget": ["0" * 32],
    "import-look": ["0" * 32],
    "machine-feed": ["no-such-feed"],
    "open-wall": ["no-such-lab", "no-such-key"],
    "open-wall-tiles": ["no-such-lab", "no-such-key"],
    "problem-reported": ["no-such-label"],
    "public-page": ["no-such-lab"],
    "report-problem": ["no-such-label"],
    "welcome": ["no-such-token"],
}
"""Pages that are found by something that cannot be guessed, not by whose they are."""
MONTH = [2025, 7]

MADE_BY_HAND: dict[str, dict[str, Any]] = {
    "Role": {"name": "trainer"},
    "MaintenancePlan": {"every_days": 30},
}


class Objects:
    """The things of one lab, each made when a page asks for it."""

    def __init__(self, small: SmallLab, own: hub.Member, **given: models.Model) -> None:
        """`given`: rows that a role's own rights need, by the name of their model."""
        self._small, self._own = small, own
        self._rows: dict[str, models.Model] = {"Node": small.enrolled.node, **given}

    def address(self, name: str) -> str:
        """Where the page called `name` is."""
        return reverse(name, args=self.arguments(name))

    def arguments(self, name: str) -> list[Any]:
        """What its address is made of; empty for a page about nothing in particular."""
        small = self._small
        member = small.member.public_id
        if name in NUMBERED:
            return [self._row(NUMBERED[name]).pk]
        if name in OF_A_MACHINE:
            return [small.machine.slug]
        if name in OF_A_MEMBER:
            return [member]
        if name in OF_A_TRAINING:
            return [small.training.slug]
        if name in OF_A_TARIFF:
            return [small.tariff.slug]
        if name in OF_A_MONTH:
            return MONTH
        special = {
            "revoke-training": [member, small.training.slug],
            "give-badge": [member, self._row(hub.UnknownBadge).pk] if name == "give-badge" else [],
            "billing-payer-month": [*MONTH, self._row(hub.Payer).pk]
            if name == "billing-payer-month"
            else [],
            "assistant-step": ["lab"],
        }
        return BY_A_SECRET.get(name) or special.get(name, [])

    def _row(self, model: type[models.Model]) -> models.Model:
        name = model.__name__
        if name not in self._rows:
            self._rows[name] = row_of(model, self._small.lab, self._known(model))
        return self._rows[name]

    def _known(self, model: type[models.Model]) -> dict[str, Any]:
        """A row that points at the lab's own machine, member and payer, not at new ones."""
        small = self._small
        there = {
            hub.Machine: small.machine,
            hub.Member: small.member,
            hub.Training: small.training,
            hub.Node: small.enrolled.node,
            hub.Payer: small.member.payer,
        }
        known: dict[str, Any] = dict(MADE_BY_HAND.get(model.__name__, {}))
        for field in model._meta.concrete_fields:
            if field.is_relation and field.related_model in there and not field.null:
                known[field.name] = there[field.related_model]
        if model is hub.PendingGrant:
            known["record"] = secrets.token_hex(4)
        if model is hub.UseSetAside:
            known["start"] = self._set_aside()
        return known

    def _set_aside(self) -> models.Model:
        journal = Journal(self._small.enrolled.node.slug, bytes(32))
        journal.start(self._small)
        wire = canonical.dumps(journal.records[0].to_wire()).decode()
        known = {**self._known(hub.SetAside), "wire": wire}
        return row_of(hub.SetAside, self._small.lab, known)
