import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Rule
from pipeline.slices.comparison.comparison_inputs import ComparisonInputs, get_luminance
from pipeline.statistics.model_comparison import ModelOutput
from tests.helpers.validation_sets import make_validation_set

RUNS = [("control", 0), ("targeted", 0), ("control", 1), ("generic", 0), ("another", 0)]


@pytest.fixture
def inputs(tmp_path: Path) -> ComparisonInputs:
    ids = ["a", "b", "c", "d"]
    images = pd.DataFrame(
        {"image_id": ids, "label": ["x", "y", None, "x"], "group": ["g1", "g1", "g2", "g3"]}
    )
    splits = pd.DataFrame({"image_id": ids, "split": ["val", "val", "test", "test"]})
    statuses = ["confirmed", "not confirmed", "confirmed"]
    explanations = pd.DataFrame(
        {"slice": ["s1", "s2", "s3"], "status": statuses, "rank": [2, 1, 1]}
    )
    explanations["frozen"] = Rule(()).dump_json()
    runs = [
        {"arm": arm, "seed": seed, "file": f"{arm}-{seed}", "passes": 800, "rows": 50}
        for arm, seed in RUNS
    ]
    (tmp_path / "candidates.json").write_text(json.dumps(runs))
    frame = pd.DataFrame({"image_id": ["b", "a"], "label": ["y", "x"], "group": "g1"})
    val = make_validation_set(frame, [1, 0], [1, 0], "xy", image_rows=np.array([1, 0]))
    id_table = pd.DataFrame({"image_id": ids})
    return ComparisonInputs(
        images,
        np.zeros((4, 2, 2, 3), np.uint8),
        splits,
        id_table,
        id_table,
        tmp_path,
        val,
        id_table,
        explanations,
        pd.DataFrame({"slice": ["s3"]}),
        tmp_path,
    )


def test_slices_are_ordered_by_rank(inputs: ComparisonInputs) -> None:
    assert inputs.confirmed_slices == ["s3", "s1"]
    assert inputs.planned_slices == ["s3"]


def test_rows_follow_the_validation_set_and_the_labeled_test_images(
    inputs: ComparisonInputs,
) -> None:
    assert inputs.validation_rows.tolist() == [1, 0]
    assert inputs.test_rows.tolist() == [3]


def test_only_seeds_of_every_arm_are_compared(inputs: ComparisonInputs) -> None:
    runs = [(run["arm"], run["seed"]) for run in inputs.candidate_runs]
    assert runs == [("control", 0), ("targeted", 0), ("generic", 0)]
    budget = {"seeds": 1, "passes": 800, "rows": 50}
    assert inputs.arm_budgets == [
        {"arm": arm, **budget} for arm in ("control", "targeted", "generic")
    ]


def test_a_comparison_has_the_labels_and_groups_of_its_rows(inputs: ComparisonInputs) -> None:
    comparison = inputs.build_comparison(np.array([1, 0]), [ModelOutput("before", None, np.eye(2))])
    assert comparison.labels.tolist() == [1, 0]
    assert comparison.groups.tolist() == ["g1", "g1"]
    assert comparison.compute_correctness("before").tolist() == [[False, False]]


def test_luminance_is_unknown_or_not_measured() -> None:
    attributes = pd.DataFrame({"luminance": [10.0, None, 30.0]})
    luminance = get_luminance(attributes, np.array([2, 1]))
    assert luminance is not None
    assert luminance[0] == 30.0
    assert np.isnan(luminance[1])
    assert get_luminance(pd.DataFrame({"hour": [1.0]}), np.array([0])) is None
