"""Figures of the gate on simulated models, into RESULTS.md.

Null pairs, worse models, planted gains and trades beside the former gate on the same draws;
coverage of the interval of a gain; false slices beside a strong one.
"""

from __future__ import annotations

import argparse
import math
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.statistics.multiple_testing import adjust_benjamini_hochberg, combine_simes
from pipeline.statistics.paired_comparison import estimate_paired_gain
from tests.bench.evidence.draws import SEED_NOISE, ArmShifts, SplitDesign, draw_comparison
from tests.bench.evidence.former_gate import estimate_former_gain
from tests.bench.evidence.gate_trials import (
    GAIN_OF_EIGHT,
    TRADE,
    WORSE_THAN_CHAMPION,
    TrialCounts,
    run_trials,
)
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
CHAMPION_ALIKE = ArmShifts(champion=(0.0, 0.0, 0.0))
SEED_COUNTS, GROUP_COUNTS = (1, 2, 3, 5), (15, 30, 100, 300)
FDR_LEVEL = 0.05
NULL_PAIRS, WORSE_PAIRS = 500, 100
"""Draws for each number of seeds: 1,000 null pairs and 200 worse models together."""
PLANTED_GAIN = 0.08


def _format_share(count: int, draws: int) -> str:
    """Return a share with its 95 % interval (Wilson)."""
    interval = stats.binomtest(count, draws).proportion_ci(method="wilson")
    return f"{count / draws:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _list_trial_rows(draws: int) -> list[str]:
    rows = []

    def add(name: str, design: SplitDesign, count: int, goal: str) -> None:
        counts: TrialCounts = run_trials(design, count)
        rows.append(
            f"| {name} | {design.seeds} | {design.slice_groups} | {count} "
            f"| {_format_share(counts.promoted, count)} | {_format_share(counts.former, count)} "
            f"| {goal} |"
        )

    for seeds in (1, 5):
        add("null pair", SplitDesign(60, seeds, CHAMPION_ALIKE), NULL_PAIRS, "<= .025")
    for seeds in (1, 5):
        add(
            "2 points worse than in force",
            SplitDesign(60, seeds, WORSE_THAN_CHAMPION),
            WORSE_PAIRS,
            "<= .025",
        )
    for seeds in (1, 3, 5):
        for group_count in (40, 80, 160):
            add(
                "gain of 8 points",
                SplitDesign(group_count, seeds, GAIN_OF_EIGHT),
                draws,
                "1.5 x the former below .5",
            )
    for seeds in (1, 5):
        add("trade: +20 and -10 points", SplitDesign(80, seeds, TRADE), draws, "<= .1")
    return rows


def _measure_coverage(design: SplitDesign, draws: int) -> tuple[int, int]:
    """Return how often the interval, and the former one, hold the true gain on the slice."""
    rng = np.random.default_rng(1)
    hits = former_hits = 0
    for _ in range(draws):
        comparison = draw_comparison(rng, design)
        inside = comparison.slice_masks["s1"]
        treated = comparison.compute_arm_utilities("targeted")[:, inside]
        control = comparison.compute_arm_utilities("control")[:, inside]
        groups = comparison.groups[inside]
        gain = estimate_paired_gain(treated, control, groups)
        hits += gain.low <= PLANTED_GAIN <= gain.high
        _, low, high, _ = estimate_former_gain(treated - control, groups, 0.05)
        former_hits += low <= PLANTED_GAIN <= high
    return hits, former_hits


def _list_coverage_rows(draws: int) -> list[str]:
    rows = []
    for is_unequal in (False, True):
        for group_count in GROUP_COUNTS:
            cells = []
            for seeds in SEED_COUNTS:
                design = SplitDesign(
                    group_count,
                    seeds,
                    GAIN_OF_EIGHT,
                    is_unequal=is_unequal,
                    outside_factor=0,
                    seed_noise=SEED_NOISE if seeds > 1 else 0.0,
                )
                hits, former = _measure_coverage(design, draws)
                cells.append(f"{hits / draws:.3f} ({former / draws:.3f})")
            sizes = "very unequal" if is_unequal else "equal"
            rows.append(f"| {sizes} | {group_count} | {' | '.join(cells)} |")
    return rows


def _draw_p_values(rng: np.random.Generator, is_strong: bool) -> NDArray[np.float64]:
    """Return the p-values of a slice: excess and effect of two halves, which agree in part."""
    shared = rng.normal(size=(2, 1))
    scores = math.sqrt(0.5) * shared + math.sqrt(0.5) * rng.normal(size=(2, 2))
    return np.asarray(stats.norm.sf(scores + (5.0 if is_strong else 0.0)).ravel())


def measure_false_slices(draws: int) -> tuple[float, float]:
    """Return the false discovery rate beside a strong slice: one p-value a slice, and all tests."""
    rng = np.random.default_rng(0)
    by_slice, by_test = [], []
    for _ in range(draws):
        p_values = np.array([_draw_p_values(rng, k == 0) for k in range(8)])
        confirmed = adjust_benjamini_hochberg([combine_simes(row) for row in p_values]) <= FDR_LEVEL
        former = (adjust_benjamini_hochberg(p_values.ravel()) <= FDR_LEVEL).reshape(8, 4).any(1)
        for shares, found in ((by_slice, confirmed), (by_test, former)):
            shares.append(found[1:].sum() / max(found.sum(), 1))
    return float(np.mean(by_slice)), float(np.mean(by_test))


def _write_gate(draws: int) -> None:
    start = time.monotonic()
    rows = _list_trial_rows(draws)
    text = f"""{_describe_run("gate", draws, start)}

Simulated models: a slice read .70 right, twice as many groups outside read .90 right, four images a
group; two trainings of one recipe disagree on about one image in six, and a seed moves the accuracy
by a point. Validation and test are drawn alike. "Former" is the gate of 0.1 on the same draws: the
targeted arm against the control alone, t with S - 1 degrees of freedom. Shares with 95 % intervals.

| planted | seeds | groups | draws | promoted | promoted by the former gate | goal |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}
"""
    write_section(RESULTS, "Evidence: the gate", text)


def _write_intervals(draws: int) -> None:
    start = time.monotonic()
    rows = _list_coverage_rows(5 * draws)
    false_rate, former_rate = measure_false_slices(20 * draws)
    text = f"""{_describe_run("intervals", draws, start)}

Coverage of the 95 % interval of a gain of 8 points over {5 * draws} draws, in brackets the former
one; goal .94 to .97. With one seed the truth is the gain of that seed.

| groups | number | 1 seed | 2 seeds | 3 seeds | 5 seeds |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

False discovery rate beside one strong slice and seven without an effect, nominal .05:
{false_rate:.3f} with one p-value a slice, {former_rate:.3f} with Benjamini-Hochberg over all tests.
"""
    write_section(RESULTS, "Evidence: intervals and slices", text)


def _describe_run(part: str, draws: int, start: float) -> str:
    command = f"python -m tests.bench.evidence.gate --part {part} --draws {draws}"
    minutes = (time.monotonic() - start) / 60
    return f"{datetime.now(UTC):%Y-%m-%d}, `{command}`, {minutes:.1f} minutes on one core."


PARTS = {"gate": _write_gate, "intervals": _write_intervals}


def main() -> None:
    """Measure, and write one section for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=list(PARTS), help="one part alone")
    parser.add_argument("--draws", type=int, default=100, help="draws of each setting")
    settings = parser.parse_args()
    for part, write_part in PARTS.items():
        if settings.part in (None, part):
            write_part(settings.draws)


if __name__ == "__main__":
    main()
