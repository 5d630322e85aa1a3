"""Where a training stands, on disk: the last state and the best weights, each written aside and renamed."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.config import Settings


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


def key_of(settings: Settings, *parts: Any) -> str:
    """SHA-256 (hex) of what a training depends on: a checkpoint of another one is not taken up."""
    sha = hashlib.sha256(settings.model_dump_json().encode())
    for part in parts:
        sha.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return sha.hexdigest()


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    aside = path.with_name(f".{path.name}")
    write(aside)
    with aside.open("rb") as file:
        os.fsync(file.fileno())
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

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """Write the last state."""
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "progress": asdict(progress)}
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.last, lambda aside: torch.save({**state, "key": self.key}, aside))

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Put model and optimizer where the last state of this very training stands, if there is one."""
        if not self.last.is_file():
            return Progress()
        state = torch.load(self.last, map_location="cpu", weights_only=True)
        if state["key"] != self.key:
            return Progress()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return Progress(**state["progress"])

    def keep_best(self, model: nn.Module) -> None:
        """Write the weights as the best so far."""
        tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.best, lambda aside: save_file(tensors, aside))

    def load_best(self, model: nn.Module) -> None:
        """Give `model` the best weights."""
        model.load_state_dict(load_file(self.best))
