"""Features from frozen weights, chunk by chunk: pipeline/learning/inference/frozen_features.py."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts import iterate_silently
from pipeline.learning.distributed import launch_processes, use_fabric
from pipeline.learning.inference import frozen_features
from pipeline.learning.inference.frozen_features import compute_frozen_features
from pipeline.learning.inference.model_outputs import extract_features_and_layout
from tests.learning.drawn import draw_images

ROWS = np.array([1, 3, 4, 8])


def test_wanted_rows_have_features_and_the_others_nan(tmp_path: Path) -> None:
    pixels = draw_images(10).pixels
    made = compute_frozen_features(pixels, ROWS, tmp_path, iterate_silently)
    expected = extract_features_and_layout(np.asarray(pixels[ROWS]))
    for values, features in zip(made, expected, strict=True):
        assert isinstance(values, np.memmap)
        np.testing.assert_allclose(values[ROWS], features, atol=2e-3)
        assert np.isnan(np.delete(values, ROWS, axis=0)).all()


def test_the_size_of_a_chunk_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = draw_images(10).pixels
    made = {}
    for size in (2048, 3):
        monkeypatch.setattr(frozen_features, "IMAGES_PER_CHUNK", size)
        folder = tmp_path / str(size)
        folder.mkdir()
        made[size] = compute_frozen_features(pixels, ROWS, folder, iterate_silently)
    for one, other in zip(made[2048], made[3], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def _compute_in_process(fabric: Any, folder: Path) -> None:
    rank = fabric.global_rank
    own_folder = folder / str(rank)
    own_folder.mkdir()
    frozen_features.IMAGES_PER_CHUNK = 4
    with use_fabric(fabric):
        made = compute_frozen_features(draw_images(10).pixels, ROWS, own_folder, iterate_silently)
    for values in made:
        name = f"{rank}-{values.shape[1]}"
        np.save(folder / f"{name}.npy", values)
        (folder / f"{name}.txt").write_text(str(values.filename))  # type: ignore[attr-defined]


def test_of_two_processes_the_first_writes_and_both_read(tmp_path: Path) -> None:
    launch_processes(2, partial(_compute_in_process, folder=tmp_path))
    alone = compute_frozen_features(draw_images(10).pixels, ROWS, tmp_path, iterate_silently)
    for values, file in zip(alone, ("embeddings.npy", "layout.npy"), strict=True):
        for rank in range(2):
            name = f"{rank}-{values.shape[1]}"
            np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), values, atol=2e-3)
            assert (tmp_path / f"{name}.txt").read_text() == str(tmp_path / "0" / file)
    assert list((tmp_path / "1").iterdir()) == [], "the second process writes nothing"
