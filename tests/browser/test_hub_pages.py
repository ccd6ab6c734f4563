"""The hub's pages in Debian's Chromium against a hub in another process: live, by keyboard, readable.

Django's ORM is never touched here: it must not run inside Playwright's event loop.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from interlock.protocol.records import RecordType
from interlock.protocol.tags import short_code
from tests.browser.hub_process import LONG_NAME, PASSWORD, Hub, SpokenNode, running_hub
from tests.browser.visitor import PATIENCE_MS

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
CHROMIUM = "/usr/bin/chromium"
WIDTHS = (320, 390, 820, 1440)
TOUCH_PX_MIN = 44
"""WCAG 2.2, 2.5.5: what a finger hits without looking twice."""
STRANGER = "5e" * 16
"""The tag of a card that nobody has."""
LIVE_MS_MAX = PATIENCE_MS
"""The hub gathers 200 ms, the page 120 ms; the rest is a slow computer."""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder, running_hub(Path(folder)) as one:
        yield one


@pytest.fixture(scope="module")
def node(hub: Hub) -> SpokenNode:
    """The saw's node: one journal for all tests of this file, as in life."""
    spoken = hub.node()
    spoken.hello()
    return spoken


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def addresses(hub: Hub, node: SpokenNode) -> dict[str, str]:
    """Every page a manager meets, with a session, an unknown card and a possible copy that exist."""
    refuse(node, "UNKNOWN_BADGE", STRANGER)
    refuse(node, "BADGE_NOT_GENUINE", hub.sample["ada"]["tag"])
    node.send()
    node.end(node.start(hub.sample["ada"]), 5_400)
    # The widest a row gets: a long name, another day at its end, a mark, four digits of euros.
    node.end(node.start(hub.sample["long"]), 2 * 86_400, estimated=True)
    base = hub.address.rstrip("/")
    return {
        "board": f"{base}/",
        "members": f"{base}/members/",
        "nobody found": f"{base}/members/?q=zzz",
        "member": f"{base}/members/{hub.sample['ada']['id']}/",
        "member with nothing": f"{base}/members/{hub.sample['long']['id']}/",
        "machines": f"{base}/machines/",
        "machine": f"{base}/machines/saw/",
        "machine without node": f"{base}/machines/screen/",
        "sessions": f"{base}/sessions/",
        "session": f"{base}/sessions/1/",
        "unknown badges": f"{base}/badges/unknown/",
        "unknown badge": f"{base}/badges/unknown/1/?q=a",
        "badges to enrol": f"{base}/badges/to-enrol/",
        "hand out": f"{base}/members/{hub.sample['ada']['id']}/new-badge/",
        "give badge": f"{base}/members/{hub.sample['ada']['id']}/new-badge/1/",
        "tokens": f"{base}/settings/tokens/",
        "settings": f"{base}/settings/",
        "rules": f"{base}/machines/saw/rules/",
        "reservations": f"{base}/machines/saw/reservations/",
        "grants": f"{base}/grants/",
        "not found": f"{base}/no/such/page/",
    }


def refuse(node: SpokenNode, reason: str, tag: str) -> None:
    """The node has refused that badge; its next `send` tells the hub."""
    facts = {"member": None, "training": None, "evidence": None, "count": 1}
    node.write(RecordType.REFUSED, reason=reason, tag=tag, **facts)


@contextmanager
def context(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A fresh browser profile; what its console complains about fails the test."""
    options.setdefault("locale", "en-GB")
    options.setdefault("viewport", {"width": 1440, "height": 900})
    opened = browser.new_context(**options)
    complaints: list[str] = []
    opened.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    opened.on("weberror", lambda error: complaints.append(str(error.error)))
    try:
        yield opened
    finally:
        opened.close()
    # A 404 that a test asked for on purpose is the browser's own remark, not a mistake of ours.
    assert [text for text in complaints if "404 (Not Found)" not in text] == []


def signed_in(opened: BrowserContext, hub: Hub, role: str = "manager") -> Page:
    page = opened.new_page()
    page.goto(hub.address)
    page.fill("[name=email]", f"{role}@example.org")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(hub.address)
    return page


ONLY_THE_STREAM = """
    const soon = window.setTimeout;
    window.setTimeout = (run, ms, ...more) => ms >= 1000 ? 0 : soon(run, ms, ...more);
    window.setInterval = () => 0;
"""
"""Without its slow timers a page can only be current because the hub told it."""


@pytest.fixture
def manager(browser: Browser, hub: Hub) -> Iterator[Page]:
    with context(browser) as opened:
        yield signed_in(opened, hub)


# -------------------------------------------------------------------------------------- the door


def test_the_first_owner_chooses_a_password_and_the_link_is_spent(
    browser: Browser, hub: Hub
) -> None:
    with context(browser) as opened:
        page = opened.new_page()
        page.goto(hub.link)
        page.get_by_label("Your name").fill("Camille Durand")
        page.get_by_label("E-mail").fill("camille@example.org")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password, once more").fill(PASSWORD)
        page.get_by_role("button", name="Save and sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Board")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    with browser.new_context(locale="en-GB") as opened:
        page = opened.new_page()
        answer = page.goto(hub.link)
        assert answer is not None
        assert answer.status == 410
        expect(page.get_by_role("heading", level=1)).to_have_text("This link no longer works")


# --------------------------------------------------------------------------------------- live


def saw(page: Page) -> Any:
    return page.locator("#machine-saw")


def test_the_board_follows_the_machine_without_a_reload(
    manager: Page, hub: Hub, node: SpokenNode
) -> None:
    page = manager
    page.add_init_script(ONLY_THE_STREAM)
    node.hello()
    page.goto(hub.address)
    expect(saw(page)).to_contain_text("Free", timeout=LIVE_MS_MAX)
    expect(page.locator("[data-live]")).to_have_attribute("data-live", "on")
    page.evaluate("window.sameDocument = true")
    session = node.start(hub.sample["ada"])
    expect(saw(page)).to_contain_text("In use", timeout=LIVE_MS_MAX)
    expect(saw(page)).to_contain_text("Ada Martin")
    node.end(session, 60)
    expect(saw(page)).to_contain_text("Free", timeout=LIVE_MS_MAX)
    expect(saw(page)).not_to_contain_text("Ada Martin")
    assert page.evaluate("window.sameDocument") is True


def test_a_live_update_leaves_the_focus_where_it_was(
    manager: Page, hub: Hub, node: SpokenNode
) -> None:
    page = manager
    page.add_init_script(ONLY_THE_STREAM)
    node.hello()
    page.goto(hub.address)
    page.get_by_role("link", name="Laser").focus()
    session = node.start(hub.sample["ada"])
    expect(saw(page)).to_contain_text("In use", timeout=LIVE_MS_MAX)
    expect(page.get_by_role("link", name="Laser")).to_be_focused()
    node.end(session, 60)


def test_the_machines_own_page_is_live_too(manager: Page, hub: Hub, node: SpokenNode) -> None:
    page = manager
    page.add_init_script(ONLY_THE_STREAM)
    node.hello()
    page.goto(f"{hub.address}machines/saw/")
    live = page.locator("#machine-live")
    expect(live).to_contain_text("Free", timeout=LIVE_MS_MAX)
    session = node.start(hub.sample["ada"])
    expect(live).to_contain_text("In use", timeout=LIVE_MS_MAX)
    node.end(session, 60)
    expect(live).to_contain_text("Free", timeout=LIVE_MS_MAX)


def test_a_tapped_card_appears_without_a_reload_and_becomes_the_members_badge(
    browser: Browser, hub: Hub, node: SpokenNode
) -> None:
    tag = "7a" * 16
    with context(browser) as opened:
        page = signed_in(opened, hub)
        page.add_init_script(ONLY_THE_STREAM)
        page.goto(f"{hub.address}members/{hub.sample['long']['id']}/new-badge/")
        page.get_by_role("button", name="Begin").click()
        expect(page.locator("[data-live=on]")).to_be_visible()
        code = page.get_by_text(short_code(bytes.fromhex(tag)), exact=True)
        expect(code).to_have_count(0)
        refuse(node, "UNKNOWN_BADGE", tag)
        node.send()
        expect(code).to_be_visible(timeout=LIVE_MS_MAX)
        page.get_by_role("link", name=f"This one {short_code(bytes.fromhex(tag))}").click()
        page.get_by_label("Label").fill("orange")
        page.get_by_role("button", name=f"Give it to {LONG_NAME}").click()
        expect(page.locator("strong", has_text="orange")).to_be_visible()


def test_a_login_that_ends_turns_the_live_board_into_the_door(browser: Browser, hub: Hub) -> None:
    # The stream is refused from then on, and the browser says so in its console: no `context()`.
    with browser.new_context(locale="en-GB") as opened:
        page = signed_in(opened, hub)
        expect(page.locator("[data-live]")).to_have_attribute("data-live", "on")
        opened.clear_cookies()
        page.evaluate("window.htmx.trigger(document.querySelector('[data-live-part]'), 'changed')")
        page.wait_for_url("**/sign-in/**")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_training_revoked_in_two_clicks_reaches_the_node_at_once(
    manager: Page, hub: Hub, node: SpokenNode, addresses: dict[str, str]
) -> None:
    page = manager
    page.goto(addresses["member"])
    epoch, counter = node.hello()["version"]
    page.locator("summary", has_text="Revoke").click()
    page.get_by_role("button", name="Revoke the training").click()
    newer = node.newer_than((epoch, counter), wait_s=20)
    assert newer is not None
    assert newer > (epoch, counter)
    expect(page.get_by_role("status")).to_contain_text("is revoked")
    expect(page.locator(".rights")).to_contain_text("Still to do: the training “Travail du bois”.")
    waiting = page.locator("#confirmations")
    expect(waiting).to_contain_text("Scie à format")
    node.hello(version=newer)
    expect(waiting).to_contain_text("Every machine has confirmed", timeout=LIVE_MS_MAX)
    page.locator("summary", has_text="Grant a training").click()
    page.get_by_role("button", name="Travail du bois").click()
    expect(page.get_by_role("status")).to_contain_text("holds “Travail du bois”")


# ----------------------------------------------------------------------------- for everybody


def test_everything_but_live_updates_works_without_javascript(
    browser: Browser, hub: Hub, addresses: dict[str, str]
) -> None:
    with context(browser, java_script_enabled=False) as opened:
        page = signed_in(opened, hub)
        expect(page.get_by_text("Reload the page to see the latest state.")).to_be_visible()
        page.get_by_role("link", name="Members").click()
        page.get_by_label("Name or e-mail").fill("wilhel")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name=LONG_NAME).click()
        page.locator("summary", has_text="Suspend").click()
        page.get_by_role("region", name="Membership").get_by_label("Why").fill("essai")
        page.get_by_role("button", name="Suspend the member").click()
        expect(page.get_by_role("status")).to_contain_text("is suspended")
        page.get_by_role("button", name="Français").click()
        expect(page.locator("html")).to_have_attribute("lang", "fr")
        page.locator("summary", has_text="Rétablir l’accès").click()
        page.get_by_role("button", name="Lever la suspension").click()
        expect(page.get_by_role("status")).to_contain_text("prend fin dès que")
        page.goto(addresses["sessions"])
        page.get_by_label("Machine").select_option("saw")
        page.get_by_role("button", name="Filtrer").click()
        page.locator(".amount a").first.click()
        expect(page.get_by_role("heading", name="Pourquoi ce prix")).to_be_visible()


def test_the_hub_can_be_used_by_keyboard_alone(browser: Browser, hub: Hub) -> None:
    with context(browser) as opened:
        page = opened.new_page()
        page.goto(hub.address)
        page.keyboard.type("manager@example.org")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Board")
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        # Whatever stands before them (the wall screen, what there is to do), the machines are reached.
        for _ in range(page.locator("main").locator("a, button").count()):
            page.keyboard.press("Tab")
            if page.locator(".tile:focus-within").count():
                break
        expect(page.locator(".tile:focus-within").first).to_have_css("outline-style", "solid")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=2).first).to_be_visible()
        assert "/machines/" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_axe_finds_nothing_serious_on_any_page(
    browser: Browser, hub: Hub, addresses: dict[str, str], language: str, scheme: str
) -> None:
    found: list[str] = []
    with context(browser, locale=language, color_scheme=scheme) as opened:
        page = opened.new_page()
        page.goto(f"{hub.address}sign-in/")
        found += violations(page, "door")
        page.close()
        page = signed_in(opened, hub)
        for name, where in addresses.items():
            page.goto(where)
            # What opens on a click is read too.
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            found += violations(page, name)
    assert found == []


def test_axe_would_see_a_field_without_a_name(manager: Page) -> None:
    manager.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert any("label" in one for one in violations(manager, "planted"))


def violations(page: Page, name: str) -> list[str]:
    """Serious and critical findings of axe-core, one line each."""
    page.evaluate(AXE)
    results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{name}: {one['id']}: {node['html'][:120]}"
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def each(browser: Browser, hub: Hub, addresses: dict[str, str], look: Callable[..., None]) -> None:
    for width in WIDTHS:
        with context(browser, viewport={"width": width, "height": 844}, locale="fr-FR") as opened:
            page = signed_in(opened, hub)
            for name, where in addresses.items():
                page.goto(where)
                look(page, name, width)


def test_no_page_is_wider_than_its_screen(
    browser: Browser, hub: Hub, addresses: dict[str, str]
) -> None:
    wider: list[tuple[str, int, int]] = []

    def look(page: Page, name: str, width: int) -> None:
        needed = page.evaluate("document.documentElement.scrollWidth")
        if needed > width:
            wider.append((name, width, needed))

    each(browser, hub, addresses, look)
    assert wider == []


def test_a_finger_hits_every_button_and_field_on_a_phone(
    browser: Browser, hub: Hub, addresses: dict[str, str]
) -> None:
    small: set[str] = set()
    # A box to tick is hit by its whole line.
    fields = "input:not([type=hidden], [type=checkbox], [type=radio]), select, .choices label"
    selector = f"button, summary.button, .button, {fields}, .nav a, .brand"
    measure = """(all, least) => all.filter(one => one.checkVisibility())
        .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
        .filter(([, box]) => box.height < least || box.width < least).map(([html]) => html)"""
    with context(browser, viewport={"width": 390, "height": 844}) as opened:
        page = signed_in(opened, hub)
        for where in addresses.values():
            page.goto(where)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            small |= set(page.locator(selector).evaluate_all(measure, TOUCH_PX_MIN))
    assert small == set()


def test_the_bar_at_the_foot_of_a_phone_hides_nothing(
    browser: Browser, hub: Hub, addresses: dict[str, str]
) -> None:
    with context(browser, viewport={"width": 390, "height": 844}) as opened:
        page = signed_in(opened, hub)
        page.goto(addresses["member"])
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        foot = page.locator(".foot p").bounding_box()
        bar = page.locator(".nav").bounding_box()
        assert foot is not None
        assert bar is not None
        assert foot["y"] + foot["height"] <= bar["y"]


def test_a_member_sees_the_board_without_names_and_their_own_page(
    browser: Browser, hub: Hub, node: SpokenNode
) -> None:
    with context(browser) as opened:
        page = signed_in(opened, hub, "member")
        session = node.start(hub.sample["ada"])
        node.hello("enabled")
        expect(saw(page)).to_contain_text("In use", timeout=LIVE_MS_MAX)
        expect(saw(page)).not_to_contain_text("Ada Martin")
        expect(page.get_by_role("link", name="Members")).to_have_count(0)
        page.get_by_role("link", name="My page").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Ada Martin")
        expect(page.get_by_role("button", name="Suspend")).to_have_count(0)
        node.end(session, 60)
