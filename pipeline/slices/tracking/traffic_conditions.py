"""The conditions that arriving traffic must fulfil, and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from pipeline.config import StageSettings

Row = dict[str, Any]


class TrafficLimits(StageSettings):
    """Limits of the conditions `max_*`; a difference counts only if chance does not explain it."""

    max_psi: float = Field(0.2, gt=0, description="population stability index of an attribute")
    max_new: float = Field(
        0.05, ge=0, le=1, description="share of images beyond everything known, one attribute"
    )
    max_slice_rise: float = Field(
        0.1, ge=0, le=1, description="by how much the share of a known slice may grow"
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="false discovery rate of all tests together")
    units: int = Field(
        10,
        ge=2,
        description="independent units (groups, stretches of time) under which none is tested",
    )


@dataclass(frozen=True)
class FindingKind:
    """The findings that one condition judges.

    Attributes:
        condition: name of the condition.
        value_key: key of the value that is limited.
        rows: findings, each with that value, its q and the reason why it was not tested.
        label_key: key that names a finding; None if there is only one.
    """

    condition: str
    value_key: str
    rows: Sequence[Row]
    label_key: str | None = None


def evaluate_condition(finding: FindingKind, limit: float, alpha: float) -> Row:
    """Judge the findings of one kind by their limit.

    The condition fails if a value exceeds the limit and chance does not explain it.

    Args:
        finding: the findings.
        limit: largest value that is accepted.
        alpha: largest q at which chance does not explain a finding.

    Returns:
        name, limit, passed; value: the largest value that chance does not explain, None if none
        could be tested; exceeded: label, side (of a novel value) and value of each finding above
        the limit, largest first;
        untested_reason: why none could be tested, or None.
    """
    real = [row for row in finding.rows if row["q"] is not None and row["q"] <= alpha]
    real.sort(key=lambda row: -row[finding.value_key])
    exceeded = []
    for row in real:
        value = float(row[finding.value_key])
        if value > limit:
            label = str(row[finding.label_key]) if finding.label_key else ""
            exceeded.append({"label": label, "side": row.get("side"), "value": value})
    is_tested = not finding.rows or any(row["q"] is not None for row in finding.rows)
    largest = 0.0 if is_tested else None
    if real:
        largest = float(real[0][finding.value_key])
    return {
        "name": finding.condition,
        "value": largest,
        "limit": limit,
        "passed": not exceeded,
        "exceeded": exceeded,
        "untested_reason": None if is_tested else finding.rows[0]["reason"],
    }


def evaluate_conditions(comparison: Row, limits: TrafficLimits) -> list[Row]:
    """Judge the three conditions that need no prediction: attributes, novel values and slices.

    Args:
        comparison: the findings, as `compare_traffic` returns them.
        limits: the limits.
    """
    findings = [
        FindingKind("max_psi", "psi", comparison["attributes"], "attribute"),
        FindingKind("max_new", "share", comparison["new"], "attribute"),
        FindingKind("max_slice_rise", "rise", comparison["slices"], "slice"),
    ]
    conditions = []
    for finding in findings:
        if not comparison["images"]:
            finding = replace(finding, rows=())
        limit = float(getattr(limits, finding.condition))
        conditions.append(evaluate_condition(finding, limit, limits.alpha))
    return conditions
