from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.analysis.analysis_inputs import AnalysisInputs, load_predictions
from pipeline.contracts import InputError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name, level in (("x.png", 10), ("y.png", 200)):
        Image.fromarray(np.full((6, 9, 3), level, np.uint8)).save(tmp_path / name)
    table = pd.DataFrame(
        {"image_id": ["1", "2"], "path": ["x.png", "y.png"], "label": ["dim", "lit"]}
    )
    table.to_csv(tmp_path / "M.csv", index=False)
    return tmp_path / "M.csv"


def _predict(images: list[np.ndarray]) -> np.ndarray:
    """Return scores of `lit`, `dim`."""
    return np.array([[image.mean(), 100.0] for image in images])


def test_the_scores_of_a_function_follow_the_classes(manifest: Path) -> None:
    inputs = AnalysisInputs(manifest, predict=_predict, classes=("lit", "dim"))
    given = load_predictions(inputs, print)
    assert given.class_names == ["lit", "dim"]
    assert given.logits.tolist() == [[10, 100], [200, 100]]
    scores = pd.DataFrame({"image_id": ["2", "1"], "prob_dim": [0.1, 0.9], "prob_lit": [0.9, 0.1]})
    scores.to_csv(manifest.parent / "P.csv", index=False)
    inputs = AnalysisInputs(
        manifest, manifest.parent / "P.csv", predict=_predict, classes=("lit", "dim")
    )
    given = load_predictions(inputs, print)
    assert given.class_names == ["dim", "lit"]
    assert given.logits.argmax(1).tolist() == [0, 1]
    assert given.model is not None
    pixels = np.full((1, 4, 4, 3), 10, np.uint8)
    assert given.model.predict_scores(pixels, given.model.scalings[0]).tolist() == [[100, 10]]


def test_an_unreadable_image_and_foreign_classes_are_one_line(manifest: Path) -> None:
    path = manifest.parent / "P.csv"
    path.write_text("image_id,prob_dim,prob_lit\n1,1,0\n2,0,1\n")
    inputs = AnalysisInputs(manifest, path, predict=_predict, classes=("a", "b"))
    with pytest.raises(InputError, match="are not the classes"):
        load_predictions(inputs, print)
    (manifest.parent / "x.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"x\.png: cannot be used \(empty file\)"):
        load_predictions(AnalysisInputs(manifest, predict=_predict), print)
