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
from pipeline.learning.training_settings import PROGRAM_FILE

WEIGHTS_ONLY_VARIABLE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
PICKLED_MEMBER_PREFIXES = (
    "data/constants/custom_obj_",
    "data/constants/opaque_obj_",
    "data/aotinductor/",
)
"""What an archive may hold beside a graph and its tensors: objects to unpickle, and compiled libraries."""


@contextmanager
def _force_weights_only() -> Iterator[None]:
    """`torch.export.load` tries again with whole pickles where tensors alone do not do: not here, nor with a log."""
    before, log = os.environ.get(WEIGHTS_ONLY_VARIABLE), logging.getLogger("torch")
    level = log.level
    os.environ[WEIGHTS_ONLY_VARIABLE] = "1"
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        if before is None:
            del os.environ[WEIGHTS_ONLY_VARIABLE]
        else:
            os.environ[WEIGHTS_ONLY_VARIABLE] = before


def _require_tensors_only(path: Path) -> None:
    """Raise `InputError` unless this is a program of `torch.export.save` with nothing to unpickle but tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no program of torch.export ({error})") from error
    if "models/model.json" not in members:
        raise InputError(
            f"{path}: no program of torch.export.save; export the network with torch 2.9 or newer"
        )
    if any(name.startswith(PICKLED_MEMBER_PREFIXES) for name in members):
        raise InputError(
            f"{path}: holds objects or compiled code beside its tensors, and is not unpickled"
        )


def _load_program(path: Path) -> Any:
    _require_tensors_only(path)
    try:
        with _force_weights_only():
            return torch.export.load(path)
    except Exception as error:  # the loader's own exceptions have no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: torch.export cannot load it ({reason})") from error


def _read_input_shape(program: Any, path: Path) -> tuple[Any, ...]:
    """The shape of its one input: numbers where they are fixed. Raises `InputError`."""
    names = program.graph_signature.user_inputs
    given = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in names
    ]
    shapes = [(str(v.dtype), tuple(v.shape)) for v in given if isinstance(v, Tensor)]
    if (
        len(names) != 1
        or len(shapes) != 1
        or shapes[0][0] != "torch.float32"
        or len(shapes[0][1]) != 4
    ):
        raise InputError(
            f"{path}: takes {shapes}; one input of images, torch.float32 [N, 3, S, S], is needed"
        )
    return shapes[0][1]


def _read_batch_limits(program: Any, batch_dimension: Any) -> tuple[int, int | None]:
    """Fewest and most images that it takes at once; None: any number."""
    if isinstance(batch_dimension, int):
        return batch_dimension, batch_dimension
    span = program.range_constraints.get(batch_dimension.node.expr)
    if span is None:
        return 0, None
    return int(span.lower), int(span.upper) if span.upper.is_Integer else None


class ProgramNetwork(nn.Module):
    """Images float32 [N, 3, S, S] to scores [N, classes], as the network in `path` answers them.

    Its norms and dropout stay as they were when it was exported, in training too. Fewer images than it takes at once
    are filled up, more are parted. Raises `InputError` where the file is no such program.
    """

    order: Tensor

    def __init__(self, path: Path, class_order: list[int]) -> None:
        """order: which of its answers stands for each class."""
        super().__init__()
        program = _load_program(path)
        self.path, self.input_shape = path, _read_input_shape(program, path)
        self.min_batch_size, self.max_batch_size = _read_batch_limits(program, self.input_shape[0])
        self.graph = program.module(check_guards=False)
        self.register_buffer("order", torch.tensor(class_order), persistent=False)

    @property
    def side(self) -> int | None:
        """Of the images, in pixels; None: any."""
        sides = [size for size in self.input_shape[2:] if isinstance(size, int)]
        return sides[0] if sides else None

    def train(self, mode: bool = True) -> ProgramNetwork:
        """Changes nothing in the network, which has one mode."""
        self.training = mode
        return self

    def compute_scores(self, images: Tensor) -> Tensor:
        """What the program says, [N, answers], in its own order. Raises `ValueError` for another form."""
        short = max(self.min_batch_size - len(images), 0)
        filled = (
            torch.cat([images, images.new_zeros((short, *images.shape[1:]))]) if short else images
        )
        said = self.graph(filled)
        said = said[0] if isinstance(said, (tuple, list)) and len(said) == 1 else said
        if not isinstance(said, Tensor) or said.ndim != 2 or len(said) != len(filled):
            shape = list(said.shape) if isinstance(said, Tensor) else type(said).__name__
            raise ValueError(f"answers {shape}; scores [N, classes] are needed")
        return said[: len(images)]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        parts = torch.split(images, self.max_batch_size) if self.max_batch_size else [images]
        return torch.cat([self.compute_scores(part) for part in parts])[:, self.order]

    def copy_program_file(self, folder: Path) -> None:
        """Lay the program's file beside its weights."""
        if self.path.resolve() != (folder / PROGRAM_FILE).resolve():
            shutil.copyfile(self.path, folder / PROGRAM_FILE)
