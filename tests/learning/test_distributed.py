"""Two real processes over gloo, against one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.learning import distributed
from pipeline.learning.inference.model_outputs import compute_logits, extract_features_and_layout
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import META, draw
from tests.learning.pair import both

LAYERS, BATCHES = "test_vit", "test_efficientnet"  # layer norm; batch norm


def _learn(name: str, scratch: Path, settings: FitSettings) -> dict[str, Any]:
    model, meta = build_network(name, "none", META["classes"], 32, 0.0)
    fitted = fit_network(
        model, meta, draw(96), settings, holdout=draw(33, seed=1), seed=0, scratch_folder=scratch
    )
    found = {
        "history": fitted.history,
        "weights": {k: v.clone() for k, v in fitted.model.state_dict().items()},
    }
    return found | {
        "logits": compute_logits(fitted.model, draw(45, seed=2).pixels, META, batch_size=8)
    }


def _worker(rank: int, name: str, folder: Path, settings: FitSettings) -> None:
    with distributed.share_work():
        found = _learn(name, folder / "scratch", settings)
        found["seen"] = np.arange(11)[distributed.select_rank_items(11)].tolist()
        found["shared"] = distributed.map_over_ranks(
            lambda n: (n * n, distributed.count_ranks()), list(range(7))
        )
        found["features"] = extract_features_and_layout(draw(5).pixels, batch_size=2)[0]
    if distributed.is_first_rank():
        distributed.send_order("one")
        distributed.dismiss_ranks(is_successful=True)
    else:
        found["orders"] = list(distributed.receive_orders())
    torch.save(found, folder / f"{rank}.pt")


def _two(name: str, folder: Path, settings: FitSettings) -> list[dict[str, Any]]:
    both(_worker, name, folder, settings)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """With layer norm the gradients are those of the whole batch but for rounding, with weighted classes too, a head
    that learns alone at first, and a mean of the weights."""
    settings = FitSettings(
        epochs=3,
        batch_size=11,
        learning_rate=1e-3,
        evaluation_interval=9,
        class_weights=True,
        frozen_share=0.2,
        ema_decay=0.8,
    )
    one, (first, second) = (
        _learn(LAYERS, tmp_path / "one", settings),
        _two(LAYERS, tmp_path, settings),
    )
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
    assert np.allclose(
        first["features"], extract_features_and_layout(draw(5).pixels, batch_size=2)[0], atol=1e-4
    )
    assert second["orders"] == ["one"]
    assert (tmp_path / "scratch" / "last.pt").is_file()


def test_with_batch_norm_it_is_learnt_as_well(tmp_path: Path) -> None:
    """Between CPUs each process normalizes by its own share of a batch: another curve, to the same end."""
    settings = FitSettings(epochs=6, batch_size=16, learning_rate=4e-3, evaluation_interval=6)
    one, (first, second) = (
        _learn(BATCHES, tmp_path / "one", settings),
        _two(BATCHES, tmp_path, settings),
    )
    assert first["history"].equals(second["history"])
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    curves = [
        found["history"].query("split == 'holdout'")["loss"].to_numpy() for found in (one, first)
    ]
    assert len(curves[0]) == len(curves[1])
    assert max(curve[-1] for curve in curves) < 0.2 < curves[1][0]


def test_alone_nothing_is_shared() -> None:
    with distributed.share_work():
        assert (
            distributed.count_ranks(),
            distributed.get_rank(),
            distributed.is_first_rank(),
            distributed.select_rank_items(5),
        ) == (1, 0, True, slice(0, 5, 1))
        assert distributed.map_over_ranks(str, [1, 2]) == ["1", "2"]
        assert distributed.broadcast_from_first(3) == 3
    assert list(distributed.receive_orders()) == []
