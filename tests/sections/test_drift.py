from typing import Any

from pipeline.sections import Page
from pipeline.sections.drift import drift
from tests.factory import planted
from tests.sections.conftest import build_page


def test_what_arrived_is_told_with_its_conditions_slices_and_attributes(page: Page) -> None:
    html = drift(page)
    found = page["drift"]
    assert f"{found['photos']} photos that arrived" in html
    assert "champion-0" in html
    failed = [c for c in found["conditions"] if not c["passed"]]
    assert {c["name"] for c in failed} >= {"max_psi", "max_slice_rise"}, "planted: nights in test, none in train"
    assert html.count('<b class="no">failed</b>') == len(failed)
    assert "Luminance</th>" in html
    assert "luminance ≤ 62.4" in html
    assert 'aria-label="luminance: share of the photos of training, validation and of those that arrived' in html
    assert "Dark<small>luminance" in html, "darker than any in training"


def test_without_a_champion_there_is_no_section_and_without_news_one_line(made: dict[str, Any]) -> None:
    nothing = {"photos": 0, "slices": [], "attributes": [], "new": [], "conditions": []}
    gone = build_page({**made, "drift": {**nothing, "champion": None, "why": "no champion"}})
    assert drift(gone) == ""
    quiet = drift(build_page({**made, "drift": {**nothing, "champion": "c", "why": "no photo arrived"}}))
    assert "no photo arrived." in quiet
    assert "<table" not in quiet


def test_hostile_words_are_escaped() -> None:
    html = drift(build_page(planted(hostile=True)))
    assert "<script>" not in html
    assert "&lt;script&gt;window.hacked=1" in html
