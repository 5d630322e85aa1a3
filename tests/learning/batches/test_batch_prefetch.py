from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.learning.batches.batch_prefetch import DeviceTransfer, count_workers
from pipeline.learning.training import training_loop
from pipeline.learning.training.generic_augmentation import create_trivial_augment
from pipeline.learning.training.training_loop import FitResult
from pipeline.learning.training_settings import FitSettings
from tests.learning.drawn import draw_images
from tests.learning.small_training import fit_small_network, has_same_weights


@pytest.mark.parametrize(
    ("core_count", "busy_cores", "process_count", "thread_count"),
    [
        (1, 1, 1, 0),
        (2, 1, 1, 1),
        (2, 2, 1, 0),
        (2, 1, 2, 0),
        (16, 1, 1, 8),
        (16, 3, 4, 1),
        (8, 2, 1, 6),
    ],
)
def test_free_cores_decide_the_number_of_threads(
    core_count: int, busy_cores: int, process_count: int, thread_count: int
) -> None:
    assert count_workers(core_count, busy_cores, process_count) == thread_count


def test_the_weights_are_the_same_with_and_without_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws from torch's generator in the step, TrivialAugment from its own in threads."""

    def train(thread_count: int) -> FitResult:
        monkeypatch.setattr(training_loop, "count_local_workers", lambda device: thread_count)
        return fit_small_network(
            draw_images(96),
            tmp_path / str(thread_count),
            FitSettings(
                recipe="bare", epochs=3, learning_rate=4e-3, batch_size=16, evaluation_interval=7
            ),
            dropout=0.3,
            treatment=create_trivial_augment(),
            seed=3,
        )

    serial = train(0)
    for thread_count in (1, 4):
        threaded = train(thread_count)
        assert serial.history.equals(threaded.history)
        assert has_same_weights(serial.model, threaded.model)


def test_a_transfer_to_the_cpu_passes_tensors_through() -> None:
    tensor = torch.from_numpy(np.arange(3))
    transfer = DeviceTransfer.create_for_device(torch.device("cpu"))
    assert transfer.stream is None
    assert transfer.send_tensors(tensor).receive_tensors()[0] is tensor
