"""A lab: made at installation, set from hub.toml, extended by groups and payers."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.directory import HubConfig, check_config
from interlock.hub.domain import limits
from interlock.hub.models import Group, Lab, Payer, PayerKind, Topic
from interlock.hub.permissions import Actor, Permission, require

VOLUNTEER_CENTS_MAX = 1_000_00
"""Nobody's hour is worth a thousand euros: a slip of the comma."""


@transaction.atomic
def create_lab(actor: Actor, slug: str, config: HubConfig) -> Lab:
    """A new lab. Raises ConfigError when `slug` is taken or a value is unusable."""
    check_config(config, where="hub.toml")
    limits.check_slug(slug)
    if Lab.objects.filter(slug=slug).exists():
        raise ConfigError(_("a lab of that name exists already"), where=slug)
    lab = Lab.objects.create(
        slug=slug, name=config.name, time_zone=config.time_zone, language=config.language
    )
    log_deed(actor, lab, Topic.RIGHTS, "lab_created", slug, after=_described(lab))
    return lab


@transaction.atomic
def apply_config(actor: Actor, lab: Lab, config: HubConfig) -> None:
    """The lab is called and timed as hub.toml says, until somebody describes it on its pages; nothing is
    written when it already is."""
    require(actor, lab, Permission.EDIT_LAB)
    if lab.described_at is not None:
        return
    before = _described(lab)
    lab.name, lab.time_zone, lab.language = config.name, config.time_zone, config.language
    after = _described(lab)
    if before == after:
        return
    lab.save(update_fields=["name", "time_zone", "language"])
    # The zone travels to the nodes: hours and days are those of its clock.
    log_deed(
        actor,
        lab,
        Topic.RIGHTS,
        "lab_changed",
        lab.slug,
        before=before,
        after=after,
        why="hub.toml",
    )


@transaction.atomic
def describe_lab(actor: Actor, lab: Lab, name: str, language: str, time_zone: str) -> None:
    """The lab is called, speaks and is timed like that from now on, whatever hub.toml says. Raises
    ConfigError."""
    require(actor, lab, Permission.EDIT_LAB)
    check_config(
        HubConfig(name=name.strip(), time_zone=time_zone, language=language), where=lab.slug
    )
    before = _described(lab)
    lab.name, lab.time_zone, lab.language = name.strip(), time_zone, language
    lab.described_at = lab.described_at or actor.now()
    lab.save(update_fields=["name", "time_zone", "language", "described_at"])
    after = _described(lab)
    if before != after:
        log_deed(actor, lab, Topic.RIGHTS, "lab_changed", lab.slug, before=before, after=after)


@transaction.atomic
def set_memberships(actor: Actor, lab: Lab, season_ends: str, *, asks_consent: bool) -> None:
    """Membership years end on `season_ends` (MM-DD; empty: a year after joining), and minors are granted
    nothing without consent, or are. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_LAB)
    if season_ends:
        try:
            datetime.strptime(f"2000-{season_ends}", "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise ConfigError(
                _("%(text)s is not a day of the year") % {"text": season_ends},
                where="season_ends",
                remedy=_("Write month and day, like 08-31"),
            ) from error
    before = {"season_ends": lab.season_ends, "asks_consent": lab.asks_consent}
    after = {"season_ends": season_ends, "asks_consent": asks_consent}
    if before == after:
        return
    lab.season_ends, lab.asks_consent = season_ends, asks_consent
    lab.save(update_fields=["season_ends", "asks_consent"])
    log_deed(actor, lab, Topic.OTHER, "memberships_changed", lab.slug, before=before, after=after)


@transaction.atomic
def set_volunteer_value(actor: Actor, lab: Lab, cents_per_hour: int) -> None:
    """An hour of volunteer time is worth so much in reports from now on, those of past months too. Raises
    ConfigError."""
    require(actor, lab, Permission.EDIT_LAB)
    if not 0 <= cents_per_hour <= VOLUNTEER_CENTS_MAX:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d")
            % {"least": 0, "most": VOLUNTEER_CENTS_MAX},
            where="volunteer_cents_per_hour",
        )
    before = lab.volunteer_cents_per_hour
    if before == cents_per_hour:
        return
    lab.volunteer_cents_per_hour = cents_per_hour
    lab.save(update_fields=["volunteer_cents_per_hour"])
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "volunteer_value_set",
        lab.slug,
        before={"cents_per_hour": before},
        after={"cents_per_hour": cents_per_hour},
    )


@transaction.atomic
def finish_setup(actor: Actor, lab: Lab) -> None:
    """The first-run assistant has done its work, or nobody wants it; it is no longer offered."""
    require(actor, lab, Permission.EDIT_LAB)
    if lab.set_up_at is None:
        lab.set_up_at = actor.now()
        lab.save(update_fields=["set_up_at"])
        log_deed(actor, lab, Topic.OTHER, "setup_finished", lab.slug)


@transaction.atomic
def send_names(actor: Actor, lab: Lab, *, on: bool) -> None:
    """Machines' screens greet members by name, or do not; off means no name leaves the hub."""
    require(actor, lab, Permission.EDIT_LAB)
    before, lab.sends_names = lab.sends_names, on
    lab.save(update_fields=["sends_names"])
    log_deed(
        actor,
        lab,
        Topic.RIGHTS,
        "names_sent" if on else "names_withheld",
        lab.slug,
        before={"sends_names": before},
        after={"sends_names": on},
    )


@transaction.atomic
def create_group(actor: Actor, lab: Lab, slug: str, name: str) -> Group:
    """A tariff class. Raises ConfigError when `slug` is taken."""
    require(actor, lab, Permission.EDIT_TARIFFS)
    if Group.objects.filter(lab=lab, slug=slug).exists():
        raise ConfigError(_("a group of that name exists already"), where=slug)
    limits.check_slug(slug)
    limits.check_name(name, "name")
    group = Group.objects.create(lab=lab, slug=slug, name=name)
    log_deed(actor, lab, Topic.OTHER, "group_created", slug, after={"name": name})
    return group


@transaction.atomic
def create_payer(
    actor: Actor, lab: Lab, name: str, kind: PayerKind = PayerKind.PERSON, *, siren: str = ""
) -> Payer:
    """Somebody who gets statements. Raises ConfigError when the name is taken."""
    require(actor, lab, Permission.EDIT_MEMBERS)
    if Payer.objects.filter(lab=lab, name=name).exists():
        raise ConfigError(_("a payer of that name exists already"), where=name)
    limits.check_name(name, "name", limits.PERSON_LENGTH_MAX)
    payer = Payer.objects.create(lab=lab, name=name, kind=kind, siren=siren)
    log_deed(actor, lab, Topic.OTHER, "payer_created", str(payer.pk), after={"kind": kind.value})
    return payer


def _described(lab: Lab) -> dict[str, str]:
    return {"name": lab.name, "time_zone": lab.time_zone, "language": lab.language}
