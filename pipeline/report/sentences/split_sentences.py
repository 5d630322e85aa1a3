"""The text about an image that is in no split."""

from __future__ import annotations

from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind


def describe_exclusion(exclusion: SplitExclusion) -> str:
    """Return why an image is in no split."""
    place = f"{exclusion.path} in {exclusion.split}"
    match exclusion.kind:
        case ExclusionKind.UNKNOWN_PLACE:
            return "its place is not known"
        case ExclusionKind.SAME_IMAGE:
            return f"same image as {place}"
        case ExclusionKind.SAME_GROUP:
            return f"same group as {place}"
        case ExclusionKind.TIED_GROUP:
            return f"tied by a duplicate to {place}"
        case ExclusionKind.CONDITION_NOT_MET:
            return f"not {exclusion.condition}"
