"""The path of a GPU, walked on the CPU: photos that lie on the device against photos from the memory map."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.learning import fit as fitting
from pipeline.learning.backbone import build
from pipeline.learning.batches import Photos
from pipeline.learning.fit import fit
from pipeline.learning.generic import trivial_augment
from pipeline.learning.hardware import Means
from pipeline.learning.planned import Planned, Pool, treatment_of
from pipeline.learning.predict import logits
from pipeline.learning.settings import FitSettings
from pipeline.learning.sources import Hosted, Resident, source_of
from pipeline.remedies import treat
from tests.learning.drawn import META, draw

SETTINGS, THERE = FitSettings(shift=0.1, crop=0.1), Means(resident=True)


def _plan(photos: Photos, rows: list[tuple[int, str, float, float, float, str | None]]) -> Planned:
    columns = ["image", "remedy", "dose_low", "dose_high", "probability", "simulator"]
    plan = pd.DataFrame(rows, columns=columns)
    plan["image_id"], plan["slice"] = [f"i{k}" for k in plan["image"]], "s1"
    images = pd.DataFrame({"image_id": [f"i{k}" for k in range(96)], "label": ["a", "b"] * 48})
    pool = Pool(np.full((2, 32, 32, 3), 7, np.uint8), {("s1", "a"): np.array([0]), ("s1", "b"): np.array([1])})
    return treatment_of(plan.drop(columns="image"), images, treat, pool)


def _pixels(photos: Photos, treatment: Planned | None, use: Means, share: slice = slice(0, 40, 1)) -> np.ndarray:
    source = source_of(photos, META, SETTINGS, treatment, use)
    own = photos.take(np.arange(40)).take(share)
    sent, finish = source.prepare(own, share, (5, 6))
    x = finish(*sent)
    assert x.is_contiguous(memory_format=torch.channels_last)
    return (127.5 * x + 127.5).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("share", [slice(0, 40, 1), slice(1, 40, 2)])
def test_photos_on_the_device_are_those_of_the_memory_map(share: slice) -> None:
    """A remedy with a twin, one without, and a simulated photo; the same draws, rank by rank."""
    whole = draw(96)
    photos = Photos(whole.pixels, whole.rows[90:10:-1], whole.labels[90:10:-1])
    rows = [(row, "exposure", 0.5, 0.5, 1.0, None) for row in range(60, 70)]
    rows += [(row, "jpeg", 20.0, 20.0, 1.0, None) for row in range(70, 80)]
    rows += [(row, "exposure", 0.5, 0.5, 1.0, "gate") for row in range(80, 85)]
    for treatment in (None, _plan(photos, rows)):
        one, other = (_pixels(photos, treatment, use, share) for use in (Means(), THERE))
        off = np.abs(one - other)
        assert off.mean() < 0.5
        assert np.quantile(off, 0.99) < 6


def test_where_photos_lie_follows_from_means_and_treatment() -> None:
    photos = draw(8)
    assert isinstance(source_of(photos, META, SETTINGS, None, Means()), Hosted)
    assert isinstance(source_of(photos, META, SETTINGS, trivial_augment(), THERE), Hosted)
    assert isinstance(source_of(photos, META, SETTINGS, None, THERE), Resident)


def test_it_is_learnt_from_the_device_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "means", lambda card, size: THERE)
    photos = draw(96)
    model, meta = build("test_efficientnet", "none", META["classes"], 32, 0.0)
    treatment = _plan(photos, [(row, "rotation", -5.0, 5.0, 0.5, None) for row in range(96)])
    fitted = fit(
        model, meta, photos, FitSettings(epochs=8, rate=5e-3, batch=16), treatment=treatment, seed=0, scratch=tmp_path
    )
    fresh = draw(64, seed=2)
    assert (logits(fitted.model, fresh.pixels, META).argmax(1) == fresh.labels).mean() > 0.9
