"""The values the decision is made of: badges' entries, machine rules, refusal reasons, inputs, time.

Everything here is frozen. Times are integers: `*_ms` on the monotonic clock of this boot (CLOCK_BOOTTIME),
`*_at` UTC seconds since 1970. `None` in a date means "without end".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Any


class Reason(StrEnum):
    """Why a badge was refused. Stable codes shared by node, hub and docs/reasons.md."""

    UNKNOWN_BADGE = "UNKNOWN_BADGE"
    BADGE_BLOCKED = "BADGE_BLOCKED"
    BADGE_NOT_SECURE_ENOUGH = "BADGE_NOT_SECURE_ENOUGH"
    BADGE_NOT_GENUINE = "BADGE_NOT_GENUINE"
    SEVERAL_BADGES = "SEVERAL_BADGES"
    PRESENT_AGAIN = "PRESENT_AGAIN"
    MEMBER_SUSPENDED = "MEMBER_SUSPENDED"
    MEMBERSHIP_EXPIRED = "MEMBERSHIP_EXPIRED"
    NOT_TRAINED = "NOT_TRAINED"
    TRAINING_EXPIRED = "TRAINING_EXPIRED"
    TRAINING_LAPSED = "TRAINING_LAPSED"
    NEEDS_SUPERVISOR = "NEEDS_SUPERVISOR"
    NEEDS_SECOND_PERSON = "NEEDS_SECOND_PERSON"
    OUTSIDE_HOURS = "OUTSIDE_HOURS"
    RESERVED = "RESERVED"
    NO_CREDIT = "NO_CREDIT"
    DAILY_LIMIT = "DAILY_LIMIT"
    MACHINE_IN_USE = "MACHINE_IN_USE"
    MACHINE_LOCKED_OUT = "MACHINE_LOCKED_OUT"
    MACHINE_FAULT = "MACHINE_FAULT"
    MACHINE_SWITCH_ON = "MACHINE_SWITCH_ON"
    INTERLOCK_OPEN = "INTERLOCK_OPEN"
    EMERGENCY_STOP = "EMERGENCY_STOP"
    CACHE_STALE = "CACHE_STALE"
    NO_CACHE = "NO_CACHE"
    CLOCK_UNTRUSTED = "CLOCK_UNTRUSTED"
    CANNOT_RECORD = "CANNOT_RECORD"


class Assurance(Enum):
    """How sure the node is that the badge is the one it claims to be; a higher value is surer."""

    UID = 1
    AES = 2


class Level(StrEnum):
    """What a training entitles its holder to."""

    SUPERVISED = "supervised"
    ALONE = "alone"
    TRAINER = "trainer"


class BadgeUse(StrEnum):
    """`tap`: tap on, tap off. `hold`: the badge stays in the slot while the machine is enabled."""

    TAP = "tap"
    HOLD = "hold"


class BadgeState(StrEnum):
    """ACTIVE opens machines; BLOCKED (lost, stolen, retired) never does."""

    ACTIVE = "active"
    BLOCKED = "blocked"


class MemberStatus(StrEnum):
    """SUSPENDED members keep badges and trainings but start nothing."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Needs(StrEnum):
    """Whether a machine asks for all of its trainings or any one of them."""

    ALL = "all"
    ANY = "any"


class Fault(StrEnum):
    """Latched faults: recorded, they survive reboots and refuse everybody until a technician clears them."""

    CONTACTOR_WELDED = "contactor_welded"
    CONTACTOR_FAILED = "contactor_failed"
    UNEXPECTED_START = "unexpected_start"


class Enforcement(StrEnum):
    """ENFORCE refuses; WARN_ONLY records what would have been refused and lets people work (never hazardous)."""

    ENFORCE = "enforce"
    WARN_ONLY = "warn_only"


class Credit(StrEnum):
    """What the member's account allows: LOW warns at the machine, NONE refuses the next session."""

    OK = "ok"
    LOW = "low"
    NONE = "none"


class Ending(StrEnum):
    """How a session ended, or why its end was asked."""

    TAP_OFF = "tap_off"
    BADGE_REMOVED = "badge_removed"
    READER_LOST = "reader_lost"
    STOP_BUTTON = "stop_button"
    EMERGENCY_STOP = "emergency_stop"
    IDLE_TIMEOUT = "idle_timeout"
    CONTACT_LOST = "contact_lost"
    INTERLOCK_OPENED = "interlock_opened"
    HANDED_OVER = "handed_over"
    SUPERVISION_OVER = "supervision_over"
    FAULT = "fault"
    BROKEN_PRESSED = "broken_pressed"
    HUB_REQUEST = "hub_request"
    CUT_NOW = "cut_now"
    TERMINATED = "terminated"
    POWER_LOST = "power_lost"


@dataclass(frozen=True, slots=True)
class Right:
    """One training a member holds since `since_at`; it lapses when not practised and expires at `until_at`."""

    training: str
    level: Level
    since_at: int | None = None
    until_at: int | None = None
    lapses_at: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a node may need to know of one badge: no name unless the lab asked for it.

    `tag` is 16 bytes (`protocol.tags.badge_tag`), `member` the hub's opaque member id. `hours` names the schedule
    of this member's group (`Demands.schedules`), None: the machine's own.
    """

    tag: bytes
    member: str
    language: str = "en"
    name: str | None = None
    badge: BadgeState = BadgeState.ACTIVE
    status: MemberStatus = MemberStatus.ACTIVE
    member_until_at: int | None = None
    rights: tuple[Right, ...] = ()
    technician: bool = False
    hours: str | None = None
    credit: Credit = Credit.OK

    def to_wire(self) -> dict[str, Any]:
        """The entry as JSON values: in snapshots, and as evidence in the record of a decision."""
        return {
            "tag": self.tag.hex(),
            "member": self.member,
            "language": self.language,
            "name": self.name,
            "badge": self.badge.value,
            "status": self.status.value,
            "member_until_at": self.member_until_at,
            "technician": self.technician,
            "hours": self.hours,
            "credit": self.credit.value,
            "rights": [
                {
                    "training": right.training,
                    "level": right.level.value,
                    "since_at": right.since_at,
                    "until_at": right.until_at,
                    "lapses_at": right.lapses_at,
                }
                for right in self.rights
            ],
        }


Window = tuple[int, int]
"""(from, to) in minutes since Monday 00:00 of the lab's own clock, 0 <= from < to <= 10,080."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When people may start: weekly windows in the lab's local time; none means never."""

    name: str
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Reservation:
    """From `from_at` until `until_at` the machine is kept for `member` (None: for nobody who has a badge)."""

    from_at: int
    until_at: int
    member: str | None


@dataclass(frozen=True, slots=True)
class Demands:
    """What the hub asks at one machine; it comes with the snapshot and can only tighten the TOML's rules.

    Empty `trainings` with needs ALL means that every active member may use the machine. `offsets` are (UTC second,
    seconds east of UTC from then on), rising, ten years of them: local time without a time zone database. `hours`
    names the schedule of people whose entry names none; None: any hour. `daily_limit_s` is enabled time per member
    and local day.
    """

    trainings: tuple[str, ...] = ()
    needs: Needs = Needs.ALL
    max_offline_s: int | None = None
    locked_out: bool = False
    second_person: bool = False
    daily_limit_s: int | None = None
    hours: str | None = None
    schedules: tuple[Schedule, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    reservations: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True)
class Interlock:
    """A declared interlock: a door, a lid, an air flow, a chiller; "open" is what stops the machine.

    It counts as closed only after `permit_after_ms` without a break, as open after `trip_after_ms`.
    `needs_extraction`: it can only close while the extraction runs, so it is asked for at the end of the pre-run.
    `stops_extraction`: a fire input, which also ends pre-run and run-on. `remote`: another node tells of it, so it
    blocks starts and never cuts.
    """

    name: str
    permit_after_ms: int = 500
    trip_after_ms: int = 0
    needs_extraction: bool = False
    stops_extraction: bool = False
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What one machine asks of people and how it ends sessions; a session keeps those it started with.

    Durations carry their unit; bounds stand in `config/`, defaults in 2-machine.md. The TOML gives all but
    `demands`, which come with the snapshot; the hub may only tighten (`tightened`).
    """

    badge_use: BadgeUse = BadgeUse.TAP
    demands: Demands = Demands()
    enforcement: Enforcement = Enforcement.ENFORCE
    min_assurance: Assurance = Assurance.UID
    second_person: bool = False
    long_jobs: bool = False
    interlocks: tuple[Interlock, ...] = ()
    max_offline_s: int = 7 * 86_400
    progress_s: int = 60
    grace_s: int = 10
    warning_s: int = 60
    idle_timeout_s: int | None = 900
    start_deadline_ms: int = 2_000
    close_time_ms: int = 200
    open_time_ms: int = 500
    notice_s: int = 6
    second_wait_s: int = 30
    """How long a first badge waits for a trainer or a second person."""
    supervise_s: int = 1_800
    """How often a trainer confirms a supervised session."""
    pre_run_s: int = 0
    run_on_s: int = 0
    """How long extraction or cooling runs before the relay closes and after it opened."""
    coast_down_s: int = 0
    """How long the tool still turns after the power is off: the screen says so."""
    unexpected_start_ms: int | None = None
    """A machine that draws its working current within this after closing started by itself; None: not watched."""
    inrush_ms: int = 200
    """Current right after closing that is charging, not work."""
    hang_ms: int | None = None
    """Not sampled for longer than this, a dynamic enable has dropped the contactor; None: there is none."""

    def tightened(self, demands: Demands) -> Rules:
        """These rules under the hub's `demands`, which only ever tighten."""
        offered_s = demands.max_offline_s
        return replace(
            self,
            demands=demands,
            second_person=self.second_person or demands.second_person,
            max_offline_s=self.max_offline_s
            if offered_s is None
            else min(self.max_offline_s, offered_s),
        )


@dataclass(frozen=True, slots=True)
class LocalGrant:
    """A training granted at this machine by a trainer present: it counts here as ALONE until `until_at`.

    `record` is the id of its record. `clonable`: the trainer's badge was, so the hub's snapshots say nothing of
    it until the trainer confirms there, and it ends at midnight. Any other ends with the first snapshot after
    the hub has the record (`delivered`): from then on the snapshot itself says it.
    """

    member: str
    training: str
    since_at: int
    until_at: int
    record: str = ""
    clonable: bool = True
    delivered: bool = False

    def as_right(self) -> Right:
        """The right this grant stands for."""
        return Right(self.training, Level.ALONE, self.since_at, self.until_at)


@dataclass(frozen=True, slots=True)
class DayUse:
    """What this machine gave to whom on one local day (`day` counts from 1970): (member, enabled ms), sorted."""

    day: int = 0
    used: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Cache:
    """The local copy of the rights a badge was looked up in: its version and how old it is.

    `version` is (hub epoch, counter), None when there is no verified snapshot; `age_s` counts powered time
    or trusted wall time since it was known to be current, whichever is larger.
    """

    version: tuple[int, int] | None = None
    age_s: int = 0


@dataclass(frozen=True, slots=True)
class Presented:
    """A badge as the reader worker found it: looked up and, where the badge can, authenticated.

    `seen_ms` is the monotonic time of its first sighting after the field was empty. `trouble` is what the badge
    itself got wrong: BADGE_NOT_GENUINE (it does not know its key), PRESENT_AGAIN (it left before it was sure).
    `code` is the short code of an unknown badge, by which the desk finds it.
    """

    tag: bytes
    seen_ms: int
    assurance: Assurance
    entry: Entry | None
    cache: Cache
    trouble: Reason | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sampled level of every declared input; None means "not declared, unknown".

    `*_closed` speak of contacts, `*_pressed` of buttons, `busy` of the current sensor. `interlocks_closed` are
    those of `Rules.interlocks`, in that order, remote ones excepted (None in their place).
    """

    stop_pressed: bool = False
    broken_pressed: bool = False
    emergency_stop_closed: bool | None = None
    mirror_closed: bool | None = None
    machine_switch_on: bool | None = None
    busy: bool | None = None
    bypass_on: bool | None = None
    long_job_pressed: bool = False
    interlocks_closed: tuple[bool | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """One instant: monotonic milliseconds, and the UTC second that end dates are compared with.

    `wall_at` is the larger of wall time and last trusted wall time plus powered time (None: never known), so
    that setting a clock back extends nothing; `wall_trusted` means a hub-signed time arrived in this boot.
    """

    boot_ms: int
    wall_at: int | None = None
    wall_trusted: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The badge may start a session; `member` is who pays attention and who is billed.

    `tag` tells the badge of somebody nobody knows (`member` None, only where `would_refuse` says why it is let in
    all the same: WARN_ONLY). `trains` are the machine's trainings that this member teaches.
    """

    member: str | None
    language: str | None
    name: str | None = None
    tag: bytes = b""
    would_refuse: Reason | None = None
    low_credit: bool = False
    trains: tuple[str, ...] = ()
    version: tuple[int, int] | None = None
    """The snapshot that said so."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The badge may not; `reason` says why and `training` names what is missing, where one is.

    `detail` is what else the screen has to name: the open interlock, the code of an unknown badge.
    """

    reason: Reason
    language: str | None = None
    training: str | None = None
    detail: str | None = None


Decision = Granted | Refusal
