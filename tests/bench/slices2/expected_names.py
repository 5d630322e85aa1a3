"""The words that name each corruption rightly, written down before anything was measured."""

from __future__ import annotations

import json

import numpy as np

from pipeline.remedies import load_remedy
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.statistics.two_sample_test import compute_two_sample_auc
from tests.bench.slices.equivalent_remedies import COMPARED_IMAGES, match_treatments, measure_values
from tests.bench.slices2.image_models import ImageModel
from tests.bench.slices2.search_cases import corrupt_images

# No remedy makes pixelated, snowy, frosted or zoom-blurred images: there "unexplained" is right,
# and every name whose copies cannot be distinguished.
OWN_WORDS = {
    "gaussian_noise": "noisy",
    "shot_noise": "noisy",
    "defocus_blur": "blurred",
    "motion_blur": "blurred by motion",
    "brightness": "too bright",
    "contrast": "too low in contrast",
    "fog": "foggy",
    "jpeg_compression": "spoilt by JPEG compression",
}


def describe_side(remedy: str, strength: float) -> str:
    """Return the words for one side of neutral of a remedy, such as "too dark"."""
    plugin = load_remedy(remedy)
    is_below = plugin.NEUTRAL_STRENGTH is not None and strength < plugin.NEUTRAL_STRENGTH
    return str(plugin.CAUSE_WORDS[0 if is_below else 1])


def list_own_words(corruptions: tuple[str, ...]) -> set[str]:
    """Return the words of the remedies that are known under the name of a corruption."""
    return {OWN_WORDS[name] for name in corruptions if name in OWN_WORDS}


def find_equivalent_words(
    model: ImageModel, corruptions: tuple[str, ...], severity: int
) -> set[str]:
    """Return the words of remedies whose copies cannot be told from corrupted images.

    Each remedy is matched at its nearest strength on other clean images, on each side of neutral.
    The result is kept in the model's folder.

    Args:
        model: the model, whose training images are compared.
        corruptions: one after the other.
        severity: 1 to 3.
    """
    file = model.cache / f"equivalent-{'+'.join(corruptions)}-{severity}.json"
    if not file.exists():
        file.write_text(json.dumps(sorted(_compare_remedies(model, corruptions, severity))))
    known: list[str] = json.loads(file.read_text())
    return set(known)


def _compare_remedies(model: ImageModel, corruptions: tuple[str, ...], severity: int) -> set[str]:
    images = model.images
    order = np.random.default_rng(3).permutation(np.flatnonzero(images.is_training))
    rows, other_rows = order[:COMPARED_IMAGES], order[COMPARED_IMAGES : 2 * COMPARED_IMAGES]
    corrupted = measure_values(corrupt_images(images.pixels[rows], corruptions, severity))
    others, groups = images.pixels[other_rows], images.groups
    words = set()
    for treatment in match_treatments(None, others, corrupted):
        copies = treatment.measure_copies(others)
        auc = compute_two_sample_auc(copies, corrupted, groups[other_rows], groups[rows])
        if auc <= CONSTANTS.causes.max_indistinguishable_auc:
            words.add(describe_side(treatment.remedy, treatment.strength))
    return words - {""}
