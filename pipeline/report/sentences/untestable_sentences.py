"""The text about a test that could not be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.statistics.untestable_reasons import UntestableKind


def describe_untestable(reason: Mapping[str, Any]) -> str:
    """Return why a test could not be made, and what would be enough.

    Args:
        reason: kind, found and required of an `UntestableReason`.
    """
    found, required = reason["found"], reason["required"]
    match UntestableKind(reason["kind"]):
        case UntestableKind.NO_IMAGES:
            return "no images"
        case UntestableKind.TOO_FEW_GROUPS:
            return f"{found} groups inside; {required} would do"
        case UntestableKind.TOO_FEW_IMAGES:
            return f"{found} images inside; {required} would do"
        case UntestableKind.TOO_FEW_GROUPS_OUTSIDE:
            return f"fewer than {required} groups outside to compare with"
        case UntestableKind.NOT_COMPARABLE:
            return (
                f"only {found:.0%} of it has comparable images outside; {required:.0%} would be "
                "enough"
            )
        case UntestableKind.UNKNOWN_REFERENCE:
            return "unknown of the images known"
        case UntestableKind.UNKNOWN_TRAFFIC:
            return "unknown of what arrived"
        case UntestableKind.TOO_FEW_UNITS:
            return f"{found} units; {required} would do"
