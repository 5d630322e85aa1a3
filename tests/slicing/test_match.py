"""Matching on planted photos: the slice is exactly the good photos, darkened, and the model fails below a light."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.slicing.confirm import Probe
from pipeline.slicing.match import (
    Matcher,
    Tools,
    find_causes,
    good_photos,
    mismatch,
    nearest,
    repair_of,
    suspect_cause,
    undoing,
)
from pipeline.slicing.validation import Val

INTERVENTIONS = pd.DataFrame(remedies.interventions(), columns=["remedy", "dose"])
LIGHT = 55.0  # the pretended model is right above this mean


def _measure(pixels: np.ndarray) -> np.ndarray:
    flat = pixels.reshape(len(pixels), -1).astype(float)
    return np.column_stack([flat.mean(1), flat.std(1)])


def _planted() -> tuple[Val, np.ndarray, Tools]:
    rng = np.random.default_rng(0)
    lit = rng.integers(60, 230, (240, 12, 12, 3)).astype(np.uint8)
    dark = remedies.treat("exposure", lit[:80], 0.25, 0.25, 0)
    pixels = np.concatenate([lit[80:], dark])
    inside = np.arange(240) >= 160
    truth = np.arange(240) % 2
    guess = np.where(_measure(pixels)[:, 0] > LIGHT, truth, 1 - truth)
    odd = rng.random(240) < 0.1  # failures of no common cause, which nothing repairs
    guess = np.where(odd, 1 - truth, guess)
    after = np.column_stack(
        [
            (_measure(remedies.treat(name, pixels, dose, dose, 0))[:, 0] > LIGHT) & ~odd
            for name, dose in INTERVENTIONS.itertuples(index=False)
        ]
    )
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(240)],
            "label": truth.astype(str),
            "group": [f"g{k // 2}" for k in range(240)],
        }
    )
    rows = np.arange(240)
    margin = np.where(guess == truth, 1.0, -1.0) * rng.gamma(2, 1, 240)
    probe = Probe(guess == truth, after, margin, rows // 2, np.ones(240))
    val = Val(frame, rows, rows % 5, truth, guess, probe, rows, np.ones(240, bool), ("0", "1", "2"))
    answer = {"n": 0}

    def guesses(treated: np.ndarray) -> np.ndarray:
        answer["n"] += 1
        good = pool_rows["rows"]
        return np.where(_measure(treated)[:, 0] > LIGHT, truth[good], 1 - truth[good])

    pool_rows: dict[str, np.ndarray] = {}
    tools = Tools(pixels, remedies.treat, _measure, guesses)
    pool = good_photos(val, ~inside, inside, tools, 100, 0)
    pool_rows["rows"] = pool.rows
    return val, inside, tools


@pytest.fixture(scope="module")
def planted() -> tuple[Val, np.ndarray, Tools]:
    return _planted()


def test_the_planted_cause_and_dose_are_named(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    rivals, fitted = find_causes(good_photos(val, ~inside, inside, tools, 100, 0), inside, INTERVENTIONS, 100, 0.05)
    best = rivals[0]
    assert (best.remedy, best.named, best.words) == ("exposure", True, "too dark")
    assert best.dose == 0.25
    assert best.apart < 0.2
    assert best.reproduces > 0.5
    assert best.p_repairs is not None
    assert best.p_repairs < 0.01
    assert fitted is not None
    assert fitted[0] <= 0.25 <= fitted[1]
    assert not any(r.named for r in rivals if r.remedy in ("rotation", "horizontal_flip", "blur", "contrast"))


def test_good_photos_are_correct_and_outside(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    pool = good_photos(val, ~inside, inside, tools, 100, 0)
    assert len(pool.rows) == 100
    assert not val.errors[pool.rows].any()
    assert not inside[pool.rows].any()


def test_where_a_slice_holds_every_failure_other_interventions_are_the_control(
    planted: tuple[Val, np.ndarray, Tools],
) -> None:
    val, inside, _ = planted
    best = Matcher(good_photos(val, ~inside, inside, planted[2], 50, 0), inside, 50).rival("exposure", [0.5, 0.25])
    column = undoing(INTERVENTIONS, best)
    assert INTERVENTIONS["dose"][column] == 4.0
    everything = val.errors | inside
    effect, p = repair_of(val, everything, column, 0)
    assert effect is not None
    assert effect > 0.2
    assert p is not None
    assert p < 0.01
    assert repair_of(val, everything, None, 0) == (None, None)


def test_mismatch_is_cliffs_delta() -> None:
    a, b = np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [3.0], [4.0]])
    wins = sum(np.sign(x - y) for x in a[:, 0] for y in b[:, 0])
    assert mismatch(a, b) == pytest.approx(abs(wins) / 9)
    assert mismatch(a, a) == 0
    assert mismatch(a, a + 10) == 1
    assert mismatch(np.full((3, 1), np.nan), b) == 1


def test_the_nearest_probed_dose() -> None:
    assert INTERVENTIONS["dose"][nearest(INTERVENTIONS, "exposure", 8.3)] == 4.0
    assert nearest(INTERVENTIONS, "unknown", 1.0) is None
    assert nearest(INTERVENTIONS, "exposure", None) is None


def test_without_a_model_the_nearest_treatment_is_suspected_and_a_slice_like_the_rest_is_not() -> None:
    val, inside, tools = _planted()
    asked = replace(tools, guess=None)
    pool = good_photos(val, ~inside, inside, asked, 100, 0)
    rivals, fitted = suspect_cause(pool, inside, 100)
    assert [(r.remedy, r.words, r.suspected, r.named) for r in rivals] == [("exposure", "too dark", True, True)]
    assert fitted is not None
    assert fitted[0] <= 0.25 <= fitted[1]
    like = np.arange(len(inside)) % 8 == 0
    assert suspect_cause(good_photos(val, ~like, like & ~inside, asked, 100, 0), like & ~inside, 100) == ([], None)
