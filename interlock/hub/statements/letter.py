"""A statement goes in; the subject, the words and the PDF of its e-mail come out."""

from __future__ import annotations

from django.utils.translation import gettext

from interlock.hub.models import Statement
from interlock.hub.pages import formats
from interlock.hub.pages.billing.words import month_words
from interlock.hub.statements import pdf
from interlock.hub.statements.words import sheet_of


def letter_of(statement: Statement) -> tuple[str, str, bytes]:
    """What domain.statements.deliver asks for, in the language that is switched on."""
    sheet = sheet_of(statement)
    named = {
        "name": statement.name,
        "month": month_words(statement.period.month),
        "number": str(statement),
        "amount": formats.euros(statement.gross_cents),
        "lab": statement.lab.name,
        "due": formats.euros(statement.due_cents),
    }
    said = [
        gettext("Hello %(name)s,") % named,
        gettext("Here is your statement %(number)s for %(month)s: %(amount)s.") % named,
    ]
    if statement.from_account_cents:
        said.append(gettext("Your account in the lab carries a part; %(due)s is left.") % named)
    said += [
        gettext(
            "Every session stands in it, with the reason of its price. If something is wrong, "
            "answer this e-mail or tell us in the lab."
        ),
        gettext("It is a statement of use, not an invoice."),
        named["lab"],
    ]
    subject = gettext("%(lab)s: your statement for %(month)s") % named
    return subject, "\n\n".join(said) + "\n", pdf.render(sheet)
