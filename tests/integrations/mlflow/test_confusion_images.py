from pathlib import Path

import cv2
import pandas as pd
import pytest

from pipeline.integrations.mlflow.confusion_images import write_confusion_matrices
from pipeline.report.run_summary import build_summary
from tests.factory import planted
from tests.report.conftest import build_page


@pytest.mark.parametrize("class_count", [0, 43])  # 0: the classes of the planted run
def test_both_matrices_are_drawn_and_tabulated(class_count: int, tmp_path: Path) -> None:
    summary = build_summary(build_page(planted(class_count)))
    write_confusion_matrices(summary, tmp_path)
    table = pd.read_csv(tmp_path / "confusion.csv")
    assert table["before"].sum() == table["after"].sum() == summary["metrics"]["val"]["n"]
    charts = [cv2.imread(str(tmp_path / f"{model}.png")) for model in ("before", "after")]
    for chart in charts:
        assert chart.shape[0] > 300
        assert chart.std() > 5  # not a blank image
    assert charts[0].shape != charts[1].shape or (charts[0] != charts[1]).any()


def test_run_without_a_matrix_writes_nothing(tmp_path: Path) -> None:
    write_confusion_matrices({"confusion": [], "data": {"classes": []}}, tmp_path)
    assert not list(tmp_path.iterdir())
