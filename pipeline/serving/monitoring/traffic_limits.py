"""Conditions that predicted traffic must meet, and their limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config import resolve_config
from pipeline.slices.tracking.traffic_conditions import (
    FindingKind,
    TrafficLimits,
    evaluate_condition,
    evaluate_conditions,
)


class MonitoringLimits(TrafficLimits):
    """Limits of `nightshift monitor`; each `max_*` is a condition."""

    max_decline_rise: float = Field(
        0.1, ge=0, le=1, description="by how much the share of declined images may grow"
    )
    max_unreadable: float = Field(
        0.05, ge=0, le=1, description="share of images that could not be read"
    )
    batch: int = Field(100, ge=0, description="images of the next labeling batch")


def parse_limits(assignments: Iterable[str]) -> MonitoringLimits:
    """Return the default limits, overridden by assignments `KEY=VALUE`.

    Raises:
        InputError: a key or a value is invalid.
    """
    overrides = [f"monitor.{text}" for text in assignments]
    resolved = resolve_config(None, overrides, {"monitor": MonitoringLimits})
    settings = resolved.stages["monitor"]
    assert isinstance(settings, MonitoringLimits)
    return settings


def check_conditions(findings: Mapping[str, Any], limits: MonitoringLimits) -> list[dict[str, Any]]:
    """Return every condition: name, value, limit, passed, exceeded and untested_reason.

    Args:
        findings: as `monitor_traffic` builds them.
        limits: the limits.
    """
    decline = FindingKind("max_decline_rise", "rise", [findings["decline"]])
    unreadable_share = findings["unreadable"] / max(findings["rows"], 1)
    unreadable = {
        "name": "max_unreadable",
        "value": unreadable_share,
        "limit": limits.max_unreadable,
        "passed": unreadable_share <= limits.max_unreadable,
        "exceeded": [],
        "untested_reason": None,
    }
    return [
        *evaluate_conditions(dict(findings), limits),
        evaluate_condition(decline, limits.max_decline_rise, limits.alpha),
        unreadable,
    ]
