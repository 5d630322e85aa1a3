"""A cause of a few failures, whose inverse repairs significantly many, is not the slice's cause."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.statuses import CauseRefusal
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.repair_agreement import compute_shortfall_p_value
from pipeline.slices.causes.repair_test import add_repairs, evaluate_other_remedies
from pipeline.slices.causes.treatment_matching import TreatmentMatcher
from pipeline.statistics.group_intervals import ConfidenceInterval, estimate_cluster_mean
from tests.slices.causes.conftest import INTERVENTIONS, PlantedImages

DARK = CauseCandidate("exposure", "too dark", 0.25, 0.1, True)
DRAWN_GROUPS = np.array([f"g{k}" for k in range(60)])


def _hide_subclass(darkness: PlantedImages) -> PlantedImages:
    """Return images with 40 lit ones whose label the model never predicts, and 20 dark ones."""
    is_hidden = np.arange(len(darkness.is_member)) < 40
    labels = np.where(is_hidden, 1 - darkness.val.predictions, darkness.val.labels)
    is_member = is_hidden | (np.arange(len(is_hidden)) >= len(is_hidden) - 10)
    return replace(darkness, val=replace(darkness.val, labels=labels), is_member=is_member)


def _test_darkness(planted: PlantedImages, good: PlantedImages) -> CauseCandidate:
    """Return darkness as a cause of the planted slice, with its repairs."""
    mask = planted.is_member
    evaluated = TreatmentMatcher(good.select_good(), mask, mask, 100).evaluate_candidate(DARK)
    failing, tools = planted.failing_rows, planted.tools
    others = evaluate_other_remedies(planted.val, failing, tools, INTERVENTIONS, 0)
    (tested,) = add_repairs(planted.val, failing, [evaluated], tools, others, 0)
    return tested


def test_a_hidden_subclass_with_some_dark_images_is_not_called_dark(
    darkness: PlantedImages,
) -> None:
    hidden = _hide_subclass(darkness)
    tested = _test_darkness(
        hidden, replace(hidden, is_member=hidden.is_member | darkness.is_member)
    )
    assert tested.repair_effect is not None
    assert tested.repair_effect > 0
    assert tested.find_refusal(0.05) == CauseRefusal.REPAIRS_TOO_FEW


def test_a_dark_slice_is_repaired_as_often_as_darkened_good_images(darkness: PlantedImages) -> None:
    tested = _test_darkness(darkness, darkness)
    assert tested.regained is not None
    assert tested.regained.value > 0.9
    assert tested.shortfall_p_value is not None
    assert tested.shortfall_p_value > 0.5
    assert tested.find_refusal(0.05) is None


def _draw_repairs(rng: np.random.Generator, caused_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return repairs and controls of 60 failures, 9 of 10 repaired if caused, else 2 of 10."""
    is_caused = rng.random(60) < caused_share
    repaired = rng.random(60) < np.where(is_caused, 0.9, 0.2)
    return repaired, np.full(60, 0.2)


@pytest.mark.parametrize(
    ("caused_share", "lowest", "highest"), [(1.0, 0.0, 0.0), (0.5, 0.0, 0.1), (0.1, 0.9, 1.0)]
)
def test_a_cause_is_refuted_by_the_share_that_it_made(
    caused_share: float, lowest: float, highest: float
) -> None:
    rng = np.random.default_rng(0)
    refuted = []
    for _ in range(200):
        repaired, controls = _draw_repairs(rng, caused_share)
        regained = estimate_cluster_mean(rng.random(60) < 0.9, DRAWN_GROUPS)
        p_value = compute_shortfall_p_value(repaired, controls, DRAWN_GROUPS, regained)
        assert p_value is not None
        refuted.append(p_value <= 0.05)
    assert lowest <= np.mean(refuted) <= highest


def test_few_groups_refute_nothing_and_an_idle_inverse_refutes_at_once() -> None:
    idle = np.zeros(60, bool)
    regained = estimate_cluster_mean(~idle, DRAWN_GROUPS)
    assert compute_shortfall_p_value(idle, 0.0 * idle, DRAWN_GROUPS, regained) == 0.0
    assert compute_shortfall_p_value(~idle, 0.0 * idle, DRAWN_GROUPS, regained) == 1.0
    few = np.repeat(["g0", "g1"], 30)
    assert compute_shortfall_p_value(idle, 0.0 * idle, few, regained) is None
    unknown: ConfidenceInterval | None = None
    assert compute_shortfall_p_value(idle, 0.0 * idle, DRAWN_GROUPS, unknown) is None
