"""Predictions, embeddings, metrics and label issues: pipeline/stages/evaluate.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import save_model
from pipeline.learning.models.user_model import load_user_model
from pipeline.learning.training_settings import UserModelSettings
from pipeline.stages import evaluate
from pipeline.stages.evaluate import Config
from pipeline.statistics.group_intervals import estimate_cluster_mean
from pipeline.storage import review_decisions
from tests.learning.drawn import CLASS_NAMES, LearningArtifacts

QUICK = Config(check_labels=False)
TEMPERATURE = 2.0


class _CornerReader(torch.nn.Module):
    """A model whose prediction is the red value of the first pixel, with a logit of 4."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        index = (images[:, 0, 0, 0] * 255).round()
        return 4.0 * (index[:, None] == torch.arange(3)).float()


@pytest.fixture(scope="session")
def corner_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the corner reader, saved as an exported program."""
    folder = tmp_path_factory.mktemp("model")
    example = (torch.rand(2, 3, 32, 32),)
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(_CornerReader().eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, folder / "corner.pt2")
    settings = UserModelSettings(mean=(0, 0, 0), std=(1, 1, 1), class_order=CLASS_NAMES)
    model, meta, _ = load_user_model(folder / "corner.pt2", CLASS_NAMES, 32, settings)
    return save_model(folder / "saved", model, meta | {"temperature": TEMPERATURE})


@pytest.fixture
def artifacts(corner_reader: Path) -> LearningArtifacts:
    """Return drawn images; the model misclassifies one in five."""
    artifacts = LearningArtifacts(group_count=100, class_count=3, class_names=CLASS_NAMES)
    labels = artifacts.images["label"].map(CLASS_NAMES.index).to_numpy()
    is_wrong = np.arange(len(labels)) % 5 == 0
    artifacts.pixels[:, 0, 0, 0] = np.where(is_wrong, (labels + 1) % 3, labels)
    artifacts.outputs["model"] = corner_reader
    return artifacts


def _find_rows(artifacts: LearningArtifacts, split: str, label: str | None = None) -> pd.Index:
    is_inside = artifacts.splits["split"] == split
    if label is not None:
        is_inside &= artifacts.images["label"] == label
    return artifacts.images.index[is_inside]


def test_predictions_are_those_of_the_labeled_validation_images(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    val = artifacts.images.loc[_find_rows(artifacts, "val")]
    artifacts.images.loc[val.index[:2], "label"] = None
    made, _ = artifacts.run_stage(evaluate, tmp_path, QUICK)
    table = made["predictions"]
    assert list(table["image_id"]) == list(val["image_id"][2:])
    assert list(table["label"]) == list(val["label"][2:])
    assert (table["correct"] == (table["label"] == table["predicted"])).all()
    assert 0.7 < table["correct"].mean() < 0.9
    assert (table["margin"][table["correct"]] == 4).all()
    assert (table["margin"][~table["correct"]] == -4).all()
    scaled = 4 / TEMPERATURE
    confidence = np.exp(scaled) / (np.exp(scaled) + 2)
    assert table["confidence"].iloc[0] == pytest.approx(confidence)
    assert {str(table[f"logit_{k}"].dtype) for k in range(3)} == {"float32"}


def test_the_pixels_of_test_have_no_influence(artifacts: LearningArtifacts, tmp_path: Path) -> None:
    before, _ = artifacts.run_stage(evaluate, tmp_path / "before", Config())
    is_test = (artifacts.splits["split"] == "test").to_numpy()
    assert np.isnan(before["embeddings"][is_test]).all()
    assert np.isfinite(before["embeddings"][~is_test]).all()
    assert "test" not in set(before["label_issues"]["split"])
    artifacts.pixels[is_test] = 255
    after, _ = artifacts.run_stage(evaluate, tmp_path / "after", Config())
    for name in ("predictions", "label_issues"):
        assert before[name].equals(after[name])
    assert before["metrics"] == after["metrics"]
    np.testing.assert_array_equal(before["embeddings"], after["embeddings"])


def test_metrics_are_by_group_and_by_class(artifacts: LearningArtifacts, tmp_path: Path) -> None:
    made, _ = artifacts.run_stage(evaluate, tmp_path, QUICK)
    table = made["predictions"]
    metrics = made["metrics"]
    groups = artifacts.images["group"].to_numpy()[_find_rows(artifacts, "val")]
    interval = estimate_cluster_mean(table["correct"].to_numpy(), groups)
    assert metrics["accuracy"] == interval.build_record()
    assert metrics["accuracy"]["groups"] == 30
    counts = pd.crosstab(table["label"], table["predicted"])
    assert metrics["confusion"] == counts.loc[CLASS_NAMES, CLASS_NAMES].to_numpy().tolist()
    for name, row in zip(CLASS_NAMES, metrics["classes"], strict=True):
        recall = table.loc[table["label"] == name, "correct"].mean()
        assert row["recall"] == pytest.approx(recall)
    bins = pd.DataFrame(metrics["calibration"]["bins"])
    assert bins["n"].sum() == len(table)
    gaps = bins["n"] * (bins["accuracy"] - bins["confidence"]).abs()
    assert metrics["calibration"]["ece"] == pytest.approx(gaps.sum() / len(table))
    assert metrics["calibration"]["temperature"] == TEMPERATURE


def test_an_empty_validation_set_is_no_error(artifacts: LearningArtifacts, tmp_path: Path) -> None:
    artifacts.splits.loc[artifacts.splits["split"] == "val", "split"] = "train"
    made, _ = artifacts.run_stage(evaluate, tmp_path, QUICK)
    assert len(made["predictions"]) == 0
    assert made["metrics"]["accuracy"]["n"] == 0


def test_planted_wrong_labels_are_suspected_outside_test(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    rows = {split: _find_rows(artifacts, split)[5] for split in ("train", "val", "test")}
    original = artifacts.images["label"].copy()
    for row in rows.values():
        wrong = (CLASS_NAMES.index(original[row]) + 1) % 3
        artifacts.images.loc[row, "label"] = CLASS_NAMES[wrong]
    made, notes = artifacts.run_stage(evaluate, tmp_path, Config())
    table = made["label_issues"].query("kind == 'suspected'").set_index("image_id")
    ids = artifacts.images["image_id"]
    assert notes == []
    assert set(table.index) == {ids[rows["train"]], ids[rows["val"]]}
    for split in ("train", "val"):
        found = table.loc[ids[rows[split]]]
        assert (found["suggested"], found["split"]) == (original[rows[split]], split)


def test_equal_bytes_under_two_labels_are_a_conflict(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    ids = artifacts.images["image_id"]
    one = ids[_find_rows(artifacts, "train", "lying")[0]]
    other = ids[_find_rows(artifacts, "train", "square")[0]]
    artifacts.duplicates.loc[0] = [one, other, "exact", 0, False, False]
    made, _ = artifacts.run_stage(evaluate, tmp_path, QUICK)
    table = made["label_issues"]
    assert table["image_id"].tolist() == [one, other]
    assert table["suggested"].tolist() == ["square", "lying"]
    assert set(table["kind"]) == {"conflict"}


def test_labels_that_could_not_all_be_checked_are_noted(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    config = Config(label_check_images=100)
    _, notes = artifacts.run_stage(evaluate, tmp_path / "many", config)
    assert notes == ["label heads were trained on about 100 of 180 images, evenly by group"]
    artifacts.splits["split"] = ["train"] * 20 + ["val"] * 10 + ["test"] * 170
    made, notes = artifacts.run_stage(evaluate, tmp_path / "few", Config())
    assert notes == ["too few groups to look for wrong labels"]
    assert len(made["label_issues"]) == 0


def test_a_reviewers_decision_on_a_label_comes_first(
    artifacts: LearningArtifacts, tmp_path: Path
) -> None:
    ids = artifacts.images["image_id"]
    val = ids[_find_rows(artifacts, "val")[0]]
    test = ids[_find_rows(artifacts, "test")[0]]
    one = ids[_find_rows(artifacts, "train", "lying")[0]]
    other = ids[_find_rows(artifacts, "train", "square")[0]]
    artifacts.duplicates.loc[0] = [one, other, "exact", 0, False, False]
    run_path = tmp_path / "run"
    assert evaluate.fingerprint_external_inputs(Config(), run_path, None) == ""
    labels: list[dict[str, Any]] = [
        {"image_id": val, "decision": "wrong", "suggested": CLASS_NAMES[0]},
        {"image_id": test, "decision": "wrong", "suggested": CLASS_NAMES[0]},
        {"image_id": one, "decision": "right"},
    ]
    (tmp_path / "saved.json").write_text(json.dumps({"review": 1, "run_id": "r", "labels": labels}))
    review_decisions.apply_review_file(tmp_path, tmp_path / "saved.json")
    assert evaluate.fingerprint_external_inputs(Config(), run_path, None) != ""
    assert evaluate.fingerprint_external_inputs(Config(), run_path, "") == "", "that of its start"
    table = artifacts.run_stage(evaluate, tmp_path, QUICK)[0]["label_issues"]
    assert table["image_id"].tolist() == [other, val]
    assert table.iloc[1][["kind", "suggested", "split"]].tolist() == [
        "reviewed",
        CLASS_NAMES[0],
        "val",
    ]


def test_costs_are_kept_with_the_metrics(artifacts: LearningArtifacts, tmp_path: Path) -> None:
    made, _ = artifacts.run_stage(evaluate, tmp_path / "equal", QUICK)
    assert made["metrics"]["costs"] is None, "all errors cost the same"
    config = Config(check_labels=False, costs={CLASS_NAMES[0]: {CLASS_NAMES[1]: 0.25}})
    made, _ = artifacts.run_stage(evaluate, tmp_path / "unequal", config)
    costs = np.array(made["metrics"]["costs"])
    assert costs[0].tolist() == [0.0, 0.25, 1.0]
    assert np.diag(costs).tolist() == [0.0] * 3
    unknown = Config(costs={"unknown": {CLASS_NAMES[1]: 0.25}})
    for check in (
        lambda: artifacts.run_stage(evaluate, tmp_path / "error", unknown),
        lambda: evaluate.check_classes(unknown, CLASS_NAMES),
    ):
        with pytest.raises(InputError, match=r"evaluate\.costs: unknown class 'unknown'"):
            check()
