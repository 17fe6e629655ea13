"""The admin's pages in a browser: under a strict policy, in all colours and widths, by keyboard."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Tab

OVERVIEW = "/admin/fragcache/fragmentcache/"
PAGES = [OVERVIEW, f"{OVERVIEW}?last=7d&q=zz", f"{OVERVIEW}fragment/library.greeting/?last=1h"]
#: The body's colour in Django's own style sheets.
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}
#: What shapes and verdicts are drawn in.
COLOURS = [
    "hit",
    "stale",
    "miss",
    "p50",
    "p95",
    "good",
    "bad",
    *(f"reason-{one}" for one in range(1, 7)),
]
#: By how much a colour of the style sheet and the ground differ: WCAG 1.4.11 asks for 3 to 1.
CONTRAST = """name => {
    const probe = document.body.appendChild(document.createElement("p"));
    probe.style.color = `var(--fc-${name})`;
    const channels = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = color => channels(color)
        .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const own = light(getComputedStyle(probe).color);
    probe.remove();
    const ground = light(getComputedStyle(document.body).backgroundColor);
    return (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
}"""


#: Of a fragment with a long name, whose times are as wide as they get.
LONG_CELLS = """() => {
    document.querySelector("#main").classList.add("shifted");
    const row = document.querySelector(".fc-fragments tbody tr");
    row.querySelector("th a").textContent = "courses.a_fragment_of_a_long_name";
    row.querySelectorAll("td")[0].querySelector("span").textContent = "25,000";
    row.querySelectorAll("td")[3].textContent = "1.92 ms · 6.66 ms";
    row.querySelectorAll("td")[4].textContent = "37.7 s · 46.1 s";
    row.querySelectorAll("td")[6].textContent = "-48.6 ms";
}"""


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_hold_under_a_strict_policy_in_each_width_and_colour(
    tab: Tab, width: int, colours: str
) -> None:
    tab.look(width=width, colours=colours)
    for path in PAGES:
        tab.visit(path)
        assert tab.overflow == 0, path
        assert (
            tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
            == (GROUNDS[colours])
        )
    assert tab.page.locator(".fc-chart").count() == 3
    for chart in ("fc-hit", "fc-reason-1", "fc-p50"):
        assert tab.page.locator(f"path.{chart}").bounding_box()["height"] > 50
    contrasts = {name: tab.page.evaluate(CONTRAST, name) for name in COLOURS}
    assert {name for name, contrast in contrasts.items() if contrast < 3} == set()
    assert len({round(contrast, 3) for contrast in contrasts.values()}) > len(COLOURS) / 2
    assert tab.complaints == []


def test_no_width_has_to_be_scrolled_sideways(tab: Tab) -> None:
    for path in (OVERVIEW, PAGES[-1]):
        tab.visit(path)
        too_wide = {}
        for width in range(340, 1500, 40):
            tab.look(width=width)
            if tab.overflow:
                too_wide[width] = tab.overflow
        assert too_wide == {}


@pytest.mark.parametrize("width", [1280, 1264, 1024, 768])
def test_the_table_has_room_beside_the_sidebar(tab: Tab, width: int) -> None:
    tab.look(width=width)
    tab.visit(OVERVIEW)
    tab.page.evaluate(LONG_CELLS)
    assert tab.overflow == 0


def test_the_browser_would_complain(tab: Tab) -> None:
    """What the test above relies on."""
    tab.visit(OVERVIEW)
    tab.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')"
    )
    assert "Content Security Policy" in " ".join(tab.complaints)


def test_it_is_read_and_sorted_by_keyboard_alone(tab: Tab) -> None:
    tab.visit(OVERVIEW)
    page = tab.page
    page.focus("#fc-q")
    page.keyboard.type("GREET")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=GREET**")
    page.get_by_role("columnheader", name="Fragment").get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=name**")
    assert page.get_by_role("columnheader", name="Fragment").get_attribute("aria-sort") == (
        "ascending"
    )
    page.get_by_role("link", name="library.greeting").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/fragment/library.greeting/**")
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("rowheader").first.is_visible()


@pytest.mark.parametrize("width", [1280, 400])
def test_a_screen_reader_hears_tables_and_what_charts_say(tab: Tab, width: int) -> None:
    tab.look(width=width)
    tab.visit(OVERVIEW)
    table = tab.page.get_by_role("table", name="Fragments, last hour")
    assert table.get_by_role("row").count() == 3
    assert table.get_by_role("cell").count() == 16
    assert table.get_by_role("img", name="hits, ").count() == 2
    tab.visit(PAGES[-1])
    assert tab.page.get_by_role("img", name="hits in all").count() == 1
    assert tab.page.get_by_role("img", name="Misses: cold 7.").count() == 1
