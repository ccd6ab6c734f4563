"""Addresses of these pages; pages/urls.py takes them in."""

from __future__ import annotations

from django.urls import path

from interlock.hub.pages.billing import (
    aside,
    closing,
    files,
    head,
    lines,
    materials,
    month,
    payers,
    sponsors,
    statement,
    tariffs,
    use,
)

_MONTH = "billing/<int:year>-<int:month>/"

urlpatterns = [
    path("billing/", month.overview, name="billing"),
    path("billing/<int:year>-<int:number>/", month.month, name="billing-month"),
    path("billing/<int:year>-<int:number>/close/", closing.close, name="billing-close"),
    path(
        "billing/<int:year>-<int:number>/close/progress/",
        closing.progress,
        name="billing-closing-progress",
    ),
    path(_MONTH + "payers/<int:number>/", lines.payer_month, name="billing-payer-month"),
    path(_MONTH + "send/", statement.send_all, name="billing-send"),
    path(_MONTH + "entries.csv", files.entries_csv, name="billing-entries-csv"),
    path(_MONTH + "entries.xlsx", files.entries_xlsx, name="billing-entries-xlsx"),
    path(_MONTH + "statements.csv", files.statements_csv, name="billing-statements-csv"),
    path(_MONTH + "statements.xlsx", files.statements_xlsx, name="billing-statements-xlsx"),
    path("billing/lines/<int:number>/", lines.line, name="billing-line"),
    path("billing/statements/<int:number>/", statement.statement, name="billing-statement"),
    path(
        "billing/statements/<int:number>/pdf/",
        statement.statement_pdf,
        name="billing-statement-pdf",
    ),
    path("billing/statements/<int:number>/send/", statement.send_one, name="billing-send-one"),
    path("billing/statements/<int:number>/hand/", statement.hand_over, name="billing-hand-over"),
    path("billing/head/", head.head, name="billing-head"),
    path("billing/tariffs/", tariffs.tariffs, name="billing-tariffs"),
    path("billing/tariffs/new/", tariffs.new_tariff, name="billing-new-tariff"),
    path("billing/tariffs/<slug:slug>/", tariffs.tariff, name="billing-tariff"),
    path("billing/tariffs/<slug:slug>/prices/", tariffs.prices, name="billing-prices"),
    path("billing/payers/", payers.payers, name="billing-payers"),
    path("billing/payers/new/", payers.new, name="billing-new-payer"),
    path("billing/payers/<int:number>/", payers.payer, name="billing-payer"),
    path("billing/payers/<int:number>/edit/", payers.edit, name="billing-edit-payer"),
    path("billing/payers/<int:number>/add/", lines.add, name="billing-add"),
    path("billing/payers/<int:number>/account/", payers.entitle, name="billing-entitle"),
    path("billing/payers/<int:number>/in-advance/", payers.set_prepays, name="billing-prepays"),
    path("billing/payers/<int:number>/pass/", payers.sell_pass, name="billing-sell-pass"),
    path("billing/payers/<int:number>/time/", payers.give_time, name="billing-give-time"),
    path("billing/payers/<int:number>/sponsored/", payers.allot, name="billing-allot"),
    path("billing/account/<int:number>/take-back/", payers.take_back, name="billing-take-back"),
    path("billing/passes/<int:number>/end/", payers.end_pass, name="billing-end-pass"),
    path("billing/sponsors/", sponsors.sponsors, name="billing-sponsors"),
    path("billing/sponsors/new/", sponsors.new, name="billing-new-sponsor"),
    path("billing/sponsors/<int:number>/", sponsors.sponsor, name="billing-sponsor"),
    path("billing/sponsors/<int:number>/csv/", sponsors.sponsor_csv, name="billing-sponsor-csv"),
    path("billing/materials/", materials.materials, name="billing-materials"),
    path("billing/materials/<int:number>/", materials.material, name="billing-material"),
    path("billing/materials/<int:number>/retire/", materials.retire, name="billing-retire"),
    path("sessions/set-aside/", aside.uses, name="set-aside"),
    path("sessions/set-aside/<int:number>/bill/", aside.bill, name="bill-set-aside"),
    path("sessions/set-aside/<int:number>/out/", aside.leave_out, name="leave-out-set-aside"),
    path("sessions/set-aside/<int:number>/back/", aside.take_back, name="take-back-set-aside"),
    path("sessions/<int:number>/correct/", use.correct, name="correct-session"),
]
"""“new” before a number or a slug: Django takes the first that fits."""
