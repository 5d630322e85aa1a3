import pandas as pd
import pytest

from pipeline.learning.training.overfitting import assess_overfitting, find_overfitting_step


def _create_history(
    train_losses: list[float],
    holdout_losses: list[float],
    train_accuracy: float = 0.99,
    holdout_accuracy: float = 0.95,
) -> pd.DataFrame:
    columns = ["step", "split", "loss", "accuracy"]
    rows = []
    for number, loss in enumerate(train_losses, 1):
        rows.append((100 * number, "train", loss, train_accuracy))
    for number, loss in enumerate(holdout_losses, 1):
        rows.append((100 * number, "holdout", loss, holdout_accuracy))
    return pd.DataFrame(rows, columns=columns)


FALLING = [1.0, 0.5, 0.3, 0.2, 0.1]


@pytest.mark.parametrize(
    ("train_losses", "holdout_losses", "step"),
    [
        pytest.param(FALLING, [1.0, 0.6, 0.7, 0.8, 0.9], 300, id="rises"),
        pytest.param(FALLING, [1.0, 0.6, 0.7, 0.55, 0.5], None, id="falls again"),
        pytest.param(FALLING, [1.0, 0.6, 0.601, 0.7, 0.8], 400, id="level at first"),
        pytest.param(FALLING, [1.0, 0.8, 0.6, 0.5, 0.9], None, id="a single evaluation"),
        pytest.param([1.0, 0.5, 0.6, 0.7, 0.8], [1.0, 0.6, 0.7, 0.8, 0.9], None, id="diverges"),
        pytest.param(FALLING, [1.0, 0.010, 0.012, 0.013, 0.014], None, id="hundredths of a nat"),
        pytest.param([1.0], [1.0], None, id="one evaluation in all"),
        pytest.param([], [], None, id="no evaluation"),
    ],
)
def test_a_lasting_rise_of_the_holdout_loss_is_dated(
    train_losses: list[float], holdout_losses: list[float], step: int | None
) -> None:
    assert find_overfitting_step(_create_history(train_losses, holdout_losses)) == step


@pytest.mark.parametrize(
    ("holdout_accuracy", "gap", "is_wide"), [(0.97, 0.02, False), (0.7, 0.29, True)]
)
def test_the_gap_is_that_of_the_last_step(
    holdout_accuracy: float, gap: float, is_wide: bool
) -> None:
    history = _create_history([1.0, 0.5, 0.3], [1.0, 0.6, 0.5], 0.99, holdout_accuracy)
    history.loc[0, "accuracy"] = 0.1
    assessment = assess_overfitting(history)
    assert assessment["accuracy_gap"] == pytest.approx(gap)
    assert (assessment["is_gap_wide"], assessment["overfitting_from"]) == (is_wide, None)


def test_a_rise_of_the_loss_is_part_of_the_assessment() -> None:
    history = _create_history([1.0, 0.5, 0.3, 0.1], [1.0, 0.6, 0.9, 1.0])
    assert assess_overfitting(history)["overfitting_from"] == 300


def test_without_a_holdout_the_gap_is_unknown() -> None:
    assessment = assess_overfitting(_create_history([1.0, 0.5], []))
    assert (assessment["accuracy_gap"], assessment["is_gap_wide"]) == (None, False)
