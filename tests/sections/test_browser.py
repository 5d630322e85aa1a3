"""The page in a real Chromium: no request, no complaint, mouse and keyboard, narrow and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import plugins
from pipeline.sections.page import render
from tests.factory import planted
from tests.sections.conftest import build_page

pytestmark = pytest.mark.browser
Visit = Callable[..., Any]

CONTRAST = """() => {
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const weigh = ([r, g, b]) => .2126 * r + .7152 * g + .0722 * b;
  const light = c => weigh(numbers(c).map(v => linear(v / 255)));
  const ground = e => {
    for (; e; e = e.parentElement) if (numbers(getComputedStyle(e).backgroundColor)[3] !== 0) break;
    return getComputedStyle(e ?? document.body).backgroundColor;
  };
  const speaks = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  const poor = new Set();
  for (const e of document.querySelectorAll("main *, nav *, header *, footer")) {
    if (!e.checkVisibility() || e.closest("svg") || !speaks(e)) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    const contrast = (a + .05) / (b + .05);
    if (contrast < 4.5) poor.add(e.tagName + "." + e.className + " " + contrast.toFixed(2));
  }
  return [...poor];
}"""


@pytest.fixture(scope="module")
def html() -> str:
    return render(build_page(planted()), plugins.names("sections"))


@pytest.fixture(scope="module")
def hostile() -> str:
    return render(build_page(planted(hostile=True)), plugins.names("sections"))


def cell(tab: Any, view: str, where: str) -> Any:
    return tab.locator(f'table[data-view={view}] [data-cell="{where}"]')


def test_a_click_on_a_cell_shows_its_photos_and_the_address_keeps_them(html: str, visit: Visit) -> None:
    tab = visit(html)
    button = cell(tab, "before", "1,0")
    button.click()
    assert tab.locator("#cell figure").count() == int(button.get_attribute("data-total"))
    assert "visitor taken for employee" in tab.locator("#cell h3").inner_text()
    assert tab.evaluate("location.hash") == "#cell=before:1,0"
    assert button.get_attribute("aria-expanded") == "true"
    again = visit(html, anchor="#cell=before:1,0")
    assert again.locator("#cell figure").count() == int(button.get_attribute("data-total"))


def test_a_cell_of_the_difference_shows_who_came_and_went(html: str, visit: Visit) -> None:
    tab = visit(html)
    button = cell(tab, "change", "1,1")
    button.click()
    assert tab.locator("#cell figure").count() == int(button.get_attribute("data-total")) > 0


def test_a_cell_of_right_answers_says_how_many_of_how_many(html: str, visit: Visit) -> None:
    tab = visit(html)
    button = cell(tab, "after", "1,1")
    button.click()
    shown, total = tab.locator("#cell figure").count(), int(button.get_attribute("data-total"))
    assert shown < total
    assert f"Showing {shown} of {total}." in tab.locator("#cell").inner_text()


def test_arrows_enter_and_escape(html: str, visit: Visit) -> None:
    tab = visit(html)
    cell(tab, "before", "0,0").focus()
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.dataset.cell") == "1,0"
    assert tab.locator("table[data-view=before] [tabindex='0']").count() == 1
    tab.keyboard.press("Enter")
    assert tab.locator("#cell").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator("#cell").is_visible()
    assert tab.evaluate("document.activeElement.dataset.cell") == "1,0"
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.dataset.cell") == "1,1"


def test_counts_and_row_percent(html: str, visit: Visit) -> None:
    tab = visit(html)
    counts = cell(tab, "before", "1,0").inner_text()
    tab.get_by_role("button", name="Row %").click()
    assert "." in cell(tab, "before", "1,0").inner_text() != counts
    assert tab.get_by_role("button", name="Row %").get_attribute("aria-pressed") == "true"


def test_the_viewer_opens_turns_and_gives_the_focus_back(html: str, visit: Visit) -> None:
    tab = visit(html)
    photo = tab.locator("#slice-s1 [data-open]").first
    photo.click()
    viewer = tab.locator("#viewer")
    assert "Too dark" in viewer.inner_text()
    assert "gate-" in viewer.locator(".full").inner_text()
    assert "1 of 24" in viewer.inner_text()
    tab.keyboard.press("ArrowRight")
    assert "2 of 24" in viewer.inner_text()
    tab.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert tab.evaluate("document.activeElement.dataset.open") == photo.get_attribute("data-open")


def test_galleries_are_built_when_opened(html: str, visit: Visit) -> None:
    tab = visit(html)
    assert tab.locator(".cards").count() == 0
    button = tab.locator('[data-gallery="change:still wrong"]')
    button.click()
    figures = tab.locator(".kind .cards figure")
    assert figures.count() > 0
    assert all(figures.locator("img").evaluate_all("all => all.map(i => i.complete && i.naturalWidth > 0)"))
    tab.keyboard.press("Tab")
    tab.keyboard.press("Escape")
    assert not figures.first.is_visible()


def test_every_picture_is_filled_in(html: str, visit: Visit) -> None:
    tab = visit(html)
    assert tab.evaluate("[...document.images].every(i => i.naturalWidth > 0)")


def test_classes_are_sorted_and_found(visit: Visit) -> None:
    names = [f"sign {k:02d}" for k in range(43)]
    tab = visit(render(build_page(planted(43, 900)), plugins.names("sections")))
    column = "#class-table tbody tr:not([hidden]) th"
    tab.locator("#class-table thead").get_by_role("button", name="Class").click()
    assert tab.locator(column).all_inner_texts() == names
    tab.get_by_label("Find a class").fill("sign 07")
    assert tab.locator(column).all_inner_texts() == ["sign 07"]
    other = cell(tab, "before", "20,20")
    other.click()
    assert "(other)" in tab.locator("#cell h3").inner_text()


@pytest.mark.parametrize("width", [400, 1280, 2560])
def test_hostile_names_execute_nothing_and_break_no_layout(hostile: str, visit: Visit, width: int) -> None:
    tab = visit(hostile, width=width)
    cell(tab, "before", "0,0").click()
    tab.locator("#cell [data-open]").first.click()
    assert tab.locator("#viewer").bounding_box()["width"] <= width
    tab.keyboard.press("Escape")
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(html: str, visit: Visit, scheme: str) -> None:
    tab = visit(html, scheme=scheme)
    cell(tab, "before", "1,0").click()
    assert tab.evaluate(CONTRAST) == []


def test_without_a_script_verdict_matrices_and_slices_are_there(html: str, visit: Visit) -> None:
    tab = visit(html, scripts=False)
    assert tab.locator("h1").inner_text() == "Promoted"
    assert tab.locator("table[data-view]").count() == 3
    picture = tab.locator("#slice-s1 img").first
    assert picture.evaluate("i => i.naturalWidth") == 64
    assert not tab.locator("[data-gallery]").first.is_visible()


def test_on_paper_the_tools_are_gone(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.emulate_media(media="print")
    assert not tab.locator(".toc").is_visible()
    assert tab.locator("#slice-s1 img").first.is_visible()
