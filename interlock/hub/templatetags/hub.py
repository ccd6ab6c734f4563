"""Icons, amounts and durations: a value of a template goes in, safe markup or words come out."""

from __future__ import annotations

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from interlock.hub.pages import formats

register = template.Library()

register.filter("euros", formats.euros)
register.filter("duration", formats.duration)
register.filter("exact_duration", formats.exact_duration)
register.filter("ago", formats.ago)


@register.simple_tag
def icon(name: str) -> SafeString:
    """One symbol of icons.svg; it decorates words that stand beside it, so it is silent to readers."""
    address = static("hub/icons.svg")
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        address,
        name,
    )


@register.simple_tag
def mark_of_the_house() -> SafeString:
    """The two halves of a dovetail joint."""
    return format_html(
        '<img class="joint" src="{}" alt="" width="28" height="28">', static("hub/logo.svg")
    )
