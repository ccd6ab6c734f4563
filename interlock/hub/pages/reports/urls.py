"""Addresses of these pages; pages/urls.py takes them in."""

from __future__ import annotations

from django.urls import URLPattern, path

from interlock.hub.pages.reports import publicity, report

urlpatterns: list[URLPattern] = [
    path("reports/", report.report, name="reports"),
    path("reports/report.pdf", report.report_pdf, name="report-pdf"),
    path("reports/report.csv", report.report_csv, name="report-csv"),
    path("reports/report.xlsx", report.report_xlsx, name="report-xlsx"),
    path("reports/report.json", report.report_json, name="report-json"),
    path("reports/time-sheets.xlsx", report.time_sheets, name="time-sheets"),
    path("settings/others/", publicity.publicity, name="publicity"),
    path("settings/others/wall/", publicity.make_wall, name="make-wall"),
    path("settings/others/wall/end/", publicity.end_wall, name="end-wall"),
]
