import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.domain.rules import Rule
from pipeline.slices.prescription.comparison_inputs import ComparisonInputs
from pipeline.statistics.model_comparison import ModelOutput
from tests.helpers.validation_sets import make_validation_set


def _inputs(folder: Path) -> ComparisonInputs:
    ids = ["a", "b", "c", "d"]
    images = pd.DataFrame(
        {"image_id": ids, "label": ["x", "y", None, "x"], "group": ["g1", "g1", "g2", "g3"]}
    )
    splits = pd.DataFrame({"image_id": ids, "split": ["val", "val", "test", "test"]})
    found = pd.DataFrame(
        {"slice": ["s1", "s2", "s3"], "status": ["confirmed", "not confirmed", "confirmed"]}
    )
    found["frozen"] = Rule(()).dump_json()
    plan = pd.DataFrame({"slice": ["s3"]})
    entries = [("control", 0), ("targeted", 0), ("control", 1), ("generic", 0), ("another", 0)]
    rows = [
        {"arm": arm, "seed": seed, "file": f"{arm}-{seed}", "passes": 800, "rows": 50}
        for arm, seed in entries
    ]
    text = json.dumps(rows)
    (folder / "candidates.json").write_text(text)
    empty = pd.DataFrame({"image_id": ids})
    frame = pd.DataFrame({"image_id": ["b", "a"], "label": ["y", "x"], "group": "g1"})
    val = make_validation_set(frame, [1, 0], [1, 0], "xy", image_rows=np.array([1, 0]))
    return ComparisonInputs(
        images,
        np.zeros((4, 2, 2, 3), np.uint8),
        splits,
        empty,
        empty,
        folder,
        val,
        empty,
        found.assign(rank=[2, 1, 1]),
        plan,
        folder,
    )


def test_what_is_judged_follows_from_the_artifacts(tmp_path: Path) -> None:
    inputs = _inputs(tmp_path)
    assert inputs.confirmed_slices == ["s3", "s1"]
    assert inputs.planned_slices == ["s3"]
    assert inputs.validation_rows.tolist() == [1, 0], "in the order of the predictions"
    assert inputs.test_rows.tolist() == [3], "a image without a label judges nobody"
    arms = [("control", 0), ("targeted", 0), ("generic", 0)]
    assert [(r["arm"], r["seed"]) for r in inputs.candidate_runs] == arms, (
        "seeds that every arm has"
    )
    assert inputs.arm_budgets == [
        {"arm": arm, "seeds": 1, "passes": 800, "rows": 50} for arm, _ in arms
    ]


def test_a_trial_knows_the_classes_and_groups_of_its_rows(tmp_path: Path) -> None:
    trial = _inputs(tmp_path).build_comparison(
        np.array([1, 0]), [ModelOutput("before", None, np.eye(2))]
    )
    assert trial.labels.tolist() == [1, 0]
    assert trial.groups.tolist() == ["g1", "g1"]
    assert trial.compute_correctness("before").tolist() == [[False, False]]
