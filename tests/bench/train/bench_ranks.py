"""`make bench`: how much faster two processes of one thread each learn than one; alternating, medians.

It needs two idle cores: the shares of a core that the processes got are printed beside.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import multiprocessing

from pipeline.learning import distributed
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from tests.bench.train.rivals import network

ROUNDS, STEPS = 3, int(os.environ.get("NIGHTSHIFT_BENCH_STEPS", "48"))
BATCH = int(os.environ.get("NIGHTSHIFT_BENCH_BATCH", "64"))  # of both together


def _images() -> TrainingImages:
    pixels = np.random.default_rng(0).integers(0, 255, (1024, 64, 64, 3), dtype=np.uint8)
    return TrainingImages(pixels, np.arange(1024), np.arange(1024) % 2)


def _learn(scratch: Path, steps: int) -> tuple[float, float]:
    """Images a second, and the share of a core that this process got."""
    model, meta = network()
    settings = FitSettings(image_passes=BATCH * steps, batch_size=BATCH)
    began, busy = time.perf_counter(), time.process_time()
    fit_network(model, meta, _images(), settings, seed=0, scratch_folder=scratch)
    took = time.perf_counter() - began
    return BATCH * steps / took, (time.process_time() - busy) / took


def _worker(rank: int, world: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    where: dict[str, Any] = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": world,
        "RANK": rank,
    }
    where |= {
        "LOCAL_WORLD_SIZE": world
    }  # as torchrun says: cores are counted out among the processes of a machine
    os.environ |= {name: str(value) for name, value in where.items()}
    if world > 1:
        distributed.join_process_group()
    with distributed.share_work():
        _learn(folder / "warm", 2)
        got = _learn(folder / "measured", STEPS)
    if distributed.is_first_rank():
        np.save(folder / "got.npy", got)


def _rate(world: int, folder: Path) -> tuple[float, float]:
    folder.mkdir()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    multiprocessing.spawn(_worker, (world, port, folder), nprocs=world)
    rate, share = np.load(folder / "got.npy")
    return float(rate), float(share)


def test_two_processes_learn_nearly_twice_as_fast(tmp_path: Path) -> None:
    got: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for number in range(ROUNDS):
        for world in got:
            got[world].append(_rate(world, tmp_path / f"{number}-{world}"))
    rate = {world: statistics.median(r for r, _ in rows) for world, rows in got.items()}
    share = {world: statistics.median(s for _, s in rows) for world, rows in got.items()}
    faster = rate[2] / rate[1]
    print(
        f"\nbatches of {BATCH}: {rate[1]:.0f} images/s alone ({share[1]:.0%} of a core), "
        f"{rate[2]:.0f} by two "
        f"({share[2]:.0%} each), load {os.getloadavg()[0]:.1f}: {faster:.2f} times as fast, "
        f"{faster * share[1] / share[2]:.2f} at equal shares"
    )
    assert rate[2] > 0
