import itertools
import pickle
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.contracts import InputError
from pipeline.learning.training import checkpoint
from pipeline.learning.training.checkpoint import (
    CHECKPOINT_TIME_SHARE,
    CheckpointTimer,
    TrainingCheckpoint,
    TrainingProgress,
    compute_training_key,
    write_atomically,
)
from pipeline.learning.training_settings import FitSettings


def _create_state(seed: int) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    torch.autograd.backward(model(torch.ones(1, 3)).sum())
    optimizer.step()
    return model, optimizer


def test_a_state_is_restored_completely(tmp_path: Path) -> None:
    files = TrainingCheckpoint(tmp_path / "new", "key")
    progress = TrainingProgress(
        step=7,
        best_step=5,
        best_losses=[0.25, 0.5],
        last_losses=[0.5, 0.5],
        stale_evaluations=1,
        training_loss=0.5,
        history=[{"step": 7, "split": "train", "loss": 0.5}],
        step_metrics=[[0.5, 1.0]],
    )
    model, optimizer = _create_state(0)
    files.save_state(model, optimizer, progress)
    other_model, other_optimizer = _create_state(1)
    assert files.restore_state(other_model, other_optimizer) == progress
    assert torch.equal(other_model.weight, model.weight)
    assert str(other_optimizer.state_dict()) == str(optimizer.state_dict())


def test_the_state_of_another_training_is_ignored(tmp_path: Path) -> None:
    TrainingCheckpoint(tmp_path, "one").save_state(*_create_state(0), TrainingProgress(step=9))
    other = TrainingCheckpoint(tmp_path, "two")
    empty = TrainingCheckpoint(tmp_path / "none", "one")
    assert other.restore_state(*_create_state(1)).step == 0
    assert empty.restore_state(*_create_state(1)).step == 0


def test_a_kill_during_writing_keeps_the_earlier_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = TrainingCheckpoint(tmp_path, "key")
    files.save_state(*_create_state(0), TrainingProgress(step=1))

    def write_half(state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(KeyboardInterrupt):
        files.save_state(*_create_state(0), TrainingProgress(step=2))
    assert files.restore_state(*_create_state(1)).step == 1


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights"

    def fill_disk(file: IO[bytes]) -> None:
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("torch's own error")  # noqa: B904

    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, fill_disk)
    assert caught.value.filename == str(path)
    assert not path.exists()


def test_the_best_weights_are_restored(tmp_path: Path) -> None:
    files = TrainingCheckpoint(tmp_path, "key")
    model, _ = _create_state(0)
    files.save_best_weights(model)
    other_model, _ = _create_state(1)
    files.load_best_weights(other_model)
    assert torch.equal(other_model.weight, model.weight)


def test_the_key_depends_on_settings_seed_and_data() -> None:
    rows = np.arange(3)
    keys = {
        compute_training_key(FitSettings(recipe="bare"), 1, rows),
        compute_training_key(FitSettings(recipe="bare"), 2, rows),
        compute_training_key(FitSettings(recipe="bare", batch_size=16), 1, rows),
        compute_training_key(FitSettings(recipe="bare"), 1, rows[::-1].copy()),
    }
    assert len(keys) == 4
    assert compute_training_key(FitSettings(recipe="bare"), 1, rows) in keys


class _PlantedFile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("damage", ["truncated", "empty", "pickle"])
def test_a_damaged_checkpoint_is_named_and_never_unpickled(damage: str, tmp_path: Path) -> None:
    files = TrainingCheckpoint(tmp_path, "key")
    files.save_state(*_create_state(0), TrainingProgress(step=3))
    damaged_contents = {
        "truncated": files.last_state_path.read_bytes()[:-200],
        "empty": b"",
        "pickle": pickle.dumps(_PlantedFile(tmp_path / "executed"), 2),
    }
    files.last_state_path.write_bytes(damaged_contents[damage])
    with pytest.raises(InputError, match=r"last\.pt: a damaged checkpoint .*delete it"):
        files.restore_state(*_create_state(1))
    assert not (tmp_path / "executed").exists()


def test_damaged_best_weights_are_named(tmp_path: Path) -> None:
    files = TrainingCheckpoint(tmp_path, "key")
    files.best_weights_path.write_bytes(b"half")
    with pytest.raises(InputError, match=r"best\.safetensors: damaged"):
        files.load_best_weights(_create_state(1)[0])


def test_checkpoints_take_a_fiftieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    write_seconds = 2
    clock = [1000.0]
    write_times: list[float] = []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    timer = CheckpointTimer()
    while clock[0] < 2000:
        clock[0] += 1
        if timer.is_due():
            write_times.append(clock[0])
            with timer.measure_writing():
                clock[0] += write_seconds
    assert write_times[0] == 1001
    assert 9 <= len(write_times) <= 11
    intervals = [later - earlier for earlier, later in itertools.pairwise(write_times)]
    assert min(intervals) >= write_seconds / CHECKPOINT_TIME_SHARE
