"""Payers, lines, months and statements: their JSON, as types and as made of rows. Amounts are whole cents."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, Field

from interlock.hub.api.shapes import Asked, LongWhy, Number, Slug, day, second
from interlock.hub.domain.materials import MILLI, QUANTITY_MAX
from interlock.hub.domain.periods import MonthRow
from interlock.hub.domain.tariffs import CENTS_MAX, VAT_BP_MAX
from interlock.hub.models import Line, Material, Payer, Statement


def _says_why(text: str) -> str:
    if not text.strip():
        raise ValueError("must say why")
    return text


Reason = Annotated[LongWhy, Field(min_length=1), AfterValidator(_says_why)]
Words = Annotated[LongWhy, Field(min_length=1, max_length=200), AfterValidator(_says_why)]


class MaterialBody(Asked):
    """What was taken: thousandths of the material's unit, by whom and in which session where that is known."""

    material: Number
    quantity_milli: Annotated[int, Field(ge=1, le=int(QUANTITY_MAX) * MILLI)]
    member: Slug | None = None
    session: Number | None = None
    why: LongWhy = ""


class AdjustmentBody(Asked):
    """An amount in words of one's own, with VAT in hundredths of a percent; below zero gives something back."""

    cents: Annotated[int, Field(ge=-CENTS_MAX, le=CENTS_MAX)]
    words: Words
    why: Reason
    is_net: bool = False
    vat_bp: Annotated[int, Field(ge=0, le=VAT_BP_MAX)] = 0


class CorrectionBody(Asked):
    """What the line should have been."""

    cents: Annotated[int, Field(ge=0, le=CENTS_MAX)]
    why: Reason


class PayerOut(Schema):
    """Who gets the statements."""

    number: int
    name: str
    kind: str
    siren: str
    vat_number: str
    address: str
    order_reference: str
    email: str
    prepays: bool


class PayerPage(Schema):
    """Some of the payers."""

    items: list[PayerOut]
    page: int
    pages: int
    total: int


class PayerNamed(Schema):
    """Which payer it is."""

    number: int
    name: str


class LineOut(Schema):
    """What a payer owes for one thing, by `day`, billed in `month`. `statement` is the number of the one it
    stands on: then it never changes any more. `steps` say how its price came about."""

    number: int
    kind: str
    payer: PayerNamed
    day: date
    month: date
    cents: int
    is_net: bool
    vat_bp: int
    words: str
    why: str
    late: bool
    session: int | None
    corrects: int | None
    material: int | None
    statement: int | None
    account: str
    analytic: str
    steps: list[dict[str, Any]]


class LinePage(Schema):
    """Some of the lines."""

    items: list[LineOut]
    page: int
    pages: int
    total: int


class StatementOut(Schema):
    """A numbered statement of a closed month, as it was issued; `hash` is printed on it."""

    number: int
    payer: PayerNamed
    month: date
    issued_at: int
    name: str
    lines: int
    net_cents: int
    vat_cents: int
    gross_cents: int
    from_account_cents: int
    due_cents: int
    hash: str


class StatementPage(Schema):
    """Some of the statements."""

    items: list[StatementOut]
    page: int
    pages: int
    total: int


class MonthOut(Schema):
    """A month: closed, open (it can be closed) or running."""

    month: date
    state: str
    lines: int
    payers: int
    gross_cents: int


class MonthsOut(Schema):
    """The latest months with something in them."""

    items: list[MonthOut]


class MaterialOut(Schema):
    """Something the lab sells: the price of one unit."""

    number: int
    name: str
    unit: str
    unit_cents: int
    is_net: bool
    vat_bp: int


class MaterialPage(Schema):
    """Some of the materials."""

    items: list[MaterialOut]
    page: int
    pages: int
    total: int


def payer_told(payer: Payer) -> dict[str, Any]:
    """A payer."""
    names = (
        "name",
        "kind",
        "siren",
        "vat_number",
        "address",
        "order_reference",
        "email",
        "prepays",
    )
    return {"number": payer.pk, **{name: getattr(payer, name) for name in names}}


def line_told(line: Line) -> dict[str, Any]:
    """A line with its payer, its statement and its session's machine selected."""
    machine = "" if line.session is None else line.session.machine.name
    return {
        "number": line.pk,
        "kind": line.kind,
        "payer": {"number": line.payer_id, "name": line.payer.name},
        "day": day(line.day),
        "month": day(line.month),
        "cents": line.cents,
        "is_net": line.is_net,
        "vat_bp": line.vat_bp,
        "words": line.words or machine,
        "why": line.why,
        "late": line.late,
        "session": line.session_id,
        "corrects": line.corrects_id,
        "material": line.material_id,
        "statement": None if line.statement is None else line.statement.number,
        "account": line.account,
        "analytic": line.analytic,
        "steps": line.steps,
    }


def statement_told(found: Statement) -> dict[str, Any]:
    """A statement with its payer and its month selected."""
    return {
        "number": found.number,
        "payer": {"number": found.payer_id, "name": found.payer.name},
        "month": day(found.period.month),
        "issued_at": second(found.issued_at),
        "name": found.name,
        "lines": found.lines_count,
        "net_cents": found.net_cents,
        "vat_cents": found.vat_cents,
        "gross_cents": found.gross_cents,
        "from_account_cents": found.from_account_cents,
        "due_cents": found.due_cents,
        "hash": bytes(found.hash).hex(),
    }


def month_told(row: MonthRow) -> dict[str, Any]:
    """A month with what is in it."""
    return {
        "month": day(row.month),
        "state": row.state,
        "lines": row.lines,
        "payers": row.payers,
        "gross_cents": row.gross_cents,
    }


def material_told(material: Material) -> dict[str, Any]:
    """A material as it is sold today."""
    names = ("name", "unit", "unit_cents", "is_net", "vat_bp")
    return {"number": material.pk, **{name: getattr(material, name) for name in names}}
