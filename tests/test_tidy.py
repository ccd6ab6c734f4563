"""The house rules hold in every file, and a planted breach of each rule is caught."""

from __future__ import annotations

import pytest

from tests.tidy import FILE_LINES_MAX, FUNCTION_LINES_MAX, Source, breaches, repository_sources

pytestmark = pytest.mark.fast

HEAD = '"""What flows in and out."""\n'


def caught(path: str, body: str, *others: Source) -> list[str]:
    return breaches([Source(path, HEAD + body), *others])


def test_every_file_of_the_repository_keeps_the_house_rules() -> None:
    sources = repository_sources()
    assert len(sources) > 10, "the checker looks at the wrong folder"
    found = breaches(sources)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("interlock/core/machine.py", "import os\n", "core may not import os"),
        ("interlock/core/machine.py", "import random\n", "it is not pure"),
        ("interlock/core/machine.py", "import logging\n", "it is not pure"),
        ("interlock/core/machine.py", "import interlock.errors\n", "core may not import"),
        ("interlock/core/machine.py", "def f() -> None:\n    import socket\n", "core may not"),
        ("interlock/core/machine.py", "__import__('threading')\n", "core may not import"),
        ("interlock/core/machine.py", "from . import model\n", "write the absolute name"),
        ("interlock/protocol/records.py", "from pathlib import Path\n", "it is not pure"),
        ("interlock/protocol/records.py", "from interlock.core import machine\n", "may not import"),
        ("interlock/cards/keys.py", "import interlock.protocol.records\n", "may not import"),
        ("interlock/node/loop.py", "import requests\n", "it can reach a network"),
        ("interlock/node/loop.py", "import http.client\n", "it can reach a network"),
        ("interlock/node/loop.py", "import ssl\n", "it can reach a network"),
        ("interlock/node/loop.py", "from urllib.request import urlopen\n", "reach a network"),
        ("interlock/node/loop.py", "import pydantic\n", "not a dependency of this room"),
        ("interlock/node/loop.py", "from interlock.sync import link\n", "node may not import"),
        ("interlock/node/loop.py", "from interlock.hub import models\n", "node may not import"),
        ("interlock/readers/mfrc522.py", "import interlock.node.loop\n", "may not import"),
        ("interlock/sync/link.py", "from interlock.core import machine\n", "sync may not import"),
        ("interlock/sync/link.py", "import gpiozero\n", "not a dependency of this room"),
        ("interlock/hub/pages.py", "import interlock.node.journal\n", "hub may not import"),
        ("interlock/hub/pages.py", "import interlock.readers\n", "hub may not import"),
        ("interlock/desk/desk.py", "import django\n", "not a dependency of this room"),
        ("interlock/config.py", "import interlock.node\n", "config may not import"),
        ("interlock/gadgets.py", "", "no room of the house"),
    ],
)
def test_a_room_that_imports_what_it_may_not_is_caught(path: str, body: str, says: str) -> None:
    found = caught(path, body)
    assert found
    assert says in found[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("interlock/core/machine.py", "from interlock.core.model import Reason\n"),
        ("interlock/core/machine.py", "import dataclasses\nfrom enum import Enum\n"),
        ("interlock/protocol/records.py", "from interlock.core import model\nimport hashlib\n"),
        ("interlock/cards/ntag424.py", "from cryptography.hazmat.primitives import ciphers\n"),
        ("interlock/node/loop.py", "import threading\nfrom interlock.core import machine\n"),
        ("interlock/node/service.py", "from interlock.readers import Reader\n"),
        ("interlock/sync/link.py", "import requests\nfrom interlock.core.model import Reason\n"),
        ("interlock/hub/pages.py", "import django.http\nfrom interlock.core import policy\n"),
        ("interlock/sim/world.py", "import interlock.node.service\nimport spidev\n"),
        ("interlock/cli.py", "from interlock.sim import demo\nprint(1)\n"),
        ("interlock/sync/link.py", "from interlock import __version__\n"),
        ("tests/node/test_loop.py", "from interlock.sim import world\n"),
    ],
)
def test_what_the_table_allows_is_not_caught(path: str, body: str) -> None:
    assert caught(path, body) == []


@pytest.mark.parametrize("path", ["interlock/hub/pages.py", "interlock/node/service.py"])
def test_product_code_that_imports_the_simulator_is_caught(path: str) -> None:
    found = caught(path, "def f() -> None:\n    from interlock.sim import world\n")
    assert any("nobody imports sim" in text for text in found)


@pytest.mark.parametrize(
    "body",
    [
        "import socket\ns = socket.socket(socket.AF_INET)\n",
        "from socket import AF_INET6\n",
        "import socket\nsocket.create_connection(('hub', 80))\n",
    ],
)
def test_a_network_address_family_in_the_node_is_caught(body: str) -> None:
    assert any("AF_UNIX" in text for text in caught("interlock/node/control.py", body))


def test_a_unix_socket_in_the_node_is_not_caught() -> None:
    assert caught("interlock/node/control.py", "import socket\nf = socket.AF_UNIX\n") == []


def test_a_file_one_line_too_long_is_caught() -> None:
    at_limit = "x = 1\n" * (FILE_LINES_MAX - 1)
    assert caught("interlock/core/long.py", at_limit) == []
    assert "split the file" in caught("interlock/core/long.py", at_limit + "x = 1\n")[0]


def test_a_function_one_line_too_long_is_caught() -> None:
    at_limit = "def f() -> None:\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1)
    assert caught("interlock/core/long.py", at_limit) == []
    assert "f() has 61 lines" in caught("interlock/core/long.py", at_limit + "    x = 1\n")[0]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import time\nx = time.time()\n", "time.time: take a Clock"),
        ("from time import sleep\nsleep(1)\n", "time.sleep: take a Clock"),
        ("import time as t\npause = t.sleep\n", "time.sleep: take a Clock"),
        ("from datetime import datetime, UTC\nx = datetime.now(UTC)\n", "datetime.now: take a"),
        ("import datetime as d\nx = d.date.today()\n", "date.today: take a Clock"),
        ("from unittest import mock\n", "unittest.mock: use a real part"),
        ("from unittest.mock import Mock\n", "unittest.mock: use a real part"),
        ("import pickle\n", "pickle: use canonical JSON"),
        ("eval('1')\n", "eval: parse"),
    ],
)
@pytest.mark.parametrize("path", ["interlock/sim/world.py", "tests/sim/test_world.py"])
def test_a_banned_call_is_caught_and_its_replacement_named(path: str, body: str, says: str) -> None:
    assert any(says in text for text in caught(path, body))


def test_importing_time_outside_the_clock_is_caught() -> None:
    body = "from time import monotonic\n"
    assert any("only interlock/clock.py" in t for t in caught("interlock/hub/jobs.py", body))
    assert caught("interlock/clock.py", "import time\nx = time.time()\n") == []


def test_print_outside_the_command_line_is_caught() -> None:
    assert "print() outside cli" in caught("interlock/hub/jobs.py", "print('done')\n")[0]


@pytest.mark.parametrize("text", ["import os\n", '"""Stuff."""\n', "'''\n\n'''\nx = 1\n"])
def test_a_module_without_a_first_line_is_caught(text: str) -> None:
    found = breaches([Source("interlock/sim/world.py", text)])
    assert any("first line" in one for one in found)


@pytest.mark.parametrize("path", ["interlock/hub/utils.py", "interlock/hub/date_helpers.py"])
def test_a_name_that_says_nothing_is_caught(path: str) -> None:
    assert any("names nothing" in text for text in caught(path, ""))


def test_an_import_whose_name_is_computed_is_caught() -> None:
    body = "import importlib\n\ndef f(x: str) -> None:\n    importlib.import_module(x)\n"
    assert any("cannot be checked" in text for text in caught("interlock/node/pins.py", body))


def test_a_hardware_library_with_two_files_is_caught() -> None:
    lazy = "def f() -> None:\n    import spidev\n"
    other = Source("interlock/readers/pn532.py", HEAD + lazy)
    assert caught("interlock/readers/mfrc522.py", lazy) == []
    assert any("already has its file" in t for t in caught("interlock/readers/a.py", lazy, other))


def test_naming_a_hardware_type_for_mypy_drives_nothing() -> None:
    head = "from typing import TYPE_CHECKING\n"
    named = head + "if TYPE_CHECKING:\n    from gpiozero.pins import Factory\n"
    driver = Source("interlock/node/pins.py", HEAD + "def f() -> None:\n    import gpiozero\n")
    assert caught("interlock/node/service.py", named, driver) == []


def test_a_hardware_library_that_every_start_would_import_is_caught() -> None:
    driver = "import lgpio\n"
    eager = Source("interlock/node/service.py", HEAD + "from interlock.node.pins import Pins\n")
    lazy = Source(
        "interlock/node/service.py",
        HEAD + "def f() -> None:\n    from interlock.node.pins import Pins\n",
    )
    assert any("at the top" in text for text in caught("interlock/node/pins.py", driver, eager))
    assert caught("interlock/node/pins.py", driver, lazy) == []
