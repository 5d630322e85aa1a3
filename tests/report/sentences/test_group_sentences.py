"""Sentences on inferred groups: pipeline/report/sentences/group_sentences.py."""

from __future__ import annotations

from pipeline.domain.group_source import GroupSource
from pipeline.report.sentences.group_sentences import describe_inferred_groups

NONE = dict.fromkeys(map(str, GroupSource), 0)


def test_counts_before_and_after_are_stated_with_their_source() -> None:
    (line,) = describe_inferred_groups(
        NONE | {"before": 26638, "after": 888, "name": 26000, "look": 10, "bytes": 628}
    )
    for text in ("26,638 before", "888 after", "26,000 images by the names", "10 images by their"):
        assert text in line
    assert "time" not in line


def test_given_groups_need_no_sentence() -> None:
    assert describe_inferred_groups(NONE | {"before": 9, "after": 9, "given": 90}) == []


def test_images_that_stand_alone_are_mentioned() -> None:
    (line,) = describe_inferred_groups(NONE | {"before": 9, "after": 9, "bytes": 9})
    assert "each image counts as one observation" in line
