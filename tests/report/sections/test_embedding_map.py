from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from pipeline.report import embedding_layout
from pipeline.report.report_page import ReportPage
from pipeline.report.sections.embedding_map import build_map_points, render
from tests.conftest import Require
from tests.report.conftest import build_page


def test_every_image_of_validation_is_a_point_with_its_slice_and_answer(page: ReportPage) -> None:
    spots = build_map_points(page)
    assert len(spots) == len(page.flips)
    assert sum(s[3] for s in spots) == (page.flips["label"] != page.flips["before"]).sum()
    assert sum(s[2] == 1 for s in spots) == len(page.slice_members["s1"])
    assert {s[4] for s in spots if s[4] >= 0} <= set(page.thumbnails.positions.values())


def test_the_slices_are_named_beside_the_map(page: ReportPage) -> None:
    html = str(render(page))
    assert 'href="#slice-s1"' in html
    assert "Showing" not in html


def test_without_features_there_is_no_map(made: dict[str, Any]) -> None:
    val = made["validation_set"]
    blank = replace(val, embeddings=np.full_like(val.embeddings, np.nan))
    assert render(build_page(made | {"validation_set": blank})) == ""


def test_the_map_by_likeness_is_offered_where_it_can_be_made(
    page: ReportPage, require: Require
) -> None:
    require(find_spec("openTSNE"), "openTSNE is absent: pip install -e .[dev]")
    spots = build_map_points(page)
    assert all(len(s) == 7 for s in spots)
    assert [s[:2] for s in spots] != [s[5:] for s in spots]
    assert 'data-map="1"' in str(render(page))


def test_without_opentsne_nothing_else_is_offered(
    page: ReportPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_layout, "find_spec", lambda name: None)
    assert "data-map" not in str(render(page))
    assert all(len(s) == 5 for s in build_map_points(page))
