"""A user's own network as a program of `torch.export`: asked and trained further without its Python code."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.settings import GRAPH

ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
PICKLED = ("data/constants/custom_obj_", "data/constants/opaque_obj_", "data/aotinductor/")
"""What an archive may hold beside a graph and its tensors: objects to unpickle, and compiled libraries."""


@contextmanager
def _only_weights() -> Iterator[None]:
    """`torch.export.load` tries again with whole pickles where tensors alone do not do: not here, nor with a log."""
    before, log = os.environ.get(ONLY_WEIGHTS), logging.getLogger("torch")
    level = log.level
    os.environ[ONLY_WEIGHTS] = "1"
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        if before is None:
            del os.environ[ONLY_WEIGHTS]
        else:
            os.environ[ONLY_WEIGHTS] = before


def _require_plain(path: Path) -> None:
    """Raise `InputError` unless this is a program of `torch.export.save` with nothing to unpickle but tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no program of torch.export ({error})") from error
    if "models/model.json" not in members:
        raise InputError(f"{path}: no program of torch.export.save; export the network with torch 2.9 or newer")
    if any(name.startswith(PICKLED) for name in members):
        raise InputError(f"{path}: holds objects or compiled code beside its tensors, and is not unpickled")


def _program(path: Path) -> Any:
    _require_plain(path)
    try:
        with _only_weights():
            return torch.export.load(path)
    except Exception as error:  # the loader's own exceptions have no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: torch.export cannot load it ({reason})") from error


def _input(program: Any, path: Path) -> tuple[Any, ...]:
    """The shape of its one input: numbers where they are fixed. Raises `InputError`."""
    names = program.graph_signature.user_inputs
    given = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    shapes = [(str(v.dtype), tuple(v.shape)) for v in given if isinstance(v, Tensor)]
    if len(names) != 1 or len(shapes) != 1 or shapes[0][0] != "torch.float32" or len(shapes[0][1]) != 4:
        raise InputError(f"{path}: takes {shapes}; one input of photos, torch.float32 [N, 3, S, S], is needed")
    return shapes[0][1]


def _many(program: Any, size: Any) -> tuple[int, int | None]:
    """Fewest and most photos that it takes at once; None: any number."""
    if isinstance(size, int):
        return size, size
    span = program.range_constraints.get(size.node.expr)
    if span is None:
        return 0, None
    return int(span.lower), int(span.upper) if span.upper.is_Integer else None


class Program(nn.Module):
    """Photos float32 [N, 3, S, S] to scores [N, classes], as the network in `path` answers them.

    Its norms and dropout stay as they were when it was exported, in training too. Fewer photos than it takes at once
    are filled up, more are parted. Raises `InputError` where the file is no such program.
    """

    order: Tensor

    def __init__(self, path: Path, order: list[int]) -> None:
        """order: which of its answers stands for each class."""
        super().__init__()
        program = _program(path)
        self.path, self.shape = path, _input(program, path)
        self.low, self.high = _many(program, self.shape[0])
        self.graph = program.module(check_guards=False)
        self.register_buffer("order", torch.tensor(order), persistent=False)

    @property
    def side(self) -> int | None:
        """Of the photos, in pixels; None: any."""
        sides = [size for size in self.shape[2:] if isinstance(size, int)]
        return sides[0] if sides else None

    def train(self, mode: bool = True) -> Program:
        """Changes nothing in the network, which has one mode."""
        self.training = mode
        return self

    def scores(self, photos: Tensor) -> Tensor:
        """What the program says, [N, answers], in its own order. Raises `ValueError` for another form."""
        short = max(self.low - len(photos), 0)
        filled = torch.cat([photos, photos.new_zeros((short, *photos.shape[1:]))]) if short else photos
        said = self.graph(filled)
        said = said[0] if isinstance(said, (tuple, list)) and len(said) == 1 else said
        if not isinstance(said, Tensor) or said.ndim != 2 or len(said) != len(filled):
            shape = list(said.shape) if isinstance(said, Tensor) else type(said).__name__
            raise ValueError(f"answers {shape}; scores [N, classes] are needed")
        return said[: len(photos)]

    def forward(self, photos: Tensor) -> Tensor:
        """See the class."""
        parts = torch.split(photos, self.high) if self.high else [photos]
        return torch.cat([self.scores(part) for part in parts])[:, self.order]

    def copy_into(self, folder: Path) -> None:
        """Lay the program's file beside its weights."""
        if self.path.resolve() != (folder / GRAPH).resolve():
            shutil.copyfile(self.path, folder / GRAPH)
