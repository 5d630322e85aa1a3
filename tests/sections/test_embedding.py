from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from pipeline.sections import Page, places
from pipeline.sections.embedding import embedding, points
from tests.conftest import Require
from tests.sections.conftest import build_page


def test_every_photo_of_validation_is_a_point_with_its_slice_and_answer(page: Page) -> None:
    spots = points(page)
    assert len(spots) == len(page.flips)
    assert sum(s[3] for s in spots) == (page.flips["label"] != page.flips["before"]).sum()
    assert sum(s[2] == 1 for s in spots) == len(page.members["s1"])
    assert {s[4] for s in spots if s[4] >= 0} <= set(page.photos.position.values())


def test_the_slices_are_named_beside_the_map(page: Page) -> None:
    html = str(embedding(page))
    assert 'href="#slice-s1"' in html
    assert "Showing" not in html


def test_without_features_there_is_no_map(made: dict[str, Any]) -> None:
    blank = np.full_like(made["embeddings"], np.nan)
    assert embedding(build_page(made | {"embeddings": blank})) == ""


def test_the_map_by_likeness_is_offered_where_it_can_be_made(page: Page, require: Require) -> None:
    require(find_spec("openTSNE"), "openTSNE is absent: pip install -e .[dev]")
    spots = points(page)
    assert all(len(s) == 7 for s in spots)
    assert [s[:2] for s in spots] != [s[5:] for s in spots]
    assert 'data-map="1"' in str(embedding(page))


def test_without_opentsne_nothing_else_is_offered(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "find_spec", lambda name: None)
    assert "data-map" not in str(embedding(page))
    assert all(len(s) == 5 for s in points(page))
