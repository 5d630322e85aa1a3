"""Interventions on validation images: pipeline/slices/causes/intervention_probe.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.domain.probe_results import NOT_ASKED, ProbeMeasurements
from pipeline.remedies import list_interventions
from pipeline.slices.causes import intervention_probe
from pipeline.slices.causes.intervention_probe import (
    ProbeSize,
    build_probe_frame,
    probe_interventions,
)

CLASS_NAMES = ["blue", "red"]
COLUMNS = {intervention: number for number, intervention in enumerate(list_interventions())}
BRIGHTER = COLUMNS["exposure", 2.0]
DARKER = COLUMNS["exposure", 0.25]
RANDOM_REMEDIES = ("noise", "occlusion", "motion_blur", "shadow")


def _compute_logits(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weigh red against blue at a mean of at least 40, and predict blue in the dark."""
    means = pixels.mean(axis=(1, 2)) if len(pixels) else np.zeros((0, 3))
    scores = np.where(means.mean(axis=1) >= 40, (means[:, 0] - means[:, 2]) / 20, -2.0)
    return np.stack([-scores, scores], axis=1).astype(np.float32)


def _draw_images(gains: list[float], labels: list[str]) -> NDArray[np.uint8]:
    images = [np.zeros((0, 16, 16, 3))]
    for gain, label in zip(gains, labels, strict=True):
        color = (60, 90, 120) if label == "blue" else (120, 90, 60)
        images.append(np.full((1, 16, 16, 3), color) * gain)
    return np.rint(np.concatenate(images)).astype(np.uint8)


def _make_frame(pixels: NDArray[np.uint8], labels: list[str], groups: list[int]) -> pd.DataFrame:
    logits = _compute_logits(pixels)
    return pd.DataFrame(
        {
            "image_id": [f"v{row}" for row in range(len(labels))],
            "row": np.arange(len(labels)),
            "group": [f"g{group}" for group in groups],
            "fold": 0,
            "label_index": pd.Index(CLASS_NAMES).get_indexer(pd.Index(labels)),
            "logit_0": logits[:, 0],
            "logit_1": logits[:, 1],
        }
    )


def _probe(
    gains: list[float],
    labels: list[str],
    groups: list[int],
    max_images: int = 2000,
    *,
    screened_images: int = 2000,
    seed: int = 0,
) -> tuple[ProbeMeasurements, pd.DataFrame, list[str]]:
    pixels = _draw_images(gains, labels)
    context = StageContext("run", seed, Path(), Path())
    frame = _make_frame(pixels, labels, groups)
    size = ProbeSize(max_images, screened_images)
    made, table = probe_interventions(frame, pixels, _compute_logits, size, context)
    return made, table.set_index(["remedy", "strength"]), context.notes


NIGHT_GAINS = [1.0] * 8 + [0.3] * 4
NIGHT_LABELS = ["red", "blue"] * 4 + ["red"] * 4
NIGHT_GROUPS = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def _probe_night() -> tuple[ProbeMeasurements, pd.DataFrame, list[str]]:
    """Probe 12 images of 6 groups; the red ones of groups 4 and 5 are dark and misclassified."""
    return _probe(NIGHT_GAINS, NIGHT_LABELS, NIGHT_GROUPS)


def test_light_repairs_the_dark_images_and_darkness_breaks_the_others() -> None:
    made, _, notes = _probe_night()
    assert notes == []
    assert list(made.image_ids) == [f"v{row}" for row in range(12)]
    assert list(made.weights) == [1.0] * 12
    assert (made.responses[8:, BRIGHTER] == 1).all()
    assert (made.responses[:, DARKER] == 0).all()
    flipped = made.responses[:, COLUMNS["vertical_flip", 1.0]]
    assert flipped.tolist() == [1, 0] * 4 + [0] * 4


def test_dose_response_counts_repaired_and_broken_images() -> None:
    _, table, _ = _probe_night()
    brighter = table.loc[("exposure", 2.0)]
    assert tuple(brighter[["accuracy", "repairs", "breaks"]]) == (1.0, 1.0, 0.0)
    assert brighter["low"] < 1
    darker = table.loc[("exposure", 0.25)]
    shares = tuple(darker[["accuracy", "repairs", "breaks"]])
    assert shares == pytest.approx((4 / 12, 0.0, 0.5))
    flipped = table.loc[("horizontal_flip", 1.0)]
    assert flipped["accuracy"] == pytest.approx(8 / 12)
    assert flipped["low"] < 8 / 12 < flipped["high"]


def test_the_accuracy_is_weighted() -> None:
    gains = [1.0] * 30 + [0.3] * 3 + [1.0]
    made, table, _ = _probe(gains, ["red"] * 34, [0] * 30 + [1] * 3 + [2], max_images=10)
    assert len(made.image_ids) == 10
    assert table.loc[("horizontal_flip", 1.0), "accuracy"] == pytest.approx(31 / 34)


def test_the_sample_follows_the_seed_and_not_the_outcome() -> None:
    groups = [row % 4 for row in range(40)]
    labels = ["red"] * 40
    samples = []
    for gains, seed in (([1.0, 0.3] * 20, 0), ([0.3, 1.0] * 20, 0), ([1.0, 0.3] * 20, 1)):
        made, _, _ = _probe(gains, labels, groups, max_images=12, seed=seed)
        samples.append(list(made.image_ids))
    assert samples[0] == samples[1]
    assert samples[0] != samples[2]


def test_the_same_probe_twice_gives_the_same() -> None:
    first, _, _ = _probe_night()
    second, _, _ = _probe_night()
    np.testing.assert_array_equal(first.responses, second.responses)


def test_chunks_change_random_remedies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = _probe_night()
    monkeypatch.setattr(intervention_probe, "IMAGES_PER_CHUNK", 5)
    parts, _, _ = _probe_night()
    fixed = [column for (name, _), column in COLUMNS.items() if name not in RANDOM_REMEDIES]
    np.testing.assert_array_equal(parts.responses[:, fixed], whole.responses[:, fixed])


def test_the_rest_is_asked_only_about_interventions_that_move_something() -> None:
    gains, labels = [1.0] * 90 + [0.3] * 10, ["red", "blue"] * 45 + ["red"] * 10
    groups = [row // 2 for row in range(100)]
    made, table, notes = _probe(gains, labels, groups, screened_images=40)
    turned, darker = COLUMNS["vertical_flip", 1.0], DARKER
    is_asked = made.responses[:, turned] != NOT_ASKED
    assert is_asked.sum() == 40
    np.testing.assert_array_equal(is_asked, made.screen_weights > 0)
    assert (made.responses[:, darker] != NOT_ASKED).all()
    assert table.loc[("vertical_flip", 1.0), "images"] == is_asked.sum()
    assert table.loc[("exposure", 0.25), "images"] == 100
    assert table.loc[("vertical_flip", 1.0), "accuracy"] == pytest.approx(0.9, abs=0.06)
    assert len(notes) == 1
    whole, _, _ = _probe(gains, labels, groups)
    fixed = [column for (name, _), column in COLUMNS.items() if name not in RANDOM_REMEDIES]
    is_known = made.responses[:, fixed] != NOT_ASKED
    assert (made.responses[:, fixed] == whole.responses[:, fixed])[is_known].all()


def test_without_failures_nothing_is_repaired() -> None:
    _, table, _ = _probe([1.0] * 3, ["red", "blue", "red"], [0, 0, 1])
    assert (table["repairs"] == 0).all()


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_one_image_has_an_interval(gain: float) -> None:
    _, table, _ = _probe([gain], ["red"], [0])
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()


def test_no_image_is_noted() -> None:
    made, table, notes = _probe([], [], [])
    assert len(made.image_ids) == 0
    assert len(table) == len(list_interventions())
    assert notes == ["val holds no labeled image, so no intervention was tried"]


def test_the_frame_holds_the_known_labels_of_val_in_the_order_of_images() -> None:
    images = pd.DataFrame({"image_id": list("abcde"), "group": list("vwxyz")})
    splits = pd.DataFrame(
        {
            "image_id": list("edcba"),
            "split": ["val", "val", "val", "train", "val"],
            "fold": [4, 3, 2, -1, 0],
        }
    )
    predictions = pd.DataFrame(
        {"image_id": list("dbca"), "label": ["red", "red", "green", "blue"], "logit_0": 0.0}
    )
    frame = build_probe_frame(images, splits, predictions, CLASS_NAMES)
    assert frame["image_id"].tolist() == ["a", "d"]
    assert frame["row"].tolist() == [0, 3]
    assert frame["label_index"].tolist() == [0, 1]
    assert frame["fold"].tolist() == [0, 3]
