import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.evidence.trial import Judged
from pipeline.slicing.case import Inputs
from pipeline.slicing.rules import Rule


def _inputs(folder: Path) -> Inputs:
    ids = ["a", "b", "c", "d"]
    images = pd.DataFrame({"image_id": ids, "label": ["x", "y", None, "x"], "group": ["g1", "g1", "g2", "g3"]})
    splits = pd.DataFrame({"image_id": ids, "split": ["val", "val", "test", "test"]})
    found = pd.DataFrame({"slice": ["s1", "s2", "s3"], "status": ["confirmed", "not confirmed", "confirmed"]})
    found["frozen"] = Rule(()).dump()
    plan = pd.DataFrame({"slice": ["s3"]})
    entries = [("control", 0), ("targeted", 0), ("control", 1), ("generic", 0), ("another", 0)]
    rows = [{"arm": arm, "seed": seed, "file": f"{arm}-{seed}", "passes": 800, "rows": 50} for arm, seed in entries]
    text = json.dumps(rows)
    (folder / "candidates.json").write_text(text)
    empty = pd.DataFrame({"image_id": ids})
    return Inputs(
        images,
        np.zeros((4, 2, 2, 3), np.uint8),
        ["x", "y"],
        splits,
        empty,
        empty,
        folder,
        pd.DataFrame({"image_id": ["b", "a"]}),
        empty,
        found.assign(rank=[2, 1, 1]),
        plan,
        folder,
    )


def test_what_is_judged_follows_from_the_artifacts(tmp_path: Path) -> None:
    inputs = _inputs(tmp_path)
    assert inputs.confirmed == ["s3", "s1"]
    assert inputs.planned == ["s3"]
    assert inputs.val.tolist() == [1, 0], "in the order of the predictions"
    assert inputs.test.tolist() == [3], "a photo without a label judges nobody"
    arms = [("control", 0), ("targeted", 0), ("generic", 0)]
    assert [(r["arm"], r["seed"]) for r in inputs.runs] == arms, "seeds that every arm has"
    assert inputs.budget == [{"arm": arm, "seeds": 1, "passes": 800, "rows": 50} for arm, _ in arms]


def test_a_trial_knows_the_classes_and_groups_of_its_rows(tmp_path: Path) -> None:
    trial = _inputs(tmp_path).trial(np.array([1, 0]), [Judged("before", None, np.eye(2))])
    assert trial.truth.tolist() == [1, 0]
    assert trial.groups.tolist() == ["g1", "g1"]
    assert trial.correct("before").tolist() == [[False, False]]
