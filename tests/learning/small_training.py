"""Trainings of a small network that take about a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.learning.batches.batch_sampling import BatchTreatment, TrainingImages
from pipeline.learning.batches.batch_sources import create_batch_source
from pipeline.learning.distributed import set_up_model
from pipeline.learning.models.backbone import build_network, move_to_device
from pipeline.learning.training.training_loop import FitResult, fit_network
from pipeline.learning.training.training_setup import (
    TrainingSchedule,
    compute_class_log_priors,
    compute_class_weights,
    create_optimizer,
)
from pipeline.learning.training.training_step import TrainingRun
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import MODEL_META


class TrainingKilled(BaseException):
    """Stands for a killed process."""


def fit_small_network(
    images: TrainingImages,
    scratch_folder: Path,
    settings: FitSettings,
    *,
    dropout: float = 0.2,
    seed: int = 0,
    **options: Any,
) -> FitResult:
    """Train a small network with batch norm from random weights; `options` go to `fit_network`."""
    model, meta = build_network("test_efficientnet", "none", MODEL_META["classes"], 32, dropout)
    return fit_network(
        model, meta, images, settings, seed=seed, scratch_folder=scratch_folder, **options
    )


def create_training_run(
    images: TrainingImages,
    settings: FitSettings,
    network_name: str = "test_efficientnet",
    *,
    is_resident: bool = False,
    treatment: BatchTreatment | None = None,
    **options: Any,
) -> TrainingRun:
    """Return a training of a small network before its first step; `options` replace fields."""
    model, meta = build_network(network_name, "none", MODEL_META["classes"], 32, 0.0)
    move_to_device(model)
    fields: dict[str, Any] = {
        "model": model,
        "wrapped_model": set_up_model(model.train()),
        "optimizer": create_optimizer(model, settings),
        "meta": meta,
        "training_images": images,
        "schedule": TrainingSchedule(settings, len(images)),
        "class_weights": compute_class_weights(images, len(meta["classes"]), settings),
        "class_log_priors": compute_class_log_priors(images, len(meta["classes"]), settings),
        "batch_source": create_batch_source(
            images, meta, settings, treatment, is_resident=is_resident
        ),
        "seed": 0,
        "report_note": print,
    }
    return TrainingRun(**(fields | options))


def copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the weights and statistics by name."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def has_same_weights(model: nn.Module, other: nn.Module) -> bool:
    """Return whether two models have the same weights and statistics, bit by bit."""
    other_state = other.state_dict()
    return all(
        torch.equal(tensor, other_state[name]) for name, tensor in model.state_dict().items()
    )


def kill_at(killed_step: int) -> Any:
    """Return a progress tracker that raises `TrainingKilled` before a step."""

    def track(steps: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for step in steps:
            if step == killed_step:
                raise TrainingKilled
            yield step

    return track
