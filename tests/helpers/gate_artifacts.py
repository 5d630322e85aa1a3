"""Artifacts of a run up to retrain, whose models err at rates that their weights hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pipeline.contracts import StageContext, TableContract
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import load_model, save_model
from pipeline.learning.models.user_model import load_user_model
from pipeline.learning.training_settings import UserModelSettings
from pipeline.slices.comparison.comparison_inputs import ComparisonInputs
from pipeline.storage import champion_registry
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY, RECORD_FILE
from tests.helpers.validation_sets import build_from_artifacts

CLASS_NAMES = ["badge", "none"]
SIDE = 32
IMAGE_COUNT = 900
DARK, LIT = 30, 200  # gray levels; three times the exposure makes a dark image lit
GOOD = (0.1, 0.05)  # error rates on dark and on lit images
BAD = (0.6, 0.05)
DARK_RULE = Rule((Condition("luminance", "<=", 40.0),))


class _ErringModel(torch.nn.Module):
    """Read the label off the first pixel, and err if the image's number is below the rate."""

    def __init__(self) -> None:
        super().__init__()
        self.dark_rate = torch.nn.Parameter(torch.tensor(0.0))
        self.lit_rate = torch.nn.Parameter(torch.tensor(0.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        label = (images[:, 0, 0, 0] > 0.4).long()
        is_dark = images[:, 0, 1, 1] < 40 / 255
        rate = torch.where(is_dark, self.dark_rate, self.lit_rate)
        is_wrong = (images[:, 1, 0, 0] < rate).long()
        prediction = (label + is_wrong) % 2
        return 3.0 * (prediction[:, None] == torch.arange(2)).float()


@cache
def _export_model() -> Path:
    """Return the file of the model as an exported program."""
    path = Path(mkdtemp()) / "erring.pt2"
    example = (torch.rand(2, 3, SIDE, SIDE),)
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(_ErringModel().eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


class WatchedPixels(np.ndarray):
    """Pixels that record which rows were read, and whether a file existed at that time."""

    watched_file: Path
    reads: list[tuple[set[int], bool]]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, np.ndarray):
            rows = np.arange(len(self))[key].tolist()
            self.reads.append((set(rows), self.watched_file.exists()))
        return np.asarray(self)[key]

    @property
    def read_rows(self) -> set[int]:
        """Return all rows that were read."""
        return set().union(*(rows for rows, _ in self.reads))


@dataclass
class GateArtifacts:
    """Artifacts of a run up to retrain: 300 groups of three images, two in five of them dark.

    Attributes:
        folder: folder of all runs.
        artifacts: by name.
    """

    folder: Path
    artifacts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images, attributes, splits, pixels = _draw_images(np.random.default_rng(0))
        model = self.folder / "model"
        settings = UserModelSettings(mean=(0, 0, 0), std=(1, 1, 1), class_order=CLASS_NAMES)
        network, meta, _ = load_user_model(_export_model(), CLASS_NAMES, SIDE, settings)
        save_model(model, network, meta | {"temperature": 1.5})
        _write_rates(model / "model.safetensors", model / "model.safetensors", *BAD)
        is_val = (splits["split"] == "val").to_numpy()
        is_dark = (attributes["luminance"] <= 40).to_numpy()
        members = images["image_id"][is_val & is_dark]
        membership = pd.DataFrame({"image_id": members.to_numpy(), "slice": "s1", "fold": 0})
        self.artifacts |= {
            "images": images,
            "pixels": pixels,
            "classes": {"names": CLASS_NAMES},
            "splits": splits,
            "attributes": attributes,
            "model": model,
            "predictions": _predict_val(model, images, pixels, np.flatnonzero(is_val)[::-1]),
            "metrics": {},
            "membership": membership.assign(score=1.0),
            "marks": images[["image_id"]],
            "explanations": pd.DataFrame([make_explanation("s1", "confirmed")]),
            "plan": _make_plan(images["image_id"][:9]),
            "candidates": self.folder / "candidates",
            "policy": {
                "corrections": [],
                "decline": {"target_error": 0.2},
                "refused": [],
                "prescriptions": [],
            },
        }
        self.write_candidates(control=[BAD], targeted=[GOOD])

    @property
    def ledger(self) -> Path:
        """Return the file of the test openings."""
        return self.folder / "ledger.jsonl"

    @property
    def test_rows(self) -> set[int]:
        """Return the rows of the test set."""
        return set(np.flatnonzero(self.artifacts["splits"]["split"] == "test").tolist())

    def write_candidates(self, **arms: list[tuple[float, float]]) -> None:
        """Write candidates with these error rates on dark and lit images, one for each seed."""
        folder = self.artifacts["candidates"]
        folder.mkdir(exist_ok=True)
        base = self.artifacts["model"] / "model.safetensors"
        entries = []
        for arm, seeds in arms.items():
            for seed, rates in enumerate(seeds):
                file = f"{arm}-{seed}.safetensors"
                _write_rates(base, folder / file, *rates)
                entry = {"arm": arm, "seed": seed, "file": file, "loss": 0.1, "temperature": 2.0}
                entries.append(entry)
        (folder / "candidates.json").write_text(json.dumps(entries))

    def watch_pixels(self) -> WatchedPixels:
        """Replace the pixels by ones that record which rows are read, and return them."""
        watched = self.artifacts["pixels"].view(WatchedPixels)
        watched.reads = []
        watched.watched_file = self.ledger
        self.artifacts["pixels"] = watched
        return watched

    def make_context(self, run_id: str = "run1") -> StageContext:
        """Return the context of a run in the folder of all runs."""
        scratch = self.folder / "scratch" / run_id
        scratch.mkdir(parents=True, exist_ok=True)
        return StageContext(run_id, 0, scratch, self.folder)

    def build_inputs(self) -> ComparisonInputs:
        """Return the inputs of the comparison."""
        names = ("images", "pixels", "splits", "attributes", "marks", "model")
        first = [self.artifacts[name] for name in names]
        names = ("membership", "explanations", "plan", "candidates")
        last = [self.artifacts[name] for name in names]
        return ComparisonInputs(*first, build_from_artifacts(self.artifacts), *last)


def put_champion_in_force(gate: GateArtifacts, rates: tuple[float, float] | None) -> Path:
    """Put a champion of run "old" in force, and return its bundle.

    Args:
        gate: the artifacts; its folder of runs gets the bundle.
        rates: error rates on dark and on lit images; None for the weights of the baseline.
    """
    bundle = gate.folder / "old" / "promote" / "bundle"
    shutil.copytree(gate.artifacts["model"], bundle)
    weights = bundle / "model.safetensors"
    if rates:
        _write_rates(weights, weights, *rates)
    (bundle / RECORD_FILE).write_text(json.dumps({FORMAT_KEY: BUNDLE_FORMAT, "run_id": "old"}))
    with champion_registry.lock_pointer(gate.folder, "run") as pointer:
        champion_registry.set_champion(
            gate.folder, "run", pointer, ("old", "candidate"), "promoted"
        )
    return bundle


def make_explanation(slice_name: str, status: str) -> dict[str, Any]:
    """Return a row of `explanations` of dark images."""
    contract = ARTIFACT_CONTRACTS["explanations"]
    assert isinstance(contract, TableContract)
    row: dict[str, Any] = {}
    for column, dtype in contract.columns.items():
        row[column] = {"str": "dark", "float": 0.1, "int": 1}.get(dtype)
    return {**row, "slice": slice_name, "status": status, "frozen": DARK_RULE.dump_json()}


def _draw_images(
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, NDArray[np.uint8]]:
    """Return images, attributes, splits and pixels."""
    groups = np.repeat(np.arange(IMAGE_COUNT // 3), 3)
    splits = np.array(["train", "val", "test"])[groups % 3]
    is_dark = (rng.random(IMAGE_COUNT // 3) < 0.4)[groups]
    labels = rng.integers(0, 2, IMAGE_COUNT // 3)[groups]
    pixels = np.full((IMAGE_COUNT, SIDE, SIDE, 3), LIT, np.uint8)
    pixels[is_dark] = DARK
    numbers = 0.5 * rng.random(IMAGE_COUNT // 3)[groups] + 0.5 * rng.random(IMAGE_COUNT)
    pixels[:, 0, 0, 0] = labels * 255
    pixels[:, 0, 0, 1] = numbers * 255
    ids = [f"image{row:04d}" for row in range(IMAGE_COUNT)]
    images = pd.DataFrame(
        {
            "image_id": ids,
            "content_hash": ids,
            "path": ids,
            "source": ids,
            "label": np.array(CLASS_NAMES)[labels],
            "group": [f"g{group}" for group in groups],
            "captured_at": pd.NaT,
            "width": SIDE,
            "height": SIDE,
            "group_source": "given",
            "given_split": None,
        }
    )
    luminance = np.where(is_dark, 15.0, 200.0) + rng.random(IMAGE_COUNT)
    attributes = pd.DataFrame({"image_id": ids, "luminance": luminance})
    folds = np.where(splits == "val", groups % 5, -1)
    table = pd.DataFrame({"image_id": ids, "split": splits, "fold": folds, "reason": None})
    return images, attributes, table, pixels


def _predict_val(
    model: Path, images: pd.DataFrame, pixels: NDArray[np.uint8], rows: NDArray[np.intp]
) -> pd.DataFrame:
    """Return the artifact `predictions` of some rows."""
    network, meta = load_model(model)
    logits = compute_logits(network, pixels[rows], meta)
    predicted = np.array(CLASS_NAMES)[logits.argmax(1)]
    labels = images["label"].to_numpy()[rows]
    return pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy()[rows],
            "label": labels,
            "predicted": predicted,
            "correct": predicted == labels,
            "confidence": 0.9,
            "margin": 1.0,
            "logit_0": logits[:, 0],
            "logit_1": logits[:, 1],
        }
    )


def _write_rates(base: Path, target: Path, dark_rate: float, lit_rate: float) -> None:
    weights = load_file(base)
    for name in weights:
        rate = dark_rate if name.endswith("dark_rate") else lit_rate
        weights[name] = np.array(rate, np.float32)
    save_file(weights, target)


def _make_plan(image_ids: pd.Series) -> pd.DataFrame:
    plan = pd.DataFrame({"image_id": image_ids, "slice": "s1", "remedy": "exposure"})
    plan = plan.assign(strength_low=0.2, strength_high=0.5, probability=0.5, tone_share=0.0)
    return plan.assign(simulator=pd.array([None] * len(plan), dtype="str"))
