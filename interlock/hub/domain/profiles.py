"""What a member says of themselves, kept apart and only with their word; all of it can be taken back."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.models import Member, Profile, Role, Topic
from interlock.hub.permissions import Actor, Permission, require

FIELDS = ("age_band", "gender", "occupation", "commune")


def may_declare(actor: Actor, member: Member) -> bool:
    """Whether the actor is the member, or writes down what members say at the desk."""
    if actor.user is None:
        return True
    own = Role.objects.filter(lab=member.lab_id, user=actor.user, member=member).exists()
    if own:
        return True
    try:
        require(actor, member.lab, Permission.EDIT_MEMBERS)
    except PermissionDenied:
        return False
    return True


@transaction.atomic
def declare(actor: Actor, member: Member, **answers: str) -> Profile | None:
    """The member says that of themselves; without any answer nothing is kept. The audit log tells that
    something was said, never what. Raises ConfigError for an answer that is none."""
    if not may_declare(actor, member):
        raise PermissionDenied(_("Your role in this lab does not allow this."))
    said = {name: answers.get(name, "").strip() for name in FIELDS}
    known = Profile.objects.filter(member=member).first()
    if not any(said.values()):
        if known is not None:
            known.delete()
            log_deed(actor, member.lab, Topic.OTHER, "profile_taken_back", member.public_id)
        return None
    kept = known or Profile(member=member)
    if known is not None and all(getattr(known, name) == said[name] for name in FIELDS):
        return known
    for name, answer in said.items():
        setattr(kept, name, answer)
    kept.declared_at = actor.now()
    try:
        kept.clean_fields()
    except ValidationError as error:
        raise ConfigError(_("choose one of the answers"), where=_("profile")) from error
    kept.save()
    log_deed(actor, member.lab, Topic.OTHER, "profile_declared", member.public_id)
    return kept
