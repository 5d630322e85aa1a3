"""A champion challenged over a month: evidence of the groups that arrive each night.

`python -m tests.bench.evidence.challenge_month` takes a minute and writes a section of RESULTS.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.statistics.arrivals.arriving_evidence import compute_evidence_path
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
NIGHTS = 30
GROUPS_A_NIGHT = 12
DRAWS = 400
ALPHA = 0.05


def draw_month(rng: np.random.Generator, gain: float) -> NDArray[np.float64]:
    """Return the mean gain of each arriving group of four images, in order of arrival."""
    repaired, broken = 0.06 + gain, 0.06
    shared = rng.normal(size=(NIGHTS * GROUPS_A_NIGHT, 1)) * 0.5
    chance = stats.norm.cdf(shared + rng.normal(size=(NIGHTS * GROUPS_A_NIGHT, 4)) * 0.75**0.5)
    values = np.where(chance < broken, -1.0, np.where(chance > 1 - repaired, 1.0, 0.0))
    return np.asarray(values.mean(axis=1))


def find_deciding_nights(rng: np.random.Generator, gain: float) -> tuple[list[int], list[int]]:
    """Return the nights on which a gain is shown: by the e-process, by a t-test every night."""
    by_wealth, by_repetition = [], []
    for _ in range(DRAWS):
        gains = draw_month(rng, gain)
        wealth = np.maximum.accumulate(compute_evidence_path(gains))
        is_shown = wealth[GROUPS_A_NIGHT - 1 :: GROUPS_A_NIGHT] >= 1 / ALPHA
        if is_shown.any():
            by_wealth.append(int(is_shown.argmax()) + 1)
        for night in range(1, NIGHTS + 1):
            seen = gains[: night * GROUPS_A_NIGHT]
            error = seen.std(ddof=1) / np.sqrt(len(seen))
            if error and seen.mean() / error > stats.t.ppf(1 - ALPHA, len(seen) - 1):
                by_repetition.append(night)
                break
    return by_wealth, by_repetition


def main() -> None:
    """Measure, and write the section."""
    lines = [
        f"`python -m tests.bench.evidence.challenge_month`: {GROUPS_A_NIGHT} labeled groups of "
        f"four images arrive each night for {NIGHTS} nights; the champion is challenged at "
        f"{ALPHA:.0%} every night; {DRAWS} months. A t-test every night is no valid test.",
        "",
        "| gain | shown within the month | median night | a t-test every night shows |",
        "| --- | --- | --- | --- |",
    ]
    rng = np.random.default_rng(0)
    for gain in (0.0, 0.02, 0.04, 0.06):
        nights, repeated = find_deciding_nights(rng, gain)
        median = f"{np.median(nights):.0f}" if gain and nights else ""
        lines.append(
            f"| {100 * gain:.0f} points | {len(nights) / DRAWS:.1%} | {median} | "
            f"{len(repeated) / DRAWS:.1%} |"
        )
        print(lines[-1], flush=True)
    write_section(RESULTS, "A champion challenged over a month", "\n".join(lines))


if __name__ == "__main__":
    main()
