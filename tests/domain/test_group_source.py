"""Sources of groups: pipeline/domain/group_source.py."""

from __future__ import annotations

from pipeline.domain.group_source import INFERRED_SOURCES, GroupSource


def test_given_groups_and_single_images_are_not_inferred() -> None:
    assert set(GroupSource) - set(INFERRED_SOURCES) == {GroupSource.GIVEN, GroupSource.BYTES}
