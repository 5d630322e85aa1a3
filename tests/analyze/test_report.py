from pathlib import Path

import numpy as np

from pipeline.analyze.report import Analysis, make_page, summarise
from pipeline.contracts import Context
from tests.factory import planted


def _made() -> dict[str, object]:
    """The drawn artifacts, of val alone."""
    made = planted()
    rows = made["images"]["image_id"].isin(set(made["predictions"]["image_id"])).to_numpy()
    ids = set(made["images"]["image_id"][rows])
    for name in ("images", "splits", "attributes"):
        made[name] = made[name][rows].reset_index(drop=True)
    made["label_issues"] = made["label_issues"][made["label_issues"]["image_id"].isin(ids)]
    accuracy = {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9}}
    return made | {"pixels": made["pixels"][rows], "duplicates": made["duplicates"].iloc[:0], "metrics": accuracy}


def test_the_summary_and_the_page_say_the_same(tmp_path: Path) -> None:
    made, context = _made(), Context("mine", 3, tmp_path, tmp_path)
    context.note("something <odd>")
    summary = summarise(made, context, folds_drawn=True)
    assert Analysis.model_validate(summary).seed == 3
    assert [s["confirmed"] for s in summary["slices"]] == [True, True, False]
    assert summary["slices"][0]["image_ids"]
    logits = np.zeros((len(made["images"]), 2), np.float32)
    page = make_page(made, logits, context, summary)
    assert "3 slices tested, 2 confirmed" in page
    assert "something &lt;odd&gt;" in page
    assert "not probed" not in page
    assert "Promoted" not in page


def test_without_a_probe_the_page_says_that_causes_are_suspected(tmp_path: Path) -> None:
    made, context = _made(), Context("mine", 0, tmp_path, tmp_path)
    made |= {"probed": made["probed"].iloc[:0], "responses": made["responses"][:0]}
    summary = summarise(made, context, folds_drawn=False)
    page = make_page(made, np.zeros((len(made["images"]), 2), np.float32), context, summary)
    assert summary["probed"] == 0
    assert "causes are suspected only" in page
