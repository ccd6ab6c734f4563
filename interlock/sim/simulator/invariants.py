"""What a witness knows in, the first broken rule out: the invariants of 2-machine.md, one small function each.

Every function says None when its rule holds, and else what happened. `EVERY_STEP` is asked after each act of the
run, `AT_CLOSING` and `AT_OPENING` at the very edge of the relay's pin, `AT_RECORD` when a session's end is
recorded, `AT_REFUSAL` when a badge is refused, `AT_READY` when a process has read its journal.
"""

from __future__ import annotations

from collections.abc import Callable

from interlock.core.model import BadgeUse
from interlock.sim.physics import StartControl
from interlock.sim.simulator import guards, ledger, reasons
from interlock.sim.simulator.witness import LOOK_US, MS, TICK_US, Placing, Powered, Witness

Invariant = Callable[[Witness], str | None]

STRICT_US = 50 * MS
MARGIN_US = 100 * MS
READ_US = 400 * MS
"""From a badge in the field to its arrival: a poll of 50 ms, disturbed at worst a few times in a row."""
REMOVED_US = 450 * MS
"""From an emptied field to the removal: the gap of 300 ms, the poll that begins it and the one that ends it."""
FRESH_US = 2_100 * MS
"""An arrival is believed for as long as a start may take."""
UNEXPECTED_US = 200 * MS
METER_US = 60 * MS
"""A session's clock begins and ends within a tick of the relay."""
COMMIT_US = 4_500 * MS


# ------------------------------------------------------------------------------------- every step


def s1_a_coil_has_an_open_session(w: Witness) -> str | None:
    """S1: coil commanded on ⇒ an open session of an authorised member (or a logged technician's)."""
    if w.relay and w.ticking_since_us is not None and w.session is None:
        return "the coil is commanded on and no session is open"
    return None


def s4_an_unexpected_start_opens(w: Witness) -> str | None:
    """S4: where enabled: unexpected start ⇒ open within 200 ms of detection, latched."""
    rules, since_us = w.fit.rules, w.motor_since_us
    if rules.unexpected_start_ms is None or since_us is None or w.session is None:
        return None
    if w.contacts_since_us is None or w.ticking_since_us is None or w.given.bypass_on:
        return None
    begun_us = max(w.contacts_since_us, w.session.closed_us)
    watched_us = max(since_us, begun_us + rules.inrush_ms * MS)
    detected_us = max(watched_us + LOOK_US, w.ticking_since_us + LOOK_US)
    within = detected_us <= w.session.closed_us + rules.unexpected_start_ms * MS
    if within and w.relay and w.now_us > detected_us + UNEXPECTED_US:
        return "the machine started by itself and is still powered"
    return None


def s5_an_emergency_stop_drops_the_coil(w: Witness) -> str | None:
    """S5: emergency stop open ⇒ coil off, and physically off even with software hung."""
    if w.emergency_since_us is None or w.facts is None:
        return None
    if w.facts.coil:
        return "the coil has current while the stop chain is open"
    sensed = w.fit.emergency_sensed and w.served_us(w.emergency_since_us) > LOOK_US
    return "the coil is commanded on while the stop chain is open" if sensed and w.relay else None


def s6_a_weld_is_latched(w: Witness) -> str | None:
    """S6: mirror contact disagrees longer than allowed after a command of ours ⇒ latched fault."""
    if not w.fit.mirror_sensed or w.contacts_since_us is None or w.relay or w.given.bypass_on:
        return None
    # A technician who clears the fault says that the contactor was mended: it is tested anew from there.
    since_us = max(w.contacts_since_us, w.relay_since_us, w.imposed_us, w.gate_us)
    allowed_us = w.fit.rules.open_time_ms * MS + LOOK_US + MARGIN_US
    if w.served_us(since_us) > allowed_us and not w.fault_known:
        return "the contacts are closed without a command and nobody latched a fault"
    return None


def s7_a_dead_node_lets_go(w: Witness) -> str | None:
    """S7: node hung, stopped or killed ⇒ coil off within the bound of what is wired."""
    if w.gone_since_us is None or w.facts is None or not w.facts.coil or w.given.bypass_on:
        return None
    if w.now_us - max(w.gone_since_us, 0) > _let_go_us(w):
        return f"nobody drives the coil ({w.gone_how}) and it still has current"
    return None


def s9_a_stop_opens(w: Witness) -> str | None:
    """S9: the stop button, the stop chain or `cut_now` opens the coil within its bound in every state."""
    if not w.relay:
        return None
    if w.stopped_since_us is not None and w.served_us(w.stopped_since_us) > LOOK_US:
        return "the stop button is held and the coil is commanded on"
    if w.cut_us is not None and w.relay_since_us <= w.cut_us and w.served_us(w.cut_us) > LOOK_US:
        return "the power was cut over the socket and the coil is commanded on"
    return None


def s9_a_tap_off_opens(w: Witness) -> str | None:
    """S9: a tap-off is a request: an idle machine is off within the same bound as by its stop button."""
    tap, session, idle_us = _last(w), w.session, w.idle_since_us
    if not w.relay or session is None or tap is None or tap.seen_us is None or idle_us is None:
        return None
    if w.fit.rules.badge_use is not BadgeUse.TAP or not w.fit.busy_sensed:
        return None
    theirs = _member(tap) == session.member and tap.card.genuine and tap.seen_us > session.closed_us
    idle = idle_us < tap.seen_us - LOOK_US
    if not theirs or not idle or tap.warned or _a_time_is_over(w, session, tap.seen_us, LOOK_US):
        return None
    if w.served_us(tap.seen_us) <= LOOK_US:
        return None
    asked_ms = (w.now_us - tap.seen_us) // MS
    return f"{session.member} tapped off {asked_ms} ms ago, nothing works, and the coil is commanded on"


def s9_a_removal_opens(w: Witness) -> str | None:
    """S9: a removal is a request: with its grace time over, an idle machine is off within the same bound."""
    rules, session, idle_us = w.fit.rules, w.session, w.idle_since_us
    if not w.relay or session is None or not w.is_empty or idle_us is None:
        return None
    if rules.badge_use is not BadgeUse.HOLD or not w.fit.busy_sensed or w.reader_ok_us is None:
        return None
    gone_us = max(w.empty_since_us, w.ticking_since_us or 0, w.reader_ok_us)
    due_us = gone_us + REMOVED_US + rules.grace_s * 1_000 * MS
    warned = w.warned_since_us is not None and w.warned_since_us < due_us - REMOVED_US
    if w.reader_ok_us > session.closed_us or idle_us > due_us - REMOVED_US - LOOK_US or warned:
        return None
    stays = w.longjob_pressed or w.longjob_us > session.closed_us
    over = _a_time_is_over(w, session, due_us, REMOVED_US)
    if stays or over or w.served_us(due_us) <= LOOK_US:
        return None
    return f"the badge left {(w.now_us - gone_us) // MS} ms ago, nothing works, and the coil is on"


def s10_air_runs_on_and_stops(w: Witness) -> str | None:
    """S10: extraction run-on after the end, cancelled by stop or fire."""
    if w.ticking_since_us is None:
        return None
    if w.now_us < w.owes_air_until_us and not w.fan:
        ended_us = w.now_us - w.relay_since_us + 300 * MS
        if w.since_hazard_us("stop", "emergency", "interlock", "process") > ended_us:
            return "the extraction stopped before its run-on was over"
        w.owes_air_until_us = 0
    stopped = w.stopped_since_us is not None and w.served_us(w.stopped_since_us) > LOOK_US
    return "the extraction runs while the stop button is held" if stopped and w.fan else None


def s3_the_coil_rises_only_on_our_command(w: Witness) -> str | None:
    """S3: no closing is caused by power return, network, command, clock, snapshot, stop release or fault clearing."""
    if w.coil_rose_us != w.now_us or w.given.bypass_on or not w.relay:
        return None
    if w.fit.plant.start_control is StartControl.SELF_HOLDING:
        touched = w.now_us - max(w.start_touched_us, w.relay_since_us) < MARGIN_US
        return None if touched or w.given.start_pressed else "a self-holding coil rose by itself"
    if w.now_us - w.relay_since_us <= TICK_US + MS:
        # The relay closes at a queued event; the dynamic enable first turns at the tick behind it.
        return None
    if w.now_us == w.imposed_us:
        # Mains or stop chain came back before anybody could have looked: what is left is the machine's own start.
        # Contacts that never opened (welded) show nothing to a mirror contact.
        opened = w.contacts_since_us is None
        seen = w.fit.mirror_sensed and opened and w.mains_out_us > 3 * TICK_US + 40 * MS
        served = w.ticking_since_us is not None and w.served_us(w.imposed_us - w.mains_out_us) > 0
        return "returning power closed the contactor" if seen and served else None
    return "the coil got current again with nobody asking"


def s3_the_motor_starts_by_hand(w: Witness) -> str | None:
    """S3, at the tool: with a no-volt release or a self-holding start it moves only when somebody presses start."""
    if w.motor_rose_us != w.now_us or w.fit.plant.start_control is StartControl.MAINTAINED:
        return None
    if w.given.welded:
        # Contacts that never opened: two faults at once, and no line of ours is between mains and motor.
        return None
    by_hand = w.given.start_pressed or w.now_us - w.start_touched_us < MARGIN_US
    return None if by_hand else "the motor started and nobody pressed start"


def s13_nobody_else_is_powered(w: Witness) -> str | None:
    """S13: a fault never adds powered time for somebody not entitled: the coil has no current without a session."""
    if w.facts is None or not w.facts.coil or w.given.bypass_on or w.session is not None:
        return None
    return "the coil has current and nobody's session is open"


# ------------------------------------------------------------------------------------ at a closing


def s2_closing_needs_an_arrival(w: Witness) -> str | None:
    """S2: closing needs an arrival seen by this process: gap, badge, and after it became ready."""
    if any(_is_recent(w, one) and one.at_us + READ_US > w.ready_us for one in w.placings):
        return None
    return "the relay closed and nobody presented a badge to this process"


def s3_closing_follows_a_new_arrival(w: Witness) -> str | None:
    """S3: after a stop, a fault's clearing or a session, only another arrival closes."""
    gate_us = max(w.gate_us, w.reader_well_us if w.reader_well_us else 0)
    usable = [one for one in w.placings if _is_recent(w, one) and not one.spent]
    if any(one.at_us + READ_US > gate_us for one in usable):
        return None
    return "the relay closed on a badge that had done its work before"


def s4_never_with_the_switch_on(w: Witness) -> str | None:
    """S4: where sensed: never close with the machine's switch on."""
    if not w.fit.switch_sensed or w.facts is None or not w.facts.switch_on:
        return None
    long_on = w.now_us - w.start_touched_us > LOOK_US
    return "the relay closed while the machine's own switch was on" if long_on else None


def s5_never_with_the_chain_open(w: Witness) -> str | None:
    """S5: never close while the stop chain is open, where it is sensed."""
    if not w.fit.emergency_sensed or w.emergency_since_us is None:
        return None
    long_open = w.now_us - w.emergency_since_us > LOOK_US
    return "the relay closed while the stop chain was open" if long_open else None


def s6_never_with_a_latched_fault(w: Witness) -> str | None:
    """S6: a recorded fault refuses everybody, across reboots, until a technician clears it."""
    latched = sorted(w.platter.facts.faults)
    if latched:
        return f"the relay closed although {', '.join(latched)} is recorded and not cleared"
    closed_us = w.now_us if w.contacts_since_us is None else w.contacts_since_us
    if w.fit.mirror_sensed and w.now_us - closed_us > LOOK_US and not w.given.bypass_on:
        return "the relay closed although the contacts were closed already"
    return None


def s10_air_runs_before(w: Witness) -> str | None:
    """S10: extraction pre-run before enable."""
    asked_us = w.fit.rules.pre_run_s * 1_000 * MS
    if asked_us and (not w.fan or w.now_us - w.fan_since_us < asked_us - TICK_US):
        return "the relay closed before the extraction had run for its time"
    return None


def s11_the_start_is_on_the_card(w: Witness) -> str | None:
    """S11: cannot persist the start ⇒ do not close."""
    records = w.platter.records
    found = w.last_start is not None and any(one.id == w.last_start for one in records)
    if found and w.last_start not in w.closed_for:
        return None
    return "the relay closed and no start of its own is on the card"


def s12_one_session_at_a_time(w: Witness) -> str | None:
    """S12: at most one open session per machine."""
    if w.session is not None:
        return f"the relay closed for {w.last_start} while {w.session.record} was open"
    return None


def whose_it_is(w: Witness, code: str) -> str | None:
    """Whether the member of the closing may be let in by the hub's truth; `code` is the rule that is asked about."""
    member, tag = _member_of_start(w)
    recent = [one for one in w.placings if _is_recent(w, one)]
    theirs = [one for one in recent if _member(one) == member or one.card.tag.hex() == tag]
    if not theirs:
        return f"the session is {member}'s, who presented no badge" if code == "S1" else None
    reasons = [ledger.why_not(w, one) for one in theirs]
    if None in reasons:
        return _alone(w, theirs, recent) if code == "S1" else None
    reason = str(reasons[-1])
    is_asked = ledger.RULE_OF.get(reason, "S1") == code
    return f"powered for {member}: {reason}" if is_asked else None


def s1_whose_it_is(w: Witness) -> str | None:
    """S1: the session belongs to an authorised member, with whom they have to bring along."""
    return whose_it_is(w, "S1")


def a1_by_a_fresh_snapshot(w: Witness) -> str | None:
    """A1: granted only by a verified snapshot that is fresh enough."""
    return whose_it_is(w, "A1")


def a5_no_clock_extends_a_right(w: Witness) -> str | None:
    """A5: a clock set back extends nothing."""
    return whose_it_is(w, "A5")


def a6_no_snapshot_no_power(w: Witness) -> str | None:
    """A6: no snapshot ⇒ refuse."""
    return whose_it_is(w, "A6")


def a11_short_rights_need_a_clock(w: Witness) -> str | None:
    """A11: untrusted clock ⇒ rights valid for less than 48 h are refused."""
    return whose_it_is(w, "A11")


# ------------------------------------------------------------------------------------ at an opening


def s8_no_planned_cut_without_warning(w: Witness) -> str | None:
    """S8: a busy machine is never cut by a planned reason without the warning time."""
    since_us, session = w.motor_since_us, w.last_powered
    if since_us is None or session is None or w.ticking_since_us is None or w.given.bypass_on:
        return None
    if w.now_us - since_us < LOOK_US or _has_excuse(w, session):
        return None
    warned_us = 0 if w.warned_since_us is None else w.now_us - w.warned_since_us
    if warned_us >= w.fit.rules.warning_s * 1_000 * MS - 2 * TICK_US:
        return None
    return f"a working machine was cut {warned_us // MS} ms after its warning began"


# --------------------------------------------------------------------------------------- at records


def d5_the_time_is_right(w: Witness) -> str | None:
    """D5: billed time equals an independent oracle's ± one interval, never against the member."""
    session, body = w.last_ended, w.ended
    if session is None or body is None:
        return None
    billed_us, real_us = int(body["enabled_ms"]) * MS, session.commanded_us
    if billed_us > real_us + METER_US:
        return f"{billed_us // MS} ms are billed, the coil was on for {real_us // MS} ms"
    if billed_us < real_us - METER_US and not session.hung:
        return f"only {billed_us // MS} ms of {real_us // MS} ms are recorded"
    return None


def a10_the_reason_is_true(w: Witness) -> str | None:
    """A10: every decision is recorded with its rule: a refusal's reason is so, in the list or at the machine."""
    body = w.refused
    if body is None or reasons.is_true(w, body):
        return None
    return f"{body['member']} was refused for {body['reason']}, which is not so"


def d1_what_was_durable_is_there(w: Witness) -> str | None:
    """D1: every record the journal called durable survives any crash or power cut."""
    kept = {one.id: one.header.type.value for one in w.platter.records}
    lost = [record for record in w.durable if record not in kept]
    return f"records {', '.join(lost)} were durable and are gone" if lost else None


def d11_no_number_twice(w: Witness) -> str | None:
    """D11: a sequence number is never reused."""
    ids = [one.id for one in w.platter.records]
    return None if len(set(ids)) == len(ids) else "two records have one number"


def a2_the_version_never_falls(w: Witness) -> str | None:
    """A2: the snapshot's version never goes back."""
    pairs = zip(w.versions, w.versions[1:], strict=False)
    fallen = [after for before, after in pairs if after < before]
    return f"snapshot {fallen[0]} came after a newer one" if fallen else None


EVERY_STEP: tuple[Invariant, ...] = (
    s1_a_coil_has_an_open_session,
    s13_nobody_else_is_powered,
    s4_an_unexpected_start_opens,
    s5_an_emergency_stop_drops_the_coil,
    s6_a_weld_is_latched,
    s7_a_dead_node_lets_go,
    s9_a_stop_opens,
    s9_a_tap_off_opens,
    s9_a_removal_opens,
    s10_air_runs_on_and_stops,
    guards.i2_an_interlock_that_opens_cuts,
    guards.i3_no_next_job_begins,
    s3_the_coil_rises_only_on_our_command,
    s3_the_motor_starts_by_hand,
)
AT_CLOSING: tuple[Invariant, ...] = (
    s2_closing_needs_an_arrival,
    s3_closing_follows_a_new_arrival,
    s11_the_start_is_on_the_card,
    s4_never_with_the_switch_on,
    s5_never_with_the_chain_open,
    guards.i1_never_with_an_interlock_open,
    s6_never_with_a_latched_fault,
    s10_air_runs_before,
    s12_one_session_at_a_time,
    s1_whose_it_is,
    a1_by_a_fresh_snapshot,
    a5_no_clock_extends_a_right,
    a6_no_snapshot_no_power,
    a11_short_rights_need_a_clock,
)
AT_OPENING: tuple[Invariant, ...] = (s8_no_planned_cut_without_warning,)
AT_RECORD: tuple[Invariant, ...] = (d5_the_time_is_right,)
AT_REFUSAL: tuple[Invariant, ...] = (a10_the_reason_is_true,)
AT_READY: tuple[Invariant, ...] = (
    d1_what_was_durable_is_there,
    d11_no_number_twice,
    a2_the_version_never_falls,
)


def rule_of(invariant: Invariant) -> str:
    """The rule's name in 2-machine.md: the first word of the docstring."""
    return (invariant.__doc__ or "").split(":")[0].split(",")[0]


# ------------------------------------------------------------------------------------------ inside


def _let_go_us(w: Witness) -> int:
    """How long the coil may keep its current after the process went, by what is wired."""
    bounds = []
    if w.fit.plant.monostable_us is not None:
        bounds.append(w.fit.plant.monostable_us)
    if w.gone_how in ("killed", "off") and w.fit.strict_gpiod:
        bounds.append(STRICT_US)
    if w.safe_us is not None and w.gone_since_us is not None:
        bounds.append(w.safe_us - w.gone_since_us)
    return min(bounds, default=0) + TICK_US


def _last(w: Witness) -> Placing | None:
    return w.placings[-1] if w.placings else None


def _a_time_is_over(w: Witness, session: Powered, at_us: int, near_us: int) -> bool:
    """Whether idle time or supervision runs out near the request: which came first is the machine's to say."""
    rules = w.fit.rules
    since = [session.closed_us, w.idle_since_us, *(one.seen_us for one in w.placings)]
    since += [closed_us for closed_us, _ in w.worked[-2:]]
    times_s = [one for one in (rules.idle_timeout_s, rules.supervise_s) if one is not None]
    return any(
        abs(one + time_s * 1_000 * MS - at_us) <= near_us
        for one in since
        if one is not None
        for time_s in times_s
    )


def _is_recent(w: Witness, placing: Placing) -> bool:
    rules = w.fit.rules
    start_us = (rules.start_deadline_ms + rules.open_time_ms) * MS + READ_US
    people_us = rules.second_wait_s * 1_000 * MS
    air_us = (rules.pre_run_s + rules.coast_down_s) * 1_000 * MS
    return w.now_us - placing.at_us <= FRESH_US + start_us + people_us + air_us


def _member(placing: Placing) -> str | None:
    person = placing.card.person
    return None if person is None else f"m-{person}"


def _member_of_start(w: Witness) -> tuple[str | None, str | None]:
    """Whose session the durable start says it is, and by which badge; strangers have a badge only."""
    body = next(
        (one.body for one in reversed(w.platter.records) if one.id == w.last_start and one.body), {}
    )
    member, tag = body.get("member"), body.get("tag")
    return None if member is None else str(member), str(tag) if member is None else None


def _alone(w: Witness, theirs: list[Placing], recent: list[Placing]) -> str | None:
    needed = ledger.needs_company(w, theirs[-1].card)
    if needed is None:
        return None
    if any(ledger.is_company(w, needed, theirs[-1].card, one) for one in recent):
        return None
    trainer = w.previous_member
    if trainer is not None and _trains(w, trainer):
        # Handed over by the trainer who held the session before.
        return None
    return f"powered for {_member(theirs[-1])} without a {needed} beside"


def _trains(w: Witness, member: str) -> bool:
    cards = (one.card for one in w.placings if _member(one) == member)
    return any(ledger.is_trainer(w, card) for card in cards)


def _has_excuse(w: Witness, session: Powered) -> bool:
    """Whether something happened that forbids waiting for the end of the work."""
    rules = w.fit.rules
    trip_ms = max((one.trip_after_ms for one in rules.interlocks), default=0)
    if w.since_hazard_us() <= LOOK_US + trip_ms * MS + 60 * MS:
        return True
    contacts = w.facts is not None and not w.facts.contacts
    on_us = w.now_us - session.closed_us
    watched_ms = rules.unexpected_start_ms or 0
    air = any(one.needs_extraction for one in rules.interlocks) and w.given.extraction_broken
    stuck = w.given.stuck_open and w.fit.mirror_sensed
    return contacts or stuck or air or on_us <= watched_ms * MS + LOOK_US
