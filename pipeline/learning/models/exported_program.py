"""A user's own network as a program of `torch.export`, used and trained without its Python code."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.program_archive import read_program_archive
from pipeline.learning.training_settings import PROGRAM_FILE

WEIGHTS_ONLY_VARIABLE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@contextmanager
def _force_weights_only() -> Iterator[None]:
    """Keep `torch.export.load` from unpickling, and from logging.

    It would retry with whole pickles if tensors alone do not suffice.
    """
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


def _load_program(path: Path) -> Any:
    archive = read_program_archive(path)
    try:
        with _force_weights_only():
            return torch.export.load(archive)
    except Exception as error:  # the loader's own exceptions have no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: torch.export cannot load it ({reason})") from error


def _read_input_shape(program: Any, path: Path) -> tuple[Any, ...]:
    """Return the shape of the program's one input, with numbers for fixed sizes.

    Raises:
        InputError: the input is not one float32 [N, 3, S, S].
    """
    names = program.graph_signature.user_inputs
    shapes = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            value = node.meta["val"]
            if isinstance(value, Tensor):
                shapes.append((str(value.dtype), tuple(value.shape)))
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
    """Return the fewest and the most images of a batch; None for no limit."""
    if isinstance(batch_dimension, int):
        return batch_dimension, batch_dimension
    span = program.range_constraints.get(batch_dimension.node.expr)
    if span is None:
        return 0, None
    return int(span.lower), int(span.upper) if span.upper.is_Integer else None


class ProgramNetwork(nn.Module):
    """A network by an exported program: images float32 [N, 3, S, S] to scores [N, classes].

    Its normalization and dropout stay as they were exported, in training too. Batches smaller than
    the program accepts are padded, larger ones are divided.

    Raises:
        InputError: the file is no such program.
    """

    order: Tensor

    def __init__(self, path: Path, class_order: list[int]) -> None:
        """Load the program.

        Args:
            path: the program's file.
            class_order: the output of the program for each class.
        """
        super().__init__()
        program = _load_program(path)
        self.path, self.input_shape = path, _read_input_shape(program, path)
        self.min_batch_size, self.max_batch_size = _read_batch_limits(program, self.input_shape[0])
        self.graph = program.module(check_guards=False)
        self.register_buffer("order", torch.tensor(class_order), persistent=False)

    @property
    def side(self) -> int | None:
        """Return the side of the images in pixels; None for any."""
        sides = [size for size in self.input_shape[2:] if isinstance(size, int)]
        return sides[0] if sides else None

    @property
    def has_free_batch(self) -> bool:
        """Whether the program takes any number of images."""
        return self.min_batch_size <= 1 and self.max_batch_size is None

    def train(self, mode: bool = True) -> ProgramNetwork:
        """Change nothing in the network, which has one mode."""
        self.training = mode
        return self

    def compute_scores(self, images: Tensor) -> Tensor:
        """Return the scores [N, outputs] in the program's own order.

        Raises:
            ValueError: the output has another form.
        """
        # A length would fix the size of the batch.
        if self.has_free_batch and torch.compiler.is_exporting():
            scores = self.graph(images)
            return cast(Tensor, scores[0] if isinstance(scores, (tuple, list)) else scores)
        short = max(self.min_batch_size - len(images), 0)
        filled = (
            torch.cat([images, images.new_zeros((short, *images.shape[1:]))]) if short else images
        )
        scores = self.graph(filled)
        scores = scores[0] if isinstance(scores, (tuple, list)) and len(scores) == 1 else scores
        if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(filled):
            shape = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(f"answers {shape}; scores [N, classes] are needed")
        return scores[: len(images)]

    def forward(self, images: Tensor) -> Tensor:
        """Return scores [N, classes] for images float32 [N, 3, S, S]."""
        parts = torch.split(images, self.max_batch_size) if self.max_batch_size else [images]
        return torch.cat([self.compute_scores(part) for part in parts])[:, self.order]

    def copy_program_file(self, folder: Path) -> None:
        """Copy the program's file to its weights in `folder`."""
        if self.path.resolve() != (folder / PROGRAM_FILE).resolve():
            shutil.copyfile(self.path, folder / PROGRAM_FILE)
