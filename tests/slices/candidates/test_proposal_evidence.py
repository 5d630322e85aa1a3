from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.proposal_evidence import (
    ProposalEvidence,
    compute_class_excess,
    score_rule,
    sum_target_by_mask,
)
from pipeline.slices.finder_constants import CONSTANTS

RULE = Rule((Condition("luminance", "<=", 2.0),))
MASK = np.array([True, True, True, False, False, False])


def build_evidence() -> ProposalEvidence:
    """Six images of one class in three groups; two of the three dark ones are misclassified."""
    frame = pd.DataFrame(
        {
            "image_id": list("uvwxyz"),
            "label": "a",
            "group": list("112233"),
            "luminance": np.arange(6.0),
        }
    )
    return ProposalEvidence(
        frame=frame,
        is_misclassified=np.array([True, True, False, False, False, False]),
        repair_residuals=np.zeros((6, 0)),
        repair_gains=np.zeros((6, 0)),
        prototype_ids=(),
        prototype_distances=np.zeros((0, 6), np.float32),
    )


def test_a_class_that_fails_as_a_whole_has_no_excess() -> None:
    errors, classes = np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 1])
    assert compute_class_excess(errors, classes).tolist() == [0, 0, 0, 0]


def test_the_standard_error_adds_up_whole_groups() -> None:
    masks = np.array([[True, True, False], [True, True, True]])
    sums, standard_errors = sum_target_by_mask(
        masks, np.array([3.0, 1.0, 3.0]), np.array([0, 0, 1])
    )
    assert sums.tolist() == [4.0, 7.0]
    assert standard_errors.tolist() == [4.0, 5.0]


def test_a_score_is_the_excess_less_its_standard_error() -> None:
    proposal = score_rule(build_evidence(), RULE, MASK)
    # excess: 2/3 twice in group 1, -1/3 in group 2
    assert proposal.recoverable_errors == pytest.approx(1.0)
    assert proposal.score == pytest.approx(1.0 - np.sqrt((4 / 3) ** 2 + (1 / 3) ** 2))
    assert proposal.density == pytest.approx(1 / 3)


def test_a_repair_loses_two_standard_errors_and_a_class_rule_counts_less() -> None:
    evidence = build_evidence()
    target = evidence.excess_losses
    plain, repair = score_rule(evidence, RULE, MASK), score_rule(evidence, RULE, MASK, target)
    standard_error = plain.recoverable_errors - plain.score
    assert repair.score == pytest.approx(plain.recoverable_errors - 2 * standard_error)
    of_class = score_rule(evidence, replace(RULE, label="a"), MASK)
    assert of_class.score == pytest.approx(CONSTANTS.candidates.class_rule_weight * plain.score)


def test_losses_are_costs_where_errors_cost_differently() -> None:
    evidence = build_evidence()
    assert evidence.error_losses.tolist() == [1, 1, 0, 0, 0, 0]
    costs = np.array([0.2, 1, 0, 0, 0, 0])
    assert replace(evidence, prediction_costs=costs).error_losses.tolist() == costs.tolist()
