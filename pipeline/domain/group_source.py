"""Sources of an image's group."""

from __future__ import annotations

from enum import StrEnum


class GroupSource(StrEnum):
    """What put an image into its group."""

    GIVEN = "given"
    """A column, a pattern or the data format."""
    TIME = "time"
    """Capture time and camera."""
    NAME = "name"
    """The name of a burst's files."""
    LOOK = "look"
    """Near neighbors in frozen features."""
    BYTES = "bytes"
    """Its own bytes: it forms a group with its exact copies."""


INFERRED_SOURCES = (GroupSource.TIME, GroupSource.NAME, GroupSource.LOOK)


CAMERA_COLUMN = "camera"
"""The metadata column that names the camera of an image."""


INNER_GROUP_COLUMN = "inner_group"
"""The group within an outer one, where `ingest.outer_group` names a second level."""
