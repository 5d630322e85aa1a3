"""The section of `tests/bench/RESULTS.md` on planted slices, and the targets of all sections."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bench.results_file import format_table, write_section
from tests.bench.slices.metrics import estimate_mean_difference, format_proportion
from tests.bench.slices.peer_finders import PEERS
from tests.bench.slices.planted_causes import DEVELOPMENT_CAUSES, HELD_OUT_CAUSES

RESULTS_FILE = Path(__file__).parents[1] / "RESULTS.md"
PRODUCT = "Nightshift"
MIN_PRECISION = 0.8
CAUSE_HEADINGS = {"Development causes": DEVELOPMENT_CAUSES, "Held-out causes": HELD_OUT_CAUSES}
MISS_REASONS = {
    "precision": (
        "hours and cameras, which mean nothing here, gather as much as a cause of few groups; "
        "tilt is two-sided"
    ),
    "lead": (
        "on these images the best peers, given the same attributes, are near the ceiling themselves"
    ),
    "cause": (
        "if a rule holds few of the planted images, most of its failures are natural, and no cause "
        "is named"
    ),
    "strength": (
        "with few images the nearest strength is uncertain, and tilt cannot distinguish a turn by "
        "152 degrees from one by -28"
    ),
    "confirmed": (
        "nearly all have an excess above 0 there, but two folds of five hold few groups to bound "
        "small ones"
    ),
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A figure with the value that it should reach.

    Attributes:
        figure: name of the figure.
        reason: key of `MISS_REASONS`, empty if there is none.
        goal: the value to reach.
        value: the measured value.
        text: the measured value as text.
        is_maximum: whether the value should be at most the goal, instead of at least.
    """

    figure: str
    reason: str
    goal: float
    value: float
    text: str
    is_maximum: bool = False

    def build_row(self) -> Row:
        """Return the row of the table: goal, value, by how much it is missed, and why."""
        shortfall = self.value - self.goal if self.is_maximum else self.goal - self.value
        is_missed = shortfall > 0
        sign = "<=" if self.is_maximum else ">="
        return {
            "figure": self.figure,
            "to reach": f"{sign} {self.goal:g}",
            "reached": self.text,
            "missed by": f"{shortfall:.3g}" if is_missed else "",
            "why": MISS_REASONS.get(self.reason, "") if is_missed else "",
        }


def build_proportion_targets(
    figure: str, reason: str, goal: float, hits: list[bool]
) -> list[Target]:
    """Return the target of a proportion, or none if there is nothing to count.

    Args:
        figure: name of the figure.
        reason: key of `MISS_REASONS`.
        goal: proportion to reach.
        hits: whether each item counts as a hit.
    """
    if not hits:
        return []
    text = format_proportion(sum(hits), len(hits))
    return [Target(figure, reason, goal, float(np.mean(hits)), text)]


def format_targets(targets: list[Target]) -> str:
    """Return the table of targets."""
    return format_table([target.build_row() for target in targets])


def _collect_best_precisions(rows: list[Row]) -> pd.DataFrame:
    """Return the best precision of the first three slices, by setting and method.

    A peer that was absent for some settings is left out.
    """
    best = {PRODUCT: [row["finder"]["best"] for row in rows]}
    for name in PEERS:
        if all(name in row["peers"] for row in rows):
            best[name] = [max(row["peers"][name]) for row in rows]
    return pd.DataFrame(best)


def _format_precisions(rows: list[Row]) -> str:
    best = _collect_best_precisions(rows)
    lines = []
    for name in best:
        if name == PRODUCT:
            first = [row["finder"]["first"] for row in rows]
            lead = ""
        else:
            first = [row["peers"][name][0] for row in rows]
            mean, low, high = estimate_mean_difference(best[PRODUCT], best[name])
            lead = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(
            {
                "method": name,
                "first slice": f"{np.mean(first):.2f}",
                "best of three": f"{best[name].mean():.2f}",
                "settings with >= .8": f"{(best[name] >= MIN_PRECISION).mean():.0%}",
                "Nightshift less it": lead,
            }
        )
    return format_table(lines)


def _collect_excess(rows: list[Row]) -> list[Row]:
    return [excess for row in rows for excess in row["held_out"]["excess"]]


def _format_excess(rows: list[Row]) -> str:
    excess = _collect_excess(rows)
    bounded = [item for item in excess if item["low"] is not None]
    positive_count = sum(item["value"] > 0 for item in bounded)
    above_count = sum(item["low"] > 0 for item in bounded)
    below_count = sum(item["high"] < 0 for item in bounded)
    lines = [
        f"Confirmed on three folds of five: {len(excess)} slices; each frozen rule on the other "
        "two, never used.",
        "",
        f"- excess above 0: {format_proportion(positive_count, len(bounded))}",
        "- lower bound of the 95 % interval by group above 0: "
        f"{format_proportion(above_count, len(bounded))}",
        f"- upper bound below 0: {format_proportion(below_count, len(bounded))}",
    ]
    return "\n".join(lines)


def _format_settings(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        lines.append(
            {
                "setting": row["setting"],
                "images": row["images"],
                "drop": f"{row['accuracy_loss']:.0%}",
                "first": f"{row['finder']['first']:.1f}",
                "best of three": f"{row['finder']['best']:.1f}",
            }
        )
    return format_table(lines)


def _list_targets(rows: list[Row]) -> list[Target]:
    best = _collect_best_precisions(rows)
    own = best[PRODUCT]
    leader = str(best.drop(columns=PRODUCT).mean().idxmax())
    mean, low, high = estimate_mean_difference(own, best[leader])
    is_precise = (own >= MIN_PRECISION).tolist()
    is_above = [item["low"] > 0 for item in _collect_excess(rows) if item["low"] is not None]
    return [
        Target(
            "precision@10, best of three, mean",
            "precision",
            0.9,
            float(own.mean()),
            f"{own.mean():.3f}",
        ),
        *build_proportion_targets(
            "settings with precision@10 of .8", "precision", 0.95, is_precise
        ),
        Target(
            f"above the best peer ({leader}), interval above 0",
            "lead",
            0.15,
            mean,
            f"{mean:+.3f} ({low:+.3f} to {high:+.3f})",
        ),
        *build_proportion_targets("confirmed slices that are real", "confirmed", 0.95, is_above),
    ]


def write_slice_results(path: Path, rows: list[Row], cause_set: str, command: str) -> None:
    """Write the section with every figure.

    Args:
        path: the result file.
        rows: a row for each valid setting.
        cause_set: key of `CAUSE_SETS`.
        command: the command that was run.
    """
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: {len(rows)} valid settings of the causes "
        f"{cause_set}.",
        f"Development: {', '.join(DEVELOPMENT_CAUSES)}. Held out: {', '.join(HELD_OUT_CAUSES)}.",
        "Taken in an order drawn by seed, whatever came out, as far as the time went.",
    ]
    if rows:
        parts += ["### Figures to reach", format_targets(_list_targets(rows))]
        parts += ["### Confirmed slices that are real", _format_excess(rows)]
    for heading, causes in CAUSE_HEADINGS.items():
        selected = [row for row in rows if row["cause"] in causes]
        if selected:
            prevalence = np.mean([row["prevalence"] for row in selected])
            count_text = f"{len(selected)} settings, mean prevalence {prevalence:.2f}."
            parts += [f"### {heading}", count_text, _format_precisions(selected)]
    if rows:
        parts += ["### Every setting", _format_settings(rows)]
    write_section(path, "Slices", "\n\n".join(parts))
