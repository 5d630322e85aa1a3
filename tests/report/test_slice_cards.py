from dataclasses import replace

import numpy as np
import pytest

from pipeline.report import slice_cards as view
from pipeline.report.report_page import ReportPage
from tests.report.conftest import build_page


def test_the_dose_table_is_the_accuracy_inside_and_outside(page: ReportPage) -> None:
    table = view.build_dose_response_table(page, "s1", "exposure").set_index("strength")
    assert list(table.index) == [0.25, 0.5, 1.0, 2.0, 3.0]
    flips, inside = page.flips, page.flips["image_id"].isin(page.slice_members["s1"])
    untouched = (flips["true"] == flips["was"])[inside].mean()
    assert table.at[1.0, "inside"] == pytest.approx(untouched)
    column = int(
        np.flatnonzero(
            (page["dose_response"]["remedy"] == "exposure") & (page["dose_response"]["strength"] == 2.0)
        )[0]
    )
    right = page.validation_set.responses[:, column] == flips["true"].to_numpy()
    assert table.at[2.0, "outside"] == pytest.approx(right[~inside.to_numpy()].mean())


def test_weights_of_the_sample_count(page: ReportPage) -> None:
    weights = np.where(page.flips["true"] == page.flips["was"], 3.0, 1.0)
    heavy = build_page(
        dict(page.artifacts)
        | {"validation_set": replace(page.validation_set, probe_weights=weights)}
    )
    light = view.build_dose_response_table(page, "s1", "exposure").set_index("strength")
    assert (
        view.build_dose_response_table(heavy, "s1", "exposure").set_index("strength").at[1.0, "inside"]
        > light.at[1.0, "inside"]
    )


def test_a_remedy_that_is_not_installed_any_more_is_named_by_its_name() -> None:
    assert view.describe_remedy("gone_away") == "gone away"
    assert view.format_remedy_strength("gone_away", 2.0) == "gone away 2"


def test_what_an_intervention_turns_is_counted_and_adds_up_to_the_curve(page: ReportPage) -> None:
    counts = view.count_intervention_effects(page, "s1", "exposure", 2.0)
    assert counts is not None
    assert counts["misread"] + counts["right"] == len(page.slice_members["s1"])
    assert 0 < counts["repaired"] <= counts["misread"]
    after = counts["right"] - counts["broken"] + counts["repaired"]
    curve = (
        view.build_dose_response_table(page, "s1", "exposure").set_index("strength").at[2.0, "inside"]
    )
    assert after / len(page.slice_members["s1"]) == pytest.approx(curve)
    assert view.count_intervention_effects(page, "s1", "exposure", 17.0) is None
    assert view.count_intervention_effects(page, "s1", None, None) is None
