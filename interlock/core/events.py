"""What can happen to a machine, past tense: the only input of `machine.step` besides time.

Workers put the first group into the loop's queue; the loop itself makes `InputsSampled` every tick; the second
group is derived from sampled levels inside the core (`sensing.py`) and goes through the same table.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.core.effects import Message
from interlock.core.model import Cache, Demands, Inputs, Presented


@dataclass(frozen=True, slots=True)
class BadgeArrived:
    """The reader saw an empty field for the arrival gap and then this badge, completely read."""

    badge: Presented


@dataclass(frozen=True, slots=True)
class BadgeFound:
    """A badge lay in the field when the reader began (or recovered): it is no arrival, it opens nothing."""


@dataclass(frozen=True, slots=True)
class BadgeRemoved:
    """The badge that was in the field is gone."""


@dataclass(frozen=True, slots=True)
class SeveralBadgesSeen:
    """More than one badge is in the field; whichever lay there before counts as removed."""


@dataclass(frozen=True, slots=True)
class ReaderFailed:
    """The reader is dead or its worker was silent for 2 s. `detail` is for the log and `doctor`."""

    detail: str


@dataclass(frozen=True, slots=True)
class ReaderRecovered:
    """The reader answers again; whatever lies in its field has to be presented again."""


@dataclass(frozen=True, slots=True)
class RecordDurable:
    """The record asked for under `ticket` is on the disk as `record` (`EPOCH.SEQ`)."""

    ticket: int
    record: str


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """The record asked for under `ticket` will never be on the disk."""

    ticket: int
    detail: str


@dataclass(frozen=True, slots=True)
class RecordsDelivered:
    """The hub holds these records of granted trainings (`EPOCH.SEQ`)."""

    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JournalFailed:
    """The journal cannot write or its worker was silent for 2 s: no start is possible."""

    detail: str


@dataclass(frozen=True, slots=True)
class JournalRecovered:
    """The journal wrote again."""


@dataclass(frozen=True, slots=True)
class SnapshotActivated:
    """The reader worker now looks badges up in `cache`; what the hub demands of people comes with it."""

    cache: Cache
    demands: Demands


@dataclass(frozen=True, slots=True)
class EndRequested:
    """Somebody entitled asked, over the control socket, that the session end when the machine is idle."""


@dataclass(frozen=True, slots=True)
class CutRequested:
    """Somebody entitled asked, over the control socket, that the power go off now."""


@dataclass(frozen=True, slots=True)
class NoticeGiven:
    """The hub wants the screen to say something for a while: a message in `text`, or only "here I am"."""

    message: Message
    text: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class FaultCleared:
    """A technician logged in at the hub clears the latched faults; `by` is the hub's opaque user id."""

    by: str


@dataclass(frozen=True, slots=True)
class TerminationRequested:
    """The process was told to stop (SIGTERM)."""


@dataclass(frozen=True, slots=True)
class RemoteInterlockReported:
    """Another node said, `age_ms` ago, whether an interlock there is closed; None: nobody knows."""

    name: str
    closed: bool | None
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class InputsSampled:
    """One tick: the level of every declared input, now. Deadlines are looked at here too."""

    inputs: Inputs


@dataclass(frozen=True, slots=True)
class StopPressed:
    """The stop button went down."""


@dataclass(frozen=True, slots=True)
class BrokenPressed:
    """The "broken" button went down."""


@dataclass(frozen=True, slots=True)
class LongJobPressed:
    """The long-job ("yes") button went down."""


@dataclass(frozen=True, slots=True)
class InterlockOpened:
    """These interlocks of this machine count as open from now on."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoteInterlockLost:
    """These interlocks of other nodes are not known to be closed; said at every sample of an open session."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BypassTurnedOn:
    """The bypass key powers the machine past our contact."""


@dataclass(frozen=True, slots=True)
class BypassTurnedOff:
    """The bypass key is back."""


@dataclass(frozen=True, slots=True)
class EmergencyStopOpened:
    """The stop chain is open."""


@dataclass(frozen=True, slots=True)
class EmergencyStopClosed:
    """The stop chain is closed again; this re-enables nothing."""


@dataclass(frozen=True, slots=True)
class ContactLost:
    """The contactor dropped while the coil is commanded on: mains cut or stop chain, not our doing."""


@dataclass(frozen=True, slots=True)
class ContactorStuckClosed:
    """The mirror contact says closed for longer than allowed although the coil is off: welded."""


@dataclass(frozen=True, slots=True)
class ContactorStuckOpen:
    """The mirror contact says open for longer than allowed although the coil is on: failed."""


@dataclass(frozen=True, slots=True)
class MachineStartedByItself:
    """It drew its working current so soon after closing that nobody can have started it."""


@dataclass(frozen=True, slots=True)
class RunOnOver:
    """Extraction or cooling has run on for long enough."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The state's own next deadline (`states.deadline_ms`) has come."""


@dataclass(frozen=True, slots=True)
class MachineBecameIdle:
    """The current sensor went from busy (or unknown) to idle."""


@dataclass(frozen=True, slots=True)
class MachineBecameBusy:
    """The current sensor went from idle (or unknown) to busy."""


@dataclass(frozen=True, slots=True)
class MachineBecameUnknown:
    """The current sensor fell silent: nobody knows any more whether the machine is busy."""


Event = (
    BadgeArrived
    | BadgeFound
    | BadgeRemoved
    | SeveralBadgesSeen
    | ReaderFailed
    | ReaderRecovered
    | RecordDurable
    | RecordFailed
    | RecordsDelivered
    | JournalFailed
    | JournalRecovered
    | SnapshotActivated
    | EndRequested
    | CutRequested
    | NoticeGiven
    | FaultCleared
    | TerminationRequested
    | RemoteInterlockReported
    | InputsSampled
    | StopPressed
    | BrokenPressed
    | LongJobPressed
    | InterlockOpened
    | RemoteInterlockLost
    | BypassTurnedOn
    | BypassTurnedOff
    | EmergencyStopOpened
    | EmergencyStopClosed
    | ContactLost
    | ContactorStuckClosed
    | ContactorStuckOpen
    | MachineStartedByItself
    | RunOnOver
    | DeadlinePassed
    | MachineBecameIdle
    | MachineBecameBusy
    | MachineBecameUnknown
)
