"""Interventions and shortcuts on the validation images: pipeline/stages/probe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from pipeline.contracts import DimensionSizes, StageContext, StageOutputs
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.remedies import list_interventions
from pipeline.stages.probe import Config, run

CLASS_NAMES = ["blue", "red"]
COLUMNS = {intervention: number for number, intervention in enumerate(list_interventions())}


@dataclass
class _ProbeInputs:
    """The artifacts that probe needs: validation images and as many of train and test."""

    model: Path
    images: pd.DataFrame = field(init=False)
    pixels: NDArray[np.uint8] = field(init=False)
    splits: pd.DataFrame = field(init=False)
    predictions: pd.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        half = rng.integers(0, 250, (12, 16, 32, 3), dtype=np.uint8)
        # each image is its own vertical flip
        self.pixels = np.concatenate([half, half[:, ::-1]], axis=1)
        ids = [f"i{row}" for row in range(12)]
        labels = [CLASS_NAMES[row // 2 % 2] for row in range(12)]
        groups = [f"g{row}" for row in range(12)]
        self.images = pd.DataFrame({"image_id": ids, "label": labels, "group": groups})
        split = ["val", "train", "val", "test"] * 3
        fold = [0, -1, 1, -1] * 3
        self.splits = pd.DataFrame({"image_id": ids, "split": split, "fold": fold})
        self.predictions = self._predict_val()

    def _predict_val(self) -> pd.DataFrame:
        """Return the predictions of the model, in reverse order."""
        rows = np.flatnonzero(self.splits["split"] == "val")[::-1]
        network, meta = load_model(self.model)
        logits = compute_logits(network, self.pixels[rows], meta)
        table = self.images.loc[rows, ["image_id", "label"]].reset_index(drop=True)
        table["predicted"] = np.array(CLASS_NAMES)[logits.argmax(1)]
        table["confidence"] = 0.9
        table["margin"] = 0.0
        table[["logit_0", "logit_1"]] = logits
        return table

    def run_probe(self, config: Config, folder: Path) -> tuple[StageOutputs, list[str]]:
        context = StageContext("run", 0, folder, folder)
        made = run(
            config,
            context,
            images=self.images,
            pixels=self.pixels,
            classes={"names": CLASS_NAMES},
            attributes=self.images[["image_id"]],
            splits=self.splits,
            model=self.model,
            predictions=self.predictions,
            embeddings=np.zeros((len(self.images), 2), np.float32),
            metrics={"costs": None},
            label_issues=pd.DataFrame({"image_id": pd.Series([], dtype="str")}),
        )
        assert set(made) == set(get_stage("probe").makes)
        dimensions: DimensionSizes = {}
        for name, value in made.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
        assert dimensions["interventions"] == len(list_interventions())
        return made, context.notes


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a packaged backbone with a random head."""
    network, meta = build_network("tf_efficientnet_lite0", "packaged", CLASS_NAMES, 32, 0.0)
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(network.classifier.weight, std=0.05, generator=generator)
    return save_model(tmp_path_factory.mktemp("model"), network, meta)


@pytest.fixture
def inputs(model: Path) -> _ProbeInputs:
    return _ProbeInputs(model)


def test_the_model_predicts_the_treated_images(inputs: _ProbeInputs, tmp_path: Path) -> None:
    made, notes = inputs.run_probe(Config(), tmp_path)
    val = made["validation_set"]
    flipped = val.responses[:, COLUMNS["vertical_flip", 1.0]]
    np.testing.assert_array_equal(flipped, val.predictions[val.probed_rows])
    assert len(val.probed_rows) == val.image_count == 6
    assert list(made["marks"]["image_id"]) == list(inputs.images["image_id"])
    assert "2 classes have too few groups to look for marks" in notes[0]


def test_the_sample_is_limited(inputs: _ProbeInputs, tmp_path: Path) -> None:
    made, _ = inputs.run_probe(Config(max_images=2), tmp_path)
    val = made["validation_set"]
    assert len(val.probed_rows) == 2
    assert val.probe_weights.sum() == pytest.approx(6)
    assert val.image_count == 6


def test_the_pixels_of_test_have_no_influence(inputs: _ProbeInputs, tmp_path: Path) -> None:
    before, _ = inputs.run_probe(Config(), tmp_path)
    inputs.pixels[(inputs.splits["split"] == "test").to_numpy()] = 0
    after, _ = inputs.run_probe(Config(), tmp_path)
    one = before["validation_set"]
    other = after["validation_set"]
    np.testing.assert_array_equal(one.responses, other.responses)
    assert before["dose_response"].equals(after["dose_response"])


def test_unknown_labels_and_predictions_outside_val_are_left_out(
    inputs: _ProbeInputs, tmp_path: Path
) -> None:
    inputs.predictions.loc[0, "label"] = "green"
    outside = inputs.predictions.iloc[[1]].assign(image_id="i1")
    inputs.predictions = pd.concat([inputs.predictions, outside], ignore_index=True)
    made, _ = inputs.run_probe(Config(check_shortcuts=False), tmp_path)
    expected = set(inputs.predictions["image_id"][1:6])
    assert set(made["validation_set"].image_ids) == expected


def test_an_empty_validation_set_is_noted(inputs: _ProbeInputs, tmp_path: Path) -> None:
    inputs.splits["split"] = "train"
    inputs.predictions = inputs.predictions.iloc[:0]
    made, notes = inputs.run_probe(Config(), tmp_path)
    assert made["validation_set"].image_count == 0
    assert notes == ["val holds no labeled image, so no intervention was tried"]
