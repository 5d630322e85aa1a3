"""False gains where visits share a night: intervals by image, by visit and by night.

`python -m tests.bench.evidence.nested_groups` takes seconds and writes its section of RESULTS.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.statistics.paired_comparison import estimate_paired_gain
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
DRAWS = 1000
VISITS_A_NIGHT, IMAGES_A_VISIT = 12, 4
ALPHA = 0.05
"""Of the two-sided interval: a gain is shown if the lower bound is above zero, at 2.5 %."""
NIGHT_SHARE, VISIT_SHARE = 0.05, 0.4
"""Shares of the variance of a gain that a night and a visit have in common."""


def draw_gains(rng: np.random.Generator, nights: int) -> tuple[np.ndarray, np.ndarray]:
    """Return visit and gain (-1, 0 or 1) of each image; no model is better."""
    visits = np.repeat(np.arange(nights * VISITS_A_NIGHT), IMAGES_A_VISIT)
    parts = (
        NIGHT_SHARE**0.5 * rng.normal(size=nights)[visits // VISITS_A_NIGHT],
        VISIT_SHARE**0.5 * rng.normal(size=nights * VISITS_A_NIGHT)[visits],
        (1 - NIGHT_SHARE - VISIT_SHARE) ** 0.5 * rng.normal(size=len(visits)),
    )
    score = sum(parts)
    return visits, np.where(score > 1.3, 1.0, np.where(score < -1.3, -1.0, 0.0))


def count_false_gains(nights: int) -> dict[str, float]:
    """Return the share of draws in which a gain is shown, by the unit that counts."""
    rng = np.random.default_rng(0)
    shown = dict.fromkeys(("image", "visit", "night"), 0)
    for _ in range(DRAWS):
        visits, gains = draw_gains(rng, nights)
        units = {"image": np.arange(len(visits)), "visit": visits}
        units["night"] = visits // VISITS_A_NIGHT
        for unit, groups in units.items():
            gain = estimate_paired_gain(gains, np.zeros(len(gains)), groups, ALPHA)
            shown[unit] += gain.low > 0
    return {unit: count / DRAWS for unit, count in shown.items()}


def main() -> None:
    """Measure, and write the section."""
    lines = [
        f"`python -m tests.bench.evidence.nested_groups`: {VISITS_A_NIGHT} visits a night, "
        f"{IMAGES_A_VISIT} images a visit; a night shares {NIGHT_SHARE:.0%} and a visit "
        f"{VISIT_SHARE:.0%} of the variance of a gain; no model is better; {DRAWS:,} draws, "
        "tested at 2.5 %.",
        "",
        "| nights | false gains by image | by visit | by night |",
        "| --- | --- | --- | --- |",
    ]
    for nights in (8, 20, 60):
        rates = count_false_gains(nights)
        lines.append(
            f"| {nights} | {rates['image']:.1%} | {rates['visit']:.1%} | {rates['night']:.1%} |"
        )
        print(lines[-1], flush=True)
    write_section(RESULTS, "Visits within nights", "\n".join(lines))


if __name__ == "__main__":
    main()
