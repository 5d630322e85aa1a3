import json
import re
from typing import Any

import pytest

from pipeline.report.page_rendering import render_page
from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.page_payload import DETAIL_COLUMNS, SHORT_COLUMNS, build_payload
from pipeline.report.sections import list_sections
from tests.factory import planted
from tests.report.conftest import build_page


def test_the_data_hold_each_image_once_and_every_validation_image(page: ReportPage) -> None:
    html = render_page(page, list_sections())
    script = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    data = json.loads(script[0])
    assert set(data["table"]) == set(SHORT_COLUMNS)
    lengths = {len(column) for column in data["table"].values()}
    stored = page.thumbnails.positions
    assert lengths == {len(set(page.flips.index) | set(stored))}
    assert len(data["details"]) == len(stored)
    inline = {int(k) for k in re.findall(r'<img data-p="(\d+)" src=', html)}
    assert inline == {k for k, code in enumerate(data["thumbnails"]) if code is None}
    first = next(iter(stored))
    row = dict(zip(DETAIL_COLUMNS, data["details"][0], strict=True))
    flip = page.flips_by_image[first]
    assert data["classes"][data["table"]["before"][0]] == flip["before"]
    assert data["groups"][data["table"]["group"][0]] == flip["group"]
    assert row["p_before"] == pytest.approx(flip["p_before"], abs=1e-4)
    assert row["captured_at"] == f"{page.images.loc[first, 'captured_at']:%Y-%m-%d %H:%M}"


def test_an_image_outside_validation_has_no_prediction(page: ReportPage) -> None:
    train = page["label_issues"]["image_id"].iloc[1]
    data, position = build_payload(page), page.thumbnails.positions[train]
    assert data["table"]["before"][position] == -1
    assert data["details"][position][DETAIL_COLUMNS.index("p_before")] is None
    suggested, _, kind = data["suspected"][position]
    assert data["classes"][suggested] == page["label_issues"]["suggested"].iloc[1]
    assert kind == page["label_issues"]["kind"].iloc[1]


def test_a_slice_is_filtered_by_all_images_that_its_rule_admits(made: dict[str, Any]) -> None:
    members = made["membership"]
    half = members[members["slice"] != "s1"].index.union(
        members[members["slice"] == "s1"].index[::2]
    )
    page = build_page(made | {"membership": members.loc[half]})
    first = next(item for item in build_payload(page)["slices"] if item["slice"] == "s1")
    frame = page.validation_set.all_columns
    assert len(first["admitted"]) == page.frozen_rules["s1"].compute_mask(frame).sum()
    assert len(first["admitted"]) > len(first["images"]) == first["n"]


def test_columns_of_the_user_are_in_the_filters_and_in_the_window(made: dict[str, Any]) -> None:
    images = made["images"].assign(shift=lambda t: ["early", "late"] * (len(t) // 2), Label="x")
    page = build_page(made | {"images": images})
    data = build_payload(page)
    assert "shift" in [choice["name"] for choice in data["choices"]]
    assert {"shift", "Label (column)"} <= set(data["user_columns"])
    values = data["details"][0][DETAIL_COLUMNS.index("user_values")]
    own = dict(zip(data["user_columns"], values, strict=True))
    assert own["shift"] == page.images.loc[next(iter(page.thumbnails.positions)), "shift"]


def test_the_cells_of_many_classes_sum_up_to_the_images() -> None:
    page = build_page(planted(43, 900))
    cells = build_payload(page)["cells"]
    assert sum(before for _, _, before, _ in cells) == len(page.flips)
    assert sum(after for _, _, _, after in cells) == len(page.flips)


def test_without_pictures_every_validation_image_is_still_a_row(made: dict[str, Any]) -> None:
    page = build_page(made, budget=0)
    data = build_payload(page)
    assert data["details"] == []
    assert len(data["table"]["path"]) == len(page.flips)
    assert all(len(scale["codes"]) == len(page.flips) for scale in data["scales"])
