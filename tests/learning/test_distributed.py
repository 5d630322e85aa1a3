"""Two connected processes against a single one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.contracts import InputError
from pipeline.learning import distributed
from pipeline.learning.inference.model_outputs import compute_logits, extract_features_and_layout
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import MODEL_META, draw_images
from tests.learning.pair import run_two_ranks
from tests.learning.small_training import copy_weights

LAYER_NORM_NETWORK = "test_vit"
BATCH_NORM_NETWORK = "test_efficientnet"


def _train(network_name: str, scratch_folder: Path, settings: FitSettings) -> dict[str, Any]:
    model, meta = build_network(network_name, "none", MODEL_META["classes"], 32, 0.0)
    result = fit_network(
        model,
        meta,
        draw_images(96),
        settings,
        holdout=draw_images(33, seed=1),
        seed=0,
        scratch_folder=scratch_folder,
    )
    new_pixels = draw_images(45, seed=2).pixels
    return {
        "history": result.history,
        "weights": copy_weights(result.model),
        "logits": compute_logits(result.model, new_pixels, MODEL_META, batch_size=8),
    }


def _run_rank(rank: int, network_name: str, folder: Path, settings: FitSettings) -> None:
    with distributed.share_work():
        results = _train(network_name, folder / "scratch", settings)
        results["positions"] = np.arange(11)[distributed.select_rank_items(11)].tolist()
        results["mapped"] = distributed.map_over_ranks(
            lambda n: (n * n, distributed.count_ranks()), list(range(7))
        )
        results["features"] = extract_features_and_layout(draw_images(5).pixels, batch_size=2)[0]
    if distributed.is_first_rank():
        distributed.send_order("one")
        distributed.dismiss_ranks(is_successful=True)
    else:
        results["orders"] = list(distributed.receive_orders())
    torch.save(results, folder / f"{rank}.pt")


def _train_on_two_ranks(
    network_name: str, folder: Path, settings: FitSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    run_two_ranks(_run_rank, network_name, folder, settings)
    first = torch.load(folder / "0.pt", weights_only=False)
    second = torch.load(folder / "1.pt", weights_only=False)
    return first, second


def _read_holdout_losses(results: dict[str, Any]) -> np.ndarray:
    return np.asarray(results["history"].query("split == 'holdout'")["loss"])


def test_two_processes_train_the_same_model_as_one(tmp_path: Path) -> None:
    """With layer norm the gradients equal those of the whole batch, apart from rounding.

    This includes class weights, a phase that trains the head alone, and an average of the weights.
    """
    settings = FitSettings(
        recipe="bare",
        epochs=3,
        batch_size=11,
        learning_rate=1e-3,
        evaluation_interval=9,
        class_weights=True,
        frozen_share=0.2,
        ema_decay=0.8,
    )
    single = _train(LAYER_NORM_NETWORK, tmp_path / "single", settings)
    first, second = _train_on_two_ranks(LAYER_NORM_NETWORK, tmp_path, settings)
    assert first["history"].equals(second["history"])
    columns = ["loss", "accuracy"]
    assert list(first["history"]["step"]) == list(single["history"]["step"])
    assert np.allclose(first["history"][columns], single["history"][columns], atol=2e-3)
    for name, weight in single["weights"].items():
        assert torch.equal(first["weights"][name], second["weights"][name]), name
        assert torch.allclose(first["weights"][name], weight, atol=2e-3), name
    assert np.array_equal(first["logits"], second["logits"])
    assert np.allclose(first["logits"], single["logits"], atol=1e-2)
    assert sorted(first["positions"] + second["positions"]) == list(range(11))
    assert first["mapped"] == second["mapped"] == [(n * n, 1) for n in range(7)]
    single_features = extract_features_and_layout(draw_images(5).pixels, batch_size=2)[0]
    assert np.allclose(first["features"], single_features, atol=1e-4)
    assert second["orders"] == ["one"]
    assert (tmp_path / "scratch" / "last.pt").is_file()


def test_two_processes_with_batch_norm_converge(tmp_path: Path) -> None:
    """On CPUs each process normalizes by its own part of a batch: another curve, the same end."""
    settings = FitSettings(
        recipe="bare", epochs=6, batch_size=16, learning_rate=4e-3, evaluation_interval=6
    )
    single = _train(BATCH_NORM_NETWORK, tmp_path / "single", settings)
    first, second = _train_on_two_ranks(BATCH_NORM_NETWORK, tmp_path, settings)
    assert first["history"].equals(second["history"])
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    single_losses = _read_holdout_losses(single)
    losses = _read_holdout_losses(first)
    assert len(single_losses) == len(losses)
    assert max(single_losses[-1], losses[-1]) < 0.2 < losses[0]


def _train_tiny_set(rank: int, folder: Path) -> None:
    model, meta = build_network(LAYER_NORM_NETWORK, "none", MODEL_META["classes"], 32, 0.0)
    with (
        distributed.share_work(),
        pytest.raises(InputError, match="3 images a step are too few for 2 processes"),
    ):
        fit_network(
            model, meta, draw_images(3), FitSettings(recipe="bare"), seed=0, scratch_folder=folder
        )
    (folder / f"refused-{rank}").touch()


def test_a_batch_that_is_too_small_for_the_ranks_is_rejected(tmp_path: Path) -> None:
    run_two_ranks(_train_tiny_set, tmp_path)
    assert len(list(tmp_path.glob("refused-*"))) == 2


def test_a_single_process_does_all_the_work() -> None:
    with distributed.share_work():
        assert distributed.count_ranks() == 1
        assert distributed.get_rank() == 0
        assert distributed.is_first_rank()
        assert distributed.select_rank_items(5) == slice(0, 5, 1)
        assert distributed.map_over_ranks(str, [1, 2]) == ["1", "2"]
        assert distributed.broadcast_from_first(3) == 3
    assert list(distributed.receive_orders()) == []
