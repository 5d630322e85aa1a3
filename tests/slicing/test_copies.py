import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.slicing.copies import WIDER, good_photos, mismatch, possible, sample
from pipeline.slicing.repair import Tools
from tests.slicing.conftest import Draw


def _tools(count: int, asked: list[int]) -> Tools:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, (count, 8, 8, 3)).astype(np.uint8)

    def guess(photos: np.ndarray) -> np.ndarray:
        asked.append(len(photos))
        return np.zeros(len(photos), np.intp)

    return Tools(pixels, remedies.treat, lambda p: p.reshape(len(p), -1).mean(1, keepdims=True), guess)


def test_mismatch_is_cliffs_delta() -> None:
    a, b = np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [3.0], [4.0]])
    wins = sum(np.sign(x - y) for x in a[:, 0] for y in b[:, 0])
    assert mismatch(a, b) == pytest.approx(abs(wins) / 9)
    assert mismatch(a, a) == 0
    assert mismatch(a, a + 10) == 1
    assert mismatch(np.full((3, 1), np.nan), b) == 1


def test_without_chance_sets_of_few_photos_are_no_further_apart_than_those_of_many() -> None:
    rng = np.random.default_rng(0)

    def mean(n: int, shift: float, *, chance: bool) -> float:
        draws = [(rng.normal(0, 1, (n, 4)), rng.normal(shift, 1, (100, 4))) for _ in range(60)]
        return float(np.mean([mismatch(a, b, chance) for a, b in draws]))

    assert mean(15, 0.0, chance=True) > mean(150, 0.0, chance=True) + 0.05
    assert mean(15, 0.0, chance=False) < 0.1
    assert mean(15, 1.0, chance=False) == pytest.approx(mean(150, 1.0, chance=False), abs=0.04)


def test_a_sample_is_taken_round_robin_over_groups() -> None:
    groups = np.array(["a"] * 90 + ["b"] * 5 + ["c"] * 5)
    rows = sample(groups, np.arange(100), 15, np.random.default_rng(0))
    assert pd.Series(groups[rows]).value_counts().to_dict() == {"a": 5, "b": 5, "c": 5}


def test_a_dose_beyond_what_the_plugin_knows_is_not_possible() -> None:
    assert possible("rotation", 30.0)
    assert not possible("rotation", 80.0)


def test_good_photos_are_correct_and_outside_and_of_the_classes_of_the_slice(draw: Draw) -> None:
    planted = draw()
    val, inside = planted.val, planted.dark
    pool = good_photos(val, ~inside, inside, _tools(len(val.rows), []), 60, 0)
    assert len(pool.rows) == pytest.approx(WIDER * 60, abs=2)
    share = np.bincount(val.truth[inside], minlength=3) / inside.sum()
    assert np.bincount(pool.truth, minlength=3) / len(pool.rows) == pytest.approx(share, abs=0.02)
    assert not val.errors[pool.rows].any()
    assert not inside[pool.rows].any()
    assert set(pool.part(20).rows) < set(pool.rows)


def test_copies_are_asked_about_once_and_broken_where_the_answer_is_another(draw: Draw) -> None:
    planted, asked = draw(), list[int]()
    val, inside = planted.val, planted.dark
    pool = good_photos(val, ~inside, inside, _tools(len(val.rows), asked), 30, 0)
    assert (pool.broken("exposure", 0.5) == (pool.truth != 0)).all()
    assert (pool.guesses("exposure", 0.5) == 0).all()
    assert asked == [len(pool.rows)]
    assert (pool.values("exposure", 0.5) < 0.6 * pool.tools.measure(pool.photos)).all()
