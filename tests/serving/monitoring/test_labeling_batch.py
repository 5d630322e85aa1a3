from pathlib import Path

import pandas as pd

from pipeline.data.dataset_reader import read_dataset
from pipeline.domain.rules import build_condition_frame
from pipeline.serving.monitoring.labeling_batch import (
    REMAINING_STRATUM_WORDS,
    build_strata,
    choose_batch,
)
from pipeline.serving.monitoring.prediction_rows import build_traffic
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from tests.arrivals import TAG, rows
from tests.night import image


def _chosen(known: ReferenceProfile, table: pd.DataFrame, size: int) -> pd.DataFrame:
    return choose_batch(table, known, build_traffic(table, known, ["badge", "none"], "r"), size)


def _planted() -> pd.DataFrame:
    """Sixty light images and twenty dark ones of ten visits, of which the first four are black; all declined but half
    of the light ones."""
    table = rows(40, dark=0.0)
    table.loc[60:, ["luminance", "slices"]] = [40.0, TAG]
    table.loc[60:63, "luminance"] = 1.0
    table["probability"] = [0.5 + k / 1000 for k in range(80)]
    return table.assign(decision=["answer"] * 30 + ["decline"] * 50, sharpness=2.0)


def test_slices_and_what_is_new_take_turns_and_declined_images_come_first(
    known: ReferenceProfile,
) -> None:
    table = _planted()
    groups = build_strata(known, build_traffic(table, known, ["badge", "none"], "r"))
    sizes = {words: int(mask.sum()) for words, mask in groups.items()}
    assert sizes == {TAG: 20, "dark beyond anything known": 4, REMAINING_STRATUM_WORDS: 60}
    batch = _chosen(known, table, 9)
    assert list(batch.columns) == ["file_name", "label", "group", "captured_at", "chosen_for"]
    position = {name: k for k, name in enumerate(table["path"])}
    rows_of = [position[name] for name in batch["file_name"]]
    assert rows_of == [60, 62, 30, 64, 61, 32, 66, 63, 34], (
        "one of each visit first, then the least certain"
    )
    assert (
        batch["chosen_for"].iloc[0] == f"declined (badge, 0.560); {TAG}; dark beyond anything known"
    )
    assert (batch["label"] == "").all()


def test_when_the_declined_ones_are_used_up_the_least_certain_follow_and_no_image_twice(
    known: ReferenceProfile,
) -> None:
    table = _planted()
    batch = _chosen(known, table, 1000)
    assert len(batch) == 80
    assert batch["file_name"].is_unique
    assert batch["chosen_for"].iloc[-1].startswith("among the least certain (badge, 0.5")
    assert _chosen(known, table, 0).empty
    assert _chosen(known, table.iloc[:0], 5).empty


def test_it_is_a_manifest_once_labels_are_filled_in_and_its_reasons_explain_no_failure(
    known: ReferenceProfile, tmp_path: Path
) -> None:
    import cv2
    import numpy as np

    table = rows(3)
    for k in range(6):
        table.loc[k, "path"] = str(tmp_path / f"{k}.png")
        cv2.imwrite(str(tmp_path / f"{k}.png"), image("lying", False, np.random.default_rng(k)))
    batch = _chosen(known, table, 6)
    (tmp_path / "out").mkdir()
    batch.assign(label="badge").to_csv(tmp_path / "out" / "batch.csv", index=False)
    photos = list(read_dataset(tmp_path / "out" / "batch.csv"))
    assert {p.source for p in photos} == set(table["path"])
    assert {p.group for p in photos} == {"v0", "v1", "v2"}
    assert all("chosen_for" in p.columns for p in photos)
    images = pd.DataFrame(
        {"image_id": range(6), "label": "badge", "group": "g", "chosen_for": list("aabbcc")}
    )
    frame = build_condition_frame(images, pd.DataFrame({"image_id": range(6)}))
    assert "chosen_for" not in frame
