"""What `interlock hub …` does, as functions of the hub's folder: cli.py only parses and prints.

Each opens the folder itself (`open_hub`), because Django reads its settings once per process; so
everything that needs Django is imported inside.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.clock import SystemClock
from interlock.config.secret_files import write_hub_access, write_node_keys
from interlock.errors import ConfigError, StoreError
from interlock.hub.directory import HubConfig, HubDirectory

if TYPE_CHECKING:
    from interlock.hub.exporting import Filter
    from interlock.hub.importing import Imported
    from interlock.hub.importing_badges import ImportedBadges
    from interlock.hub.models import Lab
    from interlock.hub.serving import NodeDoor

DEFAULT_URL = "http://127.0.0.1:8080"
LAB_SLUG = "lab"
"""The first lab of a hub; nodes know it by this word, people by its name."""
MIGRATION_CACHE_KB = 131_072
"""Django has SQLite check every reference after each migration: two million sessions were read 25 GB of pages
for it through the usual 2 MB."""


def init(directory: Path, config: HubConfig | None = None) -> None:
    """A hub lives in `directory`: keys, hub.toml, database and its lab. Raises ConfigError when one
    lived there already."""
    hub = HubDirectory(directory)
    config = config or HubConfig(name="Fab lab")
    hub.create(config)
    migrate(directory)
    from interlock.hub.domain.labs import create_lab
    from interlock.hub.permissions import Actor

    create_lab(Actor(SystemClock()), LAB_SLUG, config)


def migrate(directory: Path) -> None:
    """The database has this version's tables. Raises ConfigError when no hub lives there, or when the
    keys of its badges can no longer be opened."""
    open_hub(directory)
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA cache_size = -{MIGRATION_CACHE_KB}")
    call_command("migrate", verbosity=0, interactive=False)
    from interlock.hub.models import CardKey

    hub = HubDirectory(directory)
    # A hub that is older than enrolment has no authority yet; one that is there stays.
    hub.certificates(SystemClock()).create(hub.config().name)
    if not CardKey.objects.exists():
        hub.add_card_key()
    elif not hub.has_card_key:
        raise ConfigError(
            "it is gone, and the keys of the lab's badges open with nothing else",
            where=str(hub.keys / "card.key"),
            remedy="Restore it from a back-up of the keys",
        )


def run(
    directory: Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    node_port: int | None = 0,
    on_ready: Callable[[str, str], None] = lambda people, nodes: None,
) -> None:
    """Serve until SIGTERM; `on_ready` gets the real addresses for people and for nodes once it serves.

    Port 0: any free one. `node_port` None: the one of hub.toml, which codes of enrolment carry unless
    any free one was taken. Raises ConfigError (no hub there), LinkError (a port is taken), StoreError
    (it could not start).
    """
    migrate(directory)
    from interlock.hub import serving
    from interlock.hub.domain.labs import apply_config
    from interlock.hub.models import Lab
    from interlock.hub.permissions import Actor

    config = HubDirectory(directory).config()
    # hub.toml describes the one lab of a simple hub; several describe themselves, on their pages.
    if Lab.objects.count() == 1:
        apply_config(Actor(SystemClock(), label="hub.toml"), the_lab(), config)
    listener = serving.listen(host, port)
    door = _door(directory, config, host, node_port)

    served = False

    def ready() -> None:
        nonlocal served
        served = True
        serving.settle()
        serving.notify_ready()
        on_ready(serving.address_of(listener), serving.address_of(door.listener, "https"))

    serving.serve(listener, door, ready)
    if not served:
        raise StoreError(
            "the hub did not start",
            where=str(directory),
            remedy="The lines above say why",
        )


def _door(directory: Path, config: HubConfig, host: str, port: int | None) -> NodeDoor:
    """The door for nodes, and its port in every code of enrolment from now on."""
    from django.conf import settings

    from interlock.hub import serving

    listener = serving.listen(host, config.node_port if port is None else port)
    if port == 0:
        settings.NODE_PORT = listener.getsockname()[1]
    certificates = HubDirectory(directory).certificates(SystemClock())
    return serving.NodeDoor(listener, certificates, config.names())


def add_node(
    directory: Path, machine: str, out: Path, hub_url: str = DEFAULT_URL
) -> tuple[Path, Path]:
    """A node for `machine` (its id); returns the paths of NODE.node.json and NODE.sync.json in `out`.

    Raises ConfigError: no such machine, it has a node, files that exist; then no node was added.
    """
    open_hub(directory)
    from django.db import transaction

    from interlock.hub.domain.nodes import enrol_node
    from interlock.hub.models import Machine
    from interlock.hub.permissions import Actor

    found = Machine.objects.filter(slug=machine).select_related("lab").first()
    if found is None:
        known = (
            ", ".join(Machine.objects.order_by("slug").values_list("slug", flat=True)) or "none yet"
        )
        raise ConfigError(
            "there is no such machine", where=machine, remedy=f"The machines are: {known}"
        )
    _make_folder(out)
    # The files are written before the commit: a node without files could never report.
    with transaction.atomic():
        enrolled = enrol_node(Actor(SystemClock()), found, hub_url)
        node_file = out / f"{enrolled.node.slug}.node.json"
        sync_file = out / f"{enrolled.node.slug}.sync.json"
        if sync_file.exists():
            raise ConfigError(
                "exists already", where=str(sync_file), remedy="Choose an empty folder"
            )
        with contextlib.ExitStack() as undo:
            write_node_keys(node_file, enrolled.keys)
            # Keys of a node that was not added in the end would be taken for those of the next one.
            undo.callback(node_file.unlink, missing_ok=True)
            write_hub_access(sync_file, enrolled.access)
            undo.pop_all()
    return node_file, sync_file


def import_members(
    directory: Path,
    path: Path,
    *,
    partial: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """The members in the CSV at `path` are in the lab: all or none, or with `partial` the good lines.

    The answer names every bad line with its number and reason. `progress` gets (done, total).
    """
    open_hub(directory)
    from interlock.hub.importing import import_members as import_into
    from interlock.hub.permissions import Actor

    return import_into(Actor(SystemClock()), the_lab(), path, partial=partial, progress=progress)


def import_badges(
    directory: Path,
    path: Path,
    *,
    dry_run: bool = False,
    partial: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImportedBadges:
    """The badges in the CSV at `path` are their members': all or none, or with `partial` the good lines;
    with `dry_run` nothing changes. The answer names every bad line with its number and reason."""
    open_hub(directory)
    from interlock.hub.importing_badges import import_badges as import_into
    from interlock.hub.importing_badges import lines_of
    from interlock.hub.permissions import Actor

    actor, lines = Actor(SystemClock()), lines_of(path)
    return import_into(actor, the_lab(), lines, dry_run=dry_run, partial=partial, progress=progress)


def add_token(directory: Path, name: str, scopes: list[str], days: int) -> str:
    """The secret of a new API token, told this once. Raises ConfigError."""
    open_hub(directory)
    from interlock.hub.domain.tokens import create_token
    from interlock.hub.permissions import Actor

    return create_token(Actor(SystemClock()), the_lab(), name, scopes, days).secret


def revoke_token(directory: Path, name: str) -> None:
    """The live API token of that name is nobody's any more. Raises ConfigError when there is none."""
    open_hub(directory)
    from interlock.hub.domain import tokens
    from interlock.hub.models import ApiToken
    from interlock.hub.permissions import Actor

    live = ApiToken.objects.filter(lab=the_lab(), revoked_at=None).select_related("lab")
    found = live.filter(name=name).first()
    if found is None:
        known = ", ".join(live.order_by("name").values_list("name", flat=True)) or "none"
        raise ConfigError("there is no such token", where=name, remedy=f"The tokens are: {known}")
    tokens.revoke_token(Actor(SystemClock()), found)


def list_tokens(directory: Path) -> list[dict[str, str]]:
    """Every live API token: name, scopes, when it ends and when it was last used."""
    open_hub(directory)
    from interlock.hub.models import ApiToken

    live = ApiToken.objects.filter(lab=the_lab(), revoked_at=None).order_by("name")
    return [
        {
            "name": token.name,
            "scopes": " ".join(token.scopes),
            "expires": f"{token.expires_at:%Y-%m-%d}",
            "last_used": f"{token.last_used_at:%Y-%m-%d}" if token.last_used_at else "never",
        }
        for token in live
    ]


def export_sessions(directory: Path, out: Path, wanted: Filter | None = None) -> int:
    """`out` holds the ended sessions as CSV for spreadsheets; returns their number."""
    open_hub(directory)
    from interlock.hub.exporting import export_sessions as export_from

    return export_from(the_lab(), out, wanted)


def first_owner_link(directory: Path, hub_url: str = DEFAULT_URL) -> str:
    """A link that works once, within a day, and makes the lab's first owner. Raises ConfigError when
    the lab has one."""
    open_hub(directory)
    from django.urls import reverse

    from interlock.hub.domain.accounts import create_link
    from interlock.hub.models import OneTimeLink
    from interlock.hub.permissions import Actor

    token = create_link(Actor(SystemClock()), the_lab(), OneTimeLink.Purpose.FIRST_OWNER)
    return hub_url.rstrip("/") + reverse("welcome", args=[token])


def recover_owner(directory: Path, email: str, hub_url: str = DEFAULT_URL) -> str:
    """A link that works once, within a day, and sets the password of the owner who signs in as `email`;
    their second factor and their logins are over. Raises ConfigError for anybody else."""
    open_hub(directory)
    from django.urls import reverse

    from interlock.hub.domain.accounts import recover_owner as recovered
    from interlock.hub.permissions import Actor

    token = recovered(Actor(SystemClock()), the_lab(), email)
    return hub_url.rstrip("/") + reverse("welcome", args=[token])


def open_hub(directory: Path) -> None:
    """Django works on the hub in `directory`. Raises ConfigError when none lives there, or when this
    process has opened another one."""
    from django.conf import settings

    path = directory.resolve()
    HubDirectory(path).config()
    # Whatever this process writes from now on names people: for the hub's own user alone.
    os.umask(0o077)
    if not settings.configured:
        os.environ["INTERLOCK_HUB_DIR"] = str(path)
        os.environ["DJANGO_SETTINGS_MODULE"] = "interlock.hub.settings"
    if path != settings.HUB.path:
        raise ConfigError(
            f"this process works on {settings.HUB.path} already",
            where=str(path),
            remedy="Use one process for each hub",
        )
    import django

    django.setup()


def the_lab() -> Lab:
    """The hub's lab. Raises ConfigError when it has none, or several."""
    from interlock.hub.models import Lab

    labs = list(Lab.objects.all()[:2])
    if len(labs) != 1:
        raise ConfigError(
            "this command needs a hub with exactly one lab",
            where="hub",
            remedy="Run: interlock hub init --dir DIR",
        )
    return labs[0]


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}", where=str(path)) from error
