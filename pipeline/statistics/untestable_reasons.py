"""Why a test could not be made, and what would be enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class UntestableKind(StrEnum):
    """What a test lacks."""

    NO_IMAGES = "no images"
    TOO_FEW_GROUPS = "too few groups"
    TOO_FEW_IMAGES = "too few images"
    TOO_FEW_GROUPS_OUTSIDE = "too few groups outside"
    NOT_COMPARABLE = "not comparable"
    """Too small a share of the images inside has comparable images outside."""
    UNKNOWN_REFERENCE = "unknown reference"
    """No value of the known images is known."""
    UNKNOWN_TRAFFIC = "unknown traffic"
    """No value of the arrived images is known."""
    TOO_FEW_UNITS = "too few units"


@dataclass(frozen=True)
class UntestableReason:
    """Why a test could not be made.

    Attributes:
        kind: what it lacks.
        found: the number or share that there is.
        required: the number or share that would be enough.
    """

    kind: UntestableKind
    found: float = 0
    required: float = 0

    def build_record(self) -> dict[str, Any]:
        """Return the reason as JSON."""
        return asdict(self)
