import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.contracts import DimensionSizes, InputError
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.models.backbone import build_network
from pipeline.learning.training import training_loop as module
from pipeline.learning.training.batch_sampling import TrainingImages
from pipeline.learning.training.checkpoint import TrainingCheckpoint
from pipeline.learning.training.training_loop import FitResult, fit_network
from pipeline.learning.training.training_step import TrainingSchedule
from pipeline.learning.training_settings import FitSettings
from pipeline.storage import signals
from tests.learning.drawn import META, draw

FAST = FitSettings(epochs=6, learning_rate=4e-3, batch_size=16, evaluation_interval=6)


def _fit(
    images: TrainingImages,
    scratch: Path,
    settings: FitSettings = FAST,
    dropout: float = 0.2,
    **more: Any,
) -> FitResult:
    model, meta = build_network("test_efficientnet", "none", ["lying", "standing"], 32, dropout)
    return fit_network(
        model, meta, images, settings, seed=more.pop("seed", 0), scratch_folder=scratch, **more
    )


def _same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in one.state_dict().items())


def test_it_learns_and_tells_how(tmp_path: Path) -> None:
    images, held = draw(192), draw(64, seed=1)
    fitted = _fit(
        images,
        tmp_path,
        FitSettings(epochs=14, learning_rate=5e-3, batch_size=16, patience=8),
        holdout=held,
    )
    answers = compute_logits(fitted.model, draw(64, seed=2).pixels, META)
    assert (answers.argmax(1) == draw(64, seed=2).labels).mean() > 0.9
    ARTIFACT_CONTRACTS["history"].check_value("history", fitted.history, DimensionSizes())
    assert set(fitted.history["split"]) == {"train", "holdout"}
    assert fitted.image_passes == fitted.step_count * 16 == fitted.history["passes"].max()
    assert 7 <= fitted.history["step"].nunique() <= 8
    best = fitted.history[fitted.history["split"] == "holdout"].set_index("step")["loss"].idxmin()
    assert fitted.best_step == best
    assert not fitted.model.training


def test_the_same_twice_to_the_bit_and_another_seed_another_model(
    images: TrainingImages, tmp_path: Path
) -> None:
    one, two, other = (_fit(images, tmp_path / str(n), seed=s) for n, s in enumerate((0, 0, 1)))
    assert _same(one.model, two.model)
    assert one.history.equals(two.history)
    assert not _same(one.model, other.model)


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [1, 5, 6, 7, 17, 35])
@pytest.mark.parametrize("held", [False, True])
def test_a_killed_training_resumes_to_the_same_bits(
    at: int, held: bool, tmp_path: Path, monkeypatch: Any
) -> None:
    images, holdout = draw(96), draw(20, seed=1) if held else None
    whole = _fit(images, tmp_path / "whole", holdout=holdout)

    def until(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for item in items:
            if item == at:
                raise Killed
            yield item

    monkeypatch.setattr(module, "CHECKPOINT_INTERVAL", 4)
    with pytest.raises(Killed):
        _fit(images, tmp_path / "cut", holdout=holdout, track=until)
    resumed = _fit(images, tmp_path / "cut", holdout=holdout)
    assert _same(whole.model, resumed.model)
    assert whole.history.equals(resumed.history)
    assert (whole.best_step, whole.training_loss) == (resumed.best_step, resumed.training_loss)


def _doomed(scratch: Path) -> None:
    torch.set_num_threads(1)
    module.CHECKPOINT_INTERVAL = 6

    def until(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for item in items:
            if item == 20:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item

    _fit(draw(96), scratch, track=until)


def test_a_process_killed_outright_resumes_to_the_same_bits(
    images: TrainingImages, tmp_path: Path
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_doomed, args=(tmp_path / "cut",))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "cut" / "last.pt").is_file()
    assert _same(_fit(images, tmp_path / "whole").model, _fit(images, tmp_path / "cut").model)


def test_a_resumed_training_does_only_what_is_left(images: TrainingImages, tmp_path: Path) -> None:
    done: list[int] = []

    def count(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        taken = list(items)
        done.append(len(taken))
        return iter(taken)

    _fit(images, tmp_path, track=count)
    _fit(images, tmp_path, track=count)
    assert done == [TrainingSchedule(FAST, 96).step_count, 0]


def test_early_stop_gives_back_the_best_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holdout's labels are wrong: whatever is learnt makes it worse."""
    held = draw(32, seed=1)
    wrong = TrainingImages(held.pixels, held.image_rows, 1 - held.labels)
    kept: list[dict[str, torch.Tensor]] = []
    keep = TrainingCheckpoint.save_best_weights

    def noted(self: TrainingCheckpoint, model: nn.Module) -> None:
        kept.append({k: v.clone() for k, v in model.state_dict().items()})
        keep(self, model)

    monkeypatch.setattr(TrainingCheckpoint, "save_best_weights", noted)
    settings = FitSettings(
        epochs=40, learning_rate=5e-3, batch_size=16, evaluation_interval=5, patience=3
    )
    fitted = _fit(draw(96), tmp_path, settings, holdout=wrong)
    assert fitted.step_count < TrainingSchedule(settings, 96).step_count
    assert fitted.step_count == fitted.best_step + 3 * 5
    assert all(torch.equal(v, kept[-1][k]) for k, v in fitted.model.state_dict().items())
    again = _fit(draw(96), tmp_path, settings, holdout=wrong)
    assert (again.step_count, again.best_step) == (fitted.step_count, fitted.best_step), (
        "a finished one is not taken further"
    )


def test_of_a_large_holdout_each_look_asks_the_same_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[np.ndarray] = []
    load = TrainingImages.load_pixels
    monkeypatch.setattr(
        TrainingImages, "load_pixels", lambda self: (asked.append(self.rows), load(self))[1]
    )
    monkeypatch.setattr(module, "MAXIMUM_HOLDOUT_IMAGES", 40)
    held = draw(96, seed=1)
    _fit(draw(96), tmp_path, holdout=held)
    looks = [rows for rows in asked if len(rows) == 40]
    assert len(looks) >= 4, "at the images learnt from, and at the holdout, in turn"
    assert all(np.array_equal(rows, looks[n % 2]) for n, rows in enumerate(looks))
    assert not any(len(rows) == 96 for rows in asked)


def test_without_a_holdout_it_goes_to_the_end(images: TrainingImages, tmp_path: Path) -> None:
    fitted = _fit(
        images,
        tmp_path,
        FitSettings(image_passes=320, batch_size=16, evaluation_interval=3, patience=1),
    )
    assert (fitted.step_count, fitted.image_passes, fitted.best_step) == (27, 324, 27)
    assert set(fitted.history["split"]) == {"train"}


def test_a_treatment_changes_what_is_seen_and_neither_order_nor_passes(
    images: TrainingImages, tmp_path: Path
) -> None:
    seen: dict[str, list[Any]] = {"same": [], "dark": []}

    def note(name: str, gain: float) -> Any:
        def treatment(rows: np.ndarray, pixels: np.ndarray, seed: int) -> np.ndarray:
            seen[name].append((rows.tolist(), seed, np.array_equal(pixels, images.pixels[rows])))
            return (pixels * gain).astype(np.uint8)

        return treatment

    control = _fit(images, tmp_path / "a")
    same, dark = (
        _fit(images, tmp_path / n, treatment=note(n, g)) for n, g in (("same", 1.0), ("dark", 0.3))
    )
    assert sorted(seen["same"]) == sorted(seen["dark"])
    assert all(plain for _, _, plain in seen["same"]), "the treatment comes before shift and crop"
    assert control.image_passes == dark.image_passes
    assert _same(control.model, same.model)
    assert not _same(control.model, dark.model)


@pytest.mark.parametrize("named", [False, True])
def test_a_loss_that_is_no_number_names_the_images(
    images: TrainingImages, named: bool, tmp_path: Path
) -> None:
    ids = [f"i{k}" for k in range(96)] if named else None
    part = TrainingImages(images.pixels, np.arange(40, 60), images.labels[40:60], ids)
    wanted = r"(i(4|5)\d, ){7}i(4|5)\d;" if named else r"row (4|5)\d, "
    with pytest.raises(
        InputError, match=rf"loss is (nan|inf) at step \d+ on image {wanted}"
    ) as caught:
        _fit(
            part,
            tmp_path,
            FitSettings(
                epochs=50, learning_rate=1e18, batch_size=8, warmup_share=0, optimizer="sgd"
            ),
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_where_it_stands_and_goes_on_to_the_same_bits(
    number: int, tmp_path: Path
) -> None:
    def until(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for item in items:
            if item == 13:
                os.kill(os.getpid(), number)
            yield item

    before = {n: signal.signal(n, signal.SIG_DFL) for n in signals.STOP_SIGNALS}
    signals.install_handlers()
    try:
        with pytest.raises(signals.StopSignal):
            _fit(draw(96), tmp_path / "cut", track=until)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    assert torch.load(tmp_path / "cut" / "last.pt", weights_only=True)["progress"]["step"] == 14
    assert _same(_fit(draw(96), tmp_path / "cut").model, _fit(draw(96), tmp_path / "whole").model)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_very_few_images_survive(count: int, tmp_path: Path) -> None:
    fitted = _fit(draw(count), tmp_path, FitSettings(epochs=3))
    assert fitted.step_count == 3
    assert np.isfinite(compute_logits(fitted.model, draw(count).pixels, META)).all()
