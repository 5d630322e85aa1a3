"""Two connected processes against a single one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.contracts import InputError
from pipeline.learning.distributed import (
    ProcessFailure,
    choose_precision,
    get_fabric,
    launch_processes,
    map_over_processes,
    select_process_items,
    share_work,
    use_fabric,
)
from pipeline.learning.inference.model_outputs import compute_logits, extract_features_and_layout
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import MODEL_META, draw_images
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


def _run_process(fabric: Any, network_name: str, folder: Path, settings: FitSettings) -> None:
    with use_fabric(fabric):
        results = _train(network_name, folder / "scratch", settings)
        results["positions"] = np.arange(11)[select_process_items(11)].tolist()
        results["mapped"] = map_over_processes(
            lambda n: (n * n, get_fabric().world_size), list(range(7))
        )
        results["features"] = extract_features_and_layout(draw_images(5).pixels, batch_size=2)[0]
    if fabric.is_global_zero:
        with share_work("one"):
            results["shared"] = get_fabric() is fabric
    else:
        results["order"] = fabric.broadcast("")
    torch.save(results, folder / f"{fabric.global_rank}.pt")


def _train_in_two_processes(
    network_name: str, folder: Path, settings: FitSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    launch_processes(
        2, partial(_run_process, network_name=network_name, folder=folder, settings=settings)
    )
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
        class_balance="loss",
        frozen_share=0.2,
        ema_decay=0.8,
    )
    single = _train(LAYER_NORM_NETWORK, tmp_path / "single", settings)
    first, second = _train_in_two_processes(LAYER_NORM_NETWORK, tmp_path, settings)
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
    assert first["shared"]
    assert second["order"] == "one"
    assert (tmp_path / "scratch" / "last.pt").is_file()


def test_two_processes_with_batch_norm_converge(tmp_path: Path) -> None:
    """On CPUs each process normalizes by its own part of a batch: another curve, the same end."""
    settings = FitSettings(
        recipe="bare", epochs=6, batch_size=16, learning_rate=4e-3, evaluation_interval=6
    )
    single = _train(BATCH_NORM_NETWORK, tmp_path / "single", settings)
    first, second = _train_in_two_processes(BATCH_NORM_NETWORK, tmp_path, settings)
    assert first["history"].equals(second["history"])
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    single_losses = _read_holdout_losses(single)
    losses = _read_holdout_losses(first)
    assert len(single_losses) == len(losses)
    assert max(single_losses[-1], losses[-1]) < 0.2 < losses[0]


def _train_tiny_set(fabric: Any, folder: Path) -> None:
    model, meta = build_network(LAYER_NORM_NETWORK, "none", MODEL_META["classes"], 32, 0.0)
    with use_fabric(fabric):
        fit_network(
            model, meta, draw_images(3), FitSettings(recipe="bare"), seed=0, scratch_folder=folder
        )


def test_bad_input_of_several_processes_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 images a step are too few for 2 processes"):
        launch_processes(2, partial(_train_tiny_set, folder=tmp_path))


def _die(fabric: Any, dying_rank: int) -> None:
    if fabric.global_rank == dying_rank:
        os.kill(os.getpid(), signal.SIGKILL)
    fabric.barrier()


@pytest.mark.parametrize("dying_rank", [0, 1])
def test_a_dead_process_ends_all(dying_rank: int) -> None:
    with pytest.raises(ProcessFailure):
        launch_processes(2, partial(_die, dying_rank=dying_rank))
    assert not multiprocessing.active_children()


def test_a_single_process_does_all_the_work() -> None:
    with share_work("one"):
        fabric = get_fabric()
        assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)
        assert select_process_items(5) == slice(0, 5, 1)
        assert map_over_processes(str, [1, 2]) == ["1", "2"]
        assert fabric.broadcast(3) == 3


@pytest.mark.parametrize(
    ("compute_capability", "precision"),
    [
        (None, "32-true"),
        ((6, 0), "32-true"),
        ((7, 0), "16-mixed"),
        ((7, 5), "16-mixed"),
        ((8, 0), "bf16-mixed"),
        ((9, 0), "bf16-mixed"),
    ],
)
def test_the_compute_capability_decides_the_precision(
    compute_capability: tuple[int, int] | None, precision: str
) -> None:
    assert choose_precision(compute_capability) == precision


UNHURRIED_IMPORTS = """
import sys
CONNECTIONS = []
sys.addaudithook(lambda event, _: event == "socket.connect" and CONNECTIONS.append(event))
import pipeline.cli.app, pipeline.learning.training.training_loop
assert "lightning_fabric" not in sys.modules
from pipeline.learning.distributed import get_fabric
get_fabric()
assert "lightning_fabric" in sys.modules
assert not CONNECTIONS
"""


def test_fabric_is_imported_when_a_network_runs_and_connects_to_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", UNHURRIED_IMPORTS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
