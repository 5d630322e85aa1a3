from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.slices.prescription.collection_requests import (
    describe_prescription,
    mark_untrained_slices,
    write_requests,
)


def test_requests_ask_for_the_share_that_the_slice_has_in_validation(tmp_path: Path) -> None:
    ids = [f"i{k}" for k in range(200)]
    images = pd.DataFrame({"image_id": ids, "path": [f"{i}.jpg" for i in ids]})
    splits = pd.DataFrame({"image_id": ids, "split": ["train"] * 100 + ["val"] * 100})
    is_member = np.zeros(200, bool)
    is_member[:3] = is_member[100:130] = True
    confirmed = pd.DataFrame({"slice": ["s1"], "words": ["Too dark."], "rule": ["luminance <= 60"]})
    scores = np.linspace(0, 1, 30)
    membership = pd.DataFrame({"image_id": ids[100:130], "slice": "s1", "score": scores})
    issue = {
        "image_id": "i7",
        "label": "a",
        "suggested": "b",
        "confidence": 0.9,
        "kind": "suspected",
        "split": "train",
    }
    folder = write_requests(
        tmp_path / "exports",
        {"s1": is_member},
        images,
        splits,
        confirmed,
        membership,
        pd.DataFrame([issue]),
    )
    request = pd.read_csv(folder / "collect.csv").iloc[0]
    assert (request["have"], request["wanted"]) == (3, 30)
    examples = request["examples"].split("; ")
    assert examples == [f"i{k}.jpg" for k in (129, 128, 127, 126, 125)], "most typical first"
    assert pd.read_csv(folder / "relabel.csv")["path"].tolist() == ["i7.jpg"]


def _build_plan(remedy: str, strength: float, **columns: Any) -> pd.DataFrame:
    rows = {"image_id": ["t1", "t2"], "remedy": remedy, "simulator": None}
    return pd.DataFrame(rows | {"strength_low": strength, "strength_high": strength} | columns)


def _describe(
    cause: str | None, plan: pd.DataFrame, correction: dict[str, Any] | None = None
) -> dict[str, Any]:
    explanation = SimpleNamespace(slice="s1", words="Too dark", cause=cause, fit_auc=0.58)
    return describe_prescription(explanation, plan, correction)


@pytest.mark.parametrize(
    ("cause", "plan", "kind", "phrase"),
    [
        (
            "exposure",
            _build_plan("low_light", 0.25),
            "augment",
            "low light at 25.0% of the brightness",
        ),
        (None, _build_plan("oversampling", 3.0), "oversample", "2 training images"),
        (None, _build_plan("reweighting", 4.0), "reweight", "4 times"),
        (None, pd.DataFrame(), "collect", "collect more images"),
    ],
)
def test_the_kind_of_a_prescription_follows_from_cause_and_plan(
    cause: str | None, plan: pd.DataFrame, kind: str, phrase: str
) -> None:
    prescription = _describe(cause, plan)
    assert prescription["kind"] == kind
    assert phrase in prescription["action"]
    assert prescription["images"] == (2 if len(plan) else 0)


def test_the_separability_is_reported_for_treated_images_only() -> None:
    treated = _build_plan("exposure", 0.2, strength_high=0.4)
    simulated = _build_plan("exposure", 0.2, simulator="gate")
    assert "x0.2 to x0.4 (" in _describe("exposure", treated)["action"]
    assert "AUC of 0.58" in _describe("exposure", treated)["action"]
    assert "AUC" not in _describe("exposure", simulated)["action"]
    assert "simulator of gate" in _describe("exposure", simulated)["action"]


def test_only_a_helpful_correction_is_prescribed() -> None:
    plan = _build_plan("exposure", 0.25)
    correction = {"words": "exposure x4", "helps": True}
    assert _describe("exposure", plan, correction)["action"].endswith("exposure x4")
    assert "x4" not in _describe("exposure", plan, correction | {"helps": False})["action"]


def test_slices_that_the_search_left_out_train_no_images() -> None:
    prescriptions = [
        {"slice": "s1", "images": 5, "action": "train"},
        {"slice": "s2", "images": 5, "action": "train"},
        {"slice": "s3", "images": 0, "action": "collect"},
    ]
    mark_untrained_slices(prescriptions, {"s1"})
    assert [item["images"] for item in prescriptions] == [5, 0, 0]
    assert prescriptions[0]["action"] == "train"
    assert prescriptions[1]["action"].startswith("tried, and left out")
    assert prescriptions[2]["action"] == "collect"
