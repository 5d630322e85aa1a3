import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.contracts import DimensionSizes, InputError
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.batches.batch_sampling import BatchTreatment, TrainingImages
from pipeline.learning.inference.model_outputs import compute_logits
from pipeline.learning.training import training_loop
from pipeline.learning.training.training_setup import TrainingSchedule
from pipeline.learning.training_settings import FitSettings
from pipeline.storage import signals
from tests.learning.drawn import MODEL_META, draw_images
from tests.learning.small_training import (
    TrainingKilled,
    fit_small_network,
    has_same_weights,
    kill_at,
)

FAST_SETTINGS = FitSettings(
    recipe="bare", epochs=6, learning_rate=4e-3, batch_size=16, evaluation_interval=6
)


def test_a_network_learns_and_records_its_curves(tmp_path: Path) -> None:
    settings = FitSettings(recipe="bare", epochs=14, learning_rate=5e-3, batch_size=16, patience=8)
    holdout = draw_images(64, seed=1)
    result = fit_small_network(draw_images(192), tmp_path, settings, holdout=holdout)
    new_images = draw_images(64, seed=2)
    predictions = compute_logits(result.model, new_images.pixels, MODEL_META).argmax(1)
    assert (predictions == new_images.labels).mean() > 0.9
    ARTIFACT_CONTRACTS["history"].check_value("history", result.history, DimensionSizes())
    assert set(result.history["split"]) == {"train", "holdout"}
    assert result.image_passes == result.step_count * 16 == result.history["passes"].max()
    assert 7 <= result.history["step"].nunique() <= 8
    holdout_curve = result.history[result.history["split"] == "holdout"].set_index("step")
    assert holdout_curve["loss"][result.best_step] <= holdout_curve["loss"].iloc[-1]
    assert not result.model.training


def test_the_seed_decides_the_model(images: TrainingImages, tmp_path: Path) -> None:
    first = fit_small_network(images, tmp_path / "first", FAST_SETTINGS)
    same = fit_small_network(images, tmp_path / "same", FAST_SETTINGS)
    other = fit_small_network(images, tmp_path / "other", FAST_SETTINGS, seed=1)
    assert has_same_weights(first.model, same.model)
    assert first.history.equals(same.history)
    assert not has_same_weights(first.model, other.model)


@pytest.mark.parametrize("killed_step", [1, 5, 6, 7, 17, 35])
@pytest.mark.parametrize("has_holdout", [False, True])
def test_a_killed_training_resumes_to_the_same_weights(
    killed_step: int, has_holdout: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_images(96)
    holdout = draw_images(20, seed=1) if has_holdout else None
    whole = fit_small_network(images, tmp_path / "whole", FAST_SETTINGS, holdout=holdout)
    monkeypatch.setattr(training_loop, "CHECKPOINT_INTERVAL", 4)
    cut_folder = tmp_path / "cut"
    with pytest.raises(TrainingKilled):
        fit_small_network(
            images, cut_folder, FAST_SETTINGS, holdout=holdout, track=kill_at(killed_step)
        )
    resumed = fit_small_network(images, cut_folder, FAST_SETTINGS, holdout=holdout)
    assert has_same_weights(whole.model, resumed.model)
    assert whole.history.equals(resumed.history)
    assert whole.best_step == resumed.best_step
    assert whole.training_loss == resumed.training_loss


def _send_signal_at(signal_number: int, signaled_step: int) -> Any:
    """Return a progress tracker that sends this process a signal before a step."""

    def track(steps: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for step in steps:
            if step == signaled_step:
                os.kill(os.getpid(), signal_number)
            yield step

    return track


def _train_until_killed(scratch_folder: Path) -> None:
    torch.set_num_threads(1)
    training_loop.CHECKPOINT_INTERVAL = 6
    tracker = _send_signal_at(signal.SIGKILL, 20)
    fit_small_network(draw_images(96), scratch_folder, FAST_SETTINGS, track=tracker)


def test_a_process_killed_by_the_system_resumes_to_the_same_weights(
    images: TrainingImages, tmp_path: Path
) -> None:
    cut_folder = tmp_path / "cut"
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(target=_train_until_killed, args=(cut_folder,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert (cut_folder / "last.pt").is_file()
    whole = fit_small_network(images, tmp_path / "whole", FAST_SETTINGS)
    resumed = fit_small_network(images, cut_folder, FAST_SETTINGS)
    assert has_same_weights(whole.model, resumed.model)


def test_a_finished_training_makes_no_further_steps(images: TrainingImages, tmp_path: Path) -> None:
    step_counts: list[int] = []

    def count_steps(steps: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        step_list = list(steps)
        step_counts.append(len(step_list))
        return iter(step_list)

    fit_small_network(images, tmp_path, FAST_SETTINGS, track=count_steps)
    fit_small_network(images, tmp_path, FAST_SETTINGS, track=count_steps)
    assert step_counts == [TrainingSchedule(FAST_SETTINGS, len(images)).step_count, 0]


def test_an_early_stop_returns_the_best_weights(images: TrainingImages, tmp_path: Path) -> None:
    """The labels of the holdout are wrong, so that its loss rises as the network learns."""
    drawn = draw_images(32, seed=1)
    holdout = TrainingImages(drawn.pixels, drawn.image_rows, 1 - drawn.labels)
    settings = FitSettings(
        recipe="bare",
        epochs=40,
        learning_rate=5e-3,
        batch_size=16,
        evaluation_interval=5,
        patience=3,
    )
    result = fit_small_network(images, tmp_path, settings, holdout=holdout)
    assert result.step_count < TrainingSchedule(settings, len(images)).step_count
    assert result.step_count == result.best_step + 3 * 5
    curve = result.history[result.history["split"] == "holdout"].set_index("step")["loss"]
    logits = compute_logits(result.model, holdout.pixels, MODEL_META)
    log_probabilities = torch.log_softmax(torch.from_numpy(logits), 1).numpy()
    loss = -log_probabilities[np.arange(len(holdout)), holdout.labels].mean()
    assert loss == pytest.approx(curve[result.best_step], rel=1e-4)
    assert curve.iloc[-1] > curve[result.best_step]
    repeated = fit_small_network(images, tmp_path, settings, holdout=holdout)
    assert repeated.step_count == result.step_count, "a stopped training is not continued"
    assert repeated.best_step == result.best_step


def test_without_a_holdout_the_training_goes_to_the_end(
    images: TrainingImages, tmp_path: Path
) -> None:
    settings = FitSettings(
        recipe="bare", image_passes=320, batch_size=16, evaluation_interval=3, patience=1
    )
    result = fit_small_network(images, tmp_path, settings)
    assert (result.step_count, result.image_passes, result.best_step) == (27, 324, 27)
    assert set(result.history["split"]) == {"train"}


def test_a_treatment_changes_the_pixels_but_not_the_order(
    images: TrainingImages, tmp_path: Path
) -> None:
    identity_calls: list[tuple[list[int], int]] = []
    darkening_calls: list[tuple[list[int], int]] = []

    def create_treatment(calls: list[tuple[list[int], int]], gain: float) -> BatchTreatment:
        def scale_pixels(rows: np.ndarray, pixels: np.ndarray, seed: int) -> np.ndarray:
            assert np.array_equal(pixels, images.pixels[rows]), "shift and crop come later"
            calls.append((rows.tolist(), seed))
            return (pixels * gain).astype(np.uint8)

        return scale_pixels

    keep = create_treatment(identity_calls, 1.0)
    darken = create_treatment(darkening_calls, 0.3)
    control = fit_small_network(images, tmp_path / "control", FAST_SETTINGS)
    kept = fit_small_network(images, tmp_path / "kept", FAST_SETTINGS, treatment=keep)
    darkened = fit_small_network(images, tmp_path / "dark", FAST_SETTINGS, treatment=darken)
    assert sorted(identity_calls) == sorted(darkening_calls)
    assert control.image_passes == darkened.image_passes
    assert has_same_weights(control.model, kept.model)
    assert not has_same_weights(control.model, darkened.model)


@pytest.mark.parametrize("has_ids", [False, True])
def test_an_infinite_loss_names_the_images(
    images: TrainingImages, has_ids: bool, tmp_path: Path
) -> None:
    image_ids = [f"i{row}" for row in range(96)] if has_ids else None
    subset = TrainingImages(images.pixels, np.arange(40, 60), images.labels[40:60], image_ids)
    settings = FitSettings(
        recipe="bare", epochs=50, learning_rate=1e18, batch_size=8, warmup_share=0, optimizer="sgd"
    )
    names = r"(i(4|5)\d, ){7}i(4|5)\d;" if has_ids else r"row (4|5)\d, "
    message = rf"loss is (nan|inf) at step \d+ on image {names}"
    with pytest.raises(InputError, match=message) as caught:
        fit_small_network(subset, tmp_path, settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_saves_its_state_and_resumes_to_the_same_weights(
    images: TrainingImages, signal_number: int, tmp_path: Path
) -> None:
    cut_folder = tmp_path / "cut"
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in signals.STOP_SIGNALS}
    signals.install_handlers()
    try:
        with pytest.raises(signals.StopSignal):
            fit_small_network(
                images, cut_folder, FAST_SETTINGS, track=_send_signal_at(signal_number, 13)
            )
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    state = torch.load(cut_folder / "last.pt", weights_only=True)
    assert state["progress"]["step"] == 14
    resumed = fit_small_network(images, cut_folder, FAST_SETTINGS)
    whole = fit_small_network(images, tmp_path / "whole", FAST_SETTINGS)
    assert has_same_weights(resumed.model, whole.model)


@pytest.mark.parametrize("image_count", [2, 3, 4])
def test_very_few_images_are_enough(image_count: int, tmp_path: Path) -> None:
    images = draw_images(image_count)
    result = fit_small_network(images, tmp_path, FitSettings(recipe="bare", epochs=3))
    assert result.step_count == 3
    assert np.isfinite(compute_logits(result.model, images.pixels, MODEL_META)).all()
