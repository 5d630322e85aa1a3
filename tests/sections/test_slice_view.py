import numpy as np
import pytest

from pipeline.sections import Page
from pipeline.sections import slice_view as view
from tests.sections.conftest import build_page


def test_the_dose_table_is_the_accuracy_inside_and_outside(page: Page) -> None:
    table = view.dose_table(page, "s1", "exposure").set_index("dose")
    assert list(table.index) == [0.25, 0.5, 1.0, 2.0, 3.0]
    flips, inside = page.flips, page.flips["image_id"].isin(page.members["s1"])
    untouched = (flips["true"] == flips["was"])[inside].mean()
    assert table.at[1.0, "inside"] == pytest.approx(untouched)
    column = int(
        np.flatnonzero((page["dose_response"]["remedy"] == "exposure") & (page["dose_response"]["dose"] == 2.0))[0]
    )
    right = np.asarray(page["responses"])[:, column] == flips["true"].to_numpy()
    assert table.at[2.0, "outside"] == pytest.approx(right[~inside.to_numpy()].mean())


def test_weights_of_the_sample_count(page: Page) -> None:
    probed = page["probed"].assign(weight=np.where(page.flips["true"] == page.flips["was"], 3.0, 1.0))
    heavy = build_page(dict(page.made) | {"probed": probed})
    light = view.dose_table(page, "s1", "exposure").set_index("dose")
    assert view.dose_table(heavy, "s1", "exposure").set_index("dose").at[1.0, "inside"] > light.at[1.0, "inside"]


def test_a_remedy_that_is_not_installed_any_more_is_named_by_its_name() -> None:
    assert view.remedy_words("gone_away") == "gone away"
    assert view.dosed("gone_away", 2.0) == "gone away 2"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("Too dark: 3 of 9 photos are misread.", ("Too dark", "3 of 9 photos are misread.")),
        (
            "Too dark: 2 of 3 failures were taken from 21:00 to 05:00 on camera a: b; x.",
            (
                "Too dark, taken from 21:00 to 05:00 on camera a: b",
                "2 of 3 failures were taken from 21:00 to 05:00 on camera a: b; x.",
            ),
        ),
        (
            "Dark: 2 of 3 failures were taken on camera n, mostly a read as b.",
            ("Dark, taken on camera n", "2 of 3 failures were taken on camera n, mostly a read as b."),
        ),
        ("a: b: 1,200 of 2,000 photos are misread; x", ("a: b", "1,200 of 2,000 photos are misread; x")),
        ("only words", ("only words", "")),
    ],
)
def test_headline_parts(words: str, parts: tuple[str, str]) -> None:
    assert view.headline(words) == parts


def test_what_an_intervention_turns_is_counted_and_adds_up_to_the_curve(page: Page) -> None:
    counts = view.turned(page, "s1", "exposure", 2.0)
    assert counts is not None
    assert counts["misread"] + counts["right"] == len(page.members["s1"])
    assert 0 < counts["repaired"] <= counts["misread"]
    after = counts["right"] - counts["broken"] + counts["repaired"]
    curve = view.dose_table(page, "s1", "exposure").set_index("dose").at[2.0, "inside"]
    assert after / len(page.members["s1"]) == pytest.approx(curve)
    assert view.turned(page, "s1", "exposure", 17.0) is None
    assert view.turned(page, "s1", None, None) is None
