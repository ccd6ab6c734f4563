"""The JSON of the API, as types: what is accepted, nothing more of it, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar

from django.db.models import Model, QuerySet
from ninja import Path, Query, Schema
from pydantic import AfterValidator, ConfigDict, Field

from interlock.hub import days
from interlock.hub.domain.badges import KEY_VERSION_MAX
from interlock.hub.domain.unknown import code_of, is_badge, place_of
from interlock.hub.models import Badge, CardKey, Member, UnknownBadge
from interlock.protocol.card_keys import KEY_NUMBER_MAX
from interlock.protocol.tags import short

PAGE_MAX = 100_000
SIZE_MAX = 100
SIZE = 50
LINES_MAX = 200
"""Old ids of one request: a second of the hub's single writer."""
NUMBER_MAX = 2**63 - 1
"""What a database's integer holds."""
SECOND_MAX = 4_102_444_799
"""The last second of 2099, as everywhere at the hub (days.LAST)."""

M = TypeVar("M", bound=Model)


def printable(text: str) -> str:
    """Return text that every database can keep and every page can show. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


Label = Annotated[str, Field(max_length=64), AfterValidator(printable)]
Why = Annotated[str, Field(max_length=200), AfterValidator(printable)]
Uid = Annotated[
    str,
    Field(pattern=r"^[0-9A-Fa-f]{2}(?:[ :.-]?[0-9A-Fa-f]{2}){3,9}$", examples=["04a1b2c3d4e5f6"]),
]
"""4, 7 or 10 bytes; the domain says which other counts do not exist."""
LongWhy = Annotated[str, Field(max_length=500), AfterValidator(printable)]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Second = Annotated[int, Field(ge=0, le=SECOND_MAX)]
Number = Annotated[int, Field(ge=1, le=NUMBER_MAX)]
RowNumber = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
Which = Annotated[int | None, Query(ge=1, le=NUMBER_MAX)]
WhichSlug = Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{0,64}$")]
WhichDay = Annotated[date | None, Query(ge=days.FIRST, le=days.LAST)]
Page = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Size = Annotated[int, Query(ge=1, le=SIZE_MAX)]
SearchText = Annotated[str, Query(max_length=100), AfterValidator(printable)]
SchemeName = Literal["desfire_aes", "ntag424_aes"]
Condition = Literal["active", "lost", "stolen", "retired"]


class Asked(Schema):
    """A body: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class UidBody(Asked):
    """A card on a reader."""

    uid: Uid


class GiveBody(Asked):
    """A card for a member: one of `uid` (it lies on a reader) and `unknown` (a machine refused it)."""

    uid: Uid | None = None
    unknown: Number | None = None
    label: Label = ""


class ConditionBody(Asked):
    """What became of a badge."""

    condition: Condition
    why: Why = ""


class CardKeyBody(Asked):
    """The key of one card, derived at the desk; never the site's key."""

    scheme: SchemeName
    aid: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{6}$")]
    key_number: Annotated[int, Field(ge=0, le=KEY_NUMBER_MAX)]
    key_version: Annotated[int, Field(ge=0, le=KEY_VERSION_MAX)] = 0
    key: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{32}$")]


class OldIdLine(Asked):
    """A member (id, e-mail or name) and the number that the old readers knew their badge by."""

    member: Annotated[str, Field(min_length=1, max_length=254), AfterValidator(printable)]
    old_id: Annotated[int, Field(ge=0, lt=1 << 40)]
    label: Label = ""


class OldIdsBody(Asked):
    """A list of old ids."""

    lines: Annotated[list[OldIdLine], Field(min_length=1, max_length=LINES_MAX)]
    dry_run: bool = True
    partial: bool = False


class Problem(Schema):
    """Every refusal: `code` for programs; what, where and remedy for people."""

    status: int
    code: str
    title: str
    what: str
    where: str
    remedy: str


class MemberOut(Schema):
    """A member. `group` and `payer` are what the rest of the API calls them."""

    id: str
    name: str
    email: str
    language: str
    status: str
    until_at: int | None
    joined_on: date | None
    group: str | None
    payer: int | None
    badges: int


class Named(Schema):
    """Whose badge it is."""

    id: str
    name: str


class CardOut(Schema):
    """Where a badge keeps its key; never the key."""

    scheme: str
    aid: str
    key_number: int
    key_version: int
    set_at: int


class BadgeOut(Schema):
    """A badge. `number` is what the API calls it by, `short` what people compare on two screens."""

    number: int
    member: Named
    label: str
    condition: str
    given_at: int
    short: str
    card: CardOut | None


class MemberPage(Schema):
    """Some of the members."""

    items: list[MemberOut]
    page: int
    pages: int
    total: int


class BadgePage(Schema):
    """Some of the badges."""

    items: list[BadgeOut]
    page: int
    pages: int
    total: int


class UnknownOut(Schema):
    """A card that nobody has; `is_badge` is false for a phone, which nobody can be given."""

    number: int
    code: str
    place: str
    seen_at: int
    count: int
    is_badge: bool


class UnknownPage(Schema):
    """Some of the unknown cards."""

    items: list[UnknownOut]
    page: int
    pages: int
    total: int


class SeenOut(Schema):
    """A card that lies on a reader: its code, its badge if somebody has it, whether it can be one."""

    code: str
    badge: BadgeOut | None
    is_badge: bool


class KeyNumbersOut(Schema):
    """Which key number the lab's badges use, and which one to rotate to."""

    scheme: str
    current: int
    next: int | None
    badges: dict[str, int]


class BadLineOut(Schema):
    """A line that was not taken, counted from 1."""

    line: int
    reason: str


class OldIdsOut(Schema):
    """What became of a list of old ids."""

    taken: int
    enrol_again: int
    unchanged: int
    bad: list[BadLineOut]
    total: int
    dry_run: bool


class LabOut(Schema):
    """The lab a token is for."""

    slug: str
    name: str
    language: str


class TokenOut(Schema):
    """The token that asks."""

    name: str
    scopes: list[str]
    expires_at: int


class MeOut(Schema):
    """Who asks, and whom."""

    lab: LabOut
    token: TokenOut
    version: str


def page_of(
    found: QuerySet[M], page: int, size: int, told: Callable[[M], dict[str, Any]]
) -> dict[str, Any]:
    """One page of `found`; one behind the last is empty."""
    total = found.count()
    rows = found[(page - 1) * size : page * size]
    return {
        "items": [told(row) for row in rows],
        "page": page,
        "pages": max(1, -(-total // size)),
        "total": total,
    }


def member_told(member: Member) -> dict[str, Any]:
    """A member whose badges were counted as `badges_held`."""
    return {
        "id": member.public_id,
        "name": member.name,
        "email": member.email,
        "language": member.language,
        "status": member.status,
        "until_at": second(member.until_at),
        "joined_on": day(member.joined_on),
        "group": None if member.group is None else member.group.slug,
        "payer": member.payer_id,
        "badges": getattr(member, "badges_held", 0),
    }


def badge_told(badge: Badge) -> dict[str, Any]:
    """A badge with its member and card key selected."""
    return {
        "number": badge.pk,
        "member": {"id": badge.member.public_id, "name": badge.member.name},
        "label": badge.label,
        "condition": badge.condition,
        "given_at": second(badge.given_at),
        "short": short(bytes(badge.tag)),
        "card": card_told(badge),
    }


def card_told(badge: Badge) -> dict[str, Any] | None:
    """Where the badge keeps its key, None for one without."""
    try:
        row: CardKey = badge.card_key
    except CardKey.DoesNotExist:
        return None
    return {
        "scheme": row.scheme,
        "aid": bytes(row.aid).hex(),
        "key_number": row.key_number,
        "key_version": row.key_version,
        "set_at": second(row.set_at),
    }


def unknown_told(row: UnknownBadge) -> dict[str, Any]:
    """A card that nobody has."""
    return {
        "number": row.pk,
        "code": code_of(bytes(row.tag)),
        "place": place_of(row),
        "seen_at": second(row.seen_at),
        "count": row.count,
        "is_badge": is_badge(row),
    }


def named(member: Member | None) -> dict[str, Any] | None:
    """Who a member is, None for nobody."""
    return None if member is None else {"id": member.public_id, "name": member.name}


def second(at: datetime | None) -> int | None:
    """The UTC second of an instant."""
    return None if at is None else int(at.timestamp())


def instant(at: int | None) -> datetime | None:
    """The instant of a UTC second."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def day(one: date | None) -> str | None:
    """A calendar day of the lab, YYYY-MM-DD."""
    return None if one is None else one.isoformat()
