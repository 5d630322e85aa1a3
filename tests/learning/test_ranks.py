"""Two real processes over gloo, against one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.learning import ranks
from pipeline.learning.backbone import build
from pipeline.learning.fit import fit
from pipeline.learning.predict import features_and_layout, logits
from pipeline.learning.settings import FitSettings
from tests.learning.drawn import META, draw
from tests.learning.pair import both

LAYERS, BATCHES = "test_vit", "test_efficientnet"  # layer norm; batch norm


def _learn(name: str, scratch: Path, settings: FitSettings) -> dict[str, Any]:
    model, meta = build(name, "none", META["classes"], 32, 0.0)
    fitted = fit(model, meta, draw(96), settings, holdout=draw(33, seed=1), seed=0, scratch=scratch)
    found = {"history": fitted.history, "weights": {k: v.clone() for k, v in fitted.model.state_dict().items()}}
    return found | {"logits": logits(fitted.model, draw(45, seed=2).pixels, META, batch=8)}


def _worker(rank: int, name: str, folder: Path, settings: FitSettings) -> None:
    with ranks.together():
        found = _learn(name, folder / "scratch", settings)
        found["seen"] = np.arange(11)[ranks.mine(11)].tolist()
        found["shared"] = ranks.shared(lambda n: (n * n, ranks.count()), list(range(7)))
        found["features"] = features_and_layout(draw(5).pixels, batch=2)[0]
    if ranks.first():
        ranks.order("one")
        ranks.dismiss(well=True)
    else:
        found["orders"] = list(ranks.orders())
    torch.save(found, folder / f"{rank}.pt")


def _two(name: str, folder: Path, settings: FitSettings) -> list[dict[str, Any]]:
    both(_worker, name, folder, settings)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """With layer norm the gradients are those of the whole batch but for rounding, with weighted classes too, a head
    that learns alone at first, and a mean of the weights."""
    settings = FitSettings(epochs=3, batch=11, rate=1e-3, every=9, class_weights=True, frozen=0.2, ema=0.8)
    one, (first, second) = _learn(LAYERS, tmp_path / "one", settings), _two(LAYERS, tmp_path, settings)
    assert first["history"].equals(second["history"])
    columns = ["loss", "accuracy"]
    assert list(first["history"]["step"]) == list(one["history"]["step"])
    assert np.allclose(first["history"][columns], one["history"][columns], atol=2e-3)
    for name, weight in one["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        assert torch.allclose(first["weights"][name], weight, atol=2e-3), name
    assert np.array_equal(first["logits"], second["logits"])
    assert np.allclose(first["logits"], one["logits"], atol=1e-2)
    assert sorted(first["seen"] + second["seen"]) == list(range(11))
    assert first["shared"] == second["shared"] == [(n * n, 1) for n in range(7)]
    assert np.allclose(first["features"], features_and_layout(draw(5).pixels, batch=2)[0], atol=1e-4)
    assert second["orders"] == ["one"]
    assert (tmp_path / "scratch" / "last.pt").is_file()


def test_with_batch_norm_it_is_learnt_as_well(tmp_path: Path) -> None:
    """Between CPUs each process normalises by its own share of a batch: another curve, to the same end."""
    settings = FitSettings(epochs=6, batch=16, rate=4e-3, every=6)
    one, (first, second) = _learn(BATCHES, tmp_path / "one", settings), _two(BATCHES, tmp_path, settings)
    assert first["history"].equals(second["history"])
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    curves = [found["history"].query("split == 'holdout'")["loss"].to_numpy() for found in (one, first)]
    assert len(curves[0]) == len(curves[1])
    assert max(curve[-1] for curve in curves) < 0.2 < curves[1][0]


def test_alone_nothing_is_shared() -> None:
    with ranks.together():
        assert (ranks.count(), ranks.rank(), ranks.first(), ranks.mine(5)) == (1, 0, True, slice(0, 5, 1))
        assert ranks.shared(str, [1, 2]) == ["1", "2"]
        assert ranks.from_first(3) == 3
    assert list(ranks.orders()) == []
