"""A head alone: what the rest of the network makes of images is asked once, kept, and learnt from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from pipeline.contracts import InputError, ProgressTracker
from pipeline.learning import distributed
from pipeline.learning.inference.model_outputs import compute_outputs
from pipeline.learning.models.backbone import ModelMetadata
from pipeline.learning.training.batch_sampling import (
    ArraySubset,
    PixelArray,
    TrainingImages,
    derive_step_seed,
)
from pipeline.learning.training.batch_sources import HostSource
from pipeline.learning.training.checkpoint import compute_training_key, write_atomically
from pipeline.learning.training_settings import PROGRAM_BACKBONE, FitSettings

MAXIMUM_VIEWS = 4  # of each image, drawn anew, that are kept at most
ViewFunction = Callable[[TrainingImages, int], PixelArray]
"""(some images, seed) -> their pixels as they are learnt from, uint8 [n, S, S, 3]."""


class HeadlessNetwork(nn.Module):
    """A timm network without its head: images to what the head sees, [n, D]."""

    def __init__(self, model: nn.Module) -> None:
        """model: whose parts it shares."""
        super().__init__()
        self.model = model
        self.feature_count = int(cast(Any, model).head_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """float [n, D] of images float [n, 3, S, S]."""
        model = cast(Any, self.model)
        seen: Tensor = model.forward_head(model.forward_features(x), pre_logits=True)
        return seen


@dataclass(frozen=True)
class _ViewSequence:
    """Images as they are seen at one time, made where they are read."""

    images: TrainingImages
    draw_view: ViewFunction
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, selection: slice) -> PixelArray:
        return self.draw_view(
            self.images.select_images(selection), derive_step_seed(self.seed, selection.start)
        )


def _count_views(settings: FitSettings, image_count: int) -> int:
    """How many views of each of so many images are kept: one an epoch, up to `VIEWS`."""
    return max(
        1,
        min(
            MAXIMUM_VIEWS,
            math.ceil(
                settings.image_passes / image_count if settings.image_passes else settings.epochs
            ),
        ),
    )


def embed_views(
    network: HeadlessNetwork,
    meta: ModelMetadata,
    images: TrainingImages,
    views: Sequence[Any],
    embedding_file: Path,
    track: ProgressTracker,
) -> TrainingImages:
    """The images, once a view, with what the head sees of them, float32 [views * n, D], as their pixels.

    views: of each, pixels uint8 [n, S, S, 3] where it is sliced. kept: the file that holds the embeddings, or will.
    """
    known = distributed.broadcast_from_first(embedding_file.is_file())
    rows = np.zeros((0, network.feature_count), np.float32)
    if not known:
        rows = np.concatenate(
            [
                compute_outputs(network, pixels, meta, network.feature_count, track=track)
                for pixels in views
            ]
        )
        if distributed.is_first_rank():
            write_atomically(embedding_file, lambda file: np.save(file, rows))
    if distributed.is_first_rank():
        rows = np.load(embedding_file, mmap_mode="r")
    if known:
        rows = distributed.broadcast_from_first(rows)
    labels = np.tile(images.labels, len(views))
    ids = (
        [images.image_ids[row] for row in images.image_rows] * len(views)
        if images.image_ids is not None
        else None
    )
    return TrainingImages(cast(Any, rows), np.arange(len(labels)), labels, ids)


def prepare_head_training(
    model: nn.Module,
    training_images: TrainingImages,
    holdout: TrainingImages | None,
    batch_source: HostSource,
    *,
    seed: int,
    cache_folder: Path,
    track: ProgressTracker,
) -> tuple[nn.Module, TrainingImages, TrainingImages | None, FitSettings]:
    """(the head; the images and the holdout as it sees them; the settings of its training, of as many passes).

    Raises `InputError` where the model is a user's program. source: how images are learnt from. folder: where
    embeddings are kept, under what they follow from.
    """
    meta = dict(batch_source.meta)
    if meta["backbone"] == PROGRAM_BACKBONE:
        raise InputError(
            f"retrain.head_only: a program of {PROGRAM_BACKBONE} has no head of its own; leave it false"
        )
    settings, body = batch_source.settings, HeadlessNetwork(model)
    key = hashlib.sha256(
        compute_training_key(
            settings,
            seed,
            training_images.image_rows,
            training_images.labels,
            batch_source.treatment is not None,
        ).encode()
    )
    for weight in model.state_dict().values():
        key.update(weight.detach().cpu().numpy().tobytes())
    name = key.hexdigest()[:16]

    def view(some: TrainingImages, own: int) -> PixelArray:
        return batch_source.prepare_pixels(some, slice(0, len(some), 1), (own, own))

    views = [
        _ViewSequence(training_images, view, derive_step_seed(seed, number))
        for number in range(_count_views(settings, len(training_images)))
    ]
    seen = embed_views(
        body, meta, training_images, views, cache_folder / f"embeddings-{name}.npy", track
    )
    held = holdout
    if holdout:
        plain = ArraySubset(holdout.pixels, holdout.image_rows)
        held = embed_views(body, meta, holdout, [plain], cache_folder / f"held-{name}.npy", track)
    passes = settings.image_passes or max(1, round(settings.epochs * len(training_images)))
    rest = {
        "head_only": False,
        "image_passes": passes,
        "initial_side_share": 1.0,
        "frozen_share": 0.0,
        "compile": False,
    }
    return cast(Any, model).get_classifier(), seen, held, settings.model_copy(update=rest)
