"""The hub's tables, in the field's words (5-hub.md, "Model"); each lab's own rows name it."""

from __future__ import annotations

from interlock.hub.models.badges import CardKey, UnknownBadge
from interlock.hub.models.community import Attendance, MemberImport, Profile, TrainingRun
from interlock.hub.models.lab import AuditRow, ChangeLog, Lab, Topic
from interlock.hub.models.machines import (
    Commissioning,
    LiveState,
    Machine,
    Node,
    Reservation,
    Snapshot,
)
from interlock.hub.models.money import Basis, Line, MachineTariff, Rounding, Tariff, TariffVersion
from interlock.hub.models.people import (
    Authorisation,
    Badge,
    BadgeCondition,
    Group,
    Member,
    OneTimeLink,
    Payer,
    PayerKind,
    PendingGrant,
    Role,
    RoleName,
    Training,
    User,
)
from interlock.hub.models.privacy import (
    ErasedMember,
    JobRun,
    RefusalCount,
    UsageView,
)
from interlock.hub.models.tokens import ApiAnswer, ApiToken
from interlock.hub.models.use import (
    Alarm,
    AlarmKind,
    Boot,
    ClockAnchor,
    NodeRecord,
    Purpose,
    Session,
    SetAside,
    UnmeteredUse,
)

__all__ = [
    "Alarm",
    "AlarmKind",
    "ApiAnswer",
    "ApiToken",
    "Attendance",
    "AuditRow",
    "Authorisation",
    "Badge",
    "BadgeCondition",
    "Basis",
    "Boot",
    "CardKey",
    "ChangeLog",
    "ClockAnchor",
    "Commissioning",
    "ErasedMember",
    "Group",
    "JobRun",
    "Lab",
    "Line",
    "LiveState",
    "Machine",
    "MachineTariff",
    "Member",
    "MemberImport",
    "Node",
    "NodeRecord",
    "OneTimeLink",
    "Payer",
    "PayerKind",
    "PendingGrant",
    "Profile",
    "Purpose",
    "RefusalCount",
    "Reservation",
    "Role",
    "RoleName",
    "Rounding",
    "Session",
    "SetAside",
    "Snapshot",
    "Tariff",
    "TariffVersion",
    "Topic",
    "Training",
    "TrainingRun",
    "UnknownBadge",
    "UnmeteredUse",
    "UsageView",
    "User",
]
