"""Workbooks of millions of cells, within the limit of an upload: refused by a real process, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.real

DONE_S_MAX = 240
"""Four seconds of a computer of one's own; tests share theirs with each other."""

MORE_MIB_MAX = 100
"""Beside what the process has anyway, the million elements of each file and its counting included."""

_READ = """
import io, json, resource, zipfile
from django.conf import settings
settings.configure(USE_I18N=False)
from interlock.errors import ConfigError
from interlock.hub import spreadsheets
from tests.hub.test_upload_limits import NAMES, cell, row, workbook
MANY = 1_200_000
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

def with_part(name, begin, unit):
    out = io.BytesIO(workbook(NAMES))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as target, target.open(name, "w") as part:
        part.write(b'<?xml version="1.0"?>' + begin.encode())
        for _ in range(MANY // 50_000):
            part.write(unit.encode() * 50_000)
    return out.getvalue()

SHEET = f'<worksheet xmlns="{MAIN}"><sheetData>'
FILES = {
    "rows": ("xl/worksheets/b.xml", SHEET, "<row/>"),
    "cells": ("xl/worksheets/b.xml", SHEET + "<row>", "<c/>"),
    "texts": ("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">', "<si/>"),
    "styles": ("xl/styles.xml", f'<styleSheet xmlns="{MAIN}"><cellXfs>', "<xf/>"),
}
spreadsheets.read_sheet(workbook(NAMES), "warm")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
said = {}
for what, (name, begin, unit) in FILES.items():
    raw = with_part(name, begin, unit)
    assert len(raw) < spreadsheets.FILE_BYTES_MAX
    before = peak()
    try:
        spreadsheets.read_sheet(raw, "list")
    except ConfigError as error:
        said[what] = [error.what, peak() - before]
print(json.dumps(said))
"""


def test_a_workbook_of_millions_is_refused_in_little_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _READ],
        capture_output=True,
        text=True,
        timeout=DONE_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) == {"rows", "cells", "texts", "styles"}
    for what, (words, more_mib) in said.items():
        assert "than a list of people" in words, what
        assert more_mib <= MORE_MIB_MAX, f"{what}: {more_mib} MiB more"
