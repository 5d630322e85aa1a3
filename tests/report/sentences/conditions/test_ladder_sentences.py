"""Sentences about the steps of the remedy: conditions/ladder_sentences.py."""

from __future__ import annotations

from pipeline.domain.statuses import LadderStep
from pipeline.report.sentences.conditions.ladder_sentences import (
    build_ladder_rows,
    describe_real_images,
)


def _list_names(*steps: tuple[LadderStep, float | None]) -> list[str]:
    ladder = [{"step": step, "share": share} for step, share in steps]
    return [row["name"] for row in build_ladder_rows(ladder)]


def test_every_step_has_a_name_of_its_own() -> None:
    names = _list_names(*[(step, 0.4) for step in LadderStep])
    assert len(set(names)) == len(LadderStep)
    assert "40" in names[-1]


def test_without_a_step_of_their_own_the_remedies_belong_to_the_first_step() -> None:
    together = _list_names((LadderStep.REAL_IMAGES, None))[0]
    apart = _list_names((LadderStep.TREATMENT, None), (LadderStep.REAL_IMAGES, None))
    assert apart[0] in together
    assert apart[0] not in apart[1]


def test_a_full_share_is_no_way_back() -> None:
    full, partial = (_list_names((LadderStep.INTERPOLATION, share))[0] for share in (1.0, 0.7))
    assert full != partial
    assert "100" not in full


def test_what_was_trained_on_is_counted() -> None:
    halves = [{"images": 31, "groups": 1}, {"images": 1, "groups": 9}]
    text = describe_real_images(halves)
    assert "31 images of 1 group" in text
    assert "1 image of 9 groups" in text
    assert describe_real_images([]) == ""
