"""A camera with other colors: what of the gap to its real images each treatment closes.

    python -m tests.bench.remedies.camera_colors [--seeds 2]

A network is trained on the flowers. Three cameras mix the colors of validation and test images in
linear light and have a tone curve of their own. Arms train on, half of the views treated; the
lenders of tones are validation images of the camera, without labels. The oracle trains on images
of the camera. NIGHTSHIFT_FLOWERS names the folder of the flowers.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy
from pipeline.statistics.tone_matching import ToneLender, ToneMethod
from tests.bench.remedies.closure import compute_accuracy, estimate_closure
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import format_command, prepare_process
from tests.bench.slices.result_sections import RESULTS_FILE

Pixels = NDArray[np.uint8]
BASE_PASSES, ARM_PASSES = 8_000, 2_500
TREATED_SHARE = 0.5
CAMERAS = {
    "warm sensor": ([[0.9, 0.25, 0.0], [0.1, 0.7, 0.05], [0.0, 0.15, 0.4]], 0.9),
    "green sensor": ([[0.6, 0.1, 0.1], [0.3, 0.8, 0.2], [0.05, 0.1, 0.7]], 1.15),
    "raw sensor": ([[0.45, 0.35, 0.1], [0.2, 0.6, 0.2], [0.1, 0.35, 0.45]], 1.0),
}
"""Mixing of the colors in linear light, and exponent of the tone curve."""


def show_through_camera(pixels: Pixels, name: str) -> Pixels:
    """Return images as a camera shows them, uint8 [n, S, S, 3]."""
    mixing, exponent = CAMERAS[name]
    light = ((pixels / 255) ** 2.2 @ np.array(mixing).T).clip(0, 1)
    return np.asarray(255 * light ** (exponent / 2.2), dtype=np.uint8)


def _list_treatments(name: str, pixels: Pixels, lending_images: Pixels) -> dict[str, Any]:
    """Return by arm a function (pixels, seed) of treated pixels; None for no treatment."""

    def cast_colors(images: Pixels, seed: int) -> Pixels:
        return apply_remedy("color_cast", images, 0.15, 0.3, seed % 2**32)

    lenders = {method: ToneLender.create(method, lending_images, pixels) for method in ToneMethod}
    return {
        "control": None,
        "color_cast": cast_colors,
        **{str(method): lender.lend_tones for method, lender in lenders.items()},
        "oracle": lambda images, seed: show_through_camera(images, name),
    }


def _build_treatment(treat: Callable[[Pixels, int], Pixels] | None) -> Any:
    """Return a `BatchTreatment` that treats a random half of a batch; None for no treatment."""
    if treat is None:
        return None

    def treat_batch(rows: NDArray[np.intp], pixels: Pixels, seed: int) -> Pixels:
        is_treated = np.random.default_rng([seed, 3]).random(len(rows)) < TREATED_SHARE
        treated = pixels.copy()
        if is_treated.any():
            treated[is_treated] = treat(pixels[is_treated], seed)
        return treated

    return treat_batch


def _train(
    model: nn.Module, meta: Any, images: TrainingImages, passes: int, treat: Any, seed: int
) -> nn.Module:
    settings = FitSettings(recipe="bare", image_passes=passes)
    with TemporaryDirectory() as scratch:
        return fit_network(
            copy.deepcopy(model),
            meta,
            images,
            settings,
            treatment=_build_treatment(treat),
            seed=seed,
            scratch_folder=Path(scratch),
        ).model


def measure_cameras(clean: CleanModel, seed_count: int) -> list[dict[str, str]]:
    """Return a row for each camera and arm: accuracy on its test images, and closure of the gap."""
    data = clean.images
    labels = np.searchsorted(data.class_names, data.labels)
    rng = np.random.default_rng(0)
    other_rows = rng.permutation(np.flatnonzero(~data.is_training))
    val_rows, test_rows = np.array_split(other_rows, 2)
    training_rows = np.flatnonzero(data.is_training)
    images = TrainingImages(data.pixels, training_rows, labels[training_rows])
    side = data.pixels.shape[1]
    network, meta = build_network(
        "tf_efficientnet_lite0", "packaged", data.class_names, side, 0.2, seed=0
    )
    model = _train(network, meta, images, BASE_PASSES, None, 0)
    table = []
    for name in CAMERAS:
        lending_images = show_through_camera(data.pixels[val_rows[:200]], name)
        sample = data.pixels[images.image_rows[:200]]
        shown = show_through_camera(data.pixels[test_rows], name)
        correctness = {}
        for arm, treat in _list_treatments(name, sample, lending_images).items():
            is_right = []
            for seed in range(seed_count):
                trained = _train(model, meta, images, ARM_PASSES, treat, 100 + seed)
                logits = compute_logits(trained, shown, meta)
                is_right.append(logits.argmax(1) == labels[test_rows])
            correctness[arm] = np.stack(is_right)
        everything = np.ones(len(test_rows), bool)
        for arm, right in correctness.items():
            closure, low, high = estimate_closure(
                correctness, everything, data.groups[test_rows], arm
            )
            table.append(
                {
                    "camera": name,
                    "arm": arm,
                    "accuracy": f"{compute_accuracy(right, everything):.1%}",
                    "closure": f"{closure:.0%} ({low:.0%} to {high:.0%})",
                }
            )
            print(table[-1], flush=True)
    return table


def main() -> None:
    """Measure all cameras, and write the section of the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each arm")
    parser.add_argument("--cache", type=Path, default=Path("data/bench-slices"))
    parser.add_argument("--results", type=Path, default=RESULTS_FILE)
    options = parser.parse_args()
    prepare_process()
    table = measure_cameras(CleanModel("flowers", options.cache), options.seeds)
    intro = f"{time.strftime('%Y-%m-%d')}, `{format_command('tests.bench.remedies.camera_colors')}`"
    write_section(options.results, "A camera of other colors", f"{intro}\n\n{format_table(table)}")


if __name__ == "__main__":
    main()
