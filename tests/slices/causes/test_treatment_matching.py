"""Matching on planted images: the slice is exactly the good images, darkened, and the model fails below a light."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline import remedies
from pipeline.domain.validation_set import ValidationSet
from pipeline.slices.causes.cause_naming import CauseCandidate, build_strength_grid
from pipeline.slices.causes.good_images import select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.causes.treatment_matching import (
    TreatmentMatcher,
    find_causes,
    list_possible_strengths,
    measure_confusion_agreement,
    measure_mismatch,
    suspect_cause,
)
from tests.helpers.validation_sets import encode_responses, make_validation_set

INTERVENTIONS = pd.DataFrame(remedies.list_interventions(), columns=["remedy", "strength"])
LIGHT = 55.0  # the pretended model is right above this mean


def _measure(pixels: np.ndarray) -> np.ndarray:
    flat = pixels.reshape(len(pixels), -1).astype(float)
    return np.column_stack([flat.mean(1), flat.std(1)])


def _guesses(pixels: np.ndarray) -> np.ndarray:
    """The pretended model reads which side is brighter, and the reverse in the dark."""
    left, right = pixels[:, :, :6].mean((1, 2, 3)), pixels[:, :, 6:].mean((1, 2, 3))
    said = (right > left).astype(np.intp)
    return np.where(_measure(pixels)[:, 0] > LIGHT, said, 1 - said)


def _planted() -> tuple[ValidationSet, np.ndarray, InterventionTools]:
    rng, truth = np.random.default_rng(0), np.arange(240) % 2
    lit = rng.integers(60, 200, (240, 12, 12, 3))
    lit[:, :, :6] += 30 * (1 - truth)[:, None, None, None]
    lit[:, :, 6:] += 30 * truth[:, None, None, None]
    pixels = lit.astype(np.uint8)
    pixels[160:] = remedies.apply_remedy("exposure", pixels[160:], 0.25, 0.25, 0)
    inside = np.arange(240) >= 160
    odd = rng.random(240) < 0.1  # images of the other class, whose failures nothing repairs
    truth = np.where(odd, 1 - truth, truth)
    guess = _guesses(pixels)
    after = np.column_stack(
        [
            _guesses(remedies.apply_remedy(name, pixels, strength, strength, 0)) == truth
            for name, strength in INTERVENTIONS.itertuples(index=False)
        ]
    )
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(240)],
            "label": truth.astype(str),
            "group": [f"g{k // 2}" for k in range(240)],
        }
    )
    margin = np.where(guess == truth, 1.0, -1.0) * rng.gamma(2, 1, 240)
    val = make_validation_set(frame, truth, guess, "012", is_correct_after=after, margins=margin)
    return val, inside, InterventionTools(pixels, remedies.apply_remedy, _measure, _guesses)


@pytest.fixture(scope="module")
def planted() -> tuple[ValidationSet, np.ndarray, InterventionTools]:
    return _planted()


def test_the_planted_cause_and_dose_are_named(
    planted: tuple[ValidationSet, np.ndarray, InterventionTools],
) -> None:
    val, inside, tools = planted
    pool = select_good_images(val, ~inside, inside, tools, 100, 0)
    rivals, fitted = find_causes(pool, inside, inside, INTERVENTIONS, 100, 0.05)
    best = rivals[0]
    assert (best.remedy, best.named, best.words) == ("exposure", True, "too dark")
    assert best.strength == 0.25
    assert best.apart < 0.2
    assert best.reproduces > 0.5
    assert best.p_repairs is not None
    assert best.p_repairs < 0.01
    assert fitted is not None
    assert fitted[0] < 0.25 < fitted[1]
    assert fitted[0] > 0.1  # and not all that lies beyond, down to black
    assert fitted[1] < 0.5
    assert not any(
        r.named for r in rivals if r.remedy in ("rotation", "horizontal_flip", "blur", "contrast")
    )


def _covered(pixels: np.ndarray) -> np.ndarray:
    """Mean, spread, and the share of the image that is of one color with what is beside it."""
    plain = (pixels[:, :, 1:] == pixels[:, :, :-1]).all(-1).mean((1, 2))
    return np.column_stack([_measure(pixels), plain])


def _half_covered(wrong: int) -> tuple[ValidationSet, InterventionTools]:
    """Images 160 to 199 have a covered part, in which the pretended model sees a third class; of those after them, all
    bright and whole, the first `wrong` have a label that it never says."""

    def guesses(pixels: np.ndarray) -> np.ndarray:
        said = (pixels[:, :, 6:].mean((1, 2, 3)) > pixels[:, :, :6].mean((1, 2, 3))).astype(np.intp)
        return np.where(_covered(pixels)[:, 2] > 0.05, 2, said)

    val, _, tools = _planted()
    pixels = np.array(tools.pixels)
    pixels[160:] = remedies.apply_remedy("exposure", pixels[160:], 4.0, 4.0, 0)  # back to the light
    pixels[160:200] = remedies.apply_remedy("occlusion", pixels[160:200], 0.5, 0.5, 0)
    shown = guesses(pixels)
    truth = np.where(np.arange(240) >= 200, shown, val.labels)
    truth[200 : 200 + wrong] = 2
    responses = encode_responses(val.probe_results.after, truth, 3)
    val = replace(val, labels=truth, predictions=shown, responses=responses)
    return val, replace(tools, pixels=pixels, measure=_covered, guess=guesses)


def test_a_cause_of_half_a_slice_is_named_image_by_image() -> None:
    """The slice: images with a covered part, and as many bright ones that fail for no reason but a wrong label. Nothing
    undoes a cover, and no copies look like both halves."""

    val, asked = _half_covered(wrong=10)
    inside = np.arange(240) >= 160
    pool = select_good_images(val, ~inside, inside, asked, 100, 0)
    rivals, fitted = find_causes(pool, inside, inside, INTERVENTIONS, 100, 0.05)
    assert [(r.remedy, r.named) for r in rivals if r.named] == [("occlusion", True)]
    assert rivals[0].auc > 0.65  # the slice as a whole does not look like it
    assert rivals[0].share is not None
    assert rivals[0].share > 0.5
    assert fitted is not None
    alone = np.arange(240) >= 200  # the images that fail for no reason
    pool = select_good_images(val, ~inside, alone, asked, 100, 0)
    rivals, fitted = find_causes(pool, alone, alone, INTERVENTIONS, 100, 0.05)
    assert not any(r.named for r in rivals)
    assert fitted is None


def test_where_too_few_of_the_matched_images_fail_all_that_fail_are_asked() -> None:
    val, asked = _half_covered(wrong=0)
    inside = np.arange(240) >= 80
    few = np.flatnonzero(inside & val.is_misclassified)[:3]
    typical = (inside & ~val.is_misclassified) | np.isin(np.arange(240), few)
    pool = select_good_images(val, ~inside, inside, asked, 100, 0)
    rivals, fitted = find_causes(pool, inside, typical, INTERVENTIONS, 200, 0.05)
    assert [r.remedy for r in rivals if r.named] == ["occlusion"]
    assert fitted is not None


def test_causes_that_undo_each_other_are_one(
    planted: tuple[ValidationSet, np.ndarray, InterventionTools],
) -> None:
    val, inside, tools = planted
    pool = select_good_images(val, ~inside, inside, tools, 100, 0)
    dark = CauseCandidate("exposure", "too dark", 0.25, 0.1, True)
    gamma = CauseCandidate(
        "gamma", "too dark in the mid-tones", 4.0, 0.3, True
    )  # its inverse gives the light back as well
    dull = CauseCandidate(
        "contrast", "too low in contrast", 0.25, 0.3, True
    )  # more contrast leaves the mean where it is
    noise = CauseCandidate("noise", "noisy", 25.0, 0.3, False)
    assert TreatmentMatcher(pool, inside, inside, 100).find_equivalents(
        dark, [gamma, dull, noise]
    ) == {"gamma"}
    unasked = replace(pool, tools=replace(tools, guess=None))  # by looks alone they differ
    assert (
        TreatmentMatcher(unasked, inside, inside, 100).find_equivalents(dark, [gamma, dull, noise])
        == set()
    )


def test_mismatch_is_cliffs_delta() -> None:
    a, b = np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [3.0], [4.0]])
    wins = sum(np.sign(x - y) for x in a[:, 0] for y in b[:, 0])
    assert measure_mismatch(a, b) == pytest.approx(abs(wins) / 9)
    assert measure_mismatch(a, a) == 0
    assert measure_mismatch(a, a + 10) == 1
    assert measure_mismatch(np.full((3, 1), np.nan), b) == 1


def test_without_a_model_the_nearest_treatment_is_suspected_and_a_slice_like_the_rest_is_not() -> (
    None
):
    val, inside, tools = _planted()
    asked = replace(tools, guess=None)
    pool = select_good_images(val, ~inside, inside, asked, 100, 0)
    rivals, fitted = suspect_cause(pool, inside, 100)
    assert [(r.remedy, r.words, r.is_suspected, r.named) for r in rivals] == [
        ("exposure", "too dark", True, True)
    ]
    assert fitted is not None
    assert fitted[0] <= 0.25 <= fitted[1]
    like = np.arange(len(inside)) % 8 == 0
    assert suspect_cause(
        select_good_images(val, ~like, like & ~inside, asked, 100, 0), like & ~inside, 100
    ) == ([], None)


def test_doses_go_on_to_the_end_of_what_a_plugin_knows() -> None:
    (side,) = (side for side in build_strength_grid((-1.0, 0.5), 0.0) if side[0] > 0)
    strengths = list_possible_strengths("fog", side)
    assert (
        strengths[:3] == side[:3] == [0.25, 0.5, 0.75]
    )  # the next would be more than all of the light
    assert 0.9 < strengths[-1] < 1
    assert sorted(set(strengths)) == strengths
    assert list_possible_strengths("exposure", [0.5, 0.25]) == [0.5, 0.25]
    assert list_possible_strengths("quarter_turns", [0.5, 1.0, 1.5]) == [
        1.0
    ]  # nothing lies between two of these
    assert list_possible_strengths("fog", [1.5, 2.0]) == []


def test_of_many_classes_a_cause_errs_as_alike_as_it_does_to_itself() -> None:
    pairs, groups = (
        [(0, 1), (0, 2), (0, 3), (0, 1)],
        ["a", "b", "c", "d"],
    )  # two of four come again in another group
    assert measure_confusion_agreement(pairs, groups, {(0, 1)}) == 1.0
    assert measure_confusion_agreement(pairs, groups, {(0, 2)}) == 0.5
    assert measure_confusion_agreement(pairs, groups, {(5, 6)}) == 0.0
    assert (
        measure_confusion_agreement(pairs, ["a"] * 4, {(0, 1)}) == 0.5
    )  # one group cannot be compared with another: as it is
    assert (
        measure_confusion_agreement([(0, 1), (2, 3)], ["a", "b"], {(0, 1)}) == 0.5
    )  # nor one class with another
    assert measure_confusion_agreement([], [], {(0, 1)}) == 0.0
