"""A better remedy refutes a cause, unless it undoes the same damage."""

from dataclasses import replace

import numpy as np

from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.cause_verification import find_rival_share, verify_candidates
from pipeline.slices.causes.treatment_matching import TreatmentMatcher
from tests.slices.causes.conftest import PlantedImages

DARK = CauseCandidate(
    "exposure",
    "too dark",
    0.25,
    0.1,
    True,
    reproduction_rate=0.9,
    repair_effect=0.5,
    repair_p_value=0.001,
    repair_share=0.6,
    regained_share=1.0,
)


def _repair(planted: PlantedImages, share: float) -> np.ndarray:
    return np.arange(len(planted.failing_rows)) < share * len(planted.failing_rows)


def test_only_a_better_remedy_of_another_kind_is_a_rival(darkness: PlantedImages) -> None:
    good = darkness.select_good()
    better, worse = _repair(darkness, 0.8), _repair(darkness, 0.3)
    share = float(better.mean())
    assert find_rival_share(good, DARK, {("rotation", 30.0): better}) == share
    assert find_rival_share(good, DARK, {("rotation", 30.0): worse}) is None
    assert find_rival_share(good, DARK, {("exposure", 2.0): better}) is None, "its own inverse"
    # More gain in the mid-tones undoes darkness as well: the same cause under another name.
    assert find_rival_share(good, DARK, {("gamma", 0.25): better}) is None


def test_what_could_be_named_is_verified_and_nothing_else(darkness: PlantedImages) -> None:
    mask = darkness.is_member
    matcher = TreatmentMatcher(darkness.select_good(), mask, mask, 100)
    idle = replace(DARK, reproduction_rate=0.01)
    others = {("rotation", 30.0): _repair(darkness, 0.9)}
    dark, kept = verify_candidates(matcher, [DARK, idle], others, 0.05)
    assert dark.rival_share is not None
    assert not dark.can_be_named(0.05)
    assert kept == idle


def test_alignment_needs_frozen_features(darkness: PlantedImages) -> None:
    mask = darkness.is_member
    good = darkness.select_good()
    assert TreatmentMatcher(good, mask, mask, 100).measure_alignment(DARK) is None
    seeing = replace(good, tools=replace(good.tools, embed_images=_embed))
    matcher = TreatmentMatcher(seeing, mask, mask, 100)
    dark = matcher.measure_alignment(DARK)
    bright = matcher.measure_alignment(replace(DARK, strength=2.0))
    assert dark is not None
    assert bright is not None
    assert dark > 0.8 > 0 > bright


def _embed(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, ::3, ::3].reshape(len(pixels), -1).astype(np.float32)
