"""The data path of a GPU, run on the CPU: resident images against images from the memory map."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.batches.batch_sources import (
    HostSource,
    ResidentSource,
    can_reside_in_memory,
    create_batch_source,
)
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.training.generic_augmentation import create_trivial_augment
from pipeline.learning.training.targeted_treatment import (
    SimulatedImages,
    TargetedTreatment,
    build_targeted_treatment,
)
from pipeline.learning.training_settings import FitSettings
from pipeline.remedies import apply_remedy
from tests.learning.drawn import MODEL_META, draw_images
from tests.learning.small_training import create_training_run

SETTINGS = FitSettings(recipe="bare", max_shift=0.1, min_crop_area=0.5, flip=True, color_jitter=0.2)


def _build_treatment(
    plan_rows: list[tuple[int, str, float, float, float, str | None]], tone_share: float = 0.0
) -> TargetedTreatment:
    columns = ["row", "remedy", "strength_low", "strength_high", "probability", "simulator"]
    plan = pd.DataFrame(plan_rows, columns=columns)
    plan["image_id"] = [f"i{row}" for row in plan["row"]]
    plan["slice"] = "s1"
    plan["tone_share"] = tone_share
    images = pd.DataFrame({"image_id": [f"i{row}" for row in range(96)], "label": ["a", "b"] * 48})
    simulated_images = SimulatedImages(
        np.full((2, 32, 32, 3), 7, np.uint8),
        {("s1", "a"): np.array([0]), ("s1", "b"): np.array([1])},
    )
    return build_targeted_treatment(
        plan.drop(columns="row"), images, apply_remedy, simulated_images
    )


def _build_pixels(
    images: TrainingImages,
    treatment: TargetedTreatment | None,
    positions: slice,
    *,
    is_resident: bool,
) -> np.ndarray:
    source = create_batch_source(images, MODEL_META, SETTINGS, treatment, is_resident=is_resident)
    rank_images = images.select_images(np.arange(40)).select_images(positions)
    tensors, build_pixels = source.prepare_batch(rank_images, positions, (5, 6))
    inputs = build_pixels(*tensors)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    return (127.5 * inputs + 127.5).permute(0, 2, 3, 1).numpy()


MIXED_PLAN = [
    *[(row, "exposure", 0.5, 0.5, 1.0, None) for row in range(60, 70)],
    *[(row, "jpeg", 20.0, 20.0, 1.0, None) for row in range(70, 80)],
    *[(row, "exposure", 0.5, 0.5, 1.0, "gate") for row in range(80, 85)],
]
"""A remedy that runs on the device, one that runs on the host, and simulated images."""


@pytest.mark.parametrize("positions", [slice(0, 40, 1), slice(1, 40, 2)])
@pytest.mark.parametrize("is_treated", [False, True])
def test_resident_images_match_images_from_the_memory_map(
    positions: slice, is_treated: bool
) -> None:
    drawn = draw_images(96)
    images = TrainingImages(drawn.pixels, drawn.image_rows[90:10:-1], drawn.labels[90:10:-1])
    treatment = _build_treatment(MIXED_PLAN) if is_treated else None
    host_pixels = _build_pixels(images, treatment, positions, is_resident=False)
    resident_pixels = _build_pixels(images, treatment, positions, is_resident=True)
    difference = np.abs(host_pixels - resident_pixels)
    assert difference.mean() < 0.5
    assert np.quantile(difference, 0.99) < 6


@pytest.mark.parametrize(
    ("is_resident", "is_generic", "source_class"),
    [(False, False, HostSource), (True, True, HostSource), (True, False, ResidentSource)],
)
def test_memory_and_treatment_decide_the_source(
    is_resident: bool, is_generic: bool, source_class: type
) -> None:
    treatment = create_trivial_augment() if is_generic else None
    source = create_batch_source(
        draw_images(8), MODEL_META, SETTINGS, treatment, is_resident=is_resident
    )
    assert isinstance(source, source_class)


def test_images_reside_in_half_of_the_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw_images(8)
    image_bytes = images.pixels.nbytes
    gpu = torch.device("cuda", 0)
    assert not can_reside_in_memory(images, torch.device("cpu"))
    for free_bytes, can_reside in ((2 * image_bytes, True), (2 * image_bytes - 1, False)):
        memory = (free_bytes, 2 * free_bytes)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, memory=memory: memory)
        assert can_reside_in_memory(images, gpu) == can_reside


def test_a_network_learns_from_resident_images() -> None:
    settings = FitSettings(recipe="bare", epochs=8, learning_rate=5e-3, batch_size=16)
    treatment = _build_treatment([(row, "rotation", -5.0, 5.0, 0.5, None) for row in range(96)])
    training_run = create_training_run(
        draw_images(96), settings, is_resident=True, treatment=treatment
    )
    assert isinstance(training_run.batch_source, ResidentSource)
    training_run.begin_phase(0)
    for step in range(training_run.schedule.step_count):
        training_run.run_step(step, training_run.prepare_shard(step)())
    new_images = draw_images(64, seed=2)
    logits = compute_logits(training_run.model.eval(), new_images.pixels, MODEL_META)
    assert (logits.argmax(1) == new_images.labels).mean() > 0.9
