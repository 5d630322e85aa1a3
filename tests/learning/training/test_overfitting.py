import pandas as pd
import pytest

from pipeline.learning.training.overfitting import describe_overfitting, find_overfitting_step


def _history(
    train: list[float], held: list[float], accuracy: tuple[float, float] = (0.99, 0.95)
) -> pd.DataFrame:
    rows = [
        {"step": 100 * (k + 1), "split": split, "loss": loss, "accuracy": acc}
        for split, losses, acc in (("train", train, accuracy[0]), ("holdout", held, accuracy[1]))
        for k, loss in enumerate(losses)
    ]
    return pd.DataFrame(rows, columns=["step", "split", "loss", "accuracy"])


@pytest.mark.parametrize(
    ("train", "held", "since"),
    [
        ([1.0, 0.5, 0.3, 0.2, 0.1], [1.0, 0.6, 0.7, 0.8, 0.9], 300),
        ([1.0, 0.5, 0.3, 0.2, 0.1], [1.0, 0.6, 0.7, 0.55, 0.5], None),  # it came down again
        ([1.0, 0.5, 0.3, 0.2, 0.1], [1.0, 0.6, 0.601, 0.7, 0.8], 400),  # level at first
        ([1.0, 0.5, 0.3, 0.2, 0.1], [1.0, 0.8, 0.6, 0.5, 0.9], None),  # one look is not persistent
        ([1.0, 0.5, 0.6, 0.7, 0.8], [1.0, 0.6, 0.7, 0.8, 0.9], None),  # both rise: it diverges
        ([1.0, 0.5, 0.3, 0.2, 0.1], [1.0, 0.010, 0.012, 0.013, 0.014], None),  # hundredths of a nat
        ([1.0], [1.0], None),
        ([], [], None),
    ],
)
def test_a_planted_overfit_is_dated(
    train: list[float], held: list[float], since: int | None
) -> None:
    assert find_overfitting_step(_history(train, held)) == since


def test_the_judgement_is_one_sentence_with_the_gap() -> None:
    good = describe_overfitting(_history([1.0, 0.5, 0.3], [1.0, 0.6, 0.5], (0.991, 0.97)), 300)
    assert good == "no overfitting seen: train/holdout gap 2.1 points at the end"
    bad = describe_overfitting(_history([1.0, 0.5, 0.3, 0.1], [1.0, 0.6, 0.9, 1.0]), 200)
    told = "train/holdout gap 4.0 points at the end; the weights of step 200 were kept"
    assert bad == f"overfitting from step 300: {told}"
    wide = describe_overfitting(_history([1.0, 0.5, 0.3], [1.0, 0.6, 0.5], (0.99, 0.7)), 300)
    assert wide.startswith("it generalises poorly")
    assert "29.0 points" in wide
    assert "no holdout" in describe_overfitting(_history([1.0, 0.5], []), 200)
