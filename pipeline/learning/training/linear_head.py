"""Training of the head alone, on embeddings that the rest of the network computes once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.contracts import InputError, ProgressTracker
from pipeline.learning.batches.batch_sampling import (
    ArraySubset,
    PixelArray,
    TrainingImages,
    derive_step_seed,
)
from pipeline.learning.batches.batch_sources import HostSource
from pipeline.learning.distributed import get_fabric
from pipeline.learning.inference.model_outputs import compute_outputs
from pipeline.learning.models.backbone import ModelMetadata
from pipeline.learning.training.checkpoint import compute_training_key, write_atomically
from pipeline.learning.training_settings import PROGRAM_BACKBONE, FitSettings

MAXIMUM_VIEWS = 4
"""Augmented views of each image whose embeddings are stored; more epochs reuse them."""
ViewFunction = Callable[[TrainingImages, int], PixelArray]
"""(some images, seed) -> their augmented pixels, uint8 [n, S, S, 3]."""


class HeadlessNetwork(nn.Module):
    """A timm network without its head: images to the features that the head receives."""

    def __init__(self, model: nn.Module) -> None:
        """Initialize from a model, whose modules are shared."""
        super().__init__()
        self.model = model
        self.feature_count = int(cast(Any, model).head_hidden_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, float [n, D], of images float [n, 3, S, S]."""
        model = cast(Any, self.model)
        features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)
        return features


@dataclass(frozen=True)
class _ViewSequence:
    """One augmented view of all images, computed for the images that are indexed."""

    images: TrainingImages
    draw_view: ViewFunction
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.images), *self.images.pixels.shape[1:])

    def __getitem__(self, selection: slice) -> PixelArray:
        return self.draw_view(
            self.images.select_images(selection), derive_step_seed(self.seed, selection.start)
        )


def _count_views(settings: FitSettings, image_count: int) -> int:
    """Return how many views of each image are stored: one an epoch, up to `MAXIMUM_VIEWS`."""
    epochs = settings.epochs
    if settings.image_passes:
        epochs = settings.image_passes / image_count
    return max(1, min(MAXIMUM_VIEWS, math.ceil(epochs)))


def embed_views(
    network: HeadlessNetwork,
    meta: ModelMetadata,
    images: TrainingImages,
    views: Sequence[Any],
    embedding_file: Path,
    track: ProgressTracker,
) -> TrainingImages:
    """Return the images once a view, with embeddings instead of pixels.

    Args:
        network: computes the embeddings.
        meta: the model's metadata.
        images: the images.
        views: the views; each yields pixels uint8 [n, S, S, 3] when it is sliced.
        embedding_file: stores the embeddings; if it exists, they are read from it.
        track: shows the progress.

    Returns:
        views * n items whose `pixels` are embeddings float32 [views * n, D].
    """
    fabric = get_fabric()
    is_stored = fabric.broadcast(embedding_file.is_file())
    embeddings = np.zeros((0, network.feature_count), np.float32)
    if not is_stored:
        embeddings = _compute_embeddings(network, meta, views, track)
        if fabric.is_global_zero:
            write_atomically(embedding_file, lambda file: np.save(file, embeddings))
    if fabric.is_global_zero:
        embeddings = np.load(embedding_file, mmap_mode="r")
    if is_stored:  # otherwise each process has computed them
        embeddings = fabric.broadcast(embeddings)
    labels = np.tile(images.labels, len(views))
    image_ids = None
    if images.image_ids is not None:
        image_ids = [images.image_ids[row] for row in images.image_rows] * len(views)
    return TrainingImages(cast(Any, embeddings), np.arange(len(labels)), labels, image_ids)


def _compute_embeddings(
    network: HeadlessNetwork, meta: ModelMetadata, views: Sequence[Any], track: ProgressTracker
) -> NDArray[np.float32]:
    """Return the embeddings of one view after the other, float32 [views * n, D]."""
    view_embeddings = []
    for pixels in views:
        view_embeddings.append(
            compute_outputs(network, pixels, meta, network.feature_count, track=track)
        )
    return np.concatenate(view_embeddings)


def _hash_inputs(
    model: nn.Module, training_images: TrainingImages, batch_source: HostSource, seed: int
) -> str:
    """Return a hash of everything that the embeddings depend on, 16 hex digits."""
    training_key = compute_training_key(
        batch_source.settings,
        seed,
        training_images.image_rows,
        training_images.labels,
        batch_source.treatment is not None,
    )
    digest = hashlib.sha256(training_key.encode())
    for weight in model.state_dict().values():
        digest.update(weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


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
    """Return the head of a model, and what to train it on.

    Args:
        model: the whole model.
        training_images: the images to train on.
        holdout: the images to evaluate on, if any.
        batch_source: treats and augments the training images; holds metadata and settings.
        seed: seed of the views.
        cache_folder: folder of the embeddings, under a hash of everything they depend on.
        track: shows the progress.

    Returns:
        The head, the embedded training images, the embedded holdout, and the settings of the head's
        training, with the same number of image passes.

    Raises:
        InputError: the model is a user's program, which has no separate head.
    """
    meta = dict(batch_source.meta)
    settings = batch_source.settings
    if meta["backbone"] == PROGRAM_BACKBONE:
        raise InputError(
            f"retrain.head_only: a program of {PROGRAM_BACKBONE} has no separate head; "
            "leave it false"
        )
    network = HeadlessNetwork(model)
    input_hash = _hash_inputs(model, training_images, batch_source, seed)

    def draw_view(images: TrainingImages, view_seed: int) -> PixelArray:
        positions = slice(0, len(images), 1)
        return batch_source.prepare_pixels(images, positions, (view_seed, view_seed))

    views = []
    for number in range(_count_views(settings, len(training_images))):
        views.append(_ViewSequence(training_images, draw_view, derive_step_seed(seed, number)))
    embedded_images = embed_views(
        network, meta, training_images, views, cache_folder / f"embeddings-{input_hash}.npy", track
    )
    embedded_holdout = holdout
    if holdout:
        plain_view = ArraySubset(holdout.pixels, holdout.image_rows)
        embedded_holdout = embed_views(
            network, meta, holdout, [plain_view], cache_folder / f"held-{input_hash}.npy", track
        )
    head_settings = {
        "head_only": False,
        "image_passes": settings.image_passes
        or max(1, round(settings.epochs * len(training_images))),
        "initial_side_share": 1.0,
        "frozen_share": 0.0,
        "compile": False,
    }
    return (
        cast(Any, model).get_classifier(),
        embedded_images,
        embedded_holdout,
        settings.model_copy(update=head_settings),
    )
