from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.probe_results import NOT_ASKED
from pipeline.report.figures.dose_response_charts import (
    build_dose_response_table,
    count_intervention_effects,
    draw_dose_response,
)
from pipeline.report.report_page import ReportPage
from tests.report.conftest import build_page


def test_the_dose_response_is_the_accuracy_inside_and_outside(page: ReportPage) -> None:
    table = build_dose_response_table(page, "s1", "exposure").set_index("strength")
    assert list(table.index) == [0.25, 0.5, 1.0, 2.0, 3.0]
    is_inside = page.flips["image_id"].isin(page.slice_members["s1"]).to_numpy()
    is_correct = ~page.is_misclassified.to_numpy()
    assert table.at[1.0, "inside"] == pytest.approx(is_correct[is_inside].mean())
    responses = page["dose_response"]
    is_column = (responses["remedy"] == "exposure") & (responses["strength"] == 2.0)
    predictions = page.validation_set.responses[:, int(np.flatnonzero(is_column)[0])]
    is_correct = predictions == page.flips["label_index"].to_numpy()
    assert table.at[2.0, "outside"] == pytest.approx(is_correct[~is_inside].mean())


def test_the_weights_of_the_probed_images_count(page: ReportPage) -> None:
    weights = np.where(page.is_misclassified, 1.0, 3.0)
    val = replace(page.validation_set, probe_weights=weights)
    weighted_page = build_page(dict(page.artifacts) | {"validation_set": val})
    unweighted = build_dose_response_table(page, "s1", "exposure").set_index("strength")
    weighted = build_dose_response_table(weighted_page, "s1", "exposure").set_index("strength")
    assert weighted.at[1.0, "inside"] > unweighted.at[1.0, "inside"]


def test_the_curve_is_described_with_its_best_strength(page: ReportPage) -> None:
    table = build_dose_response_table(page, "s1", "exposure")
    chart = draw_dose_response(page, "s1", "exposure")
    assert chart is not None
    best = table.loc[table["inside"].idxmax(), "strength"]
    assert f"exposure x{best:g}" in chart["caption"]
    assert [row["strength_text"] for row in chart["rows"]][2] == "unchanged"
    assert draw_dose_response(page, "s1", "rotation") is None, "it was not probed"


def test_the_effects_of_an_intervention_add_up_to_the_curve(page: ReportPage) -> None:
    counts = count_intervention_effects(page, "s1", "exposure", 2.0)
    assert counts is not None
    members = page.slice_members["s1"]
    assert counts["misclassified"] == page.is_misclassified[members].sum()
    assert counts["misclassified"] + counts["correct"] == len(members)
    assert 0 < counts["repaired"] <= counts["misclassified"]
    after = counts["correct"] - counts["broken"] + counts["repaired"]
    curve = build_dose_response_table(page, "s1", "exposure").set_index("strength")
    assert after / len(members) == pytest.approx(curve.at[2.0, "inside"])
    assert count_intervention_effects(page, "s1", "exposure", 17.0) is None
    assert count_intervention_effects(page, "s1", None, None) is None


def test_images_that_an_intervention_was_not_tried_on_are_left_out(page: ReportPage) -> None:
    table = page["dose_response"].reset_index(drop=True)
    is_column = (table["remedy"] == "exposure") & (table["strength"] == 2.0)
    column = int(np.flatnonzero(is_column)[0])
    responses = np.array(page.validation_set.responses)
    is_screened = np.arange(len(responses)) % 2 == 0
    responses[~is_screened, column] = NOT_ASKED
    val = replace(
        page.validation_set, responses=responses, screen_weights=np.where(is_screened, 2.0, 0.0)
    )
    screened_page = build_page(dict(page.artifacts) | {"validation_set": val})
    counts = count_intervention_effects(screened_page, "s1", "exposure", 2.0)
    assert counts is not None
    is_member = val.image_ids.isin(page.slice_members["s1"]).to_numpy()
    assert counts["misclassified"] + counts["correct"] == (is_member & is_screened).sum()
    curve = build_dose_response_table(screened_page, "s1", "exposure").set_index("strength")
    is_correct = val.responses[:, column] == val.labels
    assert curve.at[2.0, "outside"] == pytest.approx(is_correct[~is_member & is_screened].mean())
