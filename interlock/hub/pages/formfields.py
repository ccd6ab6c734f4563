"""The form every page's form is made from: labels without colons, dates as the browser picks them."""

from __future__ import annotations

from typing import Any

from django import forms

DATE_WIDGET = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
"""A browser's own date picker speaks ISO 8601, whatever the language of the page."""


class Form(forms.Form):
    """A form in the house's style; Django ties hints and errors to their field by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
