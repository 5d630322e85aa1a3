"""What traffic must fulfil, and the limits that `nightshift monitor` judges by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config import resolve_config
from pipeline.slices.tracking import traffic_comparison
from pipeline.slices.tracking.traffic_comparison import (
    FindingKind,
    TrafficLimits,
    evaluate_condition,
)


class MonitoringLimits(TrafficLimits):
    """Limits of the monitoring; a `max_` is a condition."""

    max_decline_rise: float = Field(
        0.1, ge=0, le=1, description="by how much the share of declined images may grow"
    )
    max_unreadable: float = Field(
        0.05, ge=0, le=1, description="share of images that could not be read"
    )
    batch: int = Field(100, ge=0, description="images of the next labeling batch")


def parse_limits(assignments: Iterable[str]) -> MonitoringLimits:
    """The limits with `KEY=VALUE` laid over the defaults; raises `InputError` for a key or value that is none."""
    settings = resolve_config(
        None, [f"monitor.{text}" for text in assignments], {"monitor": MonitoringLimits}
    ).stages["monitor"]
    assert isinstance(settings, MonitoringLimits)
    return settings


def check_conditions(findings: Mapping[str, Any], limits: MonitoringLimits) -> list[dict[str, Any]]:
    """Every condition: {name, value, limit, passed, words}. found: as `pipeline.serving.monitoring.traffic_monitoring.monitor` makes it."""
    decline = {**findings["decline"], "what": "declined images grew by"}
    part = FindingKind("max_decline_rise", "rise", [decline], "what", "the decline rate")
    share, limit = findings["unreadable"] / max(findings["rows"], 1), limits.max_unreadable
    words = f"images that could not be read: {share:.1%}; at most {limit:.1%} (max_unreadable)"
    unread = {
        "name": "max_unreadable",
        "value": share,
        "limit": limit,
        "passed": share <= limit,
        "words": words,
    }
    return [
        *traffic_comparison.evaluate_conditions(dict(findings), limits),
        evaluate_condition(part, limits.max_decline_rise, limits.alpha),
        unread,
    ]
