from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts import InputError
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.linear_head import MAXIMUM_VIEWS
from pipeline.learning.training.training_loop import FitResult, fit_network
from pipeline.learning.training_settings import PROGRAM_BACKBONE, FitSettings
from tests.learning.drawn import MODEL_META, draw_images
from tests.learning.small_training import copy_weights, fit_small_network, has_same_weights

SETTINGS = FitSettings(
    recipe="bare",
    epochs=6,
    learning_rate=5e-2,
    batch_size=16,
    evaluation_interval=6,
    head_only=True,
)


def _fit_head(scratch_folder: Path, **options: Any) -> FitResult:
    return fit_small_network(draw_images(96), scratch_folder, SETTINGS, dropout=0.0, **options)


def test_only_the_head_is_trained(tmp_path: Path) -> None:
    model, meta = build_network("test_efficientnet", "none", MODEL_META["classes"], 32, 0.0)
    before = copy_weights(model)
    result = fit_network(
        model,
        meta,
        draw_images(96),
        SETTINGS,
        holdout=draw_images(20, seed=1),
        seed=0,
        scratch_folder=tmp_path,
    )
    after = copy_weights(result.model)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert result.image_passes == pytest.approx(6 * 96, abs=16)
    holdout_losses = result.history.query("split == 'holdout'")["loss"].to_numpy()
    assert holdout_losses[-1] < holdout_losses[0]


def test_a_resumed_training_reads_the_stored_embeddings(tmp_path: Path) -> None:
    augmented_rows: list[np.ndarray] = []

    def record_rows(rows: np.ndarray, pixels: np.ndarray, seed: int) -> np.ndarray:
        augmented_rows.append(rows)
        return pixels

    result = _fit_head(tmp_path, treatment=record_rows)
    stored_views = sorted(list(range(96)) * MAXIMUM_VIEWS)
    assert sorted(np.concatenate(augmented_rows)) == stored_views
    (tmp_path / "last.pt").unlink()
    retrained = _fit_head(tmp_path, treatment=record_rows)
    assert sorted(np.concatenate(augmented_rows)) == stored_views, "no image is embedded again"
    assert retrained.history.equals(result.history)
    assert has_same_weights(retrained.model, result.model)


def test_the_head_is_trained_on_treated_images(tmp_path: Path) -> None:
    def darken(rows: np.ndarray, pixels: np.ndarray, seed: int) -> np.ndarray:
        return (pixels * 0.3).astype(np.uint8)

    plain = _fit_head(tmp_path / "plain")
    treated = _fit_head(tmp_path / "dark", treatment=darken)
    new_pixels = draw_images(16, seed=3).pixels
    plain_logits = compute_logits(plain.model, new_pixels, MODEL_META)
    treated_logits = compute_logits(treated.model, new_pixels, MODEL_META)
    assert not np.allclose(plain_logits, treated_logits)


def test_a_program_without_a_head_is_rejected(tmp_path: Path) -> None:
    model, meta = build_network("test_efficientnet", "none", MODEL_META["classes"], 32, 0.0)
    program_meta = {**meta, "backbone": PROGRAM_BACKBONE}
    with pytest.raises(InputError, match=r"retrain\.head_only: .* leave it false"):
        fit_network(model, program_meta, draw_images(16), SETTINGS, seed=0, scratch_folder=tmp_path)
