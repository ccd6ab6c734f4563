"""A share of the largest figure goes in; its bar comes out."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from interlock.hub.reporting.drawing import bar

register = template.Library()

PARTS = 1_000
"""A bar is drawn to the thousandth of its longest."""


@register.simple_tag
def share(part: float) -> SafeString:
    """A bar of that share."""
    return bar(round(PARTS * part), PARTS)
