import numpy as np
import pandas as pd

from pipeline.slicing.validation import validation

FRAME = pd.DataFrame({"image_id": list("abcd"), "label": ["x", "y", "x", "y"], "group": list("1122")})
SPLITS = pd.DataFrame({"image_id": list("abcd"), "split": ["val", "train", "val", "val"], "fold": [0, -1, 1, 2]})
PREDICTIONS = pd.DataFrame(
    {"image_id": list("dac"), "label": ["y", "x", "x"], "predicted": ["x", "x", "y"], "margin": [-1.0, 2.0, -3.0]}
)
PROBED = pd.DataFrame({"image_id": list("cd"), "weight": [1.0, 2.0]})
RESPONSES = np.array([[0, 1], [1, 1]], np.int16)
NONE = pd.DataFrame({"image_id": pd.Series([], dtype="str")})


def test_everything_is_laid_over_the_same_rows() -> None:
    val = validation(FRAME, SPLITS, ["x", "y"], PREDICTIONS, NONE, PROBED, RESPONSES)
    assert val.frame["image_id"].tolist() == ["d", "a", "c"]
    assert val.rows.tolist() == [3, 0, 2]
    assert val.fold.tolist() == [2, 0, 1]
    assert val.errors.tolist() == [True, False, True]
    assert val.probed.tolist() == [2, 0]
    assert val.probe.after.tolist() == [[True, False], [True, True]]
    assert val.probe.change.tolist() == [[1, 0], [1, 1]]
    assert val.probe.margin.tolist() == [-3.0, -1.0]


def test_suspected_labels_are_kept_apart_from_failures() -> None:
    val = validation(FRAME, SPLITS, ["x", "y"], PREDICTIONS, pd.DataFrame({"image_id": ["c"]}), PROBED, RESPONSES)
    assert val.frame["image_id"].tolist() == ["d", "a"]
    assert val.kept.tolist() == [False, True]
    assert val.probed.tolist() == [0]
    assert val.errors.tolist() == [True, False]
