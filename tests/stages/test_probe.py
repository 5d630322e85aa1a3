"""The probe stage with a planted weakness: a "model" that sees color, but nothing where there is little light."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.domain.validation_set import ValidationSet
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.remedies import list_interventions
from pipeline.stages import probe
from pipeline.stages.probe import Config, run

SEALED = 251  # the value of every pixel of images outside val
CLASSES = {"names": ["blue", "red"]}
COLUMN = {intervention: number for number, intervention in enumerate(list_interventions())}


def _logits(network: Any, pixels: np.ndarray, meta: Any, batch: int = 64, **_: Any) -> np.ndarray:
    """Red against blue where the mean is at least 40; "blue" in the dark."""
    assert not (pixels == SEALED).all(axis=(1, 2, 3)).any(), "a image outside val was looked at"
    mean = pixels.mean(axis=(1, 2)) if len(pixels) else np.zeros((0, 3))
    score = np.where(mean.mean(axis=1) >= 40, (mean[:, 0] - mean[:, 2]) / 20, -2.0)
    return np.stack([-score, score], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "load_model", lambda folder: (None, {}))
    monkeypatch.setattr(probe, "logits", _logits)


@dataclass
class World:
    """The artifacts that probe needs."""

    images: pd.DataFrame
    pixels: np.ndarray
    splits: pd.DataFrame
    predictions: pd.DataFrame

    def probe(
        self, tmp_path: Path, seed: int = 0, most: int = 2000
    ) -> tuple[dict[str, Any], list[str]]:
        context = StageContext("run", seed, tmp_path, tmp_path)
        made = run(
            Config(max_images=most),
            context,
            images=self.images,
            pixels=self.pixels,
            classes=CLASSES,
            attributes=self.images[["image_id"]],
            splits=self.splits,
            model=tmp_path,
            predictions=self._predicted(),
            embeddings=np.zeros((len(self.images), 2), np.float32),
            metrics={"costs": None},
            label_issues=pd.DataFrame({"image_id": pd.Series([], dtype="str")}),
        )
        assert set(made) == set(get_stage("probe").makes)
        dims: DimensionSizes = {}
        for name, value in made.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
        assert dims["interventions"] == len(list_interventions())
        return made | _measurements(made["validation_set"]), context.notes

    def _predicted(self) -> pd.DataFrame:
        best = self.predictions[["logit_0", "logit_1"]].to_numpy().argmax(1)
        return self.predictions.assign(
            predicted=np.array(CLASSES["names"])[best], confidence=0.9, margin=0.0
        )


def _measurements(val: ValidationSet) -> dict[str, Any]:
    """The probe's part of the set, its sample as a table."""
    ids = val.image_ids.iloc[val.probed_rows].reset_index(drop=True)
    probed = pd.DataFrame({"image_id": ids, "weight": val.probe_weights})
    return {"probed": probed, "signatures": val.signatures, "responses": val.responses}


def _world(groups: list[int], light: list[float], labels: list[str]) -> World:
    """Val images by group, brightness and label, mixed with as many of train and test."""
    rows, images = [], []
    for number, (group, gain, label) in enumerate(zip(groups, light, labels, strict=True)):
        image = np.full((16, 16, 3), (60, 90, 120) if label == "blue" else (120, 90, 60), np.uint8)
        rows.append((f"v{number}", f"g{group}", label, "val"))
        rows.append((f"x{number}", f"h{group}", label, "test" if number % 2 else "train"))
        images += [np.rint(image * gain).astype(np.uint8), np.full((16, 16, 3), SEALED, np.uint8)]
    frame = pd.DataFrame(rows, columns=["image_id", "group", "label", "split"]).astype("str")
    pixels = np.stack(images) if images else np.zeros((0, 16, 16, 3), np.uint8)
    frame["fold"] = np.where(frame["split"] == "val", 0, -1)
    val = frame[frame["split"] == "val"]
    scores = _logits(None, pixels[val.index], {})
    predictions = (
        val[["image_id", "label"]].iloc[::-1].reset_index(drop=True)
    )  # in an order of its own
    predictions[["logit_0", "logit_1"]] = scores[::-1]
    return World(
        frame[["image_id", "group", "label"]],
        pixels,
        frame[["image_id", "split", "fold"]],
        predictions,
    )


def _night() -> World:
    """12 images of 6 groups; the four red ones of groups 4 and 5 are dark, and so wrong."""
    return _world(
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
        [1.0] * 8 + [0.3] * 4,
        ["red", "blue"] * 4 + ["red"] * 4,
    )


def test_the_planted_cause_shows_in_the_signatures(tmp_path: Path) -> None:
    made, notes = _night().probe(tmp_path)
    assert notes == [
        "marks to lean on were not looked for in 2 classes of too few groups, such as blue"
    ]
    assert list(made["probed"]["image_id"]) == [f"v{n}" for n in range(12)]
    assert list(made["probed"]["weight"]) == [1.0] * 12
    up, down = COLUMN["exposure", 2.0], COLUMN["exposure", 0.25]
    assert (made["signatures"][8:, up] > 1).all()
    assert (made["responses"][8:, up] == 1).all()
    assert (made["signatures"][[0, 2, 4, 6], down] < -1).all()
    assert (made["responses"][:, down] == 0).all()
    assert np.abs(made["signatures"][:, COLUMN["vertical_flip", 1.0]]).max() < 1e-6


def test_signature_is_the_change_of_the_log_probability(tmp_path: Path) -> None:
    made, _ = _night().probe(tmp_path)

    def log_true(score: float) -> float:
        return float(-np.log1p(np.exp(-2 * score)))

    up = COLUMN["exposure", 2.0]
    assert made["signatures"][0, up] == pytest.approx(
        log_true((240 - 120) / 20) - log_true((120 - 60) / 20), abs=1e-5
    )
    assert made["signatures"][8, up] == pytest.approx(
        log_true((72 - 36) / 20) - log_true(-2), abs=1e-5
    )


def test_dose_response_counts_repairs_and_breaks(tmp_path: Path) -> None:
    table = _night().probe(tmp_path)[0]["dose_response"].set_index(["remedy", "strength"])
    up, down = table.loc[("exposure", 2.0)], table.loc[("exposure", 0.25)]
    assert (up["accuracy"], up["repairs"], up["breaks"]) == (1.0, 1.0, 0.0)
    assert up["low"] < 1
    assert (down["accuracy"], down["repairs"], down["breaks"]) == pytest.approx((4 / 12, 0.0, 0.5))
    still = table.loc[("horizontal_flip", 1.0)]
    assert still["accuracy"] == pytest.approx(8 / 12)
    assert still["low"] < 8 / 12 < still["high"]


def test_weights_make_up_for_large_groups(tmp_path: Path) -> None:
    world = _world([0] * 30 + [1] * 3 + [2], [1.0] * 30 + [0.3] * 3 + [1.0], ["red"] * 34)
    made, _ = world.probe(tmp_path, most=10)
    probed = made["probed"].merge(world.images, on="image_id")
    counts = probed["group"].value_counts()
    assert counts.to_dict() == {"g0": 6, "g1": 3, "g2": 1}
    assert probed.groupby("group")["weight"].first().to_dict() == {"g0": 5.0, "g1": 1.0, "g2": 1.0}
    table = made["dose_response"].set_index(["remedy", "strength"])
    assert table.loc[("horizontal_flip", 1.0), "accuracy"] == pytest.approx(31 / 34)


def test_more_groups_than_images_allowed(tmp_path: Path) -> None:
    world = _world(list(range(40)), [1.0] * 40, ["red"] * 40)
    probed = world.probe(tmp_path, most=10)[0]["probed"]
    assert len(probed) == 10
    assert probed["weight"].sum() == pytest.approx(40)


def test_the_sample_follows_the_seed_and_never_the_outcome(tmp_path: Path) -> None:
    world = _world([n % 4 for n in range(40)], [1.0, 0.3] * 20, ["red"] * 40)
    first = world.probe(tmp_path, most=12)[0]["probed"]
    flipped = world.predictions.assign(
        logit_0=world.predictions["logit_1"], logit_1=world.predictions["logit_0"]
    )
    again = World(world.images, world.pixels, world.splits, flipped).probe(tmp_path, most=12)[0][
        "probed"
    ]
    pd.testing.assert_frame_equal(first, again)
    assert list(first["image_id"]) != list(
        world.probe(tmp_path, seed=1, most=12)[0]["probed"]["image_id"]
    )
    assert list(first["image_id"]) != [f"v{n}" for n in range(12)]


def test_the_same_run_twice_is_the_same(tmp_path: Path) -> None:
    first, second = (_night().probe(tmp_path)[0] for _ in range(2))
    np.testing.assert_array_equal(first["signatures"], second["signatures"])


def test_chunks_change_nothing_but_random_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _night().probe(tmp_path)[0]
    monkeypatch.setattr(probe, "IMAGES_PER_CHUNK", 5)
    parts = _night().probe(tmp_path)[0]
    fixed = [
        c
        for (name, _), c in COLUMN.items()
        if name not in ("noise", "occlusion", "motion_blur", "shadow")
    ]
    np.testing.assert_allclose(
        parts["signatures"][:, fixed], whole["signatures"][:, fixed], atol=1e-6
    )


def test_no_failures_end_well(tmp_path: Path) -> None:
    made, _ = _world([0, 0, 1], [1.0] * 3, ["red", "blue", "red"]).probe(tmp_path)
    assert (made["dose_response"]["repairs"] == 0).all()


@pytest.mark.parametrize("light", [1.0, 0.3])
def test_one_image_ends_well(light: float, tmp_path: Path) -> None:
    table = _world([0], [light], ["red"]).probe(tmp_path)[0]["dose_response"]
    assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()


def test_an_empty_val_ends_well_and_says_so(tmp_path: Path) -> None:
    world = _night()
    empty = World(
        world.images, world.pixels, world.splits.assign(split="train"), world.predictions.iloc[:0]
    )
    made, notes = empty.probe(tmp_path)
    assert len(made["probed"]) == 0
    assert len(notes) == 1


def test_a_prediction_outside_val_is_never_probed(tmp_path: Path) -> None:
    world = _night()
    stray = world.predictions.iloc[:1].assign(image_id="x1")
    world.predictions = pd.concat([world.predictions, stray], ignore_index=True)
    assert len(world.probe(tmp_path)[0]["probed"]) == 12


def test_a_real_network_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "load_model", load_model)
    monkeypatch.setattr(probe, "logits", compute_logits)
    network, meta = build_network("tf_efficientnet_lite0", "packaged", CLASSES["names"], 32, 0.0)
    torch.nn.init.normal_(
        network.classifier.weight, std=0.05, generator=torch.Generator().manual_seed(0)
    )
    save_model(tmp_path, network, meta)
    world = _world([0, 1, 2], [1.0, 1.0, 1.0], ["red", "blue", "red"])
    half = np.random.default_rng(0).integers(0, 250, (6, 16, 32, 3), dtype=np.uint8)
    world.pixels = np.concatenate([half, half[:, ::-1]], axis=1)  # the same upside down
    rows = [
        world.images.index[world.images["image_id"] == i][0] for i in world.predictions["image_id"]
    ]
    world.predictions[["logit_0", "logit_1"]] = compute_logits(network, world.pixels[rows], meta)
    signatures = world.probe(tmp_path)[0]["signatures"]
    np.testing.assert_allclose(signatures[:, COLUMN["vertical_flip", 1.0]], 0, atol=1e-4)
    assert np.abs(signatures[:, COLUMN["exposure", 0.25]]).min() > 1e-3


def test_labels_that_the_model_does_not_know_are_left_out(tmp_path: Path) -> None:
    world = _night()
    world.predictions.loc[world.predictions["image_id"] == "v3", "label"] = "green"
    assert "v3" not in set(world.probe(tmp_path)[0]["probed"]["image_id"])
    assert len(world.probe(tmp_path)[0]["probed"]) == 11


@pytest.mark.parametrize("sizes", [[1], [30, 3, 1], [5, 5, 5], [100, 1, 1, 7], [2] * 9])
@pytest.mark.parametrize("most", [1, 9, 10, 40, 1000])
def test_the_cap_is_the_largest_that_fits(sizes: list[int], most: int) -> None:
    array = np.array(sizes)
    fits = [c for c in range(1, max(sizes) + 1) if np.minimum(array, c).sum() <= most]
    assert probe._find_group_cap(array, most) == max(fits, default=1)
