"""`make bench`: how much faster two processes of one thread each train than one.

They alternate, and medians are printed. It needs two idle cores: the shares of a core that the
processes got are printed too. NIGHTSHIFT_BENCH_STEPS, NIGHTSHIFT_BENCH_BATCH and
NIGHTSHIFT_BENCH_ROUNDS: steps, batch size and rounds.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import multiprocessing

from pipeline.learning import distributed
from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.training.training_loop import fit_network
from pipeline.learning.training_settings import FitSettings
from tests.bench.train.training_loops import build_start_network

ROUNDS = int(os.environ.get("NIGHTSHIFT_BENCH_ROUNDS", "3"))
STEPS = int(os.environ.get("NIGHTSHIFT_BENCH_STEPS", "48"))
BATCH_SIZE = int(os.environ.get("NIGHTSHIFT_BENCH_BATCH", "64"))  # of both processes together
IMAGES, SIDE = 1024, 64
Speed = tuple[float, float]
"""Images a second, and the share of a core that a process got."""


def _draw_images() -> TrainingImages:
    pixels = np.random.default_rng(0).integers(0, 255, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    return TrainingImages(pixels, np.arange(IMAGES), np.arange(IMAGES) % 2)


def _train(scratch: Path, steps: int) -> Speed:
    network, meta = build_start_network()
    settings = FitSettings(recipe="bare", image_passes=BATCH_SIZE * steps, batch_size=BATCH_SIZE)
    began, cpu_began = time.perf_counter(), time.process_time()
    fit_network(network, meta, _draw_images(), settings, seed=0, scratch_folder=scratch)
    seconds = time.perf_counter() - began
    return BATCH_SIZE * steps / seconds, (time.process_time() - cpu_began) / seconds


def _run_worker(rank: int, world_size: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world_size),
        "RANK": str(rank),
        # As torchrun sets it: the processes of a machine share its cores.
        "LOCAL_WORLD_SIZE": str(world_size),
    }
    if world_size > 1:
        distributed.join_process_group()
    with distributed.share_work():
        _train(folder / "warm", 2)
        speed = _train(folder / "measured", STEPS)
    if distributed.is_first_rank():
        np.save(folder / "speed.npy", speed)


def _measure_speed(world_size: int, folder: Path) -> Speed:
    folder.mkdir()
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = int(free_socket.getsockname()[1])
    multiprocessing.spawn(_run_worker, (world_size, port, folder), nprocs=world_size)
    rate, core_share = np.load(folder / "speed.npy")
    return float(rate), float(core_share)


def test_two_processes_train_nearly_twice_as_fast(tmp_path: Path) -> None:
    speeds: dict[int, list[Speed]] = {1: [], 2: []}
    for number in range(ROUNDS):
        for world_size in speeds:
            speed = _measure_speed(world_size, tmp_path / f"{number}-{world_size}")
            speeds[world_size].append(speed)
    rate = {size: statistics.median(r for r, _ in rows) for size, rows in speeds.items()}
    core_share = {size: statistics.median(s for _, s in rows) for size, rows in speeds.items()}
    ratio = rate[2] / rate[1]
    print(
        f"\nbatches of {BATCH_SIZE}: {rate[1]:.0f} images/s alone ({core_share[1]:.0%} of a core), "
        f"{rate[2]:.0f} by two ({core_share[2]:.0%} each), load {os.getloadavg()[0]:.1f}: "
        f"{ratio:.2f} times as fast, {ratio * core_share[1] / core_share[2]:.2f} at equal shares"
    )
    assert rate[2] > 0
