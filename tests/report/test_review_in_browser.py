"""A reviewer at work in a real Chromium: filters, histograms, label queue, decisions, map."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.data.adapters import json_labels
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ImageRecord
from pipeline.report.page_rendering import render_page
from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.explorer_filters import order_rows
from pipeline.report.sections import list_sections
from pipeline.storage import review_decisions
from tests.factory import planted
from tests.report.conftest import build_page, wait_for_layout

pytestmark = pytest.mark.browser
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def shown() -> ReportPage:
    return build_page(planted())


@pytest.fixture(scope="module")
def html(shown: ReportPage) -> str:
    return render_page(shown, list_sections())


def count_found(tab: Any) -> int:
    """Return the number of images that the filters let through."""
    return int(tab.locator("#found").inner_text().split()[0].replace(",", ""))


def choose(tab: Any, name: str, value: str) -> None:
    tab.locator(f"#images [data-field='{name}']").select_option(value)


def type_range(tab: Any, name: str, low: str, high: str) -> None:
    for end, text in (("from", low), ("to", high)):
        tab.get_by_label(f"{name}, {end}", exact=True).fill(text)
        tab.keyboard.press("Tab")


def save_file(tab: Any, button: str, path: Path) -> Any:
    """Return the content of the file that a button saves at `path`."""
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name=button, exact=True).click()
    waiting.value.save_as(path)
    return json.loads(path.read_text(encoding="utf-8"))


def test_filters_count_all_validation_images(shown: ReportPage, html: str, visit: Visit) -> None:
    tab, flips = visit(html), shown.flips
    assert count_found(tab) == len(flips)
    choose(tab, "Change", "still wrong")
    assert count_found(tab) == (flips["change"] == "still wrong").sum()
    choose(tab, "Label", "employee")
    is_found = (flips["change"] == "still wrong") & (flips["label"] == "employee")
    assert count_found(tab) == is_found.sum()
    tab.get_by_role("button", name="Clear all filters").click()
    assert count_found(tab) == len(flips)
    assert tab.locator("[data-field=Change]").input_value() == ""


def test_a_slice_and_no_slice_share_out_all_images(
    shown: ReportPage, html: str, visit: Visit
) -> None:
    tab = visit(html)
    masks = [shown.rule_masks[row["slice"]] for row in shown.confirmed_slices]
    options = tab.locator("[data-field=Slice] option").all_inner_texts()[1:]
    for name, mask in zip(options[:-1], masks, strict=True):
        choose(tab, "Slice", name)
        assert count_found(tab) == mask.sum()
    choose(tab, "Slice", "in no slice")
    assert count_found(tab) == (~sum(masks).astype(bool)).sum()


def test_the_address_restores_filters_ranges_and_order(html: str, visit: Visit) -> None:
    tab = visit(html)
    choose(tab, "Label", "visitor")
    type_range(tab, "luminance", "", "60")
    choose(tab, "Sort", "luminance down")
    tab.get_by_label("one image of each group").check()
    count, first = count_found(tab), tab.locator("#results figcaption").first.inner_text()
    address = tab.evaluate("location.hash")
    again = visit(html, anchor=address)
    assert (count_found(again), again.locator("#results figcaption").first.inner_text()) == (
        count,
        first,
    )
    assert again.get_by_label("luminance, to").input_value() != ""
    assert again.locator("[data-field=Sort]").input_value() == "luminance down"
    again.evaluate("location.hash = '#images?Label=employee'")
    again.wait_for_function("document.querySelector('[data-field=Label]').value === 'employee'")
    assert again.get_by_label("luminance, to").input_value() == ""


@pytest.mark.parametrize(
    "query", ["Label=nobody", "constructor=1", "Sort=up", "luminance=a~b~c", "%"]
)
def test_an_address_that_the_page_does_not_know_filters_nothing(
    query: str, html: str, visit: Visit
) -> None:
    tab = visit(html, anchor=f"#images?{query}")
    assert count_found(tab) == len(planted()["flips"])


def test_a_range_may_wrap_around_midnight(shown: ReportPage, html: str, visit: Visit) -> None:
    tab = visit(html)
    type_range(tab, "hour", "21", "5")
    hours = shown["attributes"].set_index("image_id")["hour"].reindex(shown.flips.index)
    assert count_found(tab) == ((hours >= 21) | (hours < 5)).sum() > 0


def test_a_histogram_is_brushed_with_the_mouse(html: str, visit: Visit) -> None:
    tab = visit(html)
    before = count_found(tab)
    chart = tab.locator("fieldset[data-field=luminance] svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    tab.mouse.move(box["x"] + 2, box["y"] + 10)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 4, box["y"] + 10)
    tab.mouse.up()
    assert 0 < count_found(tab) < before
    assert tab.get_by_label("luminance, to").input_value() != ""
    assert "luminance=" in tab.evaluate("decodeURIComponent(location.hash)")
    type_range(tab, "luminance", "", "")
    assert count_found(tab) == before


def test_todays_failures_come_first_one_of_each_group(
    shown: ReportPage, html: str, visit: Visit
) -> None:
    tab = visit(html)
    failures = shown.flips[shown.flips["label"] != shown.flips["after"]]
    rows = tab.locator("#results [data-open]").evaluate_all("all => all.map(b => +b.dataset.open)")
    ids = order_rows(shown)
    first = [ids[row] for row in rows[: min(len(rows), failures["group"].nunique())]]
    assert set(first) <= set(failures.index)
    assert shown.flips.loc[first, "group"].is_unique
    tab.get_by_label("one image of each group").check()
    assert count_found(tab) == shown.flips["group"].nunique()


def test_labels_in_doubt_are_judged_with_the_keyboard_alone(
    shown: ReportPage, html: str, visit: Visit
) -> None:
    tab = visit(html)
    doubted = len(shown.thumbnails.select_stored(shown["label_issues"]["image_id"]))
    tab.keyboard.press("l")
    heading = tab.locator("#viewer h3")
    assert heading.inner_text() == f"1 of {doubted}; 0 of {doubted} reviewed"
    assert tab.get_by_label("Correct label").input_value(), "the suggestion is preselected"
    for _ in range(doubted):
        tab.keyboard.press("w")
    assert f"{doubted} of {doubted} reviewed" in heading.inner_text()
    tab.keyboard.press("Escape")
    with tab.expect_download() as waiting:
        tab.keyboard.press("s")
    labels = json.loads(Path(waiting.value.path()).read_text())["labels"]
    assert [label["decision"] for label in labels] == ["wrong"] * doubted
    assert all(label["suggested"] for label in labels)


def test_each_key_of_the_queue_decides_skips_or_undoes(
    html: str, visit: Visit, tmp_path: Path
) -> None:
    tab = visit(html)
    choose(tab, "Change", "fixed")
    count = count_found(tab)
    tab.get_by_role("button", name="Review these labels").click()
    heading = tab.locator("#viewer h3")
    for key in ("w", "r", "u"):
        tab.keyboard.press(key)
    assert heading.inner_text() == f"4 of {count}; 3 of {count} reviewed"
    tab.keyboard.press("n")
    assert heading.inner_text() == f"5 of {count}; 3 of {count} reviewed"
    tab.keyboard.press("z")
    assert heading.inner_text() == f"3 of {count}; 2 of {count} reviewed"
    tab.keyboard.press("u")
    tab.locator("#viewer [data-k=note]").fill("u is typed here and decides nothing")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Escape")
    save_file(tab, "Save as a file", tmp_path / "saved.json")
    taken = review_decisions.apply_review_file(tmp_path, tmp_path / "saved.json")
    assert [label.decision for label in taken.labels] == ["wrong", "right", "unreadable", ""]
    assert [bool(label.note) for label in taken.labels] == [False, False, False, True]
    choose(tab, "Change", "")
    choose(tab, "Review", "unreadable")
    assert count_found(tab) == 1


def test_the_queue_shows_the_group_and_resumes_where_it_ended(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.get_by_role("button", name="Review labels", exact=True).click()
    neighbors = tab.locator("#viewer [data-k=neighbors] figure")
    assert neighbors.count() > 0
    tab.keyboard.press("r")
    tab.keyboard.press("Escape")
    tab.reload()
    wait_for_layout(tab)
    tab.keyboard.press("l")
    assert tab.locator("#viewer h3").inner_text().startswith("2 of")


def test_every_picture_of_a_label_in_doubt_is_marked(
    shown: ReportPage, html: str, visit: Visit
) -> None:
    tab = visit(html)
    doubted = shown.thumbnails.select_stored(shown["label_issues"]["image_id"])
    rows = [shown.thumbnails.positions[image_id] for image_id in doubted]
    for row in rows:
        marks = tab.locator(f"[data-open='{row}']").evaluate_all("a => a.map(b => b.dataset.mark)")
        assert set(marks) == {"?"}
    assert tab.locator("[data-mark]").count() == tab.locator("[data-mark='?']").count() > 0
    tab.keyboard.press("l")
    tab.keyboard.press("w")
    tab.keyboard.press("Escape")
    assert tab.locator("[data-mark='✕']").count() > 0


def test_exports_are_read_by_the_adapter_for_label_studio_and_fiftyone(
    shown: ReportPage, html: str, visit: Visit, tmp_path: Path
) -> None:
    tab = visit(html)
    tab.keyboard.press("l")
    suggested = tab.get_by_label("Correct label").input_value()
    tab.keyboard.press("w")
    tab.keyboard.press("r")
    tab.keyboard.press("Escape")
    tasks = save_file(tab, "Label Studio tasks", tmp_path / "tasks.json")
    samples = save_file(tab, "FiftyOne tags", tmp_path / "samples.json")["samples"]
    paths = [sample["filepath"] for sample in samples]
    assert [task["data"]["image"].split("?d=")[1] for task in tasks] == paths
    for path in paths:
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / path)
    (wrong,) = [sample for sample in samples if "label wrong" in sample["tags"]]
    assert all("label in doubt" in sample["tags"] for sample in samples)
    for name, expected in (("tasks", suggested), ("samples", wrong["ground_truth"]["label"])):
        (tmp_path / "data" / "labels.json").write_bytes((tmp_path / f"{name}.json").read_bytes())
        records = list(json_labels.read_images(FileTree(tmp_path / "data")))
        labels = {item.path: item.label for item in records if isinstance(item, ImageRecord)}
        assert labels[wrong["filepath"]] == expected


def test_all_is_taken_back_after_a_question(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.locator('[data-review="s1"]').get_by_role("button", name="Mute").click()
    tab.keyboard.press("l")
    tab.keyboard.press("w")
    tab.keyboard.press("Escape")
    answers = ["dismiss", "accept"]
    tab.on("dialog", lambda dialog: getattr(dialog, answers.pop(0))())
    tab.get_by_role("button", name="Take all back").click()
    assert tab.locator("#decisions tbody tr").count() == 2
    tab.get_by_role("button", name="Take all back").click()
    assert "No decisions" in tab.locator("#progress").inner_text()
    assert not tab.locator("#slice-s1 .verdict").is_visible()
    assert tab.locator("[data-mark='✕']").count() == 0
    assert tab.evaluate("Object.values(localStorage).join()").count("muted") == 0


def test_each_decision_is_undone_alone(html: str, visit: Visit) -> None:
    tab = visit(html)
    panel = tab.locator('[data-review="s1"]')
    panel.get_by_role("button", name="Accept").click()
    panel.get_by_role("button", name="Mute").click()
    tab.keyboard.press("l")
    tab.keyboard.press("r")
    tab.keyboard.press("Escape")
    tab.locator("#decisions tr", has_text="Label").get_by_role("button", name="Undo").click()
    assert tab.locator("#decisions tbody tr").count() == 1
    tab.locator("#decisions tr", has_text="Slice").get_by_role("button", name="Undo").click()
    assert panel.get_by_role("button", name="Mute").get_attribute("aria-pressed") == "false"
    panel.get_by_role("button", name="Mute").click()
    panel.get_by_role("button", name="Accept").click()
    tab.get_by_role("button", name="Undo the last").click()
    assert tab.locator("#slice-s1 .verdict").inner_text() == "muted"


def test_a_decision_of_an_earlier_run_is_withdrawn_by_the_file(
    visit: Visit, tmp_path: Path
) -> None:
    made = planted()
    rule = made["explanations"]["frozen"].iloc[0]
    old = {"key": "as it was", "words": "Too dark", "rule": rule, "decision": "muted", "note": ""}
    (tmp_path / review_decisions.REVIEW_FILE_NAME).write_text(
        json.dumps({"slices": {old["key"]: old}, "labels": {}})
    )
    reviews = review_decisions.read_decisions(tmp_path).model_dump(mode="json")
    tab = visit(render_page(build_page(made, reviews=reviews), list_sections()))
    row = tab.locator("#decisions tr", has_text="before this run")
    assert "muted" in row.inner_text()
    row.get_by_role("button", name="Undo").click()
    assert "withdrawn" in tab.locator("#decisions").inner_text()
    save_file(tab, "Save as a file", tmp_path / "saved.json")
    review_decisions.apply_review_file(tmp_path, tmp_path / "saved.json")
    assert review_decisions.read_decisions(tmp_path).slices == {}


def test_without_storage_decisions_last_as_long_as_the_page(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    tab.locator('[data-review="s1"]').get_by_role("button", name="Mute").click()
    assert "muted" in tab.locator("#decisions").inner_text()


def test_a_line_around_marks_lists_their_images(shown: ReportPage, html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.locator("#map").evaluate("m => m.scrollIntoView({block: 'center', behavior: 'instant'})")
    box = tab.locator("#map svg").bounding_box()
    corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)]
    for k, (x, y) in enumerate(corners):
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if k == 0:
            tab.mouse.down()
    tab.mouse.up()
    assert f"{len(shown.flips)} images." in tab.locator("#lasso").inner_text()
    tab.locator("#lasso").get_by_role("button", name="Close").click()
    assert not tab.locator("#lasso").is_visible()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Space")
    assert "48 images." in tab.locator("#lasso").inner_text()


def test_pointing_at_a_mark_shows_its_image(html: str, visit: Visit) -> None:
    tab = visit(html)
    tab.locator("#map").evaluate("m => m.scrollIntoView({block: 'center', behavior: 'instant'})")
    path = str(tab.locator("#map .m1").first.get_attribute("d"))
    x, y = path[1:].replace("m", " ").split()[:2]
    box = tab.locator("#map svg").bounding_box()
    tab.mouse.move(
        box["x"] + float(x) / 1000 * box["width"], box["y"] + float(y) / 600 * box["height"]
    )
    assert tab.locator("#map .tip").is_visible()
    tab.mouse.move(box["x"] - 30, box["y"] - 10)
    assert not tab.locator("#map .tip").is_visible()
