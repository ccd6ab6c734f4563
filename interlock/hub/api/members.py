"""Members: found, created, changed, suspended, handed out and erased; groups to put them into."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path as File
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Schema
from pydantic import AfterValidator, Field

from interlock.hub import days, takeout
from interlock.hub.api import shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.api.badges import WRITTEN
from interlock.hub.api.people import ASKED, FOUND, member_of, with_badges
from interlock.hub.api.problems import Problem
from interlock.hub.api.repeats import once
from interlock.hub.api.sessions import note_look
from interlock.hub.domain import members as deeds
from interlock.hub.domain.erasure import erase_member
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import Group, Payer

router = Router(tags=["members"])
ARCHIVE = "application/zip"
E_MAIL = r"^([^@\s]{1,64}@[^@\s]{1,189})?$"
"""What an address must look like to be one; whether it is, only a letter to it tells."""


def _named_by_somebody(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be a name, without control characters")
    return text


def _in_days(one: date) -> date:
    if not days.FIRST <= one <= days.LAST:
        raise ValueError(f"must lie between {days.FIRST} and {days.LAST}")
    return one


Name = Annotated[str, Field(min_length=1, max_length=150), AfterValidator(_named_by_somebody)]
EMail = Annotated[str, Field(max_length=254, pattern=E_MAIL), AfterValidator(shapes.printable)]
Day = Annotated[date, Field(strict=False), AfterValidator(_in_days)]


class MemberBody(shapes.Asked):
    """Who they are. Without `payer` they pay for themselves; a machine's technician is made on the pages."""

    name: Name
    email: EMail = ""
    language: Literal["en", "fr"] | None = None
    group: shapes.Slug | None = None
    payer: shapes.Number | None = None
    joined_on: Day | None = None
    until_at: shapes.Second | None = None
    minor: bool = False


class MemberChanges(shapes.Asked):
    """What is other from now on; what is not named stays."""

    name: Name = ""
    email: EMail = ""
    language: Literal["en", "fr"] = "en"
    group: shapes.Slug | None = None
    payer: shapes.Number = 0
    joined_on: Day | None = None
    until_at: shapes.Second | None = None
    minor: bool = False


class StatusBody(shapes.Asked):
    """Whether they may use anything, and why (or why not)."""

    status: Literal["active", "suspended"]
    why: shapes.Why = ""


class ErasureBody(shapes.Asked):
    """Their name once more, so that nobody is erased by a slip in a number; and why, naming nobody."""

    name: shapes.Why
    why: shapes.Why


class ErasureOut(Schema):
    """How many payers stay with their name, because something was billed to them."""

    payers_kept: int


class GroupOut(Schema):
    """A tariff class."""

    slug: str
    name: str


class GroupPage(Schema):
    """Some of the groups."""

    items: list[GroupOut]
    page: int
    pages: int
    total: int


@router.get(
    "/members",
    response={200: shapes.MemberPage, **ASKED},
    auth=BearerToken(Scope.MEMBERS_READ),
)
def members(
    request: HttpRequest,
    q: shapes.SearchText = "",
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The lab's members by name; `q` is a part of the name or of the e-mail."""
    found = with_badges(caller_of(request))
    if q.strip():
        found = found.filter(Q(name__icontains=q.strip()) | Q(email__icontains=q.strip()))
    return shapes.page_of(found.order_by("name", "pk"), page, size, shapes.member_told)


@router.get(
    "/members/{member_id}",
    response={200: shapes.MemberOut, **FOUND},
    auth=BearerToken(Scope.MEMBERS_READ),
)
def member(request: HttpRequest, member_id: str) -> dict[str, Any]:
    """One member."""
    return shapes.member_told(member_of(caller_of(request), member_id))


@router.get("/groups", response={200: GroupPage, **ASKED}, auth=BearerToken(Scope.MEMBERS_READ))
def groups(
    request: HttpRequest, page: shapes.Page = 1, size: shapes.Size = shapes.SIZE
) -> dict[str, Any]:
    """The lab's groups by name."""
    found = Group.objects.filter(lab=caller_of(request).lab).order_by("name", "pk")
    return shapes.page_of(found, page, size, lambda group: {"slug": group.slug, "name": group.name})


@router.post(
    "/members",
    response={201: shapes.MemberOut, **WRITTEN},
    auth=BearerToken(Scope.MEMBERS_WRITE),
)
def create(request: HttpRequest, body: MemberBody) -> HttpResponse:
    """Somebody new."""
    caller = caller_of(request)
    wanted = _fields(caller, body.dict(exclude_unset=True))

    def deed() -> dict[str, Any]:
        made = deeds.create_member(caller.actor, caller.lab, **wanted)
        return _told(caller, made.public_id)

    return once(request, caller, 201, deed)


@router.patch(
    "/members/{member_id}",
    response={200: shapes.MemberOut, **WRITTEN},
    auth=BearerToken(Scope.MEMBERS_WRITE),
)
def change(request: HttpRequest, member_id: str, body: MemberChanges) -> HttpResponse:
    """What is named is as given."""
    caller = caller_of(request)
    found = member_of(caller, member_id)
    wanted = _fields(caller, body.dict(exclude_unset=True))

    def deed() -> dict[str, Any]:
        deeds.change_member(caller.actor, found, **wanted)
        return _told(caller, member_id)

    return once(request, caller, 200, deed)


@router.put(
    "/members/{member_id}/status",
    response={200: shapes.MemberOut, **WRITTEN},
    auth=BearerToken(Scope.MEMBERS_WRITE),
)
def set_status(request: HttpRequest, member_id: str, body: StatusBody) -> HttpResponse:
    """The member is suspended and starts nothing any more, or active again."""
    caller = caller_of(request)
    found = member_of(caller, member_id)

    def deed() -> dict[str, Any]:
        if found.status != body.status:
            suspends = body.status == "suspended"
            (deeds.suspend_member if suspends else deeds.reinstate_member)(
                caller.actor, found, body.why
            )
        return _told(caller, member_id)

    return once(request, caller, 200, deed)


@router.get(
    "/members/{member_id}/data",
    response={200: None, **FOUND},
    auth=BearerToken(Scope.MEMBERS_ERASE),
    openapi_extra={"responses": {200: {"content": {ARCHIVE: {"schema": {"type": "string"}}}}}},
)
def export(request: HttpRequest, member_id: str) -> HttpResponse:
    """Everything that names the member, as one archive; that it was handed out is noted."""
    caller = caller_of(request)
    found = member_of(caller, member_id)
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        path = File(folder) / "data.zip"
        takeout.export_member(caller.actor, found, path)
        content = path.read_bytes()
    note_look(caller, [found])
    named = {"Content-Disposition": 'attachment; filename="data.zip"'}
    return HttpResponse(content, content_type=ARCHIVE, headers=named)


@router.put(
    "/members/{member_id}/erasure",
    response={200: ErasureOut, **WRITTEN},
    auth=BearerToken(Scope.MEMBERS_ERASE),
)
def erase(request: HttpRequest, member_id: str, body: ErasureBody) -> dict[str, Any]:
    """The member is nobody any more, at once and for good. Asked again, there is no such member (404): that
    is the answer to a request whose answer was lost."""
    caller = caller_of(request)
    found = member_of(caller, member_id)
    if body.name.strip().casefold() != found.name.casefold():
        raise Problem(409, "conflict", _("this is not their name"), where="body.name")
    return {"payers_kept": len(erase_member(caller.actor, found, body.why))}


def _fields(caller: Caller, given: dict[str, Any]) -> dict[str, Any]:
    """What the domain calls the fields of a body. Raises Problem: another lab's group or payer, or none."""
    wanted = dict(given)
    if wanted.get("language", "") is None:
        del wanted["language"]
    if "until_at" in wanted:
        wanted["until_at"] = shapes.instant(wanted["until_at"])
    if wanted.get("group") is not None:
        found = Group.objects.filter(lab=caller.lab, slug=wanted["group"]).first()
        wanted["group"] = _there(found, "body.group", _("there is no such group in this lab"))
    if wanted.get("payer") is not None:
        payer = Payer.objects.filter(lab=caller.lab, pk=wanted["payer"]).first()
        wanted["payer"] = _there(payer, "body.payer", _("there is no such payer in this lab"))
    return wanted


def _there(found: Group | Payer | None, where: str, what: str) -> Group | Payer:
    if found is None:
        raise Problem(409, "conflict", what, where=where)
    return found


def _told(caller: Caller, public_id: str) -> dict[str, Any]:
    return shapes.member_told(member_of(caller, public_id))
