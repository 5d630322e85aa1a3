"""Where a training stands, on disk: the last state and the best weights, each written aside and renamed."""

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
from pipeline.learning import distributed


@dataclass(frozen=True)
class TrainingProgress:
    """All that a resumed training needs beside weights and optimizer.

    running: loss and accuracy of each step since the last look. stale: looks since the best one.
    """

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    stale: int = 0
    loss: float = math.nan
    history: list[dict[str, Any]] = field(default_factory=list)
    running: list[list[float]] = field(default_factory=list)


NO_EXTRA_STATES: Mapping[str, Any] = MappingProxyType({})
CHECKPOINT_TIME_SHARE = 0.02  # of a training's time that its checkpoints may take


@dataclass
class CheckpointTimer:
    """When a checkpoint is due: at first, and then so seldom that writing takes `SHARE` of the time.

    What is learnt does not depend on it. Seconds, of a clock that never goes back.
    """

    write_seconds: float = 0.0
    last_write_time: float = 0.0

    def is_due(self) -> bool:
        """Whether enough time has gone by since the last one."""
        return time.monotonic() - self.last_write_time >= self.write_seconds / CHECKPOINT_TIME_SHARE

    @contextmanager
    def measure_writing(self) -> Iterator[None]:
        """Around the writing of one, to learn what it takes."""
        self.last_write_time = time.monotonic()
        yield
        self.write_seconds, self.last_write_time = (
            time.monotonic() - self.last_write_time,
            time.monotonic(),
        )


def compute_training_key(settings: StageSettings, *key_parts: Any) -> str:
    """SHA-256 (hex) of what a training depends on: a checkpoint of another one is not taken up."""
    sha = hashlib.sha256(settings.model_dump_json().encode())
    for part in key_parts:
        sha.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return sha.hexdigest()


def write_atomically(path: Path, write_content: Callable[[IO[bytes]], Any]) -> None:
    """Whole or not at all; by Python's own file, so that a full disk is an `OSError` that says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    try:
        with aside.open("wb") as file:
            write_content(file)
            file.flush()
            os.fsync(file.fileno())
    except (
        OSError,
        RuntimeError,
    ) as error:  # torch says something of its own while the file's word is handled
        said = error if isinstance(error, OSError) else error.__context__
        if isinstance(said, OSError) and said.errno:
            raise OSError(said.errno, os.strerror(said.errno), str(path)) from error
        raise
    aside.replace(path)


@dataclass(frozen=True)
class TrainingCheckpoint:
    """The two files of one training in `folder`. Only tensors and plain values are read back."""

    folder: Path
    training_key: str

    @property
    def last_state_path(self) -> Path:
        """Model, optimizer and progress at the last checkpoint."""
        return self.folder / "last.pt"

    @property
    def best_weights_path(self) -> Path:
        """The weights with the lowest holdout loss so far."""
        return self.folder / "best.safetensors"

    def save_state(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: TrainingProgress,
        extra_states: Mapping[str, Any] = NO_EXTRA_STATES,
    ) -> None:
        """Write the last state; of several ranks the first does. more: what else has a `state_dict`, by name."""
        if not distributed.is_first_rank():
            return
        state = {
            name: part.state_dict()
            for name, part in {"model": model, "optimizer": optimizer, **extra_states}.items()
        }
        write_atomically(
            self.last_state_path,
            lambda file: torch.save(
                {**state, "progress": asdict(progress), "key": self.training_key}, file
            ),
        )

    def restore_state(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        extra_states: Mapping[str, Any] = NO_EXTRA_STATES,
    ) -> TrainingProgress:
        """Put model, optimizer and `more` where the last state of this very training stands, if there is one.

        Raises `InputError`, and unpickles nothing, where the file is cut short or holds more than tensors and values.
        """
        state: dict[str, Any] | None = distributed.broadcast_from_first(
            self._read_state() if distributed.is_first_rank() else None
        )
        if state is None:
            return TrainingProgress()
        for name, part in {"model": model, "optimizer": optimizer, **extra_states}.items():
            part.load_state_dict(state[name])
        return TrainingProgress(**state["progress"])

    def _read_state(self) -> dict[str, Any] | None:
        if not self.last_state_path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(
                self.last_state_path, map_location="cpu", weights_only=True
            )
            return state if state["key"] == self.training_key else None
        except (
            pickle.UnpicklingError,
            RuntimeError,
            OSError,
            EOFError,
            KeyError,
            TypeError,
        ) as error:
            why = (str(error).splitlines() or ["cut short"])[0]
            raise InputError(
                f"{self.last_state_path}: a damaged checkpoint ({why}); delete it to train from the start"
            ) from error

    def save_best_weights(self, model: nn.Module) -> None:
        """Write the weights as the best so far; of several ranks the first does."""
        if not distributed.is_first_rank():
            return
        tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        write_atomically(self.best_weights_path, lambda file: file.write(save(tensors)))

    def load_best_weights(self, model: nn.Module) -> None:
        """Give `model` the best weights; raises `InputError` where they cannot be read."""
        try:
            model.load_state_dict(
                distributed.broadcast_from_first(
                    load_file(self.best_weights_path) if distributed.is_first_rank() else {}
                )
            )
        except (SafetensorError, OSError, RuntimeError) as error:
            raise InputError(
                f"{self.best_weights_path}: damaged ({error}); delete {self.folder} to train from the start"
            ) from error
