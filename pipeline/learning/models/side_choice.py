"""The image side that a training can afford, chosen from the images, the network and the device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import (
    create_timm_model,
    load_model_metadata,
    move_to_device,
    require_timm_model,
    select_device,
)
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.training.training_phases import compute_training_side
from pipeline.learning.training_settings import BackboneSettings, BudgetSettings, FitSettings
from pipeline.storage import champion_registry

IMAGE_SIDES = (64, 96, 128, 160, 192, 224)
"""Sides to choose from: multiples of 32, the stride of most networks, up to ImageNet's size."""
PROBE_SIDE = 96
PROBE_BATCH_SIZE = 16
PROBE_STEPS = 3
AREA_EXPONENT = 1.1
"""Time of a step grows by area to this power: from 64 to 224 px 15.4 times as much was measured."""


def _list_default_settings() -> dict[str, Any]:
    """Return the default of each setting that the choice depends on, by key."""
    defaults: dict[str, Any] = {"train.model": "new"}
    for settings in (BudgetSettings, FitSettings, BackboneSettings):
        for name, field in settings.model_fields.items():
            defaults[f"train.{name}"] = field.default
    return defaults


_DEFAULT_SETTINGS = _list_default_settings()


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of a training that are known before the images are read.

    Attributes:
        minutes: time that the training may take on a CPU.
        epoch_images: number of training images.
        image_passes: number of images that it is trained on, with repetition.
        side_share: the setting `train.training_side_share`.
        backbone: name of the timm model.
        model: the setting `train.model`.
    """

    minutes: float
    epoch_images: int
    image_passes: int
    side_share: float
    backbone: str
    model: str

    @classmethod
    def create_from_settings(cls, settings: Mapping[str, Any], epoch_images: int) -> TrainingPlan:
        """Return the plan by the settings of `train`, with keys such as `train.minutes`.

        Args:
            settings: those of `ingest.FOLLOWED_SETTINGS`; the defaults where they are not given.
            epoch_images: number of training images.
        """
        settings = {**_DEFAULT_SETTINGS, **settings}
        passes = settings["train.image_passes"] or settings["train.epochs"] * epoch_images
        return cls(
            minutes=float(settings["train.minutes"]),
            epoch_images=epoch_images,
            image_passes=max(1, round(passes)),
            side_share=float(settings["train.training_side_share"]),
            backbone=str(settings["train.backbone"]),
            model=str(settings["train.model"]),
        )


@dataclass(frozen=True)
class SideChoice:
    """The chosen side of the images.

    Attributes:
        side: in pixels.
        minutes: expected duration of the training; None if time did not limit the choice.
        larger_side: the next larger side that the images have; None if there is none.
        larger_minutes: expected duration at that side.
    """

    side: int
    minutes: float | None = None
    larger_side: int | None = None
    larger_minutes: float | None = None


def find_model_side(plan: TrainingPlan, run_path: Path) -> int | None:
    """Return the side of the images that a champion or a user's model reads, if it fixes one.

    Args:
        plan: the plan of the training.
        run_path: folder of the run.
    """
    if plan.model == "champion":
        pointer = champion_registry.read_starting_champion(run_path)
        folder = champion_registry.find_bundle(run_path.parent, pointer)
        return int(load_model_metadata(folder)["side"]) if folder else None
    if plan.model.endswith(".pt2") and Path(plan.model).is_file():
        return ProgramNetwork(Path(plan.model), []).side
    return None


def list_useful_sides(image_sides: Sequence[int]) -> list[int]:
    """Return the sides to choose from that do not enlarge the median image; the smallest always.

    Args:
        image_sides: the longer side of each image, in pixels.

    >>> list_useful_sides([100, 130, 4000]), list_useful_sides([28, 28])
    ([64, 96, 128], [64])
    """
    median_side = statistics.median(image_sides)
    return [side for side in IMAGE_SIDES if side <= max(median_side, IMAGE_SIDES[0])]


def measure_step_seconds(backbone: str, side: int) -> float:
    """Return the seconds that one training step takes per image on this device.

    The fastest of a few steps is returned, since other work on the machine only slows them.

    Args:
        backbone: name of the timm model.
        side: side of the images, in pixels.
    """
    device = select_device()
    model = move_to_device(create_timm_model(backbone, 2, side)).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    images = torch.zeros(PROBE_BATCH_SIZE, 3, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(PROBE_BATCH_SIZE, dtype=torch.int64, device=device)
    durations = []
    for _ in range(PROBE_STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(model(images), labels))
        optimizer.step()
        durations.append(time.perf_counter() - start)
    return min(durations) / PROBE_BATCH_SIZE


def choose_side(image_sides: Sequence[int], plan: TrainingPlan) -> SideChoice:
    """Return the largest useful side whose training fits the plan.

    On a GPU the time does not limit the side. A network that takes one size only gets that size.

    Args:
        image_sides: the longer side of each image, or of a sample of them, in pixels.
        plan: the plan of the training.

    Raises:
        InputError: not even one epoch at the smallest side fits, or timm does not know the network.
    """
    require_timm_model(plan.backbone)
    cfg = timm.get_pretrained_cfg(plan.backbone)
    if cfg and cfg.fixed_input_size:
        return SideChoice(int(cfg.input_size[-1]))
    sides = list_useful_sides(image_sides)
    if select_device().type != "cpu":
        return SideChoice(sides[-1])
    probe_seconds = measure_step_seconds(plan.backbone, PROBE_SIDE)
    return choose_affordable_side(sides, probe_seconds, plan)


def choose_affordable_side(
    sides: Sequence[int], probe_seconds: float, plan: TrainingPlan
) -> SideChoice:
    """Return the largest of the sides whose training fits the plan, else the smallest.

    Args:
        sides: ascending, in pixels.
        probe_seconds: seconds of a training step per image of `PROBE_SIDE` pixels.
        plan: the plan of the training.

    Raises:
        InputError: not even one epoch at the smallest side fits.
    """

    def estimate_minutes(side: int, passes: int) -> float:
        relative_side = compute_training_side(side, plan.side_share) / PROBE_SIDE
        minutes: float = passes * probe_seconds * relative_side ** (2 * AREA_EXPONENT) / 60
        return minutes

    epoch_minutes = estimate_minutes(sides[0], plan.epoch_images)
    if epoch_minutes > plan.minutes:
        raise InputError(
            f"train.minutes: {plan.minutes:g} are too few: one epoch of "
            f"{plan.epoch_images:,} images takes about {epoch_minutes:.2g} minutes at "
            f"{sides[0]} px on this machine; allow more, or set ingest.side to a smaller number"
        )
    side_minutes = [estimate_minutes(side, plan.image_passes) for side in sides]
    chosen = 0
    for position, duration in enumerate(side_minutes):
        if duration <= plan.minutes:
            chosen = position
    if chosen + 1 == len(sides):
        return SideChoice(sides[chosen], side_minutes[chosen])
    return SideChoice(
        sides[chosen], side_minutes[chosen], sides[chosen + 1], side_minutes[chosen + 1]
    )
