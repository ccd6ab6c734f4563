"""What a computer asks before it is a node (protocol.enrolment): the authority, its claim, its confirmation.

Only over HTTPS: front.py turns the other two away on plain HTTP, where a chain key could be read.
"""

from __future__ import annotations

from hashlib import sha256

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from interlock.errors import ProtocolError
from interlock.hub.domain.enrolment import EnrolmentRefused, badge_key_for, claim
from interlock.hub.models import Enrolment
from interlock.hub.node_api import credential_hash, error
from interlock.protocol import canonical, enrolment

CLAIM_BYTES_MAX = 4_096
"""Five short fields."""


def authority(request: HttpRequest) -> HttpResponse:
    """The certificate of the authority that signs: whoever asks compares it with the code's fingerprint."""
    if request.method != "GET":
        return error(405, "method", "Use GET here")
    signing = settings.HUB.certificates(settings.HUB_CLOCK).authorities()[0]
    return JsonResponse({"v": enrolment.VERSION, "certificate": signing.pem})


@csrf_exempt
def enrol(request: HttpRequest) -> HttpResponse:
    """The computer that brings an open code waits for its click from now on."""
    if request.method != "POST":
        return error(405, "method", "Use POST here")
    try:
        message = canonical.loads(request.body, where="request", bytes_max=CLAIM_BYTES_MAX)
        wanted = enrolment.claim_from_wire(message)
        # Looked up before anything is locked: a stranger's guesses must not hold the hub's one writer.
        hashed = sha256(wanted.secret).digest()
        if not Enrolment.objects.filter(secret_hash=hashed).exists():
            return error(403, "unknown_code", "the hub does not know this code")
        return JsonResponse(claim(settings.HUB_CLOCK, wanted).to_wire())
    except EnrolmentRefused as refused:
        return error(403, refused.code, str(refused))
    except ProtocolError as malformed:
        return error(400, "malformed", str(malformed))


def confirmation(request: HttpRequest) -> HttpResponse:
    """Whether a person has confirmed the computer with this credential, and then the sealed badge key."""
    if request.method != "GET":
        return error(405, "method", "Use GET here")
    hashed = credential_hash(request.headers.get("Authorization", ""))
    if hashed is None:
        return error(401, "credential", "Bring the credential whose hash was claimed")
    try:
        sealed = badge_key_for(settings.HUB_CLOCK, hashed)
    except EnrolmentRefused as refused:
        return error(403, refused.code, str(refused))
    if sealed is None:
        return JsonResponse({"v": enrolment.VERSION, "state": "waiting"})
    return JsonResponse({"v": enrolment.VERSION, "state": "confirmed", "badge_key": sealed.hex()})
