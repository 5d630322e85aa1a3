"""`make bench`: how much faster two processes of one thread each train than one.

They alternate, and medians are printed. It needs two idle cores: the shares of a core that the
processes got are printed too. NIGHTSHIFT_BENCH_STEPS, NIGHTSHIFT_BENCH_BATCH and
NIGHTSHIFT_BENCH_ROUNDS: steps, batch size and rounds.
"""

from __future__ import annotations

import os
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import multiprocessing

from pipeline.learning.batches.batch_sampling import TrainingImages
from pipeline.learning.distributed import launch_processes, use_fabric
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


def _measure_training(folder: Path) -> Speed:
    _train(folder / "warm", 2)
    return _train(folder / "measured", STEPS)


def _train_alone(_: int, folder: Path) -> None:
    torch.set_num_threads(1)
    np.save(folder / "speed.npy", _measure_training(folder))


def _train_together(fabric: Any, folder: Path) -> Speed:
    torch.set_num_threads(1)
    with use_fabric(fabric):
        return _measure_training(folder)


def _measure_speed(process_count: int, folder: Path) -> Speed:
    folder.mkdir()
    if process_count > 1:
        return launch_processes(process_count, partial(_train_together, folder=folder))
    multiprocessing.spawn(_train_alone, (folder,), nprocs=1)
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
