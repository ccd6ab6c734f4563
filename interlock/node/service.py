"""One node's configuration in, its process out: everything is put together here, and taken apart.

Order of birth: relay off and claimed · memory locked, launcher of builders started · journal open, an
open session closed at its last proof of life · reader, control socket · READY · loop, and no fork
any more. Order of death: relay off · the end on the disk, if
the disk can in time · the rest. `interlock node run` and `interlock sim node` call the same
function with other pins, bus and clock.
"""

from __future__ import annotations

import gc
import logging
import os
import pwd
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock import __version__
from interlock.clock import Clock, SystemClock
from interlock.config import (
    InputsConfig,
    NodeConfig,
    PanelConfig,
    digest,
    to_rules,
    warnings,
)
from interlock.config.learned import read_commissioned_or_none, with_learned
from interlock.config.secret_files import read_node_keys
from interlock.core import machine
from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import (
    Event,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    SnapshotActivated,
)
from interlock.core.model import Assurance, Fault, Rules
from interlock.core.states import Recovered
from interlock.errors import ConfigError, InterlockError, StoreError
from interlock.node.answers import NodeAnswers
from interlock.node.break_glass import BreakGlassDoor
from interlock.node.build_orders import BuildOrders
from interlock.node.control import ControlServer, Users
from interlock.node.currents import CURRENT_BY_CONVERTER, CurrentWorker
from interlock.node.flight_keeper import FlightKeeper
from interlock.node.inbox import Inbox
from interlock.node.journal import Journal
from interlock.node.journal_facts import Stamp
from interlock.node.journal_marks import Recovery
from interlock.node.journal_work import NO_TICKET
from interlock.node.journal_worker import JournalWorker
from interlock.node.loop import Loop, Silence
from interlock.node.memory import lock_memory
from interlock.node.notify import Notifier
from interlock.node.pins import MachinePins, gpio_factory
from interlock.node.process import (
    feeder,
    is_whole_process,
    terminated_by_signals,
    unblocking_log,
)
from interlock.node.reader_worker import ReaderWorker
from interlock.node.screen_worker import ScreenWorker
from interlock.node.snapshot_installer import SnapshotInstaller, usable_cache, whom_to_forget
from interlock.node.time_saver import TimeSaver
from interlock.node.timekeeping import Timekeeper, marks_from_wire
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import RecordType
from interlock.readers import Reader
from interlock.readers.opening import reader_of

if TYPE_CHECKING:
    from gpiozero.pins import Factory

LOG = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAULT = 1

LAST_RECORD_S = 1.5
"""What the end of a session may take to reach the disk after SIGTERM; else the next start records
it.
"""

SESSION_OVER_POLL_S = 0.25
"""A thread that is dead but for this looks so often whether the session that outlived it is over."""

READER_STOP_S = 0.5
"""Ten polls; a reader that hangs is left to die with the process."""

CONFIG_DIGEST = "config_digest"
"""Kept beside the time marks: the configuration that the last `configuration_changed` record told of."""

OpenReader = Callable[[NodeConfig, Clock], Reader]
"""A reader, not yet opened: its worker opens it, and opens it again after a failure."""


def run_node(
    config: NodeConfig,
    keys: NodeKeys | None = None,
    *,
    pins: Callable[[NodeConfig], Factory] | None = None,
    open_reader: OpenReader | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] = os.environ,
    ready: Callable[[Loop], None] = lambda loop: None,
) -> int:
    """The exit code of a node that has run until SIGTERM (0) or a fault (1); the relay is off
    afterwards.

    Without arguments it is the real one: keys from their file, the Pi's pins, the reader that the
    file names, the system's clock. `ready` is called with the loop just before it starts.
    """
    with unblocking_log():
        try:
            clock = clock or SystemClock()
            keys = keys or read_node_keys(config.paths.keys_file)
            config.paths.state_dir.mkdir(parents=True, exist_ok=True)
            config.paths.spool_dir.mkdir(parents=True, exist_ok=True)
            factory = (pins or _pi_pins)(config)
            node = _Node(config, keys, factory, open_reader or reader_of, clock, environ)
            return node.run(ready)
        except InterlockError as error:
            LOG.critical("%s", error)
            return EXIT_FAULT
        except Exception:
            # The top of the process: whatever it was, the relay is off and systemd starts us anew.
            LOG.critical("the node ends", exc_info=True)
            return EXIT_FAULT


def safe_state(config: NodeConfig, factory: Factory | None = None) -> None:
    """Relay and dynamic enable are driven off and let go: what ExecStopPost runs. Raises PinError."""
    bare = replace(
        config,
        inputs=InputsConfig(),
        interlocks=(),
        panel=PanelConfig(config.panel.language, None, None, None, None),
    )
    MachinePins(bare, factory or _pi_pins(config)).close()


def rules_to_wire(rules: Rules) -> dict[str, Any]:
    """Every rule of the file as JSON, for the record that says the configuration changed."""
    # The hub's demands come with the snapshot, which every decision's record names.
    return {name: _plain(getattr(rules, name)) for name in rules.__slots__ if name != "demands"}


class _Node:
    """One run of a node, from pins claimed to pins let go."""

    def __init__(
        self,
        config: NodeConfig,
        keys: NodeKeys,
        factory: Factory,
        open_reader: OpenReader,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._environ = environ
        self._open_reader = open_reader
        self._inbox = Inbox()
        self._current = _current_worker(config, clock)
        # Before anything that can fail or take time: from here on the relay is held off.
        busy = (lambda: None) if self._current is None else self._current.busy
        self._pins = MachinePins(config, factory, self._inbox.wake, busy)
        self._orders = BuildOrders(lost=self._worker_died)
        self._unopened: str | None = None
        self._commissioned = read_commissioned_or_none(config.paths.learned)
        self._exit_code = EXIT_OK

    def run(self, ready: Callable[[Loop], None]) -> int:
        with ExitStack() as stack:
            stack.callback(self._pins.close)
            self._compose(stack)
            ready(self._loop)
            gc.freeze()
            self._notifier.say("READY=1")
            with terminated_by_signals(self._loop.request_termination):
                self._fly()
            self._notifier.say("STOPPING=1")
        return self._exit_code

    def _fly(self) -> None:
        """The loop runs; of one that dies, what led to it is kept. Its relay is off by then."""
        has_died = True
        try:
            self._loop.run()
            has_died = False
        finally:
            if has_died:
                self._flights.crashed(self._loop.flight.recording(), self._feed)

    # ---------------------------------------------------------------------------------------- birth

    def _compose(self, stack: ExitStack) -> None:
        """Everything but the loop runs; what the stack undoes comes in the reverse order."""
        config, clock = self._config, self._clock
        self._notifier = Notifier(self._environ)
        stack.callback(self._notifier.close)
        stack.callback(self._inbox.close)
        if is_whole_process():
            lock_memory()
        self._start_launcher(stack)
        journal = Journal(config.paths.journal, self._keys, boot_id=clock.boot_id)
        recovery = self._opened(journal)
        cache = None
        if recovery is not None:
            cache = usable_cache(self._state_dir, journal, self._keys, self._timekeeper)
        self._journal = JournalWorker(
            journal,
            emit=self._emit,
            stamp=self._stamp,
            clock=clock,
            aggregation_s=config.times.refusal_window_s,
            start_deadline_ms=config.times.start_deadline_ms,
            died=self._worker_died,
        )
        self._journal.forget(whom_to_forget(cache, self._keys))
        self._saver = TimeSaver(
            self._timekeeper,
            self._journal,
            clock,
            config.times.powered_save_s,
            beside={CONFIG_DIGEST: digest(config)},
        )
        self._reader = self._new_reader(cache)
        self._feed = feeder(self._notifier, self._environ, clock)
        self._flights = FlightKeeper(self._state_dir, machine.step, clock)
        self._loop = self._new_loop(recovery)
        self._say_boot(journal, recovery)
        self._start(stack)

    def _start_launcher(self, stack: ExitStack) -> None:
        """The one fork of this process: from READY on there may be a coil that it would hold up."""
        stack.callback(self._orders.close)
        try:
            self._orders.start()
        except StoreError as error:
            LOG.error("no snapshot can be built until the next start: %s", error)

    def _start(self, stack: ExitStack) -> None:
        """Every thread runs; the loop they speak to is there already."""
        self._journal.start()
        stack.callback(self._stop_journal)
        if self._unopened is None:
            # Else it would write that nothing is known of time over everything that is.
            self._saver.start()
            stack.callback(self._saver.stop)
        self._flights.start()
        stack.callback(self._flights.stop)
        self._reader.start()
        stack.callback(self._reader.stop, READER_STOP_S)
        if self._current is not None:
            self._current.start()
            stack.callback(self._current.stop)
        if self._config.screen.kind != "none":
            screen = ScreenWorker(
                self._config.screen,
                self._config.panel.language,
                lambda: self._loop.shown,
                self._clock,
            )
            screen.start()
            stack.callback(screen.stop)
        server = self._new_server()
        server.start()
        stack.callback(server.stop)
        for text in warnings(self._config):
            LOG.warning("%s", text)

    def _opened(self, journal: Journal) -> Recovery | None:
        """What the journal remembers; None when it cannot be opened, and then nobody starts anything."""
        self._timekeeper = Timekeeper(self._clock)
        try:
            journal.open(self._stamp())
        except StoreError as error:
            LOG.error("the journal cannot be opened: %s", error)
            self._unopened = str(error)
            return None
        kept = journal.marks.time
        if kept is not None:
            self._timekeeper = Timekeeper(self._clock, marks_from_wire(kept))
        return journal.recover(self._stamp())

    def _say_boot(self, journal: Journal, recovery: Recovery | None) -> None:
        """The first records of this start; the worker writes them, nothing here waits for the disk."""
        if recovery is None:
            return
        found = digest(self._config)
        boot = {"software": __version__, "config_digest": found, "clean": recovery.clean}
        self._submit(WriteRecord(NO_TICKET, RecordType.BOOT.value, boot))
        if (journal.marks.time or {}).get(CONFIG_DIGEST) != found:
            body = {"digest": found, "rules": rules_to_wire(to_rules(self._config))}
            self._submit(WriteRecord(NO_TICKET, RecordType.CONFIGURATION_CHANGED.value, body))
        walked = self._commissioned
        if walked is not None and walked.id != recovery.facts.commissioned:
            self._submit(WriteRecord(NO_TICKET, RecordType.COMMISSIONED.value, walked.body()))

    def _new_reader(self, cache: Path | None) -> ReaderWorker:
        config = self._config
        return ReaderWorker(
            self._open_reader(config, self._clock),
            badge_key=self._keys.badge_key,
            hub_key=self._keys.hub_key(),
            lab=self._keys.lab,
            node=self._keys.node,
            emit=self._emit,
            clock=self._clock,
            cache_age_s=self._timekeeper.cache_age_s,
            decryption_key=self._keys.decryption_key,
            polls_per_s=config.reader.polls_per_s,
            arrival_gap_ms=config.reader.arrival_gap_ms,
            cache_path=cache,
            died=self._worker_died,
        )

    def _new_loop(self, recovery: Recovery | None) -> Loop:
        recovered = Recovered()
        if recovery is not None:
            known, acked = recovery.facts, self._journal.status().acknowledged
            recovered = Recovered(
                faults=_faults(known.faults),
                locked_out=known.locked_out,
                grants=known.grants_after(acked.epoch, acked.seq),
                day_use=known.day_use,
            )
        if self._unopened is not None:
            self._inbox.put(JournalFailed(self._unopened))
        silence_ms = self._config.times.silence_ms
        return Loop(
            state=machine.initial(to_rules(self._config), recovered, self._timekeeper.now()),
            pins=self._pins,
            inbox=self._inbox,
            submit=self._submit,
            now=self._timekeeper.now,
            silences=(
                Silence(self._reader, "reader", silence_ms, ReaderFailed, ReaderRecovered),
                Silence(self._journal, "journal", silence_ms, JournalFailed, JournalRecovered),
            ),
            feed_watchdog=self._feed,
            faulted=self._flights.keep,
        )

    def _new_server(self) -> ControlServer:
        installer = SnapshotInstaller(
            self._journal,
            self._reader,
            orders=self._orders,
            keys=self._keys,
            state_dir=self._state_dir,
            confirm=self._timekeeper.confirm_current,
            accept=self._saver.accept,
            now=self._timekeeper.now,
        )
        answers = NodeAnswers(
            config=self._config,
            keys=self._keys,
            clock=self._clock,
            timekeeper=self._timekeeper,
            loop=self._loop,
            inbox=self._inbox,
            journal=self._journal,
            reader=self._reader,
            installer=installer,
            anchored=self._saver.anchored,
            door=BreakGlassDoor(self._config.paths.learned, self._clock),
            commissioned=self._commissioned,
        )
        users = Users(own=os.getuid(), sync=_uid_of(self._config.sync.user))
        return ControlServer(self._config.paths.socket, answers.table(), users, self._clock)

    # ----------------------------------------------------------------------------------------- life

    @property
    def _state_dir(self) -> Path:
        return self._config.paths.state_dir

    def _stamp(self) -> Stamp:
        return Stamp(self._clock.boot_ms(), *self._timekeeper.wall())

    def _submit(self, effect: WriteRecord | ReportRefusal) -> None:
        if not self._journal.submit(effect):
            LOG.error("the disk is hours behind: %s could not even wait", type(effect).__name__)

    def _emit(self, event: Event) -> bool:
        """What workers say reaches the loop; some of it means something to us, too."""
        if isinstance(event, SnapshotActivated):
            self._saver.save_soon()
        if isinstance(event, JournalRecovered):
            self._journal_works()
        return self._inbox.put(event)

    def _journal_works(self) -> None:
        """A journal that could not be opened at first can be read now: begin again, knowing its faults."""
        if self._unopened is not None:
            LOG.warning("the journal can be opened again: the node starts anew")
            self._exit_code = EXIT_FAULT
            self._loop.request_termination()

    def _worker_died(self) -> None:
        """On a dead worker's own thread: whoever works goes on, and then the node begins again."""
        while self._loop.is_running and self._loop.state.session is not None:
            self._clock.sleep(SESSION_OVER_POLL_S)
        LOG.critical("the node starts anew: one of its threads is dead")
        self._exit_code = EXIT_FAULT
        self._loop.request_termination()

    def _stop_journal(self) -> None:
        if not self._journal.stop(LAST_RECORD_S):
            LOG.warning("not everything reached the disk in time; the next start records the end")


def _current_worker(config: NodeConfig, clock: Clock) -> CurrentWorker | None:
    """What measures the machine's current, where it hangs on no pin; with what was learned of it."""
    if config.current.kind not in CURRENT_BY_CONVERTER:
        return None
    try:
        current = with_learned(config).current
    except ConfigError as error:
        LOG.error("busy stays unknown: %s", error)
        current = config.current
    return CurrentWorker(current, clock)


def _pi_pins(config: NodeConfig) -> Factory:
    return gpio_factory(config.paths.state_dir)


def _faults(names: Iterable[str]) -> frozenset[Fault]:
    """The latched faults; one that only a later version knows counts as the worst that we know."""
    faults = set()
    for name in names:
        if name not in list(Fault):
            LOG.error("the fault %r is of a later version: the machine stays off for it", name)
        faults.add(Fault(name) if name in list(Fault) else Fault.CONTACTOR_WELDED)
    return frozenset(faults)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [asdict(interlock) for interlock in value]
    return value.name.lower() if isinstance(value, Assurance) else getattr(value, "value", value)


def _uid_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
