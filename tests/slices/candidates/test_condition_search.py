from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition
from pipeline.slices.candidates.condition_search import ConditionSearch, generate_conditions
from pipeline.slices.candidates.proposal_evidence import ProposalEvidence
from pipeline.slices.finder_constants import CONSTANTS

KEYS = pd.DataFrame({"image_id": range(48), "label": "a", "group": range(48)})


def _build_evidence(frame: pd.DataFrame, errors: np.ndarray) -> ProposalEvidence:
    n = len(frame)
    return ProposalEvidence(
        frame=frame,
        is_misclassified=errors,
        repair_residuals=np.zeros((n, 0)),
        repair_gains=np.zeros((n, 0)),
        prototype_ids=(),
        prototype_distances=np.zeros((0, n), np.float32),
        min_images=4,
    )


def test_numbers_get_thresholds_texts_and_codes_equality_and_hours_arcs() -> None:
    frame = KEYS.assign(
        luminance=np.arange(48.0), floor=np.arange(48) % 3, camera=["n", "s"] * 24, hour=12.0
    )
    by_column: dict[str, list[Condition]] = {name: [] for name in frame.columns[3:]}
    for condition in generate_conditions(frame):
        by_column[condition.column].append(condition)
    assert {c.op for c in by_column["luminance"]} == {"<=", ">="}
    medians = [c.value for c in by_column["luminance"]].count(23.5)
    assert medians == 2, "the median bounds either half"
    assert [c.value for c in by_column["floor"]] == ["0", "1", "2"]
    assert [c.value for c in by_column["camera"]] == ["n", "s"]
    lengths = {(c.value[1] - c.value[0]) % 24 for c in by_column["hour"]}
    assert lengths == set(CONSTANTS.candidates.arc_hours)
    assert len(by_column["hour"]) == 24 * len(lengths)


def test_an_unknown_value_bounds_no_threshold() -> None:
    known = np.arange(48.0)
    frame = KEYS.assign(luminance=np.where(known < 4, np.nan, known))
    thresholds = [condition.value for condition in generate_conditions(frame)]
    assert np.isfinite(thresholds).all()
    assert min(thresholds) > 4


def test_conditions_that_admit_too_few_or_too_many_images_are_not_searched() -> None:
    frame = KEYS.assign(camera=["rare"] * 3 + ["common"] * 40 + ["usable"] * 5)
    search = ConditionSearch.from_evidence(_build_evidence(frame, np.zeros(48, bool)))
    assert [condition.value for condition in search.conditions] == ["usable"]


def test_a_pair_is_proposed_where_only_both_conditions_together_gather_the_errors() -> None:
    frame = KEYS.assign(camera=["n", "s"] * 24, door=["e", "e", "w", "w"] * 12)
    errors = ((frame["camera"] == "n") & (frame["door"] == "e")).to_numpy()
    evidence = _build_evidence(frame, errors)
    rules = ConditionSearch.from_evidence(evidence).find_best_rules(
        evidence.excess_losses, "attributes", max_conditions=4
    )
    best = max(rules, key=lambda rule: rule.score)
    assert {c.value for c in best.rule.conditions} == {"n", "e"}
    assert best.mask.tolist() == errors.tolist()


def test_a_rule_of_one_class_admits_and_counts_that_class_only() -> None:
    labels = np.where(np.arange(48) < 24, "a", "b")
    frame = KEYS.assign(label=labels, camera=["n", "s"] * 24)
    errors = (frame["camera"] == "n").to_numpy()
    evidence = _build_evidence(frame, errors)
    search = ConditionSearch.from_evidence(evidence)
    (rule,) = search.find_best_rules(evidence.excess_losses, "class", max_conditions=1, label="a")
    assert rule.rule.label == "a"
    assert rule.mask.tolist() == (errors & (labels == "a")).tolist()


def test_without_a_column_nothing_is_proposed() -> None:
    evidence = _build_evidence(KEYS, np.arange(48) < 10)
    search = ConditionSearch.from_evidence(evidence)
    assert search.find_best_rules(evidence.excess_losses, "attributes", max_conditions=4) == []
    constant = replace(evidence, frame=KEYS.assign(camera="n"))
    assert ConditionSearch.from_evidence(constant).conditions == []
