from typing import Any

from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.explorer_filters import (
    NO_SLICE,
    list_controls,
    name_slices,
    order_rows,
)
from tests.report.conftest import build_page


def test_the_images_of_the_page_come_first_and_none_is_missing(made: dict[str, Any]) -> None:
    page = build_page(made, budget=60_000)
    rows = order_rows(page)
    stored = list(page.thumbnails.positions)
    assert rows[: len(stored)] == stored
    assert set(page.flips.index) <= set(rows)
    assert len(rows) == len(set(rows))


def test_the_controls_offer_what_the_images_have(page: ReportPage) -> None:
    choices, scales = list_controls(page)
    offered = {choice["name"]: choice["values"] for choice in choices}
    assert offered["Label"] == sorted(set(page.flips["label"]), key=page.class_names.index)
    assert NO_SLICE in offered["Slice"]
    assert len(offered["Slice"]) == len(set(offered["Slice"])) == len(page.confirmed_slices) + 1
    assert {"confidence", "label probability after", "luminance", "hour"} <= {
        scale["name"] for scale in scales
    }


def test_without_retraining_there_is_no_after(quiet: dict[str, Any]) -> None:
    choices, scales = list_controls(build_page(quiet))
    assert not {"After", "Slice"} & {choice["name"] for choice in choices}
    assert not [scale["name"] for scale in scales if scale["name"].endswith("after")]


def test_two_slices_of_one_title_have_two_names(page: ReportPage) -> None:
    for row in page.confirmed_slices:
        row["title"] = "Too dark"
    assert len(set(name_slices(page).values())) == len(page.confirmed_slices) > 1
