"""What traffic must fulfil, and the limits that `nightshift monitor` judges by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config import resolve
from pipeline.slicing import traffic
from pipeline.slicing.traffic import Limits, Part, judge


class Conditions(Limits):
    """Limits of the monitoring; a `max_` is a condition."""

    max_decline_rise: float = Field(0.1, ge=0, le=1, description="by how much the share of declined photos may grow")
    max_unreadable: float = Field(0.05, ge=0, le=1, description="share of photos that could not be read")
    batch: int = Field(100, ge=0, description="photos of the next labelling batch")


def conditions(assignments: Iterable[str]) -> Conditions:
    """The limits with `KEY=VALUE` laid over the defaults; raises `InputError` for a key or value that is none."""
    settings = resolve(None, [f"monitor.{text}" for text in assignments], {"monitor": Conditions}).stages["monitor"]
    assert isinstance(settings, Conditions)
    return settings


def judged(found: Mapping[str, Any], limits: Conditions) -> list[dict[str, Any]]:
    """Every condition: {name, value, limit, passed, words}. found: as `pipeline.monitor.work.monitor` makes it."""
    decline = {**found["decline"], "what": "declined photos grew by"}
    part = Part("max_decline_rise", "rise", [decline], "what", "the decline rate")
    share, limit = found["unreadable"] / max(found["rows"], 1), limits.max_unreadable
    words = f"photos that could not be read: {share:.1%}; at most {limit:.1%} (max_unreadable)"
    unread = {"name": "max_unreadable", "value": share, "limit": limit, "passed": share <= limit, "words": words}
    return [*traffic.conditions(dict(found), limits), judge(part, limits.max_decline_rise, limits.alpha), unread]
