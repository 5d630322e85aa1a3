"""The state of a training on disk: the last state and the best weights."""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pipeline.config import StageSettings
from pipeline.contracts import InputError
from pipeline.learning.distributed import get_fabric

NO_EXTRA_STATES: Mapping[str, Any] = MappingProxyType({})
CHECKPOINT_TIME_SHARE = 0.02
"""Share of a training's time that its checkpoints may take."""


@dataclass(frozen=True)
class TrainingProgress:
    """Everything that a resumed training needs beside the weights and the optimizer.

    Attributes:
        step: number of finished steps.
        best_step: the step with the lowest calibrated holdout loss; 0 before the first evaluation.
        best_losses: calibrated loss of each holdout image at that step, in nats.
        last_losses: those at the last evaluation.
        stale_evaluations: evaluations since the best one.
        training_loss: mean training loss of the steps before the last evaluation.
        history: rows of the training curves.
        step_metrics: loss and accuracy of each step since the last evaluation.
    """

    step: int = 0
    best_step: int = 0
    best_losses: list[float] = field(default_factory=list)
    last_losses: list[float] = field(default_factory=list)
    stale_evaluations: int = 0
    training_loss: float = math.nan
    history: list[dict[str, Any]] = field(default_factory=list)
    step_metrics: list[list[float]] = field(default_factory=list)


@dataclass
class CheckpointTimer:
    """Decides when a checkpoint is due, so that writing takes `CHECKPOINT_TIME_SHARE` of the time.

    The first checkpoint is due at once. The trained weights do not depend on the timer.

    Attributes:
        write_seconds: how long the last checkpoint took to write.
        last_write_time: when it was finished, in seconds of a monotonic clock.
    """

    write_seconds: float = 0.0
    last_write_time: float = 0.0

    def is_due(self) -> bool:
        """Return whether enough time has passed since the last checkpoint."""
        elapsed = time.monotonic() - self.last_write_time
        return elapsed >= self.write_seconds / CHECKPOINT_TIME_SHARE

    @contextmanager
    def measure_writing(self) -> Iterator[None]:
        """Measure how long the checkpoint takes that is written inside this context."""
        start = time.monotonic()
        yield
        self.last_write_time = time.monotonic()
        self.write_seconds = self.last_write_time - start


def compute_training_key(settings: StageSettings, *key_parts: Any) -> str:
    """Return the SHA-256 (hex) of everything that a training depends on.

    A checkpoint with another key belongs to another training and is not resumed.
    """
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for part in key_parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()


def write_atomically(path: Path, write_content: Callable[[IO[bytes]], Any]) -> None:
    """Write a file completely or not at all.

    Args:
        path: the file.
        write_content: writes the content into an open binary file. It is Python's own file object,
            so that a full disk raises an `OSError` with its number.

    Raises:
        OSError: the file cannot be written; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = path.with_name(f".{path.name}")
    try:
        with temporary_path.open("wb") as file:
            write_content(file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        # torch raises a RuntimeError of its own while it handles the file's OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        if isinstance(cause, OSError) and cause.errno:
            raise OSError(cause.errno, os.strerror(cause.errno), str(path)) from error
        raise
    temporary_path.replace(path)


@dataclass(frozen=True)
class TrainingCheckpoint:
    """The two files of one training; only tensors and plain values are read from them.

    Attributes:
        folder: the folder of the files.
        training_key: key of the training, from `compute_training_key`.
    """

    folder: Path
    training_key: str

    @property
    def last_state_path(self) -> Path:
        """Model, optimizer and progress at the last checkpoint."""
        return self.folder / "last.pt"

    @property
    def best_weights_path(self) -> Path:
        """The weights with the lowest calibrated holdout loss so far."""
        return self.folder / "best.safetensors"

    def save_state(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: TrainingProgress,
        extra_states: Mapping[str, Any] = NO_EXTRA_STATES,
    ) -> None:
        """Write the last state; of several processes only the first writes.

        Args:
            model: the model in training.
            optimizer: its optimizer.
            progress: how far the training is.
            extra_states: further objects with a `state_dict`, by name.
        """
        if not get_fabric().is_global_zero:
            return
        state: dict[str, Any] = {"progress": asdict(progress), "key": self.training_key}
        for name, part in {"model": model, "optimizer": optimizer, **extra_states}.items():
            state[name] = part.state_dict()
        write_atomically(self.last_state_path, lambda file: torch.save(state, file))

    def restore_state(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        extra_states: Mapping[str, Any] = NO_EXTRA_STATES,
    ) -> TrainingProgress:
        """Load the last state into the objects, and return the progress at that state.

        Without a last state of this very training, nothing is loaded and the progress is 0.

        Args:
            model: receives its weights.
            optimizer: receives its state.
            extra_states: further objects with a `state_dict`, by name; they receive theirs.

        Raises:
            InputError: the file is truncated, or holds more than tensors and plain values. Nothing
                is unpickled.
        """
        fabric = get_fabric()
        state = fabric.broadcast(self._read_state() if fabric.is_global_zero else None)
        if state is None:
            return TrainingProgress()
        for name, part in {"model": model, "optimizer": optimizer, **extra_states}.items():
            part.load_state_dict(state[name])
        return TrainingProgress(**state["progress"])

    def _read_state(self) -> dict[str, Any] | None:
        if not self.last_state_path.is_file():
            return None
        damage_errors = (
            pickle.UnpicklingError,
            RuntimeError,
            OSError,
            EOFError,
            KeyError,
            TypeError,
        )
        try:
            state: dict[str, Any] = torch.load(
                self.last_state_path, map_location="cpu", weights_only=True
            )
            return state if state["key"] == self.training_key else None
        except damage_errors as error:
            reason = (str(error).splitlines() or ["truncated"])[0]
            raise InputError(
                f"{self.last_state_path}: a damaged checkpoint ({reason}); "
                "delete it to train from the start"
            ) from error

    def save_best_weights(self, model: nn.Module) -> None:
        """Write the weights as the best so far; of several processes only the first writes."""
        if not get_fabric().is_global_zero:
            return
        tensors = {}
        for name, tensor in model.state_dict().items():
            tensors[name] = tensor.detach().cpu().contiguous()
        write_atomically(self.best_weights_path, lambda file: file.write(save(tensors)))

    def load_best_weights(self, model: nn.Module) -> None:
        """Load the best weights into `model`.

        Raises:
            InputError: they cannot be read.
        """
        try:
            fabric = get_fabric()
            own_weights = load_file(self.best_weights_path) if fabric.is_global_zero else {}
            model.load_state_dict(fabric.broadcast(own_weights))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise InputError(
                f"{self.best_weights_path}: damaged ({error}); "
                f"delete {self.folder} to train from the start"
            ) from error
