import re
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from pipeline.report.figures import embedding_layout
from pipeline.report.figures.thumbnails import index_rows
from pipeline.report.report_page import ReportPage
from pipeline.report.reviewing.explorer_filters import order_rows
from pipeline.report.sections.embedding_map import build_map_points, render
from tests.conftest import Require
from tests.report.conftest import build_page


def test_every_validation_image_is_a_point_with_slice_and_outcome(page: ReportPage) -> None:
    rows = {image_id: row for row, image_id in enumerate(order_rows(page))}
    points = build_map_points(page, rows)
    assert len(points) == len(page.flips)
    assert sum(s[3] for s in points) == (page.flips["label"] != page.flips["before"]).sum()
    assert sum(s[2] == 1 for s in points) == len(page.slice_members["s1"])
    assert {s[4] for s in points} == {rows[image_id] for image_id in page.flips.index}


def test_the_slices_are_named_beside_the_map(page: ReportPage) -> None:
    html = str(render(page))
    assert 'href="#slice-s1"' in html
    drawn = re.findall(r'data-dot="(\d),(\d)" data-shape="([^"]+)" d="([^"]+)"', html)
    points = build_map_points(page, index_rows(page.flips.index))
    for number, outcome, shape, path in drawn:
        count = sum(s[2:4] == [int(number), int(outcome)] for s in points)
        assert path.count("M") == path.count(shape) == count > 0
    assert sum(path.count("M") for *_, path in drawn) == len(page.flips)
    assert "Showing" not in html


def test_without_features_there_is_no_map(made: dict[str, Any]) -> None:
    val = made["validation_set"]
    blank = replace(val, embeddings=np.full_like(val.embeddings, np.nan))
    assert render(build_page(made | {"validation_set": blank})) == ""


def test_tsne_is_offered_if_it_is_installed(page: ReportPage, require: Require) -> None:
    require(find_spec("openTSNE"), "openTSNE is absent: pip install -e .[dev]")
    points = build_map_points(page, index_rows(page.flips.index))
    assert all(len(s) == 7 for s in points)
    assert [s[:2] for s in points] != [s[5:] for s in points]
    assert 'data-map="1"' in str(render(page))


def test_without_opentsne_only_principal_components_are_offered(
    page: ReportPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_layout, "find_spec", lambda name: None)
    assert "data-map" not in str(render(page))
    assert all(len(s) == 5 for s in build_map_points(page, index_rows(page.flips.index)))
