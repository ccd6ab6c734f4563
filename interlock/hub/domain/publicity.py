"""What others than the lab's people may see: the wall screen's address and names, and the public page."""

from __future__ import annotations

import secrets

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.models import Lab, Topic
from interlock.hub.permissions import Actor, Permission, require

KEY_BYTES = 24
"""192 bits: nobody guesses the address of a wall screen."""


@transaction.atomic
def show_publicly(actor: Actor, lab: Lab, *, public_page: bool, wall_names: bool) -> None:
    """The lab's page for everybody exists or not; the wall screen names people or not."""
    require(actor, lab, Permission.EDIT_LAB)
    before = {"public_page": lab.public_page, "wall_names": lab.wall_names}
    after = {"public_page": public_page, "wall_names": wall_names}
    if before == after:
        return
    lab.public_page, lab.wall_names = public_page, wall_names
    lab.save(update_fields=list(after))
    log_deed(actor, lab, Topic.OTHER, "publicity_changed", lab.slug, before=before, after=after)


@transaction.atomic
def make_wall_address(actor: Actor, lab: Lab) -> str:
    """A new address of the wall screen; screens that show an earlier one go dark. Returns its key."""
    require(actor, lab, Permission.EDIT_LAB)
    lab.wall_key = secrets.token_urlsafe(KEY_BYTES)
    lab.save(update_fields=["wall_key"])
    log_deed(actor, lab, Topic.OTHER, "wall_address_made", lab.slug)
    return lab.wall_key


@transaction.atomic
def end_wall_address(actor: Actor, lab: Lab) -> None:
    """No screen shows the board without a login any more. Raises ConfigError: none did."""
    require(actor, lab, Permission.EDIT_LAB)
    if not lab.wall_key:
        raise ConfigError(_("there is no address to take back"), where=_("wall screen"))
    lab.wall_key = ""
    lab.save(update_fields=["wall_key"])
    log_deed(actor, lab, Topic.OTHER, "wall_address_ended", lab.slug)
