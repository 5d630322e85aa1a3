from pathlib import Path

import numpy as np

from pipeline.analysis.analysis_report import (
    AnalysisSummary,
    build_analysis_page,
    build_analysis_summary,
)
from pipeline.contracts import StageContext
from tests.factory import planted
from tests.helpers.validation_sets import build_from_artifacts


def _made() -> dict[str, object]:
    """The drawn artifacts, of val alone."""
    made = planted()
    rows = made["images"]["image_id"].isin(set(made["predictions"]["image_id"])).to_numpy()
    ids = set(made["images"]["image_id"][rows])
    for name in ("images", "splits", "attributes"):
        made[name] = made[name][rows].reset_index(drop=True)
    made["label_issues"] = made["label_issues"][made["label_issues"]["image_id"].isin(ids)]
    accuracy = {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9}}
    return made | {
        "pixels": made["pixels"][rows],
        "duplicates": made["duplicates"].iloc[:0],
        "metrics": accuracy,
    }


def test_the_summary_and_the_page_agree(tmp_path: Path) -> None:
    made, context = _made(), StageContext("mine", 3, tmp_path, tmp_path)
    context.add_note("something <odd>")
    summary = build_analysis_summary(made, context, are_folds_drawn=True)
    assert AnalysisSummary.model_validate(summary).seed == 3
    assert [s["confirmed"] for s in summary["slices"]] == [True, True, False]
    assert summary["slices"][0]["image_ids"]
    logits = np.zeros((len(made["images"]), 2), np.float32)
    page = build_analysis_page(made, logits, context, summary)
    assert "3 slices tested, 2 confirmed" in page
    assert "something &lt;odd&gt;" in page
    assert "not probed" not in page
    assert "Promoted" not in page


def test_without_a_probe_causes_are_only_suspected(tmp_path: Path) -> None:
    made, context = _made(), StageContext("mine", 0, tmp_path, tmp_path)
    made |= {"probed": made["probed"].iloc[:0], "responses": made["responses"][:0]}
    made["validation_set"] = build_from_artifacts(made)
    summary = build_analysis_summary(made, context, are_folds_drawn=False)
    page = build_analysis_page(
        made, np.zeros((len(made["images"]), 2), np.float32), context, summary
    )
    assert summary["probed"] == 0
    assert "causes are suspected only" in page
