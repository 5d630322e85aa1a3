"""Models taken over without training: pipeline/learning/models/model_adoption.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.contracts import InputError, StageContext
from pipeline.domain.statuses import ModelOrigin
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.models.model_adoption import adopt_champion, adopt_user_model
from pipeline.learning.training_settings import UserModelSettings
from tests.learning.drawn import draw_images

CLASS_NAMES = ["lying", "standing"]
HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    return StageContext("run", 0, tmp_path / "scratch", tmp_path)


@pytest.fixture
def champion_folder(tmp_path: Path) -> Path:
    model, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 32, 0.0, seed=0)
    folder = tmp_path / "run-7" / "promote" / "bundle"
    return save_model(folder, model, meta | {"temperature": 1.7})


def test_the_champion_is_copied(champion_folder: Path, context: StageContext) -> None:
    made = adopt_champion(champion_folder, CLASS_NAMES, 32, 0.25, context)
    name = "model.safetensors"
    assert (made["model"] / name).read_bytes() == (champion_folder / name).read_bytes()
    assert (made["training"]["steps"], made["training"]["temperature"]) == (0, 1.7)
    assert made["training"]["holdout"] == {"share": 0.25, "seed": 0}
    assert made["training"]["origin"] == ModelOrigin.CHAMPION
    assert made["history"].empty
    assert context.notes == ["took the champion of run run-7 as it is"]


@pytest.mark.parametrize(
    ("class_names", "side", "message"),
    [
        (["cat", "standing"], 32, "new in the data: cat; without an image now: lying"),
        (CLASS_NAMES, 64, r"reads images of 32 px; set ingest\.side=32"),
    ],
)
def test_a_champion_for_other_data_is_refused(
    champion_folder: Path, context: StageContext, class_names: list[str], side: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        adopt_champion(champion_folder, class_names, side, 0.1, context)


def test_a_users_model_is_reordered_and_checked(
    champion_folder: Path, context: StageContext, tmp_path: Path
) -> None:
    model, meta = load_model(champion_folder)
    images = draw_images(40)
    logits = compute_logits(model, images.load_pixels(), meta)
    file = tmp_path / "mine.pth"
    torch.save({"state_dict": model.state_dict(), "classes": CLASS_NAMES[::-1]}, file)
    settings = UserModelSettings(backbone="test_efficientnet", mean=HALF, std=HALF)
    made = adopt_user_model(settings, file, images, CLASS_NAMES, 0.1, context)
    adopted, adopted_meta = load_model(made["model"])
    reordered = compute_logits(adopted, images.load_pixels(), adopted_meta)
    np.testing.assert_allclose(reordered, logits[:, ::-1], atol=1e-6)
    correct = int((reordered.argmax(1) == images.labels).sum())
    assert f"predicts the label of {correct} of 40 training images" in context.notes[0]
    assert len(context.notes) == 1
    record = made["training"]
    assert (record["origin"], record["model_file"]) == (ModelOrigin.USER_FILE, file.name)


def test_an_unknown_class_order_is_noted(
    champion_folder: Path, context: StageContext, tmp_path: Path
) -> None:
    model, _ = load_model(champion_folder)
    file = tmp_path / "mine.pth"
    torch.save({"state_dict": model.state_dict()}, file)
    settings = UserModelSettings(backbone="test_efficientnet", mean=HALF, std=HALF)
    adopt_user_model(settings, file, draw_images(10), CLASS_NAMES, 0.1, context)
    assert "sorted order" in context.notes[1]


class _SmallNetwork(nn.Module):
    """A user's own network, with or without trainable weights."""

    def __init__(self, is_trainable: bool) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 8, 3).requires_grad_(is_trainable)
        self.head = nn.Linear(8, 2).requires_grad_(is_trainable)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.maps(images).relu().mean((2, 3)))
        return out


@pytest.mark.parametrize("is_trainable", [True, False])
def test_a_program_reports_whether_it_can_be_trained_further(
    is_trainable: bool, context: StageContext, tmp_path: Path
) -> None:
    example = (torch.rand(2, 3, 32, 32),)
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(
        _SmallNetwork(is_trainable).eval(), example, dynamic_shapes=shapes
    )
    file = tmp_path / "mine.pt2"
    torch.export.save(program, file)
    settings = UserModelSettings(mean=HALF, std=HALF, class_order=CLASS_NAMES)
    adopt_user_model(settings, file, draw_images(10), CLASS_NAMES, 0.1, context)
    assert ("norms and dropout as exported" in context.notes[-1]) is is_trainable
    assert ("no trainable weights" in context.notes[-1]) is not is_trainable
