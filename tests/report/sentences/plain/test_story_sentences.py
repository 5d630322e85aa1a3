"""The story of a run: pipeline/report/sentences/plain/story_sentences.py."""

from __future__ import annotations

import pytest

from pipeline.domain.statuses import CauseConfidence
from pipeline.report.sentences.plain.story_sentences import (
    describe_broken_images,
    describe_cause_evidence,
    describe_treatment,
)

DARK = {
    "cause": "exposure",
    "confidence": CauseConfidence.INVERSE_CONFIRMED,
    "strength_low": 0.15,
    "strength_high": 0.4,
    "repair_share": 0.76,
    "repair_strength": 4.0,
}


def test_light_is_a_share_and_the_correction_is_counted() -> None:
    text = describe_cause_evidence(DARK)
    assert "too dark" in text
    assert "15 to 40 % of the light" in text
    assert "corrects 76 % of the failures" in text


@pytest.mark.parametrize(
    ("confidence", "text"),
    [
        (CauseConfidence.CONSISTENT, "was not shown"),
        (CauseConfidence.SUSPECTED, "no model tested it"),
        (CauseConfidence.LEANS_ON_MARK, "relies on a mark"),
    ],
)
def test_weaker_evidence_is_worded_weaker(confidence: CauseConfidence, text: str) -> None:
    described = describe_cause_evidence(DARK | {"confidence": confidence})
    assert text in described
    assert "corrects 76" not in described


def test_without_a_cause_none_is_claimed() -> None:
    text = describe_cause_evidence(
        DARK | {"cause": None, "confidence": CauseConfidence.UNNAMED, "repair_share": None}
    )
    assert "unnamed" in text
    assert "light" not in text


def test_simulated_images_are_said_to_be_in_training_alone() -> None:
    treatment = {
        "remedy": "exposure",
        "simulator": None,
        "images": 1,
        "strength_low": 0.15,
        "strength_high": 0.4,
        "probability": 0.26,
        "tone_share": 0.0,
    }
    assert "1 training image was also shown" in describe_treatment(treatment)
    assert "50 %" in describe_treatment(treatment | {"tone_share": 0.5})
    drawn = describe_treatment(treatment | {"simulator": "gate"})
    assert "none of these is in validation or test" in drawn


def test_broken_images_are_placed_first() -> None:
    text = describe_broken_images(39, [("at night (too dark)", 24)], "mostly blurred")
    assert text == "24 of 39 lie at night (too dark); mostly blurred"
    assert describe_broken_images(3, [], "") == "they share nothing that sets them apart"
