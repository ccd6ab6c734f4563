"""A lab as its pages meet it: a login for every role, as many members, machines and sessions as asked."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.test import Client

from interlock.hub import ingest
from interlock.hub.domain import accounts, machines, members, nodes, trainings
from interlock.hub.models import Machine, Member, Node, Role, RoleName, Session, User
from tests.hub.lab import HUB_URL, Journal, SmallLab, console, small_lab

WALL_MS = 1_750_000_000_000


@dataclass
class PageLab:
    """The small lab with its logins and the journal of its one node."""

    small: SmallLab
    users: dict[str, User]
    journal: Journal

    def client(self, role: str, language: str = "en") -> Client:
        """A browser in which somebody of that role has signed in."""
        client = Client(headers={"accept-language": language})
        client.force_login(self.users[role])
        return client

    def deliver(self) -> None:
        """Every record written so far reaches the hub."""
        ingest.take(self.small.enrolled.node, self.journal.wires(), settings.HUB_CLOCK)


def page_lab() -> PageLab:
    """One member, one machine, no session yet; users without password (the tests force the login)."""
    small = small_lab()
    users = {}
    for role in RoleName:
        user = accounts.create_user(f"{role.value}@example.org", f"Some {role.value}")
        accounts.give_role(console(), small.lab, user, role)
        users[role.value] = user
    journal = Journal.of(small.enrolled)
    journal.anchor(WALL_MS)
    return PageLab(small, users, journal)


def link_to_member(lab: PageLab, role: str, member: Member) -> None:
    """The login of that role belongs to `member`."""
    Role.objects.filter(user=lab.users[role]).update(member=member)


def grow(lab: PageLab, number: int, first: int = 0) -> None:
    """`number` more of everything that pages list, numbered from `first` on."""
    actor, small = console(), lab.small
    for index in range(first, first + number):
        member = members.create_member(actor, small.lab, f"Member {index:03d}")
        members.assign_badge(actor, member, bytes([5, *index.to_bytes(3, "big")]), f"B{index}")
        machine = machines.create_machine(
            actor, small.lab, f"machine-{index}", f"Machine {index}", trainings=[small.training]
        )
        nodes.enrol_node(actor, machine, HUB_URL)
        training = trainings.create_training(actor, small.lab, f"t-{index}", f"Training {index}")
        trainings.grant_training(actor, small.member, training)
        members.assign_badge(
            actor, small.member, bytes([4, *index.to_bytes(3, "big")]), f"A{index}"
        )
        lab.journal.session(small, 60)
    lab.deliver()
    # Every machine is online and in use, so that the board has a name to look up for each.
    Node.objects.filter(lab=small.lab).update(last_seen_at=actor.now())
    Machine.objects.filter(lab=small.lab).update(live_session=Session.objects.latest("pk"))


def only_session() -> Session:
    """The one session there is."""
    return Session.objects.get()
