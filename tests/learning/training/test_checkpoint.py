import itertools
import pickle
from pathlib import Path
from typing import IO

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
)
from pipeline.learning.training_settings import FitSettings


def _pair(seed: int) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    torch.autograd.backward(model(torch.ones(1, 3)).sum())
    optimizer.step()
    return model, optimizer


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    store = TrainingCheckpoint(tmp_path / "new", "k")
    progress = TrainingProgress(
        7, 5, 0.25, 1, 0.5, [{"step": 7, "split": "train", "loss": 0.5}], [[0.5, 1.0]]
    )
    model, optimizer = _pair(0)
    store.save_state(model, optimizer, progress)
    other, other_optimizer = _pair(1)
    assert store.restore_state(other, other_optimizer) == progress
    assert torch.equal(other.weight, model.weight)
    assert str(other_optimizer.state_dict()) == str(optimizer.state_dict())


def test_another_training_is_not_taken_up(tmp_path: Path) -> None:
    TrainingCheckpoint(tmp_path, "one").save_state(*_pair(0), TrainingProgress(step=9))
    assert TrainingCheckpoint(tmp_path, "two").restore_state(*_pair(1)).step == 0
    assert TrainingCheckpoint(tmp_path / "none", "one").restore_state(*_pair(1)).step == 0


def test_a_kill_while_writing_leaves_the_earlier_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrainingCheckpoint(tmp_path, "k")
    store.save_state(*_pair(0), TrainingProgress(step=1))

    def killed(state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save_state(*_pair(0), TrainingProgress(step=2))
    assert store.restore_state(*_pair(1)).step == 1


def test_the_best_weights_come_back(tmp_path: Path) -> None:
    store, (model, _) = TrainingCheckpoint(tmp_path, "k"), _pair(0)
    store.save_best_weights(model)
    other, _ = _pair(1)
    store.load_best_weights(other)
    assert torch.equal(other.weight, model.weight)


def test_the_key_follows_settings_and_data() -> None:
    keys = {
        compute_training_key(FitSettings(), 1),
        compute_training_key(FitSettings(), 2),
        compute_training_key(FitSettings(batch_size=16), 1),
    }
    assert len(keys) == 3
    assert compute_training_key(FitSettings(), 1) in keys


class _Planted:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["cut", "empty", "pickle"])
def test_a_damaged_checkpoint_is_named_and_never_unpickled(how: str, tmp_path: Path) -> None:
    store = TrainingCheckpoint(tmp_path, "k")
    store.save_state(*_pair(0), TrainingProgress(step=3))
    whole = store.last_state_path.read_bytes()
    damaged = {
        "cut": whole[:-200],
        "empty": b"",
        "pickle": pickle.dumps(_Planted(tmp_path / "ran"), 2),
    }
    store.last_state_path.write_bytes(damaged[how])
    with pytest.raises(
        InputError, match=r"last\.pt: a damaged checkpoint .*; delete it to train from the start"
    ):
        store.restore_state(*_pair(1))
    assert not (tmp_path / "ran").exists()
    store.best_weights_path.write_bytes(b"half")
    with pytest.raises(InputError, match=r"best\.safetensors: damaged"):
        store.load_best_weights(_pair(1)[0])


def test_checkpoints_take_a_fiftieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [1000.0], list[float]()
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    rhythm = CheckpointTimer()
    while now[0] < 2000:
        now[0] += 1
        if rhythm.is_due():
            written.append(now[0])
            with rhythm.measure_writing():
                now[0] += 2
    assert written[0] == 1001
    assert 9 <= len(written) <= 11
    assert min(b - a for a, b in itertools.pairwise(written)) >= 2 / CHECKPOINT_TIME_SHARE
