from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pipeline.data.dataset_reader import read_dataset
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.serving.monitoring.labeling_batch import REMAINING_STRATUM, build_strata, choose_batch
from pipeline.serving.monitoring.prediction_rows import build_traffic
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from tests.arrivals import rows
from tests.night import image

SLICE = "s1: luminance <= 50"
NOVEL = "dark beyond anything known"


def _choose(reference: ReferenceProfile, table: pd.DataFrame, size: int) -> pd.DataFrame:
    return choose_batch(table, reference, build_traffic(table, reference, "rows"), size)


def _plant_rows() -> pd.DataFrame:
    """Sixty light images and twenty dark ones of ten visits; half of the light ones are answered.

    The first four dark images are darker than any in training.
    """
    table = rows(40, dark=0.0)
    table.loc[60:, "luminance"] = 40.0
    table.loc[60:, "slices"] = "s1"
    table.loc[60:63, "luminance"] = 1.0
    table["probability"] = [0.5 + k / 1000 for k in range(80)]
    return table.assign(decision=["answer"] * 30 + ["decline"] * 50, sharpness=2.0)


def test_strata_are_slices_novel_values_and_the_rest(reference: ReferenceProfile) -> None:
    strata = build_strata(reference, build_traffic(_plant_rows(), reference, "rows"))
    sizes = {description: int(mask.sum()) for description, mask in strata.items()}
    assert sizes == {SLICE: 20, NOVEL: 4, REMAINING_STRATUM: 60}


def test_strata_take_turns_and_each_visit_comes_once_before_any_twice(
    reference: ReferenceProfile,
) -> None:
    table = _plant_rows()
    batch = _choose(reference, table, 9)
    assert list(batch.columns) == ["file_name", "label", "group", "captured_at", "chosen_for"]
    positions = {name: k for k, name in enumerate(table["path"])}
    assert [positions[name] for name in batch["file_name"]] == [60, 62, 30, 64, 61, 32, 66, 63, 34]
    assert batch["chosen_for"].iloc[0] == f"declined (badge, 0.560); {SLICE}; {NOVEL}"
    assert (batch["label"] == "").all()


def test_least_certain_images_follow_the_declined_ones(reference: ReferenceProfile) -> None:
    table = _plant_rows()
    batch = _choose(reference, table, 1000)
    assert len(batch) == 80
    assert batch["file_name"].is_unique
    is_declined = batch["chosen_for"].str.startswith("declined").tolist()
    assert is_declined == [True] * 50 + [False] * 30
    assert _choose(reference, table, 0).empty
    assert _choose(reference, table.iloc[:0], 5).empty


def test_labeled_batch_is_a_dataset(reference: ReferenceProfile, tmp_path: Path) -> None:
    table = rows(3)
    for k in range(6):
        path = tmp_path / f"{k}.png"
        table.loc[k, "path"] = str(path)
        cv2.imwrite(str(path), image("lying", False, np.random.default_rng(k)))
    batch = _choose(reference, table, 6)
    (tmp_path / "out").mkdir()
    batch.assign(label="badge").to_csv(tmp_path / "out" / "batch.csv", index=False)
    records = list(read_dataset(tmp_path / "out" / "batch.csv"))
    assert {record.source for record in records} == set(table["path"])
    assert {record.group for record in records} == {"v0", "v1", "v2"}
    assert all("chosen_for" in record.columns for record in records)


def test_no_rule_tests_why_an_image_was_chosen() -> None:
    images = pd.DataFrame(
        {"image_id": range(6), "label": "badge", "group": "g", "chosen_for": list("aabbcc")}
    )
    frame = build_condition_frame(images, pd.DataFrame({"image_id": range(6)}))
    assert "chosen_for" not in frame
