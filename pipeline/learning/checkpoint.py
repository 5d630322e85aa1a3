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

from pipeline.config import Settings
from pipeline.contracts import InputError
from pipeline.learning import ranks


@dataclass(frozen=True)
class Progress:
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


EMPTY: Mapping[str, Any] = MappingProxyType({})
SHARE = 0.02  # of a training's time that its checkpoints may take


@dataclass
class Rhythm:
    """When a checkpoint is due: at first, and then so seldom that writing takes `SHARE` of the time.

    What is learnt does not depend on it. Seconds, of a clock that never goes back.
    """

    took: float = 0.0
    at: float = 0.0

    def due(self) -> bool:
        """Whether enough time has gone by since the last one."""
        return time.monotonic() - self.at >= self.took / SHARE

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of one, to learn what it takes."""
        self.at = time.monotonic()
        yield
        self.took, self.at = time.monotonic() - self.at, time.monotonic()


def key_of(settings: Settings, *parts: Any) -> str:
    """SHA-256 (hex) of what a training depends on: a checkpoint of another one is not taken up."""
    sha = hashlib.sha256(settings.model_dump_json().encode())
    for part in parts:
        sha.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return sha.hexdigest()


def write(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Whole or not at all; by Python's own file, so that a full disk is an `OSError` that says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    try:
        with aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch says something of its own while the file's word is handled
        said = error if isinstance(error, OSError) else error.__context__
        if isinstance(said, OSError) and said.errno:
            raise OSError(said.errno, os.strerror(said.errno), str(path)) from error
        raise
    aside.replace(path)


@dataclass(frozen=True)
class Checkpoint:
    """The two files of one training in `folder`. Only tensors and plain values are read back."""

    folder: Path
    key: str

    @property
    def last(self) -> Path:
        """Model, optimizer and progress at the last checkpoint."""
        return self.folder / "last.pt"

    @property
    def best(self) -> Path:
        """The weights with the lowest holdout loss so far."""
        return self.folder / "best.safetensors"

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, more: Mapping[str, Any] = EMPTY
    ) -> None:
        """Write the last state; of several ranks the first does. more: what else has a `state_dict`, by name."""
        if not ranks.first():
            return
        state = {name: part.state_dict() for name, part in {"model": model, "optimizer": optimizer, **more}.items()}
        write(self.last, lambda file: torch.save({**state, "progress": asdict(progress), "key": self.key}, file))

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer, more: Mapping[str, Any] = EMPTY) -> Progress:
        """Put model, optimizer and `more` where the last state of this very training stands, if there is one.

        Raises `InputError`, and unpickles nothing, where the file is cut short or holds more than tensors and values.
        """
        state: dict[str, Any] | None = ranks.from_first(self._state() if ranks.first() else None)
        if state is None:
            return Progress()
        for name, part in {"model": model, "optimizer": optimizer, **more}.items():
            part.load_state_dict(state[name])
        return Progress(**state["progress"])

    def _state(self) -> dict[str, Any] | None:
        if not self.last.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.last, map_location="cpu", weights_only=True)
            return state if state["key"] == self.key else None
        except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, KeyError, TypeError) as error:
            why = (str(error).splitlines() or ["cut short"])[0]
            raise InputError(f"{self.last}: a damaged checkpoint ({why}); delete it to train from the start") from error

    def keep_best(self, model: nn.Module) -> None:
        """Write the weights as the best so far; of several ranks the first does."""
        if not ranks.first():
            return
        tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        write(self.best, lambda file: file.write(save(tensors)))

    def load_best(self, model: nn.Module) -> None:
        """Give `model` the best weights; raises `InputError` where they cannot be read."""
        try:
            model.load_state_dict(ranks.from_first(load_file(self.best) if ranks.first() else {}))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise InputError(f"{self.best}: damaged ({error}); delete {self.folder} to train from the start") from error
