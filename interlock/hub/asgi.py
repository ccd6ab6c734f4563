"""Django set up on the hub's folder, with the front that answers waiting requests before it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from django.core.asgi import get_asgi_application

if TYPE_CHECKING:
    from interlock.hub.front import Front


def _application() -> Front:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "interlock.hub.settings")
    get_asgi_application()
    # The front knows the models, which exist once Django is set up.
    from interlock.hub.front import Front
    from interlock.hub.threads import Threaded
    from interlock.hub.turns import Turns

    return Front(Turns(Threaded()))


application = _application()
