import itertools
import pickle
from pathlib import Path
from typing import IO

import pytest
import torch
from torch import nn

from pipeline.contracts import InputError
from pipeline.learning import checkpoint
from pipeline.learning.checkpoint import SHARE, Checkpoint, Progress, Rhythm, key_of
from pipeline.learning.settings import FitSettings


def _pair(seed: int) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    torch.autograd.backward(model(torch.ones(1, 3)).sum())
    optimizer.step()
    return model, optimizer


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    store = Checkpoint(tmp_path / "new", "k")
    progress = Progress(7, 5, 0.25, 1, 0.5, [{"step": 7, "split": "train", "loss": 0.5}], [[0.5, 1.0]])
    model, optimizer = _pair(0)
    store.save(model, optimizer, progress)
    other, other_optimizer = _pair(1)
    assert store.restore(other, other_optimizer) == progress
    assert torch.equal(other.weight, model.weight)
    assert str(other_optimizer.state_dict()) == str(optimizer.state_dict())


def test_another_training_is_not_taken_up(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "one").save(*_pair(0), Progress(step=9))
    assert Checkpoint(tmp_path, "two").restore(*_pair(1)).step == 0
    assert Checkpoint(tmp_path / "none", "one").restore(*_pair(1)).step == 0


def test_a_kill_while_writing_leaves_the_earlier_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Checkpoint(tmp_path, "k")
    store.save(*_pair(0), Progress(step=1))

    def killed(state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        store.save(*_pair(0), Progress(step=2))
    assert store.restore(*_pair(1)).step == 1


def test_the_best_weights_come_back(tmp_path: Path) -> None:
    store, (model, _) = Checkpoint(tmp_path, "k"), _pair(0)
    store.keep_best(model)
    other, _ = _pair(1)
    store.load_best(other)
    assert torch.equal(other.weight, model.weight)


def test_the_key_follows_settings_and_data() -> None:
    keys = {key_of(FitSettings(), 1), key_of(FitSettings(), 2), key_of(FitSettings(batch=16), 1)}
    assert len(keys) == 3
    assert key_of(FitSettings(), 1) in keys


class _Planted:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["cut", "empty", "pickle"])
def test_a_damaged_checkpoint_is_named_and_never_unpickled(how: str, tmp_path: Path) -> None:
    store = Checkpoint(tmp_path, "k")
    store.save(*_pair(0), Progress(step=3))
    whole = store.last.read_bytes()
    damaged = {"cut": whole[:-200], "empty": b"", "pickle": pickle.dumps(_Planted(tmp_path / "ran"), 2)}
    store.last.write_bytes(damaged[how])
    with pytest.raises(InputError, match=r"last\.pt: a damaged checkpoint .*; delete it to train from the start"):
        store.restore(*_pair(1))
    assert not (tmp_path / "ran").exists()
    store.best.write_bytes(b"half")
    with pytest.raises(InputError, match=r"best\.safetensors: damaged"):
        store.load_best(_pair(1)[0])


def test_checkpoints_take_a_fiftieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [1000.0], list[float]()
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    rhythm = Rhythm()
    while now[0] < 2000:
        now[0] += 1
        if rhythm.due():
            written.append(now[0])
            with rhythm.writing():
                now[0] += 2
    assert written[0] == 1001
    assert 9 <= len(written) <= 11
    assert min(b - a for a, b in itertools.pairwise(written)) >= 2 / SHARE
