"""Matching on planted photos: the slice is exactly the good photos, darkened, and the model fails below a light."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.slicing.confirm import Probe
from pipeline.slicing.match import Matcher, errs_alike, find_causes, mismatch, reachable, suspect_cause
from pipeline.slicing.name import Rival, dose_grid
from pipeline.slicing.pool import good_photos
from pipeline.slicing.repair import Tools
from pipeline.slicing.validation import Val

INTERVENTIONS = pd.DataFrame(remedies.interventions(), columns=["remedy", "dose"])
LIGHT = 55.0  # the pretended model is right above this mean


def _measure(pixels: np.ndarray) -> np.ndarray:
    flat = pixels.reshape(len(pixels), -1).astype(float)
    return np.column_stack([flat.mean(1), flat.std(1)])


def _guesses(pixels: np.ndarray) -> np.ndarray:
    """The pretended model reads which side is brighter, and the reverse in the dark."""
    left, right = pixels[:, :, :6].mean((1, 2, 3)), pixels[:, :, 6:].mean((1, 2, 3))
    said = (right > left).astype(np.intp)
    return np.where(_measure(pixels)[:, 0] > LIGHT, said, 1 - said)


def _planted() -> tuple[Val, np.ndarray, Tools]:
    rng, truth = np.random.default_rng(0), np.arange(240) % 2
    lit = rng.integers(60, 200, (240, 12, 12, 3))
    lit[:, :, :6] += 30 * (1 - truth)[:, None, None, None]
    lit[:, :, 6:] += 30 * truth[:, None, None, None]
    pixels = lit.astype(np.uint8)
    pixels[160:] = remedies.treat("exposure", pixels[160:], 0.25, 0.25, 0)
    inside = np.arange(240) >= 160
    odd = rng.random(240) < 0.1  # photos of the other class, whose failures nothing repairs
    truth = np.where(odd, 1 - truth, truth)
    guess = _guesses(pixels)
    after = np.column_stack(
        [
            _guesses(remedies.treat(name, pixels, dose, dose, 0)) == truth
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
    return val, inside, Tools(pixels, remedies.treat, _measure, _guesses)


@pytest.fixture(scope="module")
def planted() -> tuple[Val, np.ndarray, Tools]:
    return _planted()


def test_the_planted_cause_and_dose_are_named(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    pool = good_photos(val, ~inside, inside, tools, 100, 0)
    rivals, fitted = find_causes(pool, inside, inside, INTERVENTIONS, 100, 0.05)
    best = rivals[0]
    assert (best.remedy, best.named, best.words) == ("exposure", True, "too dark")
    assert best.dose == 0.25
    assert best.apart < 0.2
    assert best.reproduces > 0.5
    assert best.p_repairs is not None
    assert best.p_repairs < 0.01
    assert fitted is not None
    assert fitted[0] < 0.25 < fitted[1]
    assert fitted[0] > 0.1  # and not all that lies beyond, down to black
    assert fitted[1] < 0.5
    assert not any(r.named for r in rivals if r.remedy in ("rotation", "horizontal_flip", "blur", "contrast"))


def _covered(pixels: np.ndarray) -> np.ndarray:
    """Mean, spread, and the share of the photo that is of one colour with what is beside it."""
    plain = (pixels[:, :, 1:] == pixels[:, :, :-1]).all(-1).mean((1, 2))
    return np.column_stack([_measure(pixels), plain])


def _half_covered(wrong: int) -> tuple[Val, Tools]:
    """Photos 160 to 199 have a covered part, in which the pretended model sees a third class; of those after them, all
    bright and whole, the first `wrong` have a label that it never says."""

    def guesses(pixels: np.ndarray) -> np.ndarray:
        said = (pixels[:, :, 6:].mean((1, 2, 3)) > pixels[:, :, :6].mean((1, 2, 3))).astype(np.intp)
        return np.where(_covered(pixels)[:, 2] > 0.05, 2, said)

    val, _, tools = _planted()
    pixels = np.array(tools.pixels)
    pixels[160:] = remedies.treat("exposure", pixels[160:], 4.0, 4.0, 0)  # back to the light
    pixels[160:200] = remedies.treat("occlusion", pixels[160:200], 0.5, 0.5, 0)
    shown = guesses(pixels)
    truth = np.where(np.arange(240) >= 200, shown, val.truth)
    truth[200 : 200 + wrong] = 2
    val = replace(val, truth=truth, guess=shown, probe=replace(val.probe, correct=shown == truth))
    return val, replace(tools, pixels=pixels, measure=_covered, guess=guesses)


def test_a_cause_of_half_a_slice_is_named_photo_by_photo() -> None:
    """The slice: photos with a covered part, and as many bright ones that fail for no reason but a wrong label. Nothing
    undoes a cover, and no copies look like both halves."""

    val, asked = _half_covered(wrong=10)
    inside = np.arange(240) >= 160
    pool = good_photos(val, ~inside, inside, asked, 100, 0)
    rivals, fitted = find_causes(pool, inside, inside, INTERVENTIONS, 100, 0.05)
    assert [(r.remedy, r.named) for r in rivals if r.named] == [("occlusion", True)]
    assert rivals[0].auc > 0.65  # the slice as a whole does not look like it
    assert rivals[0].share is not None
    assert rivals[0].share > 0.5
    assert fitted is not None
    alone = np.arange(240) >= 200  # the photos that fail for no reason
    pool = good_photos(val, ~inside, alone, asked, 100, 0)
    rivals, fitted = find_causes(pool, alone, alone, INTERVENTIONS, 100, 0.05)
    assert not any(r.named for r in rivals)
    assert fitted is None


def test_where_too_few_of_the_matched_photos_fail_all_that_fail_are_asked() -> None:
    val, asked = _half_covered(wrong=0)
    inside = np.arange(240) >= 80
    few = np.flatnonzero(inside & val.errors)[:3]
    typical = (inside & ~val.errors) | np.isin(np.arange(240), few)
    pool = good_photos(val, ~inside, inside, asked, 100, 0)
    rivals, fitted = find_causes(pool, inside, typical, INTERVENTIONS, 200, 0.05)
    assert [r.remedy for r in rivals if r.named] == ["occlusion"]
    assert fitted is not None


def test_causes_that_undo_each_other_are_one(planted: tuple[Val, np.ndarray, Tools]) -> None:
    val, inside, tools = planted
    pool = good_photos(val, ~inside, inside, tools, 100, 0)
    dark = Rival("exposure", "too dark", 0.25, 0.1, True)
    gamma = Rival("gamma", "too dark in the mid-tones", 4.0, 0.3, True)  # its inverse gives the light back as well
    dull = Rival("contrast", "too low in contrast", 0.25, 0.3, True)  # more contrast leaves the mean where it is
    noise = Rival("noise", "noisy", 25.0, 0.3, False)
    assert Matcher(pool, inside, inside, 100).equivalents(dark, [gamma, dull, noise]) == {"gamma"}
    unasked = replace(pool, tools=replace(tools, guess=None))  # by looks alone they differ
    assert Matcher(unasked, inside, inside, 100).equivalents(dark, [gamma, dull, noise]) == set()


def test_mismatch_is_cliffs_delta() -> None:
    a, b = np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [3.0], [4.0]])
    wins = sum(np.sign(x - y) for x in a[:, 0] for y in b[:, 0])
    assert mismatch(a, b) == pytest.approx(abs(wins) / 9)
    assert mismatch(a, a) == 0
    assert mismatch(a, a + 10) == 1
    assert mismatch(np.full((3, 1), np.nan), b) == 1


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


def test_doses_go_on_to_the_end_of_what_a_plugin_knows() -> None:
    (side,) = (side for side in dose_grid((-1.0, 0.5), 0.0) if side[0] > 0)
    doses = reachable("fog", side)
    assert doses[:3] == side[:3] == [0.25, 0.5, 0.75]  # the next would be more than all of the light
    assert 0.9 < doses[-1] < 1
    assert sorted(set(doses)) == doses
    assert reachable("exposure", [0.5, 0.25]) == [0.5, 0.25]
    assert reachable("quarter_turns", [0.5, 1.0, 1.5]) == [1.0]  # nothing lies between two of these
    assert reachable("fog", [1.5, 2.0]) == []


def test_of_many_classes_a_cause_errs_as_alike_as_it_does_to_itself() -> None:
    pairs, groups = [(0, 1), (0, 2), (0, 3), (0, 1)], ["a", "b", "c", "d"]  # two of four come again in another group
    assert errs_alike(pairs, groups, {(0, 1)}) == 1.0
    assert errs_alike(pairs, groups, {(0, 2)}) == 0.5
    assert errs_alike(pairs, groups, {(5, 6)}) == 0.0
    assert errs_alike(pairs, ["a"] * 4, {(0, 1)}) == 0.5  # one group cannot be compared with another: as it is
    assert errs_alike([(0, 1), (2, 3)], ["a", "b"], {(0, 1)}) == 0.5  # nor one class with another
    assert errs_alike([], [], {(0, 1)}) == 0.0
