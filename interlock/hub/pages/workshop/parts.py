"""What the pages of this room share: one form's page, a search for one member, a page of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy

from interlock.errors import InterlockError
from interlock.hub.models import Member
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form

ROWS_PER_PAGE = 50
MATCHES_MAX = 8
"""More than that and one more letter of the name is quicker than reading."""
WHY_LENGTH_MAX = 200

ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, slots=True)
class FormPage:
    """The words of a page that is one form: `back` is (address, words), `done` what is said afterwards."""

    title: str
    button: str
    back: tuple[str, str]
    done: str
    intro: str = ""


def form_page(
    request: HttpRequest,
    words: FormPage,
    form: forms.Form,
    deed: Callable[[dict[str, Any]], object],
    *,
    template: str = "hub/workshop/form.html",
    order: Sequence[str] = (),
    **more: Any,
) -> HttpResponse:
    """The form until it makes sense to the domain too; then back to where it was opened from."""
    form.order_fields(list(order))
    if form.is_bound and form.is_valid():
        try:
            deed(form.cleaned_data)
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, words.done)
            return redirect(words.back[0])
    return render(request, template, {"words": words, "form": form, **more})


def posted(request: HttpRequest) -> Any:
    """What a form is bound to; None while it is only looked at."""
    return request.POST if request.method == "POST" else None


def one_of(found: QuerySet[ModelT]) -> ModelT:
    """The only row. Raises Http404."""
    row = found.first()
    if row is None:
        raise Http404(gettext("There is no such thing in this lab."))
    return row


def page_of(request: HttpRequest, rows: QuerySet[ModelT]) -> Page[ModelT]:
    """The part of a list that is looked at."""
    return Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))


def why_field() -> forms.CharField:
    """Why something is corrected: for the audit log."""
    return forms.CharField(max_length=WHY_LENGTH_MAX, label=gettext_lazy("Why (for the audit log)"))


class MemberSearch(Form):
    """One member by a part of their name or their address; where several match, the form asks which.

    A list of everybody is nothing to choose from, and nobody's business.
    """

    who = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Member"),
        help_text=gettext_lazy("A part of the name, or the e-mail address."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "type": "search"}),
    )
    pick = forms.ChoiceField(
        required=False, label=gettext_lazy("Which of them"), widget=forms.RadioSelect
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.viewer = viewer
        pick = self.fields["pick"]
        assert isinstance(pick, forms.ChoiceField)
        matches = self._matches() if self.is_bound else []
        self.asks_which = 1 < len(matches) <= MATCHES_MAX
        pick.choices = [(one.public_id, _told_apart(one, matches)) for one in matches]

    def clean_who(self) -> Member | None:
        """The member meant; None when nothing was typed."""
        typed = str(self.cleaned_data["who"]).strip()
        if not typed:
            return None
        matches = self._matches()
        chosen = [one for one in matches if one.public_id == self.data.get(self.add_prefix("pick"))]
        exact = [one for one in matches if one.name.casefold() == typed.casefold()]
        for certain in (chosen, exact, matches):
            if len(certain) == 1:
                return certain[0]
        if not matches:
            raise forms.ValidationError(gettext("Nobody of that name is a member."))
        if len(matches) > MATCHES_MAX:
            raise forms.ValidationError(gettext("Many have that in their name: type more of it."))
        raise forms.ValidationError(gettext("Several members have that in their name."))

    def _matches(self) -> list[Member]:
        typed = str(self.data.get(self.add_prefix("who"), "")).strip()
        if not typed:
            return []
        members = Member.objects.filter(lab=self.viewer.lab).order_by("name", "pk")
        return list(
            members.filter(Q(name__icontains=typed) | Q(email__iexact=typed))[: MATCHES_MAX + 1]
        )


def _told_apart(one: Member, others: list[Member]) -> str:
    """The name, and where two have the same one the address too."""
    same = sum(other.name == one.name for other in others) > 1
    return f"{one.name} ({one.email or one.public_id})" if same else one.name
