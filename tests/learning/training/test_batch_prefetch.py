import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.learning.models.backbone import build_network
from pipeline.learning.training import training_loop as module
from pipeline.learning.training.batch_prefetch import (
    DeviceTransfer,
    count_workers,
    prefetch_results,
)
from pipeline.learning.training.generic_augmentation import create_trivial_augment
from pipeline.learning.training.training_loop import FitResult, fit_network
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import draw

MACHINES = [
    (1, 1, 1, 0),
    (2, 1, 1, 1),
    (2, 2, 1, 0),
    (2, 1, 2, 0),
    (16, 1, 1, 8),
    (16, 3, 4, 1),
    (8, 2, 1, 6),
]


@pytest.mark.parametrize(("cores", "busy", "processes", "threads"), MACHINES)
def test_threads_follow_the_machine(cores: int, busy: int, processes: int, threads: int) -> None:
    assert count_workers(cores, busy, processes) == threads


def _jobs(count: int, begun: list[int]) -> Iterator[Callable[[], int]]:
    def job(n: int) -> Callable[[], int]:
        def make() -> int:
            begun.append(n)
            time.sleep(0.002 * (n % 3))
            if n == 7:
                raise ValueError("seven")
            return n

        return make

    return map(job, range(count))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_and_an_error_in_its_turn(threads: int) -> None:
    begun, got = list[int](), list[int]()
    with pytest.raises(ValueError, match="seven"):
        deque(map(got.append, prefetch_results(_jobs(30, begun), threads)), 0)
    assert got == list(range(7))
    assert max(begun) <= 7 + threads
    assert list(prefetch_results(_jobs(0, begun), threads)) == []
    assert list(prefetch_results(_jobs(2, begun), threads)) == [0, 1]


def test_only_so_many_are_ahead_and_no_thread_is_left() -> None:
    begun: list[int] = []
    before = threading.active_count()
    with closing(prefetch_results(_jobs(1000, begun), 3)) as results:
        assert next(results) == 0
        time.sleep(0.1)
        assert threading.active_count() > before
    assert max(begun) <= 4
    assert threading.active_count() == before


def test_the_same_bits_with_and_without_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws from torch's generator in the step, TrivialAugment from its own in the threads."""

    def learn(threads: int) -> FitResult:
        monkeypatch.setattr(module, "count_local_workers", lambda device: threads)
        model, meta = build_network("test_efficientnet", "none", ["lying", "standing"], 32, 0.3)
        settings, scratch = (
            FitSettings(epochs=3, learning_rate=4e-3, batch_size=16, evaluation_interval=7),
            tmp_path / str(threads),
        )
        return fit_network(
            model,
            meta,
            draw(96),
            settings,
            treatment=create_trivial_augment(),
            seed=3,
            scratch_folder=scratch,
        )

    serial, *others = (learn(threads) for threads in (0, 1, 4))
    for other in others:
        assert serial.history.equals(other.history)
        for name, weight in other.model.state_dict().items():
            assert torch.equal(serial.model.state_dict()[name], weight), name


def test_to_the_cpu_nothing_is_sent() -> None:
    one = torch.from_numpy(np.arange(3))
    courier = DeviceTransfer.create_for_device(torch.device("cpu"))
    assert courier.stream is None
    assert courier.send_tensors(one).receive_tensors()[0] is one
