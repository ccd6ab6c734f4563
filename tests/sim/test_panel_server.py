"""The page's server over real HTTP: what it shows, what it does, and whom it refuses."""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.clock import perf_us
from interlock.errors import LinkError
from interlock.sim.demo_badges import offers
from interlock.sim.panel_server import Lab, PanelServer
from interlock.sim.panel_server_app import STATIC
from tests.sim.labs import ADA, RecordedFaults, RunningLab, running_lab
from tests.sim.worlds import WorldProcess, document_of

pytestmark = pytest.mark.real

FRESH_WITHIN_MS = 100


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running_lab() as lab:
        yield lab


@pytest.fixture(autouse=True)
def _at_rest(lab: RunningLab) -> Iterator[None]:
    yield
    for world in lab.worlds.values():
        world.ask("take")
        for op, on in (("emergency_stop", False), ("weld", False), ("mains", True), ("pi", True)):
            world.ask(op, on=on)


def ask(
    lab: RunningLab, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", lab.server.port, timeout=60)
    content = None if body is None else json.dumps(body)
    if body is not None:
        headers.setdefault("Content_Type", "application/json")
    connection.request(method, path, content, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    result = (answer.status, answer.headers, answer.read())
    connection.close()
    return result


class Stream:
    """The events a browser would get."""

    def __init__(self, lab: RunningLab) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", lab.server.port, timeout=60)
        self._connection.request("GET", "/events")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self.pictures: dict[str, Any] = {}

    def until(self, true: Callable[[dict[str, Any]], bool]) -> None:
        """Read events until the pictures are such."""
        while not true(self.pictures):
            line = self._answer.readline()
            assert line, "the stream ended"
            if line.startswith(b"data: "):
                picture = json.loads(line.removeprefix(b"data: "))
                self.pictures[picture["id"]] = picture

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def stream(lab: RunningLab) -> Iterator[Stream]:
    stream = Stream(lab)
    stream.until(lambda all_of: {"", "saw", "laser"} <= set(all_of))
    stream.until(lambda all_of: all(all_of[machine]["world"] for machine in ("saw", "laser")))
    yield stream
    stream.close()


# ------------------------------------------------------------------------------------ what it shows


def test_a_stream_begins_with_the_whole_lab(stream: Stream) -> None:
    stream.until(lambda all_of: all_of["saw"]["node_answers"])
    saw = stream.pictures["saw"]
    assert saw["screen"]["lines"] == ["Ready", "Present badge"]
    assert saw["world"]["coil"] is False
    assert saw["faults"]["node"] == "running"
    assert stream.pictures[""]["hub"] is True


def test_what_happens_in_a_world_is_in_the_stream_within_100_ms(
    lab: RunningLab, stream: Stream
) -> None:
    took_ms = []
    for on in (True, False) * 5:
        began_us = perf_us()
        lab.worlds["saw"].ask("emergency_stop", on=on)
        stream.until(lambda all_of, on=on: all_of["saw"]["world"]["emergency_stop"] is on)  # type: ignore[misc]
        took_ms.append((perf_us() - began_us) / 1_000)
    assert sorted(took_ms)[len(took_ms) // 2] < FRESH_WITHIN_MS, took_ms


def test_what_the_node_s_screen_says_is_in_the_stream(lab: RunningLab, stream: Stream) -> None:
    lab.panels["laser"].shows["lines"] = ["In use", "0:00:01"]
    stream.until(lambda all_of: all_of["laser"]["screen"]["lines"] == ["In use", "0:00:01"])
    lab.panels["laser"].shows["lines"] = ["Ready", "Present badge"]


def test_a_screen_without_power_is_dark(lab: RunningLab, stream: Stream) -> None:
    stream.until(lambda all_of: all_of["saw"]["node_answers"])
    lab.worlds["saw"].ask("pi", on=False)
    stream.until(lambda all_of: all_of["saw"]["screen"]["lines"] == ["", ""])


def test_a_frozen_world_freezes_no_other_part_of_the_page(lab: RunningLab, stream: Stream) -> None:
    lab.worlds["saw"].signal(signal.SIGSTOP)
    try:
        status, _, body = ask(lab, "POST", "/act", {"machine": "saw", "op": "weld", "on": True})
        assert (status, b"no answer" in body) == (503, True)
        lab.worlds["laser"].ask("emergency_stop", on=True)
        stream.until(lambda all_of: all_of["laser"]["world"]["emergency_stop"])
    finally:
        lab.worlds["saw"].signal(signal.SIGCONT)


def test_the_lab_is_described_with_badges_and_links(lab: RunningLab) -> None:
    _, _, body = ask(lab, "GET", "/lab.json")
    described = json.loads(body)
    assert [one["id"] for one in described["machines"]] == ["saw", "laser"]
    assert described["badges"][2]["uids"] == [ADA, "04a1b2c3d4e5f6"]
    assert described["hub_links"] == [
        {"label": {"en": "Board", "fr": "Tableau"}, "url": "http://127.0.0.1:9/board"}
    ]


# -------------------------------------------------------------------------------------- what it does


@pytest.mark.parametrize(
    ("body", "shows"),
    [
        (
            {"op": "put", "label": "Ada", "uid": ADA},
            {"badges": [{"label": "Ada", "uid": ADA}]},
        ),
        ({"op": "emergency_stop", "on": True}, {"emergency_stop": True}),
        ({"op": "weld", "on": True}, {"welded": True}),
        ({"op": "push", "button": "stop", "ms": 60_000}, {"pressed": ["stop"]}),
        ({"op": "press", "button": "long_job"}, {"pressed": ["long_job"]}),
        ({"op": "let_go", "button": "long_job"}, {"pressed": []}),
        (
            {"op": "jam", "button": "machine_start", "on": True},
            {"pressed": ["machine_start"], "jammed": ["machine_start"]},
        ),
        ({"op": "jam", "button": "machine_start", "on": False}, {"pressed": [], "jammed": []}),
        ({"op": "bypass", "on": True}, {"bypass": True}),
        ({"op": "bypass", "on": False}, {"bypass": False}),
        ({"op": "interlock", "name": "Lid", "on": True}, {"held_open": ["Lid"]}),
        ({"op": "interlock", "name": "Lid", "on": False}, {"held_open": []}),
        ({"op": "extraction_broken", "on": True}, {"extraction_broken": True}),
        ({"op": "extraction_broken", "on": False}, {"extraction_broken": False}),
    ],
)
def test_a_hand_reaches_the_world(
    lab: RunningLab, body: dict[str, Any], shows: dict[str, Any]
) -> None:
    assert ask(lab, "POST", "/act", {"machine": "saw", **body})[0] == 200
    state = lab.worlds["saw"].state()
    assert {key: state[key] for key in shows} == shows
    lab.worlds["saw"].ask("let_go", button="stop")


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"fault": "unplug", "machine": "saw", "on": True}, ("unplug", "saw", True)),
        ({"fault": "freeze_node", "machine": "laser", "on": True}, ("freeze_node", "laser", True)),
        ({"fault": "kill_node", "machine": "laser"}, ("kill_node", "laser")),
        ({"fault": "clear_faults", "machine": "saw"}, ("clear_faults", "saw")),
        ({"fault": "old_card", "machine": "saw", "on": True}, ("cut_power", "saw", False)),
        ({"fault": "stop_hub", "on": True}, ("stop_hub", True)),
    ],
)
def test_a_fault_is_asked_of_who_plays_systemd(
    lab: RunningLab, body: dict[str, Any], asked: tuple[object, ...]
) -> None:
    assert ask(lab, "POST", "/fault", body)[0] == 200
    assert lab.faults.asked[-1] == asked
    if "on" in body:
        ask(lab, "POST", "/fault", {**body, "on": False})


def test_a_power_cut_takes_the_wires_before_the_processes(lab: RunningLab, stream: Stream) -> None:
    assert ask(lab, "POST", "/fault", {"fault": "cut_power", "machine": "saw"})[0] == 200
    state = lab.worlds["saw"].state()
    assert (state["mains"], state["pi"]) == (False, False)
    assert lab.faults.asked[-1] == ("cut_power", "saw", True)
    stream.until(lambda all_of: all_of["saw"]["faults"]["power_cut"])
    back = {"fault": "cut_power", "machine": "saw", "on": False}
    assert ask(lab, "POST", "/fault", back)[0] == 200
    state = lab.worlds["saw"].state()
    assert (state["mains"], state["pi"]) == (True, True)


# ------------------------------------------------------------------------------------ whom it refuses


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/act", []),
        ("/act", {"machine": "lathe", "op": "weld", "on": True}),
        ("/act", {"machine": "saw", "op": "pi", "on": False}),
        ("/act", {"machine": "saw", "op": "explode"}),
        ("/act", {"machine": "saw"}),
        ("/act", {"machine": "saw", "op": "weld", "on": True, "x": "y" * 5_000}),
        ("/fault", {"fault": "unplug"}),
        ("/fault", {"fault": "meltdown", "machine": "saw"}),
        ("/elsewhere", {}),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_words(
    lab: RunningLab, path: str, body: object
) -> None:
    before = lab.worlds["saw"].state()
    asked = len(lab.faults.asked)
    status, _, answer = ask(lab, "POST", path, body)
    assert status == 400
    assert json.loads(answer)["message"]
    assert lab.worlds["saw"].state() == before
    assert len(lab.faults.asked) == asked


def test_another_site_can_push_no_button(lab: RunningLab) -> None:
    weld = {"machine": "saw", "op": "weld", "on": True}
    assert ask(lab, "POST", "/act", weld, Content_Type="text/plain")[0] == 400
    assert ask(lab, "POST", "/act", weld, Host="evil.example")[0] == 403
    assert ask(lab, "GET", "/events", Host="evil.example:80")[0] == 403
    assert lab.worlds["saw"].state()["welded"] is False


@pytest.mark.parametrize(
    "path", ["/static/../panel_server.py", "/static/%2e%2e/world.py", "/etc/passwd", "/static/"]
)
def test_nothing_but_its_own_files_is_served(lab: RunningLab, path: str) -> None:
    assert ask(lab, "GET", path)[0] == 404


def test_every_file_goes_out_with_the_strict_policy(lab: RunningLab) -> None:
    for path in ("/", *(f"/static/{one.name}" for one in STATIC.iterdir())):
        status, headers, body = ask(lab, "GET", path)
        assert status == 200, path
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert body


def test_a_port_that_is_taken_is_said_so(lab: RunningLab) -> None:
    with pytest.raises(LinkError, match="is taken"):
        PanelServer(Lab((), ()), RecordedFaults(), port=lab.server.port)


def test_stopping_ends_open_streams_soon() -> None:
    with running_lab() as lab:
        stream = Stream(lab)
        began_us = perf_us()
        lab.server.stop()
        assert (perf_us() - began_us) / 1e6 < 20
        stream.close()


def test_a_world_that_comes_back_is_followed_again() -> None:
    with running_lab() as lab:
        stream = Stream(lab)
        first = lab.worlds["laser"]
        first.end()
        stream.until(lambda all_of: all_of.get("laser", {"world": 1})["world"] is None)
        status, _, _ = ask(lab, "POST", "/act", {"machine": "laser", "op": "take"})
        assert status == 503
        second = WorldProcess(first.directory, document_of())
        stream.until(lambda all_of: all_of["laser"]["world"] is not None)
        assert second.end() == 0
        stream.close()


# ----------------------------------------------------------------------------------------- its words


def sentences_of_the_page() -> set[str]:
    """Every English sentence that page and scripts hand to the translation."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    found = {text.strip() for text in re.findall(r"data-t>([^<]+)<", page)}
    found |= set(re.findall(r'aria-label="([^"]+)" data-t-label', page))
    scripts = "\n".join(one.read_text(encoding="utf-8") for one in STATIC.glob("*.js"))
    found |= set(re.findall(r'\bt\(\s*"([^"]+)"', scripts))
    found |= set(re.findall(r'\? t\("([^"]+)"\) : t\("[^"]+"\)', scripts))
    found |= set(re.findall(r'\b(?:words|label|what|open|shut): "([^"]+)"', scripts))
    for table in re.findall(
        r"const (?:COLOURS|PATTERNS|NODES|GROUPS) = \{(.*?)\};", scripts, re.DOTALL
    ):
        found |= set(re.findall(r':\s*"([^"]+)"', table))
    found |= set(re.findall(r'onTrouble\("([^"]+)"\)', scripts))
    found |= {offer.label for offer in offers() if offer.mood in ("unknown", "several")}
    return found


def test_every_sentence_of_the_page_has_its_french_and_no_french_is_left_over() -> None:
    catalogue = json.loads((STATIC / "words.fr.json").read_text(encoding="utf-8"))
    sentences = sentences_of_the_page()
    assert len(sentences) > 50, "the search for sentences finds nothing"
    assert sentences - set(catalogue) == set()
    assert set(catalogue) - sentences == set()
    for sentence, french in catalogue.items():
        assert re.findall(r"\{\w+\}", sentence) == re.findall(r"\{\w+\}", french), sentence


def test_no_script_or_style_stands_in_the_page() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "<style" not in page
    assert not re.search(r"\s(?:style|on\w+)=", page)


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: Path(path).name)
def test_no_file_of_the_page_is_long_or_asks_another_server(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    addresses = set(re.findall(r"https?://[^\s\"')]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
