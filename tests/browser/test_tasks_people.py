"""Tasks 1 to 4 of a fab manager, in French and in English, on a hub that was installed a minute ago.

One hub for each language, and its tasks in their order, as a lab does them: set it up, bring in three hundred
members, hand out a badge, train eight people. Each task is counted (budgets.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from interlock.protocol.tags import short_code
from tests.browser.budgets import BUDGETS, Hand
from tests.browser.guide import picture
from tests.browser.people_hub import FreshHub, fresh_hub, refuse
from tests.browser.visitor import CHROMIUM, PASSWORD, PATIENCE_MS

pytestmark = pytest.mark.browser

MEMBERS = 300
STRANGER = "5c" * 16

FRENCH = {
    "save": "Enregistrer et se connecter",
    "continue": "Continuer",
    "fablab": "Fablab",
    "add machine": "Ajouter la machine",
    "finish": "Terminer",
    "board": "Tableau",
    "members": "Membres",
    "import": "Importer",
    "look": "Examiner la liste",
    "import all": f"Importer {MEMBERS} personnes",
    "imported": f"{MEMBERS} membres importés",
    "hand out": "Remettre un badge",
    "begin": "Commencer",
    "this one": "C’est celui-ci",
    "give": "L’attribuer à",
    "trainings": "Habilitations",
    "hold": "Animer",
    "make list": "Créer la feuille",
    "authorise": "Habiliter les personnes cochées",
    "hold it": "8 personnes détiennent « Imprimante 3D »",
    "printer": "Imprimante 3D",
    "full rate": "Plein tarif",
}
ENGLISH = {
    "save": "Save and sign in",
    "continue": "Continue",
    "fablab": "Fab lab",
    "add machine": "Add the machine",
    "finish": "Finish",
    "board": "Board",
    "members": "Members",
    "import": "Import",
    "look": "Look at it",
    "import all": f"Import {MEMBERS} people",
    "imported": f"{MEMBERS} members imported",
    "hand out": "Hand out a badge",
    "begin": "Begin",
    "this one": "This one",
    "give": "Give it to",
    "trainings": "Trainings",
    "hold": "Hold it",
    "make list": "Make the list",
    "authorise": "Authorise those ticked",
    "hold it": "8 people hold “3D printer”",
    "printer": "3D printer",
    "full rate": "Standard rate",
}


@dataclass
class Lab:
    """One hub, one signed-in page on it, and the words of its language."""

    hub: FreshHub
    page: Page
    words: dict[str, str]
    folder: Path
    language: str

    def hand(self) -> Hand:
        return Hand(self.page)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module", params=["fr", "en"])
def lab(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Lab]:
    language: str = request.param
    with (
        tempfile.TemporaryDirectory(prefix="il-") as folder,
        fresh_hub(Path(folder), language) as hub,
    ):
        context = browser.new_context(
            locale={"fr": "fr-FR", "en": "en-GB"}[language],
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(PATIENCE_MS)
        words = FRENCH if language == "fr" else ENGLISH
        yield Lab(hub, context.new_page(), words, Path(folder), language)
        context.close()


def test_task_1_the_first_owner_is_led_from_the_link_to_the_first_machine(lab: Lab) -> None:
    page, words, hand = lab.page, lab.words, lab.hand()
    page.goto(lab.hub.link)
    page.fill("#id_name", "Léa Martin")
    page.fill("#id_email", "lea@example.org")
    page.fill("#id_password", PASSWORD)
    page.fill("#id_again", PASSWORD)
    hand.press(words["save"], shown="task-01-password")
    page.fill("#id_name", "Le Dock")
    hand.press(words["continue"], shown="task-01-lab")
    hand.tick(words["fablab"])
    hand.press(words["continue"], shown="task-01-kind")
    page.fill("#id_name", words["printer"])
    page.select_option("#id_kind", "printer")
    hand.press(words["add machine"], shown="task-01-machine")
    hand.press(words["finish"], shown="task-01-finish")
    expect(page.locator("h1")).to_have_text(words["board"])
    expect(page.locator("main")).to_contain_text(words["printer"])
    expect(page.locator(".brand-name")).to_have_text("Le Dock")
    picture(page, "task-01-board")
    assert hand.keeps(1), hand.clicks


def test_task_2_three_hundred_members_come_in_from_helloasso(lab: Lab) -> None:
    page, words, hand = lab.page, lab.words, lab.hand()
    export = lab.folder / "export-adhesions.csv"
    export.write_bytes(_helloasso(words["full rate"]))
    page.goto(lab.hub.address)
    hand.go(words["members"])
    hand.press(words["import"], shown="task-02-members")
    page.set_input_files("#id_file", export)
    hand.press(words["look"], shown="task-02-file")
    expect(page.locator("tbody tr")).to_have_count(50)
    hand.press(words["import all"], shown="task-02-columns")
    expect(page.get_by_role("status")).to_contain_text(words["imported"])
    picture(page, "task-02-done")
    assert hand.keeps(2), hand.clicks
    page.goto(f"{lab.hub.address}members/?q=prenom007")
    expect(page.locator("tbody th")).to_contain_text("Prénom007 Nom007")
    expect(page.locator("tbody tr")).to_contain_text(words["full rate"])


def test_task_3_a_badge_is_handed_out_by_a_tap_at_the_machine(lab: Lab) -> None:
    page, words, hand = lab.page, lab.words, lab.hand()
    machine = "imprimante-3d" if lab.language == "fr" else "3d-printer"
    node = lab.hub.node_of(machine)
    node.hello()
    page.goto(f"{lab.hub.address}members/?q=prenom007")
    hand.press("Prénom007 Nom007")
    hand.press(words["hand out"], shown="task-03-member")
    hand.press(words["begin"], shown="task-03-begin")
    expect(page.locator("#taps")).to_be_visible()
    refuse(node, STRANGER)
    code = short_code(bytes.fromhex(STRANGER))
    expect(page.get_by_text(code, exact=True)).to_be_visible()
    hand.press(words["this one"], shown="task-03-badge-on-screen")
    expect(page.locator("main")).to_contain_text(code)
    hand.press(words["give"], shown="task-03-give")
    expect(page.locator("h1")).to_have_text("Prénom007 Nom007")
    expect(page.get_by_role("region", name="Badges").locator(".things li")).to_have_count(1)
    assert hand.keeps(3), hand.clicks


def test_task_4_eight_people_are_trained_and_authorised_in_one_go(lab: Lab) -> None:
    page, words, hand = lab.page, lab.words, lab.hand()
    page.goto(lab.hub.address)
    hand.go(words["trainings"])
    row = page.locator("tr", has_text=words["printer"])
    hand.press(words["hold"], within=row, shown="task-04-trainings")
    page.fill("#id_people", "\n".join(f"Prénom{n:03d} Nom{n:03d}" for n in range(8)))
    hand.press(words["make list"], shown="task-04-names")
    expect(page.locator(".attending")).to_have_count(8)
    for n in range(8):
        hand.tick(f"Prénom{n:03d}")
    hand.press(words["authorise"], shown="task-04-present")
    expect(page.get_by_role("status")).to_contain_text(
        words["hold it"].replace("« ", "«\u00a0").replace(" »", "\u00a0»")
    )
    picture(page, "task-04-done")
    assert hand.keeps(4), hand.clicks
    # The badge of task 3 opens the machine of task 1 now, by the core's own word.
    page.goto(f"{lab.hub.address}members/?q=prenom007")
    hand.press("Prénom007 Nom007")
    expect(page.locator(".rights li").filter(has_text=words["printer"])).to_have_attribute(
        "data-state", "free"
    )


def test_every_task_has_its_budget() -> None:
    assert {1, 2, 3, 4} <= set(BUDGETS)


def _helloasso(group: str) -> bytes:
    heading = (
        "Référence commande;Date de la commande;Statut de la commande;Nom adhérent;"
        "Prénom adhérent;Nom payeur;Prénom payeur;Email payeur;Raison sociale;"
        "Moyen de paiement;Tarif;Montant tarif;Code Promo;Montant code promo"
    )
    lines = [
        f"15280{n};09/10/2026 21:59;Validé;NOM{n:03d};prénom{n:03d};NOM{n:03d};prénom{n:03d};"
        f"prenom{n:03d}@example.org;;Carte bancaire;{group};30,00;;"
        for n in range(MEMBERS)
    ]
    return b"\xef\xbb\xbf" + "\r\n".join([heading, *lines, ""]).encode()
