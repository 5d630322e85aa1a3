"""Validation images with a planted cause: the slice holds darkened or covered good images."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.good_images import GoodImages, select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from tests.helpers.validation_sets import encode_responses, make_validation_set

INTERVENTIONS = pd.DataFrame(remedies.list_interventions(), columns=["remedy", "strength"])
IMAGE_COUNT = 240
MIN_LUMINANCE = 55.0  # the model is correct above this mean
COVERED_CLASS = 2
PLAIN_SHARE = 0.05  # share of equal neighboring pixels above which an image counts as covered


@dataclass(frozen=True)
class PlantedImages:
    """A validation set, its planted slice (bool [rows]) and the tools that read its images."""

    val: ValidationSet
    is_member: np.ndarray
    tools: InterventionTools

    @property
    def failing_rows(self) -> np.ndarray:
        return np.flatnonzero(self.is_member & self.val.is_misclassified)

    def select_good(self, slice_mask: np.ndarray | None = None) -> GoodImages:
        """Return 100 good images outside the planted slice."""
        mask = self.is_member if slice_mask is None else slice_mask
        return select_good_images(self.val, ~self.is_member, mask, self.tools, 100, 0)


def measure_luminance(pixels: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of the gray levels of each image."""
    flat = pixels.reshape(len(pixels), -1).astype(float)
    return np.column_stack([flat.mean(1), flat.std(1)])


def measure_plainness(pixels: np.ndarray) -> np.ndarray:
    """Return mean, deviation and the share of pixels that equal their neighbor."""
    is_equal = (pixels[:, :, 1:] == pixels[:, :, :-1]).all(-1).mean((1, 2))
    return np.column_stack([measure_luminance(pixels), is_equal])


def predict_bright_side(pixels: np.ndarray) -> np.ndarray:
    """Return 1 if the right half is brighter; the reverse for dark images."""
    left, right = pixels[:, :, :6].mean((1, 2, 3)), pixels[:, :, 6:].mean((1, 2, 3))
    prediction = (right > left).astype(np.intp)
    is_bright = measure_luminance(pixels)[:, 0] > MIN_LUMINANCE
    return np.where(is_bright, prediction, 1 - prediction)


def predict_covered(pixels: np.ndarray) -> np.ndarray:
    """Return 1 if the right half is brighter; a third class for covered images."""
    left, right = pixels[:, :, :6].mean((1, 2, 3)), pixels[:, :, 6:].mean((1, 2, 3))
    is_covered = measure_plainness(pixels)[:, 2] > PLAIN_SHARE
    return np.where(is_covered, COVERED_CLASS, (right > left).astype(np.intp))


def plant_darkness() -> PlantedImages:
    """Return images of which the last 80 are darkened; a tenth of all labels is wrong."""
    rng, labels = np.random.default_rng(0), np.arange(IMAGE_COUNT) % 2
    lit = rng.integers(60, 200, (IMAGE_COUNT, 12, 12, 3))
    lit[:, :, :6] += 30 * (1 - labels)[:, None, None, None]
    lit[:, :, 6:] += 30 * labels[:, None, None, None]
    pixels = lit.astype(np.uint8)
    pixels[160:] = remedies.apply_remedy("exposure", pixels[160:], 0.25, 0.25, 0)
    is_mislabeled = rng.random(IMAGE_COUNT) < 0.1  # no intervention repairs these
    labels = np.where(is_mislabeled, 1 - labels, labels)
    predictions = predict_bright_side(pixels)
    is_correct_after = []
    for remedy, strength in INTERVENTIONS.itertuples(index=False):
        treated = remedies.apply_remedy(remedy, pixels, strength, strength, 0)
        is_correct_after.append(predict_bright_side(treated) == labels)
    rows = np.arange(IMAGE_COUNT)
    frame = pd.DataFrame({"label": labels.astype(str)})
    frame.insert(0, "image_id", "i" + pd.Series(rows).astype(str))
    frame["group"] = "g" + pd.Series(rows // 2).astype(str)
    margins = np.where(predictions == labels, 1.0, -1.0) * rng.gamma(2, 1, IMAGE_COUNT)
    val = make_validation_set(
        frame,
        labels,
        predictions,
        "012",
        is_correct_after=np.column_stack(is_correct_after),
        margins=margins,
    )
    tools = InterventionTools(pixels, remedies.apply_remedy, measure_luminance, predict_bright_side)
    return PlantedImages(val, rows >= 160, tools)


def plant_covers(mislabeled_count: int) -> PlantedImages:
    """Return images of which 160 to 199 are covered; the 40 after them are bright and whole.

    Of the latter the first `mislabeled_count` have a label that the model never predicts.
    """
    dark = plant_darkness()
    pixels = np.array(dark.tools.pixels)
    pixels[160:] = remedies.apply_remedy("exposure", pixels[160:], 4.0, 4.0, 0)
    pixels[160:200] = remedies.apply_remedy("occlusion", pixels[160:200], 0.5, 0.5, 0)
    predictions = predict_covered(pixels)
    labels = np.where(np.arange(IMAGE_COUNT) >= 200, predictions, dark.val.labels)
    labels[200 : 200 + mislabeled_count] = COVERED_CLASS
    responses = encode_responses(dark.val.probe_results.after, labels, 3)
    val = replace(dark.val, labels=labels, predictions=predictions, responses=responses)
    tools = replace(
        dark.tools,
        pixels=pixels,
        measure_attributes=measure_plainness,
        predict_labels=predict_covered,
    )
    return PlantedImages(val, dark.is_member, tools)


@pytest.fixture(scope="session")
def darkness() -> PlantedImages:
    return plant_darkness()
