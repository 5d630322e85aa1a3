"""Tables and lines of the sections on remedies in `tests/bench/RESULTS.md`."""

from __future__ import annotations

from typing import Any

from tests.bench.remedies.closure import (
    ArmCorrectness,
    compute_accuracy,
    estimate_closure,
    estimate_gain,
)
from tests.bench.remedies.protocol import DayTrainedProtocol
from tests.bench.results_file import format_table
from tests.bench.slices.metrics import format_proportion
from tests.bench.slices.planted_settings import SEVERITIES

MIN_ORACLE_GAIN = 0.1  # a setting with less does not count
CLOSURE_ARMS = ("control", "targeted", "oracle")
Row = dict[str, Any]


def format_arms(protocol: DayTrainedProtocol, correctness: ArmCorrectness) -> str:
    """Return the table of arms: accuracy by subset, and the lead of the targeted arm."""
    groups = protocol.groups[protocol.test_rows]
    rows = []
    for arm in correctness:
        row: Row = {"arm": arm, "seeds": len(correctness[arm])}
        for name, subset in protocol.subsets.items():
            row[name] = f"{compute_accuracy(correctness[arm], subset):.3f}"
        lead = ""
        if arm != "targeted" and "targeted" in correctness:
            gain = estimate_gain(correctness, "targeted", arm, protocol.subsets["dark"], groups)
            low, high = 100 * gain.low, 100 * gain.high
            lead = f"{100 * gain.mean:+.1f} ({low:+.1f} to {high:+.1f})"
        rows.append({**row, "targeted less it, dark": lead})
    return format_table(rows)


def _format_plan(protocol: DayTrainedProtocol) -> str:
    columns = ["slice", "remedy", "strength_low", "strength_high"]
    treatments = [
        f"{row.remedy} {row.strength_low:.3g} to {row.strength_high:.3g} for {row.slice}"
        for row in protocol.plan[columns].drop_duplicates().sort_values(columns).itertuples()
    ]
    return f"- prescribed by the product: {'; '.join(treatments) or 'nothing'}"


def format_closure(protocol: DayTrainedProtocol, correctness: ArmCorrectness) -> list[str]:
    """Return lines on the plan, and on the closure if its three arms are there."""
    lines = [_format_plan(protocol)]
    if not set(CLOSURE_ARMS) <= set(correctness):
        return lines
    subsets = protocol.subsets
    groups = protocol.groups[protocol.test_rows]
    oracle_accuracy = compute_accuracy(correctness["oracle"], subsets["dark"])
    oracle_gain = oracle_accuracy - compute_accuracy(correctness["control"], subsets["dark"])
    counts = "it counts"
    if oracle_gain < MIN_ORACLE_GAIN:
        counts = "below 10 points: the setting does not count"
    lines.append(f"- the oracle gains {100 * oracle_gain:.1f} points on dark images: {counts}")
    closure, low, high = estimate_closure(correctness, subsets["dark"], groups)
    lines.append(
        f"- closure {closure:.0%}, 95 % interval {low:.0%} to {high:.0%} by track and seed"
    )
    for name in ("all", "lit"):
        gain = estimate_gain(correctness, "targeted", "control", subsets[name], groups)
        gain_text = f"{100 * gain.mean:+.1f} points, at least {100 * gain.bound:+.1f}"
        lines.append(f"- {name}: targeted less control {gain_text}")
    return lines


def _format_planted_row(row: Row) -> Row:
    strengths = " to ".join(f"{strength:.3g}" for strength in row["strengths"])
    oracle_gain, closure = "", ""
    if row["seeds"]:
        oracle_gain = f"{100 * row['oracle_gain']:.1f}"
        closure = f"{row['closure']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
    return {
        "planted": f"{row['cause']} {SEVERITIES[row['severity']]}",
        "images": row["images"],
        "accuracy lost": f"{100 * row['accuracy_loss']:.1f}",
        "confirmed": "yes" if row["is_confirmed"] else "no",
        "given": f"{row['remedy']} {strengths}" if row["remedy"] else "",
        "right": "yes" if row["is_right"] else "no",
        "oracle gains": oracle_gain,
        "closure": closure,
    }


def format_suite(rows: list[Row]) -> list[str]:
    """Return the table of the planted suite, and how often the right remedy was prescribed."""
    if not rows:
        return []
    counted = [row for row in rows if row["is_confirmed"]]
    counted = [row for row in counted if row["accuracy_loss"] >= MIN_ORACLE_GAIN]
    right = format_proportion(sum(row["is_right"] for row in counted), len(counted))
    line = (
        "- right remedy prescribed first in confirmed planted slices (accuracy lost at least 10 "
        f"points): {right}"
    )
    return [format_table([_format_planted_row(row) for row in rows]), line]
