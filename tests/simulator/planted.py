"""One deliberate mistake for every rule: wrappers round the core's step, the bench and the platter, nowhere else."""

from __future__ import annotations

from dataclasses import replace

from interlock.core import machine
from interlock.core.effects import Effect, ReportRefusal, WriteRecord
from interlock.core.events import (
    BadgeArrived,
    CutRequested,
    EndRequested,
    Event,
    InputsSampled,
    JournalRecovered,
    RecordDurable,
)
from interlock.core.model import (
    BadgeUse,
    Cache,
    Credit,
    Ending,
    Entry,
    Inputs,
    Now,
)
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    FaultFacts,
    LockedFacts,
    MachineState,
    StartingFacts,
)
from interlock.sim.simulator.people import CARDS
from interlock.sim.simulator.pi import Parts
from tests.simulator.planted_interlocks import INTERLOCKS
from tests.simulator.planted_life import (
    TAPPED,
    TRAINED,
    Planted,
    of,
    visit,
    with_badges,
    with_demands,
    with_effects,
    with_inputs,
    with_now,
    with_rules,
)
from tests.simulator.planted_steps import (
    AirOffWithTheRelay,
    DeafAfterAReaderFault,
    GoesOn,
    Outcome,
    ReleaseEnables,
    StopDebounced,
    WaitsForTheDisk,
)
from tests.simulator.planted_world import (
    FloatsHigh,
    Forgetful,
    NoHighWaterMark,
    NoMonostable,
    NumbersAgain,
    StopChainBypassed,
)


def _everybody_is_trained(state: MachineState, event: BadgeArrived) -> BadgeArrived:
    entry = event.badge.entry
    if entry is None:
        return event
    return BadgeArrived(replace(event.badge, entry=replace(entry, rights=TRAINED)))


def _account_is_full(state: MachineState, event: BadgeArrived) -> BadgeArrived:
    entry = event.badge.entry
    if entry is None:
        return event
    return BadgeArrived(replace(event.badge, entry=replace(entry, credit=Credit.OK)))


def _never_stale(state: MachineState, event: BadgeArrived) -> BadgeArrived:
    return BadgeArrived(replace(event.badge, cache=replace(event.badge.cache, age_s=0)))


def _open_before_the_first_snapshot() -> Parts:
    """Without a snapshot whoever comes is let in, and may stay."""

    def step(state: MachineState, event: Event, now: Now) -> Outcome:
        if state.cache.version is None:
            state = replace(state, cache=Cache((1, 1), 0))
        if isinstance(event, BadgeArrived) and event.badge.cache.version is None:
            badge = replace(
                event.badge,
                entry=Entry(event.badge.tag, f"m-{_name_of(event.badge.tag)}", rights=TRAINED),
                cache=Cache((1, 1), 0),
            )
            event = BadgeArrived(badge)
        return machine.step(state, event, now)

    return Parts(step=step)


def _name_of(tag: bytes) -> str:
    return next((card.person or "?" for card in CARDS.values() if card.tag == tag), "?")


def _closes_before_it_is_durable(state: MachineState, event: Event, now: Now) -> Outcome:
    state, effects = machine.step(state, event, now)
    if isinstance(state.facts, StartingFacts) and state.facts.record is None:
        state, more = machine.step(state, RecordDurable(state.facts.ticket, "1.1"), now)
        effects += more
    return state, effects


def _faults_forgotten(state: MachineState, event: Event, now: Now) -> Outcome:
    if state.watch.sampled_ms is None and isinstance(state.facts, FaultFacts):
        state = replace(state, facts=LockedFacts())
    return machine.step(state, event, now)


def _asked_ends_cut(state: MachineState, event: Event, now: Now) -> Outcome:
    """Whoever asks for an end has it at once, busy or not."""
    if isinstance(event, BadgeArrived | EndRequested):
        inputs = replace(state.inputs, busy=False)
        state = replace(state, watch=replace(state.watch, inputs=inputs))
    return machine.step(state, event, now)


def _tap_offs_are_warned_about(state: MachineState, event: Event, now: Now) -> Outcome:
    """Whoever taps off waits for the end of the warning, whether the machine works or not."""
    is_asked = isinstance(event, BadgeArrived) and isinstance(state.facts, EnabledFacts)
    waits = isinstance(state.facts, EndingFacts) and state.facts.cause is Ending.TAP_OFF
    if is_asked:
        state = replace(state, watch=replace(state.watch, inputs=replace(state.inputs, busy=None)))
    if waits and isinstance(event, InputsSampled):
        event = InputsSampled(replace(event.inputs, busy=None))
    return machine.step(state, event, now)


def _cut_is_a_request(state: MachineState, event: Event, now: Now) -> Outcome:
    return machine.step(state, EndRequested() if isinstance(event, CutRequested) else event, now)


def _deaf_to_a_mended_disk(state: MachineState, event: Event, now: Now) -> Outcome:
    return (state, ()) if isinstance(event, JournalRecovered) else machine.step(state, event, now)


def _dies_of_two_badges(state: MachineState, event: Event, now: Now) -> Outcome:
    assert type(event).__name__ != "SeveralBadgesSeen", "nobody thought of this"
    return machine.step(state, event, now)


def _no_ends(effect: Effect) -> Effect | None:
    return None if isinstance(effect, WriteRecord) and effect.type == "session_ended" else effect


def _doubled(effect: Effect) -> Effect:
    if isinstance(effect, WriteRecord) and effect.type == "session_ended":
        body = {**effect.body, "enabled_ms": 2 * int(effect.body["enabled_ms"]) + 1_000}
        return replace(effect, body=body)
    return effect


def _calls_it_untrained(effect: Effect) -> Effect:
    if isinstance(effect, ReportRefusal) and effect.body["reason"] == "NO_CREDIT":
        return ReportRefusal({**effect.body, "reason": "NOT_TRAINED"})
    return effect


def _lids_are_open(inputs: Inputs) -> Inputs:
    return replace(inputs, interlocks_closed=tuple(False for _ in inputs.interlocks_closed))


def _other_evidence(effect: Effect) -> Effect:
    if isinstance(effect, WriteRecord) and effect.type == "session_started":
        return replace(
            effect, body={**effect.body, "evidence": {**effect.body["evidence"], "entry": None}}
        )
    return effect


def _says_something_else(effect: Effect) -> Effect:
    if isinstance(effect, ReportRefusal) and effect.body["reason"] == "NOT_TRAINED":
        return ReportRefusal({**effect.body, "reason": "BADGE_BLOCKED"})
    return effect


PLANTED: tuple[Planted, ...] = (
    Planted("S1", "everybody counts as trained", with_badges(_everybody_is_trained), 1),
    Planted(
        "S1",
        "opening hours are not looked at",
        with_demands(lambda demands: replace(demands, hours=None)),
        17,
        lambda f: f.house.within_hours and not f.warns_only,
    ),
    Planted(
        "S1",
        "another's reservation is not looked at",
        with_demands(lambda demands: replace(demands, reservations=())),
        4,
        lambda f: bool(f.house.booked) and not f.warns_only,
    ),
    Planted("S1", "an empty account opens the machine", with_badges(_account_is_full), 1),
    Planted(
        "S1",
        "a day's limit is not counted",
        with_demands(lambda demands: replace(demands, daily_limit_s=None)),
        67,
        lambda f: f.house.daily_limit_s is not None and not f.warns_only,
    ),
    Planted(
        "S2", "a new process goes on with the old session", lambda: Parts(step=GoesOn().step), 0
    ),
    Planted(
        "S3",
        "releasing the stop chain enables",
        lambda: Parts(step=ReleaseEnables().step),
        0,
        lambda f: f.emergency_sensed,
    ),
    Planted(
        "S3",
        "a loop that hung turns the dynamic enable again",
        with_rules(lambda rules: replace(rules, hang_ms=None)),
        58,
        lambda f: f.monostable and not f.mirror_sensed,
        (*visit(150_000), "155000 0 stop 400"),
    ),
    Planted(
        "S4",
        "the machine's own switch is not looked at",
        with_inputs(lambda inputs: replace(inputs, machine_switch_on=None)),
        4,
        lambda f: f.switch_sensed,
    ),
    Planted(
        "S4",
        "an unexpected start is not watched",
        with_rules(lambda rules: replace(rules, unexpected_start_ms=None)),
        2,
        lambda f: f.rules.unexpected_start_ms is not None,
    ),
    Planted(
        "S5",
        "the stop chain is not in the coil's circuit",
        lambda: Parts(bench=StopChainBypassed),
        0,
    ),
    Planted(
        "S5",
        "the stop chain's input is not looked at",
        with_inputs(lambda inputs: replace(inputs, emergency_stop_closed=True)),
        27,
        lambda f: f.emergency_sensed and not f.mirror_sensed,
    ),
    Planted(
        "S6",
        "the mirror contact is not looked at",
        with_inputs(lambda inputs: replace(inputs, mirror_closed=None)),
        4,
        lambda f: f.mirror_sensed,
    ),
    Planted(
        "S6",
        "a restart forgets latched faults",
        of(_faults_forgotten),
        6,
        lambda f: f.mirror_sensed,
    ),
    Planted(
        "S7",
        "the monostable is not wired",
        lambda: Parts(bench=NoMonostable),
        13,
        lambda f: f.monostable,
    ),
    Planted("S8", "an end that is asked for cuts at once", of(_asked_ends_cut), 2),
    Planted("S9", "the stop button is debounced", lambda: Parts(step=StopDebounced().step), 11),
    Planted("S9", "cut_now is taken for a request", of(_cut_is_a_request), 10),
    Planted(
        "S9",
        "a tap-off of an idle machine waits for the warning",
        of(_tap_offs_are_warned_about),
        2,
        lambda f: f.busy_sensed and f.rules.badge_use is BadgeUse.TAP,
    ),
    Planted(
        "S9",
        "a tap-off waits for a disk that stalls",
        lambda: Parts(step=WaitsForTheDisk().step),
        TAPPED,
        acts=(*visit(50_000), "51500 0 disk stalled", *visit(53_000)),
    ),
    Planted(
        "S9",
        "a badge may be gone for a second longer",
        with_rules(lambda rules: replace(rules, grace_s=rules.grace_s + 1)),
        0,
        lambda f: f.busy_sensed and f.rules.badge_use is BadgeUse.HOLD,
    ),
    Planted(
        "S10",
        "half the pre-run",
        with_rules(lambda rules: replace(rules, pre_run_s=min(1, rules.pre_run_s))),
        1,
        lambda f: f.rules.pre_run_s == 2,
    ),
    Planted(
        "S10",
        "no run-on",
        lambda: Parts(step=AirOffWithTheRelay().step),
        1,
        lambda f: f.rules.run_on_s > 0,
    ),
    Planted("S11", "closes before the start is durable", of(_closes_before_it_is_durable), 0),
    Planted("S12", "a session's end is not recorded", with_effects(_no_ends), 0),
    Planted(
        "S13",
        "the relay's line floats high while the Pi boots",
        lambda: Parts(bench=FloatsHigh),
        2,
    ),
    Planted(
        "A1",
        "a snapshot never grows old",
        with_badges(_never_stale),
        76,
        lambda f: f.rules.max_offline_s == 75 and not f.warns_only,
    ),
    Planted("A2", "no high-water mark", lambda: Parts(platter=NoHighWaterMark), 2),
    Planted(
        "A5", "end dates are not looked at", with_now(lambda now: replace(now, wall_at=None)), 2
    ),
    Planted("A6", "without a snapshot everybody is let in", _open_before_the_first_snapshot, 2),
    Planted(
        "A10", "a refusal is recorded with another reason", with_effects(_says_something_else), 1
    ),
    Planted(
        "A10", "an empty account is called a missing training", with_effects(_calls_it_untrained), 1
    ),
    Planted(
        "A10",
        "a list is called too old at a third of its time",
        with_rules(lambda rules: replace(rules, max_offline_s=rules.max_offline_s // 3)),
        1,
        lambda f: f.rules.max_offline_s == 75,
    ),
    Planted(
        "A10",
        "a closed lid is read as open",
        with_inputs(_lids_are_open),
        11,
        lambda f: bool(f.rules.interlocks),
    ),
    Planted("A10", "the evidence names nobody", with_effects(_other_evidence), 0),
    Planted(
        "A11",
        "every clock is trusted",
        with_now(lambda now: replace(now, wall_trusted=True)),
        32,
        lambda f: not f.warns_only,
    ),
    Planted("D1", "a durable record is lost", lambda: Parts(platter=Forgetful), 1),
    Planted("D5", "time is counted twice", with_effects(_doubled), 0),
    Planted("D11", "numbers are used again", lambda: Parts(platter=NumbersAgain), 1),
    Planted("A10", "a disk that works again is not believed", of(_deaf_to_a_mended_disk), 12),
    Planted(
        "L1",
        "a reader that works again is not listened to",
        lambda: Parts(step=DeafAfterAReaderFault().step),
        20,
    ),
    *INTERLOCKS,
    Planted("CRASH", "two badges at once end the process", of(_dies_of_two_badges), 0),
)
