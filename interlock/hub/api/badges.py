"""Badges: whose they are, given and blocked, and the keys of genuine ones.

A UID comes in bodies only, becomes a tag at once, and is neither stored, logged nor sent back.
"""

from __future__ import annotations

from typing import Annotated, Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Path, Query, Router

from interlock.hub import old_ids
from interlock.hub.api import shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.api.people import ASKED, FOUND, member_of
from interlock.hub.api.problems import Problem
from interlock.hub.api.repeats import once
from interlock.hub.domain import badges as deeds
from interlock.hub.domain import unknown
from interlock.hub.domain.members import assign_badge, assign_tag, block_badge, unblock_badge
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import Badge, BadgeCondition, Member
from interlock.protocol.card_keys import KEY_NUMBER_MAX, CardSlot, Scheme
from interlock.protocol.tags import badge_tag

router = Router(tags=["badges"])
WRITTEN = {**FOUND, 400: shapes.Problem, 409: shapes.Problem}
BadgeNumber = Annotated[int, Path(ge=1, le=shapes.NUMBER_MAX)]


@router.get(
    "/members/{member_id}/badges",
    response={200: shapes.BadgePage, **FOUND},
    auth=BearerToken(Scope.BADGES_READ),
)
def of_member(
    request: HttpRequest,
    member_id: str,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The member's badges, the newest first."""
    caller = caller_of(request)
    found = _badges(caller).filter(member=member_of(caller, member_id))
    return shapes.page_of(found.order_by("-given_at", "-pk"), page, size, shapes.badge_told)


@router.post(
    "/members/{member_id}/badges",
    response={201: shapes.BadgeOut, **WRITTEN},
    auth=BearerToken(Scope.BADGES_WRITE),
)
def give(request: HttpRequest, member_id: str, body: shapes.GiveBody) -> HttpResponse:
    """The card is the member's."""
    caller = caller_of(request)
    member = member_of(caller, member_id)
    if (body.uid is None) == (body.unknown is None):
        raise Problem(422, "invalid", _("give one of uid and unknown"), where="body.uid")

    def deed() -> dict[str, Any]:
        return shapes.badge_told(_given(caller, member, body))

    return once(request, caller, 201, deed)


@router.get(
    "/badges",
    response={200: shapes.BadgePage, **ASKED},
    auth=BearerToken(Scope.BADGES_READ),
)
def badges(
    request: HttpRequest,
    condition: Annotated[str, Query(pattern="^(active|lost|stolen|retired|enrol_again)?$")] = "",
    key_number_below: Annotated[int | None, Query(ge=1, le=KEY_NUMBER_MAX + 1)] = None,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The lab's badges: those in one state, or those whose key number is to be rotated."""
    found = _badges(caller_of(request))
    if condition:
        found = found.filter(condition=condition)
    if key_number_below is not None:
        found = found.filter(
            condition=BadgeCondition.ACTIVE, card_key__key_number__lt=key_number_below
        )
    return shapes.page_of(found.order_by("pk"), page, size, shapes.badge_told)


@router.post(
    "/badges/lookup",
    response={200: shapes.SeenOut, **ASKED, 409: shapes.Problem},
    auth=BearerToken(Scope.BADGES_READ),
)
def lookup(request: HttpRequest, body: shapes.UidBody) -> dict[str, Any]:
    """Whose card lies on the reader; nothing is changed or noted."""
    caller = caller_of(request)
    tag = _tag(body.uid)
    return _seen(tag, _badges(caller).filter(tag=tag).first())


@router.get(
    "/badges/{number}",
    response={200: shapes.BadgeOut, **FOUND},
    auth=BearerToken(Scope.BADGES_READ),
)
def badge(request: HttpRequest, number: BadgeNumber) -> dict[str, Any]:
    """One badge."""
    return shapes.badge_told(_badge_of(caller_of(request), number))


@router.put(
    "/badges/{number}/condition",
    response={200: shapes.BadgeOut, **WRITTEN},
    auth=BearerToken(Scope.BADGES_WRITE),
)
def set_condition(
    request: HttpRequest, number: BadgeNumber, body: shapes.ConditionBody
) -> HttpResponse:
    """The badge is lost, stolen, retired, or found again."""
    caller = caller_of(request)
    found = _badge_of(caller, number)

    def deed() -> dict[str, Any]:
        wanted = BadgeCondition(body.condition)
        if found.condition == wanted:
            return shapes.badge_told(found)
        if wanted == BadgeCondition.ACTIVE:
            unblock_badge(caller.actor, found, body.why)
        else:
            block_badge(caller.actor, found, wanted, body.why)
        return shapes.badge_told(found)

    return once(request, caller, 200, deed)


@router.put(
    "/badges/{number}/card-key",
    response={200: shapes.BadgeOut, **WRITTEN},
    auth=BearerToken(Scope.CARD_KEYS_WRITE),
)
def put_card_key(
    request: HttpRequest, number: BadgeNumber, body: shapes.CardKeyBody
) -> HttpResponse:
    """The badge proves itself by this key from now on."""
    caller = caller_of(request)
    found = _badge_of(caller, number)
    slot = CardSlot(Scheme(body.scheme), bytes.fromhex(body.aid), body.key_number)

    def deed() -> dict[str, Any]:
        key = bytes.fromhex(body.key)
        deeds.set_card_key(caller.actor, found, slot, key, body.key_version)
        return shapes.badge_told(_badge_of(caller, number))

    return once(request, caller, 200, deed)


@router.delete(
    "/badges/{number}/card-key",
    response={204: None, **WRITTEN},
    auth=BearerToken(Scope.CARD_KEYS_WRITE),
)
def delete_card_key(request: HttpRequest, number: BadgeNumber) -> HttpResponse:
    """The badge counts by its UID alone again."""
    caller = caller_of(request)
    found = _badge_of(caller, number)
    return once(request, caller, 204, lambda: deeds.forget_card_key(caller.actor, found))


@router.get(
    "/card-keys",
    response={200: shapes.KeyNumbersOut, **ASKED},
    auth=BearerToken(Scope.BADGES_READ),
)
def key_numbers(request: HttpRequest, scheme: shapes.SchemeName) -> dict[str, Any]:
    """The key number that the lab's badges use, and the one to rotate to."""
    wanted = Scheme(scheme)
    used = deeds.key_numbers(caller_of(request).lab, wanted)
    current = max(used, default=deeds.MACHINES_KEY_NUMBER)
    return {
        "scheme": wanted.value,
        "current": current,
        "next": deeds.next_key_number(current, wanted),
        "badges": {str(number): count for number, count in used.items()},
    }


@router.get(
    "/unknown-badges",
    response={200: shapes.UnknownPage, **ASKED},
    auth=BearerToken(Scope.BADGES_READ),
)
def unknown_badges(
    request: HttpRequest, page: shapes.Page = 1, size: shapes.Size = shapes.SIZE
) -> dict[str, Any]:
    """Cards that machines and desks met within the last day and nobody has."""
    caller = caller_of(request)
    found = unknown.listed(caller.lab, caller.actor.now())
    return shapes.page_of(found, page, size, shapes.unknown_told)


@router.post(
    "/taps", response={200: shapes.SeenOut, **WRITTEN}, auth=BearerToken(Scope.BADGES_WRITE)
)
def tap(request: HttpRequest, body: shapes.UidBody) -> HttpResponse:
    """A card was held to the desk's reader: whoever hands out badges at the hub's page sees it."""
    caller = caller_of(request)

    def deed() -> dict[str, Any]:
        tag = _tag(body.uid)
        return _seen(tag, unknown.note_at_desk(caller.actor, caller.lab, caller.token.name, tag))

    return once(request, caller, 200, deed)


def _given(caller: Caller, member: Member, body: shapes.GiveBody) -> Badge:
    if body.uid is not None:
        return assign_badge(caller.actor, member, old_ids.read_uid(body.uid), body.label)
    met = unknown.listed(caller.lab, caller.actor.now())
    found = None if body.unknown is None else met.filter(pk=body.unknown).first()
    if found is None:
        raise Http404(_("This card is no longer on the list: hold it to a machine once more."))
    return assign_tag(caller.actor, member, bytes(found.tag), body.label)


def _seen(tag: bytes, owned: Badge | None) -> dict[str, Any]:
    return {
        "code": unknown.code_of(tag),
        "badge": None if owned is None else shapes.badge_told(owned),
        "is_badge": tag != deeds.random_tag(),
    }


def _tag(text: str) -> bytes:
    """The tag of a UID; of whatever a phone shows, the one that stands for all of them."""
    uid = old_ids.read_uid(text)
    is_random = len(uid) == len(deeds.RANDOM_UID) and uid[0] == deeds.RANDOM_UID_FIRST
    return badge_tag(settings.HUB.badge_key(), deeds.RANDOM_UID if is_random else uid)


def _badges(caller: Caller) -> QuerySet[Badge]:
    return Badge.objects.filter(lab=caller.lab).select_related("lab", "member", "card_key")


def _badge_of(caller: Caller, number: int) -> Badge:
    found = _badges(caller).filter(pk=number).first()
    if found is None:
        raise Http404(_("There is no such badge in this lab."))
    return found
