from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training import linear_head as module
from pipeline.learning.training.training_loop import FitResult, fit_network
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import META, draw

SETTINGS = FitSettings(
    epochs=6, learning_rate=5e-2, batch_size=16, evaluation_interval=6, head_only=True
)


def _fit(
    scratch: Path, settings: FitSettings = SETTINGS, **more: Any
) -> tuple[FitResult, dict[str, torch.Tensor]]:
    model, meta = build_network("test_efficientnet", "none", ["lying", "standing"], 32, 0.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    return fit_network(
        model, meta, draw(96), settings, seed=0, scratch_folder=scratch, **more
    ), before


def test_the_head_alone_learns_and_the_network_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    ask = module.compute_outputs

    def counted(model: Any, pixels: Any, *more: Any, **named: Any) -> Any:
        shown.append(len(pixels))
        return ask(model, pixels, *more, **named)

    monkeypatch.setattr(module, "compute_outputs", counted)
    fitted, before = _fit(tmp_path, holdout=draw(20, seed=1))
    moved = {k for k, v in fitted.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"classifier.weight", "classifier.bias"}
    assert shown == [96] * module.MAXIMUM_VIEWS + [20]
    assert fitted.image_passes == pytest.approx(6 * 96, abs=16)
    losses = fitted.history.query("split == 'holdout'")["loss"].to_numpy()
    assert losses[-1] < losses[0]
    again, _ = _fit(tmp_path, holdout=draw(20, seed=1))
    assert len(shown) == module.MAXIMUM_VIEWS + 1, "the embeddings are kept"
    assert again.history.equals(fitted.history)
    assert all(
        torch.equal(v, fitted.model.state_dict()[k]) for k, v in again.model.state_dict().items()
    )


def test_what_the_head_learns_from_is_what_the_network_makes_of_treated_images(
    tmp_path: Path,
) -> None:
    seen: list[np.ndarray] = []

    def dark(rows: np.ndarray, pixels: np.ndarray, seed: int) -> np.ndarray:
        seen.append(rows)
        return (pixels * 0.3).astype(np.uint8)

    plain, _ = _fit(tmp_path / "plain")
    treated, _ = _fit(tmp_path / "dark", treatment=dark)
    assert sorted(np.concatenate(seen)) == sorted(list(range(96)) * module.MAXIMUM_VIEWS)
    one, other = (compute_logits(f.model, draw(16, seed=3).pixels, META) for f in (plain, treated))
    assert not np.allclose(one, other)
