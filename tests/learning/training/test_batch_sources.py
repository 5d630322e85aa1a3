"""The path of a GPU, walked on the CPU: images that lie on the device against images from the memory map."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training import training_loop as fitting
from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.learning.training.batch_sources import HostSource, ResidentSource, create_batch_source
from pipeline.learning.training.device_policy import PrecisionPolicy
from pipeline.learning.training.generic_augmentation import create_trivial_augment
from pipeline.learning.training.targeted_treatment import (
    SimulatedImages,
    TargetedTreatment,
    build_targeted_treatment,
)
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy
from tests.learning.drawn import META, draw

SETTINGS, THERE = FitSettings(max_shift=0.1, max_crop=0.1), PrecisionPolicy(is_data_resident=True)


def _plan(
    photos: TrainingImages, rows: list[tuple[int, str, float, float, float, str | None]]
) -> TargetedTreatment:
    columns = ["image", "remedy", "strength_low", "strength_high", "probability", "simulator"]
    plan = pd.DataFrame(rows, columns=columns)
    plan["image_id"], plan["slice"] = [f"i{k}" for k in plan["image"]], "s1"
    images = pd.DataFrame({"image_id": [f"i{k}" for k in range(96)], "label": ["a", "b"] * 48})
    pool = SimulatedImages(
        np.full((2, 32, 32, 3), 7, np.uint8),
        {("s1", "a"): np.array([0]), ("s1", "b"): np.array([1])},
    )
    return build_targeted_treatment(plan.drop(columns="image"), images, apply_remedy, pool)


def _pixels(
    images: TrainingImages,
    treatment: TargetedTreatment | None,
    use: PrecisionPolicy,
    share: slice = slice(0, 40, 1),
) -> np.ndarray:
    source = create_batch_source(images, META, SETTINGS, treatment, use)
    own = images.select_images(np.arange(40)).select_images(share)
    sent, finish = source.prepare_batch(own, share, (5, 6))
    x = finish(*sent)
    assert x.is_contiguous(memory_format=torch.channels_last)
    return (127.5 * x + 127.5).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("share", [slice(0, 40, 1), slice(1, 40, 2)])
def test_images_on_the_device_are_those_of_the_memory_map(share: slice) -> None:
    """A remedy with a twin, one without, and a simulated image; the same draws, rank by rank."""
    whole = draw(96)
    images = TrainingImages(whole.pixels, whole.image_rows[90:10:-1], whole.labels[90:10:-1])
    rows = [(row, "exposure", 0.5, 0.5, 1.0, None) for row in range(60, 70)]
    rows += [(row, "jpeg", 20.0, 20.0, 1.0, None) for row in range(70, 80)]
    rows += [(row, "exposure", 0.5, 0.5, 1.0, "gate") for row in range(80, 85)]
    for treatment in (None, _plan(images, rows)):
        one, other = (_pixels(images, treatment, use, share) for use in (PrecisionPolicy(), THERE))
        off = np.abs(one - other)
        assert off.mean() < 0.5
        assert np.quantile(off, 0.99) < 6


def test_where_images_lie_follows_from_means_and_treatment() -> None:
    images = draw(8)
    assert isinstance(
        create_batch_source(images, META, SETTINGS, None, PrecisionPolicy()), HostSource
    )
    assert isinstance(
        create_batch_source(images, META, SETTINGS, create_trivial_augment(), THERE), HostSource
    )
    assert isinstance(create_batch_source(images, META, SETTINGS, None, THERE), ResidentSource)


def test_it_is_learnt_from_the_device_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "choose_precision", lambda card, size: THERE)
    images = draw(96)
    model, meta = build_network("test_efficientnet", "none", META["classes"], 32, 0.0)
    treatment = _plan(images, [(row, "rotation", -5.0, 5.0, 0.5, None) for row in range(96)])
    fitted = fit_network(
        model,
        meta,
        images,
        FitSettings(epochs=8, learning_rate=5e-3, batch_size=16),
        treatment=treatment,
        seed=0,
        scratch_folder=tmp_path,
    )
    fresh = draw(64, seed=2)
    assert (compute_logits(fitted.model, fresh.pixels, META).argmax(1) == fresh.labels).mean() > 0.9
