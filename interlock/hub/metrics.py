"""A lab's rows and the waiting requests of this process go in; figures for a monitor, which name nobody, come out.

Everything is asked anew at each look, with a constant number of queries: there is no counter that a restart
could lose. Labels are words of the program, and the slugs of machines' computers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, F
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from interlock import __version__
from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.jobs.every import JOBS
from interlock.hub.models import Alarm, AlarmKind, JobRun, Lab, Node, NodeHealth, NodeRecord
from interlock.hub.pages.confirmations import is_confirmed

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The text format that every Prometheus since 2014 reads."""
NEVER_S = float("inf")
"""How late a job is that has never run: nobody set up the timer."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Who waits for news in this process: nodes with a long poll, and boards that are open live."""

    nodes: frozenset[int] = frozenset()
    streams: int = 0


def exposition(lab: Lab, now: datetime, feed: Feed) -> bytes:
    """The lab's figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(lab, now, feed))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, lab: Lab, now: datetime, feed: Feed) -> None:
        self._lab, self._now, self._feed = lab, now, feed

    def collect(self) -> Iterator[Metric]:
        lab, now, feed = self._lab, self._now, self._feed
        in_service = Node.objects.filter(lab=lab, revoked_at=None).order_by("slug")
        nodes = list(in_service.select_related("health", "snapshot").defer("snapshot__head"))
        yield _one("interlock_build", "The hub's version.", {"version": __version__}, 1)
        yield from _contact(lab, nodes, now)
        yield from _journals(lab, nodes, now)
        waiting = sum(node.pk in feed.nodes for node in nodes)
        yield _one("interlock_feed_nodes", "Nodes that wait for news in this process.", {}, waiting)
        said = "Boards that are open live in this process, of all its labs."
        yield _one("interlock_feed_streams", said, {}, feed.streams)
        yield _alarms(lab)
        yield from _jobs(lab, now)


def _contact(lab: Lab, nodes: list[Node], now: datetime) -> Iterator[Metric]:
    counted = {"online": 0, "late": 0, "never": 0}
    silence = GaugeMetricFamily(
        "interlock_node_silence_seconds", "Since the node last spoke.", labels=["node"]
    )
    for node in nodes:
        counted[_state(node, now)] += 1
        if node.last_seen_at is not None:
            silence.add_metric([node.slug], _since(node.last_seen_at, now))
    known = "Nodes in service: online, late (silent for 90 s) or never heard of."
    states = GaugeMetricFamily("interlock_nodes", known, labels=["state"])
    for state, count in counted.items():
        states.add_metric([state], count)
    yield states
    yield silence
    unsure = sum(not is_confirmed(node, lab) for node in nodes)
    said = "Nodes that have not confirmed the newest list of rights."
    yield _one("interlock_nodes_unconfirmed", said, {}, unsure)


def _journals(lab: Lab, nodes: list[Node], now: datetime) -> Iterator[Metric]:
    """How far journals are here. The newest record of each node is one query for all of them."""
    newest = {
        record.node_id: record
        for record in NodeRecord.objects.filter(
            lab=lab, epoch=F("node__head_epoch"), seq=F("node__head_seq"), node__revoked_at=None
        ).defer("body", "salt")
    }
    total = NodeRecord.objects.filter(lab=lab).count()
    records = CounterMetricFamily("interlock_records_ingested", "Records of nodes that are here.")
    records.add_metric([], total)
    yield records
    lag = GaugeMetricFamily(
        "interlock_node_ingest_lag_seconds",
        "From the moment the node's newest record was made to the one it arrived here.",
        labels=["node"],
    )
    unsent = GaugeMetricFamily(
        "interlock_node_unsent_records",
        "Records the node has and the hub has not.",
        labels=["node"],
    )
    oldest = GaugeMetricFamily(
        "interlock_node_oldest_unsent_seconds",
        "The age of the oldest record that is not here, at most; 0 when all are.",
        labels=["node"],
    )
    for node in nodes:
        record, missing = newest.get(node.pk), _missing(node)
        if record is not None and record.wall_trusted and record.wall_ms is not None:
            made_at = datetime.fromtimestamp(record.wall_ms / 1_000, UTC)
            lag.add_metric([node.slug], _since(made_at, record.received_at))
        unsent.add_metric([node.slug], missing)
        if not missing or record is not None:
            # What is not here was made after the newest that is.
            bound_s = 0.0 if record is None or not missing else _since(_made_at(record), now)
            oldest.add_metric([node.slug], bound_s)
    yield lag
    yield unsent
    yield oldest


def _alarms(lab: Lab) -> Metric:
    rows = Alarm.objects.filter(lab=lab, closed_at=None).values_list("kind")
    found: Mapping[str, int] = dict(rows.annotate(count=Count("pk")))
    alarms = GaugeMetricFamily(
        "interlock_alarms_open", "Alarms nobody has closed.", labels=["kind"]
    )
    for kind in AlarmKind.values:
        alarms.add_metric([kind], found.get(kind, 0))
    return alarms


def _jobs(lab: Lab, now: datetime) -> Iterator[Metric]:
    runs = {run.name: run for run in JobRun.objects.filter(lab=lab)}
    late = GaugeMetricFamily(
        "interlock_job_lateness_seconds",
        "How long the job has been due; +Inf when it never ran.",
        labels=["job"],
    )
    failed = GaugeMetricFamily(
        "interlock_job_failed", "1 when the job's last run failed.", labels=["job"]
    )
    for job in JOBS:
        run = runs.get(job.name)
        late.add_metric([job.name], NEVER_S if run is None else _since(run.due_at, now))
        failed.add_metric([job.name], 0 if run is None else int(run.failed))
    yield late
    yield failed


def _missing(node: Node) -> int:
    """Records the node told of that are not here; of a newer epoch, all that it has."""
    try:
        told = node.health
    except NodeHealth.DoesNotExist:
        return 0
    if told.told_epoch == node.head_epoch:
        return max(0, told.told_seq - node.head_seq)
    return told.told_seq if told.told_epoch > node.head_epoch else 0


def _made_at(record: NodeRecord) -> datetime:
    """When it was made by a clock that can be trusted, else when it arrived."""
    if record.wall_trusted and record.wall_ms is not None:
        return datetime.fromtimestamp(record.wall_ms / 1_000, UTC)
    return record.received_at


def _state(node: Node, now: datetime) -> str:
    if node.last_seen_at is None:
        return "never"
    return "online" if now - node.last_seen_at < SILENT_AFTER else "late"


def _since(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())


def _one(name: str, said: str, labels: Mapping[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(name, said, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family
