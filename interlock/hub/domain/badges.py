"""Genuine badges and old ones: the key a badge proves itself by, and ids that name no card any more."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.card_keys import Vault, slot_of
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import Badge, BadgeCondition, CardKey, Lab, Member, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.protocol.card_keys import AID_BYTES, CARD_KEY_BYTES, CardSlot, Scheme
from interlock.protocol.tags import TAG_BYTES, UID_LENGTHS, badge_tag

RANDOM_UID_FIRST = 0x08
"""ISO 14443-3, 6.5.4: four bytes that begin so are drawn anew each time, as phones do."""
RANDOM_UID = bytes((RANDOM_UID_FIRST, 0, 0, 0))
"""Whatever a phone shows, nodes report this one (node.reader_worker)."""
CASCADE_TAG = 0x88
"""ISO 14443-3, 6.5.3.2: no UID of four bytes begins so; what does is the cut-off head of a longer one."""
KEY_VERSION_MAX = 255
"""One byte on the card."""
KEY_NUMBERS_MAX = {Scheme.DESFIRE_AES: 13, Scheme.NTAG424_AES: 4}
"""A DESFire application of ours holds keys 0 to 13; an NTAG 424 DNA has five (AN12196, 3.1)."""
MASTER_KEY_NUMBER = 0
"""DESFire: the application's master, for the enrolment desk only; it opens no machine."""
MACHINES_KEY_NUMBER = 1
DOORS_KEY_NUMBER = 2
"""3-cards.md: key 1 machines, key 2 doors, 3 and more for rotation."""
AID_OF_NTAG424 = bytes(AID_BYTES)


@transaction.atomic
def set_card_key(
    actor: Actor, badge: Badge, slot: CardSlot, key: bytes, key_version: int = 0
) -> None:
    """The badge proves itself by `key` (its own, never the site's), on every node that hears of it.

    The key is sealed before it is stored, and named in no log. Raises ConfigError.
    """
    require(actor, badge.lab, Permission.EDIT_BADGES)
    _check_slot(slot, key, key_version)
    if badge.condition != BadgeCondition.ACTIVE:
        raise ConfigError(
            _("this badge opens nothing: it is %(state)s")
            % {"state": badge.get_condition_display()},
            where=short_name(badge),
        )
    vault = Vault(settings.HUB.card_key())
    before = CardKey.objects.filter(badge=badge).first()
    row, _new = CardKey.objects.update_or_create(
        badge=badge,
        defaults={
            "scheme": slot.scheme.value,
            "aid": slot.aid,
            "key_number": slot.key_number,
            "key_version": key_version,
            "sealed": vault.seal(badge.lab.slug, bytes(badge.tag), slot, key_version, key),
            "set_at": actor.now(),
        },
    )
    log_deed(
        actor,
        badge.lab,
        Topic.RIGHTS,
        "card_key_set",
        short_name(badge),
        before=None if before is None else described(before),
        after=described(row),
    )


@transaction.atomic
def forget_card_key(actor: Actor, badge: Badge, why: str = "") -> None:
    """The badge counts by its UID alone again. Raises ConfigError when it had no key."""
    require(actor, badge.lab, Permission.EDIT_BADGES)
    row = CardKey.objects.filter(badge=badge).first()
    if row is None:
        raise ConfigError(_("this badge has no key"), where=short_name(badge))
    before = described(row)
    row.delete()
    log_deed(
        actor,
        badge.lab,
        Topic.RIGHTS,
        "card_key_forgotten",
        short_name(badge),
        before=before,
        why=why,
    )


@transaction.atomic
def record_enrol_again(
    actor: Actor, member: Member, old_id: bytes, label: str = ""
) -> Badge | None:
    """The member is on the list of those who need their badge enrolled again; None when they were.

    `old_id` (88 and three bytes) is the head that several cards share, so its row gets a tag that no
    card has, and the member's own.
    """
    require(actor, member.lab, Permission.EDIT_BADGES)
    if label.strip():
        limits.check_name(label, "label", limits.LABEL_LENGTH_MAX)
    tag = placeholder_tag(member, old_id)
    if Badge.objects.filter(lab=member.lab, tag=tag).exists():
        return None
    badge = Badge.objects.create(
        lab=member.lab,
        member=member,
        tag=tag,
        label=label.strip(),
        condition=BadgeCondition.ENROL_AGAIN,
        given_at=actor.now(),
    )
    log_deed(
        actor,
        member.lab,
        Topic.OTHER,
        "badge_to_enrol_again",
        short_name(badge),
        after={"member": member.public_id, "label": badge.label},
    )
    return badge


def retire_oldest_enrol_again(actor: Actor, member: Member) -> None:
    """A badge was given to the member: the oldest one that waited for it is done. Inside a transaction."""
    waiting = member.badges.filter(condition=BadgeCondition.ENROL_AGAIN)
    oldest = waiting.order_by("given_at", "pk").first()
    if oldest is None:
        return
    oldest.condition = BadgeCondition.RETIRED
    oldest.save(update_fields=["condition"])
    log_deed(
        actor,
        member.lab,
        Topic.OTHER,
        "badge_enrolled_again",
        short_name(oldest),
        after={"member": member.public_id},
    )


def check_uid(uid: bytes) -> None:
    """Return when a badge can be known by `uid`. Raises ConfigError for what phones invent, and for
    the head of a longer UID, which several badges share."""
    if len(uid) != UID_LENGTHS[0]:
        return
    if uid[0] == RANDOM_UID_FIRST:
        raise ConfigError(
            _("this is no badge: it shows another number each time, as phones do"),
            where="uid",
            remedy=_("Take a card or a key ring"),
        )
    if uid[0] == CASCADE_TAG:
        raise ConfigError(
            _("this is only the beginning of a longer number, which several badges share"),
            where="uid",
            remedy=_("Hold the badge to a reader of Interlock, which reads all of it"),
        )


def random_tag() -> bytes:
    """The tag under which nodes report every phone."""
    return badge_tag(settings.HUB.badge_key(), RANDOM_UID)


def placeholder_tag(member: Member, old_id: bytes) -> bytes:
    """A tag for an old id of that member; no UID is that long, so no card has it."""
    named = b"enrol again" + member.public_id.encode() + old_id
    return blake2b(named, digest_size=TAG_BYTES, key=settings.HUB.badge_key()).digest()


def key_numbers(lab: Lab, scheme: Scheme) -> dict[int, int]:
    """How many badges of the lab that open machines use each key number."""
    used = CardKey.objects.filter(
        badge__lab=lab, badge__condition=BadgeCondition.ACTIVE, scheme=scheme.value
    )
    counts: dict[int, int] = {}
    for number in used.values_list("key_number", flat=True):
        counts[number] = counts.get(number, 0) + 1
    return dict(sorted(counts.items()))


def next_key_number(current: int, scheme: Scheme) -> int | None:
    """The key number to rotate to after `current`: never the doors'; None when the card has no more."""
    following = current + 1
    if following == DOORS_KEY_NUMBER:
        following += 1
    return following if following <= KEY_NUMBERS_MAX[scheme] else None


def described(row: CardKey) -> dict[str, Any]:
    """All of a card key but the key."""
    slot = slot_of(row)
    return {
        "scheme": slot.scheme.value,
        "aid": slot.aid.hex(),
        "key_number": slot.key_number,
        "key_version": row.key_version,
    }


def short_name(badge: Badge) -> str:
    """What the audit log calls a badge."""
    return bytes(badge.tag)[:4].hex()


def _check_slot(slot: CardSlot, key: bytes, key_version: int) -> None:
    if len(key) != CARD_KEY_BYTES:
        raise ConfigError(
            _("a card key has %(count)d bytes") % {"count": CARD_KEY_BYTES}, where="key"
        )
    if not 0 <= key_version <= KEY_VERSION_MAX:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 0, "most": KEY_VERSION_MAX},
            where="key_version",
        )
    desfire = slot.scheme is Scheme.DESFIRE_AES
    least = MASTER_KEY_NUMBER + 1 if desfire else MASTER_KEY_NUMBER
    most = KEY_NUMBERS_MAX[slot.scheme]
    if not least <= slot.key_number <= most:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": least, "most": most},
            where="key_number",
        )
    if len(slot.aid) != AID_BYTES or desfire == (slot.aid == AID_OF_NTAG424):
        raise ConfigError(
            _("is no application of this kind of card"),
            where="aid",
            remedy=_(
                "A DESFire badge has three bytes that are not all zero, an NTAG 424 has 000000"
            ),
        )
