"""The search for look-alikes in a folder of unlabeled images."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
from scipy.special import softmax

from pipeline.contracts import StageContext
from pipeline.data.unlabeled_images import list_unlabeled_images, read_unlabeled_images
from pipeline.learning.inference.model_outputs import compute_logits, extract_features
from pipeline.learning.inference.normalization_folding import load_folded_model
from pipeline.slices.prescription.look_alikes import LookAlikeList, LookAlikes, SliceExamples

UNLABELED_KEY = "prescribe.unlabeled"


def search_unlabeled_images(
    folder: Path,
    context: StageContext,
    examples: Mapping[str, SliceExamples],
    known_hashes: Set[str],
    model: Path,
) -> LookAlikes:
    """Return the unlabeled images that look like the failures of a slice.

    Images that the data set holds already are left out.

    Args:
        folder: the folder or archive of unlabeled images.
        context: progress of the stage.
        examples: by slice, what images are compared with.
        known_hashes: hashes of the contents of the data set's images.
        model: folder of the model that predicts them.

    Raises:
        InputError: there is no such folder, or it holds no image.
    """
    records = list_unlabeled_images(folder, UNLABELED_KEY)
    network, meta = load_folded_model(model)
    classes = np.array(meta["classes"])
    found = LookAlikeList(examples)
    counts = {"images": 0, "known": 0, "rejected": 0}
    for chunk in read_unlabeled_images(records, int(meta["side"]), context.track_progress):
        is_new = np.array([item not in known_hashes for item in chunk.content_hashes], dtype=bool)
        counts["images"] += len(chunk.paths)
        counts["known"] += int((~is_new).sum())
        counts["rejected"] += len(chunk.rejected)
        if not is_new.any():
            continue
        pixels = chunk.pixels[is_new]
        logits = compute_logits(network, pixels, meta)
        shares = softmax(logits / float(meta.get("temperature") or 1.0), axis=1)
        found.add_images(
            [path for path, new in zip(chunk.paths, is_new, strict=True) if new],
            extract_features(pixels),
            classes[logits.argmax(1)],
            shares.max(axis=1),
        )
    table = found.build_table()
    listed = {name: int((table["slice"] == name).sum()) for name in examples}
    return LookAlikes(table, {"folder": str(folder), **counts, "listed": listed})
