"""The check whether training images may be mirrored without a change of their label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.contracts import StageContext, iterate_silently
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.frozen_features import compute_layout_features
from pipeline.learning.training_settings import AugmentationSettings
from pipeline.statistics.group_sampling import sample_classes_by_group

MAX_CLASS_IMAGES = 20
MAX_IMAGES = 1000
"""Images that are checked, of each class and in all: 20 a class show the signs that mirror."""
FOLD_COUNT = 3
COMPONENT_COUNT = 100
"""Principal components of the layout features; more did not separate the classes of signs."""
REGULARIZATION = 0.1
ACCEPTED_LOSS = 0.05
"""Loss of accuracy on mirrored images that is accepted. Measured: flowers gain 5 points; traffic
signs lose 16, digits of meters 23, packages of food 28."""
CONFIDENCE_Z = 1.645
"""Standard errors by which a loss must exceed the accepted one: one-sided 95 %."""
SWAPPED_SHARE = 0.25
"""Share of a class that is read as one other class only when mirrored, at which it is another
label: a mirrored "keep left" is "keep right"."""
MIN_SWAPPED_IMAGES = 4


@dataclass(frozen=True)
class MirrorCheck:
    """Accuracy of a linear classifier on images and on their mirror images.

    Attributes:
        accuracy: share of correct predictions on the images as they are; None if there are too few
            images to judge.
        mirrored_accuracy: share of correct predictions on the mirrored images, likewise.
        is_safe: whether training images may be mirrored.
    """

    accuracy: float | None
    mirrored_accuracy: float | None
    is_safe: bool


def check_mirroring(images: TrainingImages, groups: NDArray[np.str_], seed: int) -> MirrorCheck:
    """Return whether mirrored images of each class are still recognized as that class.

    A linear classifier of layout features, trained by folds of whole groups on the images as they
    are, predicts each held-out image and its mirror image.

    Args:
        images: training images.
        groups: group of each of them, [n].
        seed: seed of the sample.
    """
    rng = np.random.default_rng(seed)
    sample = sample_classes_by_group(images.labels, groups, MAX_CLASS_IMAGES, MAX_IMAGES, rng)
    labels, sampled_groups = images.labels[sample], groups[sample]
    if len(np.unique(labels)) < 2 or len(np.unique(sampled_groups)) < FOLD_COUNT:
        return MirrorCheck(None, None, is_safe=False)
    pixels = images.select_images(sample).load_pixels()
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    plain_labels, mirrored_labels = _predict_by_folds(
        _compute_layout(pixels), _compute_layout(mirrored), labels, sampled_groups
    )
    return judge_mirroring(labels, plain_labels, mirrored_labels)


def _compute_layout(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = np.arange(len(pixels))
    return compute_layout_features(pixels, rows, iterate_silently).astype(np.float32)


def _predict_by_folds(
    features: NDArray[np.float32],
    mirrored_features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.str_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the predictions for images and mirror images by models that saw neither."""
    plain_labels = np.full(len(labels), -1)
    mirrored_labels = np.full(len(labels), -1)
    for train, held_out in GroupKFold(FOLD_COUNT).split(features, labels, groups):
        if len(np.unique(labels[train])) < 2:
            continue
        classifier = make_pipeline(
            StandardScaler(),
            PCA(min(COMPONENT_COUNT, len(train) - 1), random_state=0),
            LogisticRegression(C=REGULARIZATION, max_iter=300),
        ).fit(features[train], labels[train])
        plain_labels[held_out] = classifier.predict(features[held_out])
        mirrored_labels[held_out] = classifier.predict(mirrored_features[held_out])
    return plain_labels, mirrored_labels


def judge_mirroring(
    labels: NDArray[np.int64], plain_labels: NDArray[np.int64], mirrored_labels: NDArray[np.int64]
) -> MirrorCheck:
    """Return whether the predictions of mirrored images lose accuracy or swap two classes.

    Args:
        labels: class index of each image, [n].
        plain_labels: prediction for the image as it is, [n].
        mirrored_labels: prediction for its mirror image, [n].

    >>> labels = np.repeat([0, 1], 30)
    >>> judge_mirroring(labels, labels, labels).is_safe
    True
    >>> judge_mirroring(labels, labels, 1 - labels).is_safe
    False
    """
    lost = (plain_labels == labels).astype(float) - (mirrored_labels == labels)
    bound = ACCEPTED_LOSS + CONFIDENCE_Z * float(lost.std()) / math.sqrt(max(1, len(lost)))
    return MirrorCheck(
        float((plain_labels == labels).mean()),
        float((mirrored_labels == labels).mean()),
        is_safe=bool(lost.mean() <= bound)
        and not _has_swapped_class(labels, plain_labels, mirrored_labels),
    )


def _has_swapped_class(
    labels: NDArray[np.int64], plain_labels: NDArray[np.int64], mirrored_labels: NDArray[np.int64]
) -> bool:
    """Return whether mirroring turns much of one class into one other class."""
    size = int(max(labels.max(), plain_labels.max(), mirrored_labels.max())) + 1
    counts = np.zeros((2, size, size))
    known = plain_labels >= 0
    np.add.at(counts[0], (labels[known], plain_labels[known]), 1)
    np.add.at(counts[1], (labels[known], mirrored_labels[known]), 1)
    gained = counts[1] - counts[0]
    np.fill_diagonal(gained, 0)
    class_sizes = np.maximum(1, np.bincount(labels[known], minlength=size))[:, None]
    return bool(((gained / class_sizes > SWAPPED_SHARE) & (gained >= MIN_SWAPPED_IMAGES)).any())


def resolve_augmentation(
    settings: AugmentationSettings,
    images: TrainingImages,
    groups: NDArray[np.str_],
    context: StageContext,
) -> dict[str, Any]:
    """Return the settings of the augmentation, with `flip` true or false.

    A note gives the reason if images are not mirrored.

    Args:
        settings: the settings; `flip` may be auto.
        images: training images.
        groups: group of each of them, [n].
        context: gives the seed and takes the note.
    """
    augmentation = {name: getattr(settings, name) for name in AugmentationSettings.model_fields}
    if settings.flip == "auto":
        check = check_mirroring(images, groups, context.seed)
        augmentation["flip"] = check.is_safe
        if check.accuracy is None or check.mirrored_accuracy is None:
            context.add_note(
                "images are not mirrored in training (train.flip: auto): too few to judge "
                "whether a mirrored image keeps its label"
            )
        elif not check.is_safe:
            context.add_note(
                "images are not mirrored in training (train.flip: auto): mirrored images of a "
                f"class are recognized less often ({check.accuracy:.0%} before, "
                f"{check.mirrored_accuracy:.0%} mirrored) or as another class"
            )
    return augmentation
