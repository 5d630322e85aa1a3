"""The page in a real Chromium: mouse and keyboard, narrow and wide, light and dark, on paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.analysis.dataset_inspection import write_health_page
from pipeline.data.quality.dataset_health import check_dataset
from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.data.recognition.read_plan import build_read_plan
from pipeline.report.page_rendering import render_page
from pipeline.report.sections import list_sections
from pipeline.storage import review_decisions as reviews
from tests.conftest import Require
from tests.factory import Factory, planted
from tests.report.conftest import build_page, list_axe_violations, wait_for_layout

pytestmark = pytest.mark.browser
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def many() -> str:
    return render_page(build_page(planted(43, 900)), list_sections())


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(build_page(planted()), list_sections())


@pytest.fixture(scope="module")
def hostile() -> str:
    return render_page(build_page(planted(hostile=True)), list_sections())


def choose_other_label(viewer: Any) -> str:
    """Return a class that the image in the window is not labeled with."""
    options = viewer.get_by_label("Correct label").locator("option:not([disabled])")
    return str(options.nth(1).inner_text())


def find_mark(tab: Any, css_class: str) -> tuple[float, float]:
    """Return where the first point of a mark of the map is on the screen."""
    tab.locator("#map").evaluate("m => m.scrollIntoView({block: 'center', behavior: 'instant'})")
    path = str(tab.locator(f"#map .{css_class}").first.get_attribute("d"))
    x, y = (float(number) for number in re.findall(r"-?\d+", path)[:2])
    box = tab.locator("#map svg").bounding_box()
    return box["x"] + x / 1000 * box["width"], box["y"] + y / 600 * box["height"]


def find_cell(tab: Any, view: str, key: str) -> Any:
    """Return the button of a cell, "label,prediction" by class number."""
    return tab.locator(f'table[data-view={view}] [data-cell="{key}"]')


def test_a_click_on_a_cell_shows_its_images_and_sets_the_address(html: str, visit: Visit) -> None:
    tab = visit(html)
    button = find_cell(tab, "before", "1,0")
    button.click()
    assert tab.locator("#cell figure").count() == int(button.get_attribute("data-total"))
    assert "visitor predicted as employee" in tab.locator("#cell h3").inner_text()
    assert tab.evaluate("location.hash") == "#cell=1,0"
    assert button.get_attribute("aria-expanded") == "true"
    again = visit(html, anchor="#cell=1,0")
    assert again.locator("#cell figure").count() == int(button.get_attribute("data-total"))


def test_a_cell_of_the_difference_shows_the_images_that_moved(html: str, visit: Visit) -> None:
    tab = visit(html)
    button = find_cell(tab, "change", "1,1")
    button.click()
    assert tab.locator("#cell figure").count() == int(button.get_attribute("data-total")) > 0


def test_a_cell_of_correct_predictions_counts_every_image(html: str, visit: Visit) -> None:
    tab = visit(html)
    button = find_cell(tab, "after", "1,1")
    button.click()
    assert f"{button.get_attribute('data-total')} images." in tab.locator("#cell").inner_text()
    tab.locator("#cell").get_by_role("link", name="Filter and sort them").click()
    tab.locator("#found", has_text=f"{button.get_attribute('data-total')} images").wait_for()


def test_cells_are_reached_by_arrow_keys_enter_and_escape(html: str, visit: Visit) -> None:
    tab = visit(html)
    find_cell(tab, "before", "0,0").focus()
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


def test_cells_show_counts_or_row_percent(html: str, visit: Visit) -> None:
    tab = visit(html)
    counts = find_cell(tab, "before", "1,0").inner_text()
    tab.get_by_role("button", name="Row %").click()
    assert "." in find_cell(tab, "before", "1,0").inner_text() != counts
    assert tab.get_by_role("button", name="Row %").get_attribute("aria-pressed") == "true"


def test_the_viewer_opens_pages_and_returns_the_focus(html: str, visit: Visit) -> None:
    tab = visit(html)
    image = tab.locator("#slice-s1 [data-open]").first
    image.click()
    viewer = tab.locator("#viewer")
    assert "Too dark" in viewer.inner_text()
    assert "gate-" in viewer.locator("dd").last.inner_text()
    assert "1 of 24" in viewer.inner_text()
    tab.keyboard.press("ArrowRight")
    assert "2 of 24" in viewer.inner_text()
    tab.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert tab.evaluate("document.activeElement.dataset.open") == image.get_attribute("data-open")


def test_galleries_are_built_when_opened(html: str, visit: Visit) -> None:
    tab = visit(html)
    assert tab.locator("#slice-s1 .cards").count() == 0
    tab.locator('[data-gallery="s1"]').click()
    figures = tab.locator("#slice-s1 .cards figure")
    assert figures.count() > 24
    assert all(
        figures.locator("img").evaluate_all("all => all.map(i => i.complete && i.naturalWidth > 0)")
    )
    tab.keyboard.press("Tab")
    tab.keyboard.press("Escape")
    assert not figures.first.is_visible()


def test_the_viewer_shows_the_most_probable_classes_and_saliency_maps(
    html: str, visit: Visit
) -> None:
    tab = visit(html)
    tab.locator('#changed_images a[href="#images?Change=fixed"]').click()
    tab.locator("#results [data-open]").first.click()
    viewer = tab.locator("#viewer")
    assert viewer.locator(".ranking").count() == 2
    shares = viewer.locator(".ranking").first.locator(".num").all_inner_texts()
    assert [float(s.split("\u202f")[0]) for s in shares] == sorted(
        (float(s.split("\u202f")[0]) for s in shares), reverse=True
    )
    for _ in range(30):
        if viewer.get_by_role("button", name="Saliency after").count():
            break
        tab.keyboard.press("ArrowRight")
    viewer.get_by_role("button", name="Saliency after").click()
    heat = viewer.locator(".heat")
    assert heat.evaluate("async i => (await i.decode(), i.naturalWidth)") == 24
    after = heat.get_attribute("src")
    viewer.get_by_role("button", name="Saliency before").click()
    assert heat.get_attribute("src") != after
    tab.keyboard.press("s")
    tab.keyboard.press("s")
    assert heat.count() == 0
    tab.keyboard.press("b")
    assert viewer.get_by_role("button", name="Brighten").get_attribute("aria-pressed") == "true"


def test_a_path_is_copied(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.locator("#slice-s1 [data-open]").first.click()
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.keyboard.press("c")
    copied = tab.locator("#viewer [data-k=copy]:text-matches('^(Copied|Press Ctrl.C)$')")
    copied.wait_for()
    assert copied.count() == 1


def test_decisions_are_stored_listed_and_saved_as_a_file_that_can_be_applied(
    html: str, visit: Visit, tmp_path: Path
) -> None:
    tab = visit(html)
    panel = tab.locator('[data-review="s1"]')
    panel.get_by_role("button", name="Mute").click()
    panel.get_by_label("Note").fill("lamp was out")
    panel.get_by_label("Note").press("Tab")
    tab.locator("#slice-s1 [data-open]").first.click()
    viewer = tab.locator("#viewer")
    viewer.get_by_role("button", name="Wrong").click()
    viewer.get_by_label("Correct label").select_option(label=choose_other_label(viewer))
    tab.keyboard.press("Escape")
    tab.reload()
    wait_for_layout(tab)
    assert panel.get_by_role("button", name="Mute").get_attribute("aria-pressed") == "true"
    assert "lamp was out" in tab.locator("#decisions").inner_text()
    assert tab.locator("#slice-s1 h3 .verdict").inner_text() == "muted"
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Save as a file").click()
    waiting.value.save_as(tmp_path / "review.json")
    (tmp_path / "home").mkdir()
    taken = reviews.apply_review_file(tmp_path / "home", tmp_path / "review.json")
    assert [(s.decision, s.note) for s in taken.slices] == [("muted", "lamp was out")]
    assert taken.slices[0].rule == planted()["explanations"]["frozen"].iloc[0]
    assert [(p.decision, bool(p.suggested)) for p in taken.labels] == [("wrong", True)]


@pytest.mark.parametrize(
    "stored",
    ["null", "[]", "7", '{"slices": null, "labels": {"a": null, "b": 3, "c": {"note": []}}}'],
)
def test_strange_content_of_the_storage_is_left_out(stored: str, html: str, visit: Visit) -> None:
    """Every page of one origin, such as all files of a disk, shares the storage."""
    tab = visit(html)
    panel = tab.locator('[data-review="s1"]')
    panel.get_by_role("button", name="Mute").click()
    tab.evaluate("text => localStorage.setItem(Object.keys(localStorage)[0], text)", stored)
    tab.reload()
    wait_for_layout(tab)
    assert "No decisions" in tab.locator("#progress").inner_text()
    panel.get_by_role("button", name="Mute").click()
    assert "muted" in tab.locator("#decisions").inner_text()


def test_the_map_is_walked_by_keys(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.locator("#map").focus()
    tab.keyboard.press("ArrowRight")
    first = tab.locator("#map-status").inner_text()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#map-status").inner_text() != first
    tab.keyboard.press("Enter")
    assert tab.locator("#viewer").is_visible()
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.activeElement.id") == "map"


def test_the_map_is_laid_out_by_tsne_on_demand(html: str, visit: Visit, require: Require) -> None:
    require(find_spec("openTSNE"), "openTSNE is absent: pip install -e .[dev]")
    tab = visit(html)
    where = "all => all.map(dot => dot.getAttribute('d'))"
    axes = tab.locator("#map .dot").evaluate_all(where)
    tab.get_by_role("button", name="t-SNE").click()
    assert tab.get_by_role("button", name="t-SNE").get_attribute("aria-pressed") == "true"
    assert all(
        a != b for a, b in zip(axes, tab.locator("#map .dot").evaluate_all(where), strict=True)
    )
    tab.mouse.click(*find_mark(tab, "m1"))
    assert "Too dark" in tab.locator("#viewer").inner_text()
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Principal components").click()
    assert tab.locator("#map .dot").evaluate_all(where) == axes


def test_a_point_of_the_map_opens_its_image(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.mouse.click(*find_mark(tab, "m1"))
    assert "1 of" in tab.locator("#viewer").inner_text()


def test_the_page_has_keyboard_shortcuts(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.keyboard.press("?")
    assert tab.locator("#help").is_visible()
    tab.keyboard.press("Escape")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.type") == "search"
    tab.keyboard.type("gate-1/")
    count = tab.locator("#results figure").count()
    assert 0 < count < len(planted()["flips"])
    tab.get_by_role("button", name="Help").click()
    tab.locator("#help").get_by_role("button", name="Close").click()
    assert not tab.locator("#help").is_visible()


def test_dark_images_of_a_slice_are_brightened_together(html: str, visit: Visit) -> None:
    tab = visit(html)
    image, other = (
        tab.locator("#slice-s1 .pic img").first,
        tab.locator("#changed_images .pic img").first,
    )
    light = "i => getComputedStyle(i).filter"
    tab.locator("#slice-s1").get_by_role("button", name="Brighten").click()
    assert (image.evaluate(light), other.evaluate(light)) == ("brightness(3)", "none")
    tab.locator("#slice-s1").get_by_role("button", name="Original brightness").click()
    assert image.evaluate(light) == "none"


def test_a_link_to_a_section_out_of_view_lands_at_its_heading(many: str, visit: Visit) -> None:
    tab = visit(many)
    again = visit(many, anchor="#tab-verdict_conditions")
    for reached in (tab, again):
        reached.emulate_media(reduced_motion="reduce")
        if reached is tab:
            tab.reload()
            tab.locator(".toc").get_by_role("link", name="Details", exact=True).click()
        reached.wait_for_timeout(300)
        assert 0 <= reached.locator("#h-verdict_conditions").bounding_box()["y"] < 300
        link = reached.locator(".toc [aria-current]")
        assert link.inner_text() == "Details"
        box = link.bounding_box()
        assert 0 <= box["x"] <= 1280 - box["width"]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_wide_table_keeps_its_first_column_in_view(
    many: str, visit: Visit, scripts: bool
) -> None:
    tab = visit(many, width=400, scripts=scripts)
    table = tab.locator("#class-table")
    table.scroll_into_view_if_needed()
    place = "e => e.getBoundingClientRect().left"
    before = table.locator("tbody th").first.evaluate(place)
    table.evaluate("t => t.parentElement.scrollLeft = 150")
    assert table.evaluate(place) < before - 100
    assert table.locator("tbody th").first.evaluate(place) == before


def test_every_image_has_its_bytes(html: str, visit: Visit) -> None:
    tab = visit(html)
    assert tab.evaluate("[...document.images].every(i => i.naturalWidth > 0)")


def test_classes_are_sorted_and_filtered(many: str, visit: Visit) -> None:
    names = [f"sign {k:02d}" for k in range(43)]
    tab = visit(many)
    column = "#class-table tbody tr:not([hidden]) th"
    tab.locator("#class-table thead").get_by_role("button", name="Class").click()
    assert tab.locator(column).all_inner_texts() == names
    tab.locator("#per_class_metrics").get_by_label("Find a class").fill("sign 07")
    assert tab.locator(column).all_inner_texts() == ["sign 07"]


def test_many_classes_are_searched_and_all_shown_on_demand(many: str, visit: Visit) -> None:
    tab = visit(many)
    other = find_cell(tab, "before", "other,other")
    total = int(other.get_attribute("data-total"))
    other.click()
    assert "(other)" in tab.locator("#cell h3").inner_text()
    tab.keyboard.press("Escape")
    heads = tab.locator("table[data-view=before] tbody th")
    assert heads.count() == 21
    tab.locator("#find-class").fill("sign 07")
    tab.locator("#class-status", has_text="1 found").wait_for()
    assert "sign 07" in heads.all_inner_texts()
    before = planted(43, 900)["flips"]
    seven = before[before["label"] == "sign 07"]
    row = tab.locator("table[data-view=before] tbody tr", has=tab.locator("th[title='sign 07']"))
    assert sum(int(n) for n in row.locator(".n").all_inner_texts()) == len(seven)
    tab.get_by_role("button", name="Show all 43 classes").click()
    assert heads.count() == 43
    assert tab.locator("table[data-view=before] .n").evaluate_all(
        "all => all.reduce((sum, n) => sum + Number(n.textContent.replace(',', '')), 0)"
    ) == len(before)
    tab.get_by_role("button", name="Show the most confused").click()
    assert int(find_cell(tab, "before", "other,other").locator(".n").inner_text()) == total


def test_an_address_opens_a_cell_of_a_merged_class(many: str, visit: Visit) -> None:
    flips = planted(43, 900)["flips"]
    row = flips[flips["label"] != flips["before"]].iloc[0]
    i, j = (int(name[-2:]) for name in (row["label"], row["before"]))
    tab = visit(many, anchor=f"#cell={i},{j}")
    assert f"{row['label']} predicted as {row['before']}" in tab.locator("#cell h3").inner_text()
    assert (
        tab.locator("#cell figure").count()
        == ((flips["label"] == row["label"]) & (flips["before"] == row["before"])).sum()
    )


@pytest.mark.parametrize("anchor", ["#cell=99,0", "#cell=other,other", "#cell=0", "#cell=<b>,1"])
def test_an_invalid_address_opens_nothing(html: str, visit: Visit, anchor: str) -> None:
    tab = visit(html, anchor=anchor)
    assert not tab.locator("#cell").is_visible()
    assert tab.locator("table[data-view=before] .cell").count() == 4


@pytest.mark.parametrize("width", [400, 1280, 2560])
def test_hostile_names_run_nothing_and_break_no_layout(
    hostile: str, visit: Visit, width: int
) -> None:
    tab = visit(hostile, width=width)
    find_cell(tab, "before", "0,0").click()
    tab.locator("#cell [data-open]").first.click()
    assert tab.locator("#viewer").bounding_box()["width"] <= width
    tab.keyboard.press("Escape")
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    wide = tab.locator(".part").evaluate_all(
        "all => all.filter(p => p.scrollWidth > p.clientWidth).map(p => p.id)"
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_its_dialogs_are_accessible(html: str, visit: Visit, scheme: str) -> None:
    tab = visit(html, scheme=scheme)
    find_cell(tab, "before", "1,0").click()
    tab.locator('#changed_images a[href="#images?Change=fixed"]').click()
    tab.locator('[data-review="s1"]').get_by_role("button", name="Mute").click()
    for summary in tab.locator("summary").all():
        summary.click()
    assert list_axe_violations(tab) == []
    tab.locator("#results [data-open]").first.click()
    tab.locator("#viewer").get_by_role("button", name="Wrong").click()
    assert list_axe_violations(tab) == []
    tab.keyboard.press("Escape")
    tab.keyboard.press("?")
    assert list_axe_violations(tab) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_many_classes_is_accessible(many: str, visit: Visit, scheme: str) -> None:
    tab = visit(many, scheme=scheme, width=400)
    tab.get_by_role("button", name="Show all 43 classes").click()
    assert list_axe_violations(tab) == []


def test_without_scripts_verdict_matrices_and_slices_are_shown(html: str, visit: Visit) -> None:
    tab = visit(html, scripts=False)
    assert tab.locator("h1").inner_text() == "Safe to switch"
    assert tab.locator("table[data-view]").count() == 3
    image = tab.locator("#slice-s1 img").first
    assert image.evaluate("i => i.naturalWidth") == 64
    assert not tab.locator("[data-gallery]").first.is_visible()
    assert tab.locator("#map .dot.m1.bad").is_visible()
    assert (
        tab.locator(".part").last.evaluate("s => getComputedStyle(s).contentVisibility")
        == "visible"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_tools_are_hidden_and_nothing_is_cut_off(
    many: str, visit: Visit, scheme: str
) -> None:
    tab = visit(many, width=740, scheme=scheme)  # A4 less its margins
    tab.emulate_media(media="print")
    assert not tab.locator(".toc").is_visible()
    assert tab.locator("#slice-s1 img").first.is_visible()
    ink = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert ink == ["rgb(27, 34, 48)", "rgb(255, 255, 255)"]
    tables = tab.locator(".part table:visible")
    assert tables.count() > 10
    ends = tables.evaluate_all("all => all.map(t => t.getBoundingClientRect().right)")
    assert max(ends) <= 740
    assert tab.locator("#class-table tbody tr").last.is_visible()
    assert tab.locator("#map .dot.m1.bad").is_visible()


def test_an_image_opens_at_its_top_whatever_has_the_focus(html: str, visit: Visit) -> None:
    tab = visit(html, width=400)
    tab.locator("[data-field=Change]").select_option("still right")
    tab.locator("#results [data-open]").first.click()
    viewer = tab.locator("#viewer")
    assert viewer.get_by_role("button", name="Saliency").count() == 0
    assert viewer.evaluate("v => [v.scrollTop, v.contains(document.activeElement)]") == [0, True]
    assert "Captured" in viewer.locator("dt").all_inner_texts()
    tab.keyboard.press("ArrowRight")
    assert "2 of" in viewer.inner_text()


def test_only_boxes_that_scroll_are_reached_by_keyboard(html: str, visit: Visit) -> None:
    wide, narrow = visit(html, width=1280), visit(html, width=400)
    stops = '.scroll[tabindex="0"]'
    for tab in (wide, narrow):
        for summary in tab.locator("summary").all():
            summary.click()
        tab.wait_for_timeout(200)
    assert narrow.locator(stops).count() > wide.locator(stops).count()
    assert narrow.locator(stops).evaluate_all(
        "all => all.every(e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight)"
    )


def list_cut_texts(tab: Any, selector: str) -> list[str]:
    """Return the texts of elements whose content is partly hidden."""
    script = """all => all.filter(
        e => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 2
    ).map(e => e.textContent)"""
    return list(tab.locator(selector).evaluate_all(script))


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("more", [0, 3, 12])
def test_long_class_names_are_not_cut_in_tables_and_matrices(
    visit: Visit, width: int, more: int
) -> None:
    names = ["Speed limit (60 km/h)", "End of speed limit (80 km/h)", "Yield"]
    made = Factory([*names, *(f"Road works of kind {k}" for k in range(more))], 480).make()
    tab = visit(
        render_page(build_page(made), ("confusion_matrix", "per_class_metrics")), width=width
    )
    assert list_cut_texts(tab, "#per_class_metrics .clip") == []
    assert list_cut_texts(tab, ".matrix tbody th > span") == []
    if width == 1280:
        boxes = tab.locator(".matrix .scroll").evaluate_all(
            "all => all.map(b => b.scrollWidth - b.clientWidth)"
        )
        assert boxes == [0, 0, 0]
        assert list_cut_texts(tab, ".matrix thead th:not(.corner) > span") == []


@pytest.mark.parametrize("width", [400, 1280])
def test_long_class_names_are_not_cut_on_cards(visit: Visit, width: int) -> None:
    names = [
        "Speed limit of 60 kilometres per hour",
        "End of the speed limit of 80 kilometres per hour",
        "Yield",
    ]
    tab = visit(render_page(build_page(Factory(names, 400).make()), list_sections()), width=width)
    tab.locator("table[data-view=before] .cell[data-total]:not([data-total='0'])").first.click()
    captions = tab.locator(".sheet figcaption, .cards figcaption, .predictions figcaption > *")
    assert captions.count() > 80
    assert (
        list_cut_texts(tab, ".sheet figcaption, .cards figcaption, .predictions figcaption > *")
        == []
    )


def test_the_controls_of_a_decision_do_not_touch(html: str, visit: Visit) -> None:
    tab = visit(html)
    panel = tab.locator('[data-review="s1"]')
    buttons, note = panel.locator(".segments").bounding_box(), panel.locator(".find").bounding_box()
    assert note["x"] > buttons["x"] + buttons["width"] + 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_data_set_check_is_accessible(
    visit: Visit, scheme: str, tmp_path: Path
) -> None:
    for n, name in enumerate(
        ("<script>window.hacked = 1</script>".replace("/", "\u2215"), "x" * 200, "plain")
    ):
        (tmp_path / name).mkdir()
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = "2026:03:01 22:40:01"
        for copy in range(2):
            Image.new("RGB", (30 + n, 30), (9 * n, 9, 9)).save(
                tmp_path / name / f"{copy}.jpg", exif=exif
            )
    (tmp_path / "plain" / "<img src=x onerror='window.hacked = 1'>.jpg").touch()
    found = check_dataset(
        tmp_path, build_read_plan(tmp_path), lambda pixels: (9.0, 2.0), parse_health_limits([])
    )
    write_health_page(tmp_path / "check.html", found)
    tab = visit((tmp_path / "check.html").read_text(encoding="utf-8"), width=400, scheme=scheme)
    tab.wait_for_timeout(200)
    assert list_axe_violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("svg.chart rect").count() == 24
    assert tab.locator(".state.failed").count() > 0


def test_reduced_motion_is_respected_and_the_focus_is_always_visible(
    html: str, visit: Visit
) -> None:
    tab = visit(html)
    behavior = "getComputedStyle(document.documentElement).scrollBehavior"
    assert tab.evaluate(behavior) == "smooth"
    tab.emulate_media(reduced_motion="reduce")
    assert tab.evaluate(behavior) == "auto"
    for _ in range(40):
        tab.keyboard.press("Tab")
        outline = tab.evaluate(
            "(s => s.outlineStyle + s.outlineWidth)(getComputedStyle(document.activeElement))"
        )
        assert outline == "solid3px", tab.evaluate("document.activeElement.outerHTML")


def test_every_link_within_the_page_has_a_target(html: str, visit: Visit) -> None:
    tab = visit(html)
    targets = tab.locator("a[href^='#']:not([href^='#cell=']):not([href^='#images'])").evaluate_all(
        "all => all.map(a => a.hash.slice(1))"
    )
    assert {"failure_slices", "accuracy_change", "slice-s1"} <= set(targets)
    assert [
        t for t in targets if not tab.evaluate("id => document.getElementById(id) !== null", t)
    ] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(400, 800), (1280, 900)])
def test_the_first_screen_holds_the_verdict_alone(
    html: str, visit: Visit, width: int, height: int, scheme: str
) -> None:
    tab = visit(html, width=width, scheme=scheme)
    tab.set_viewport_size({"width": width, "height": height})
    ends = tab.locator(".banner > *").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().bottom)"
    )
    assert max(ends) <= height, "everything of the verdict is above the fold"
    assert tab.locator("#treatment_story").bounding_box()["y"] >= height, "and nothing else is"
    assert tab.locator(".first-strip img").count() == 4
    assert tab.locator(".toc > ol").evaluate("e => e.scrollWidth") <= width, "six tabs fit"
    tab.locator(".act").click()
    tab.wait_for_timeout(700)
    assert tab.locator("#treatment_story").bounding_box()["y"] < height / 2


def test_two_hundred_classes_are_usable(visit: Visit) -> None:
    made = planted(200, 1500)
    tab = visit(render_page(build_page(made), list_sections()))
    tab.get_by_role("button", name="Show all 200 classes").click()
    heads = tab.locator("table[data-view=after] tbody th")
    assert tab.locator("table[data-view=before] tbody th").count() == 200
    assert heads.count() == 0  # one whole matrix at a time
    tab.locator("#views").get_by_role("button", name="After").click()
    assert heads.count() == 200
    wrong = made["flips"][made["flips"]["label"] != made["flips"]["after"]].iloc[0]
    i, j = (made["classes"]["names"].index(wrong[when]) for when in ("label", "after"))
    find_cell(tab, "after", f"{i},{j}").click()
    assert f"{wrong['label']} predicted as {wrong['after']}" in tab.locator("#cell h3").inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
