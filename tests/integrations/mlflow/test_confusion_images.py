from pathlib import Path

import cv2
import pandas as pd
import pytest

from pipeline.integrations.mlflow.confusion_images import write_confusion_matrices
from pipeline.report.run_summary import build_summary
from tests.factory import planted
from tests.report.conftest import build_page


@pytest.mark.parametrize("classes", [0, 43])
def test_both_matrices_are_drawn_and_tabled(classes: int, tmp_path: Path) -> None:
    summary = build_summary(build_page(planted(classes)))
    write_confusion_matrices(summary, tmp_path)
    table = pd.read_csv(tmp_path / "confusion.csv")
    assert table["before"].sum() == table["after"].sum() == summary["metrics"]["val"]["n"]
    drawn = [cv2.imread(str(tmp_path / f"{side}.png")) for side in ("before", "after")]
    assert all(d.shape[0] > 300 and d.std() > 5 for d in drawn)
    assert drawn[0].shape != drawn[1].shape or (drawn[0] != drawn[1]).any()


def test_without_a_matrix_nothing_is_written(tmp_path: Path) -> None:
    write_confusion_matrices({"confusion": [], "data": {"classes": []}}, tmp_path)
    assert not list(tmp_path.iterdir())
