"""Interventions that the screen of `probe` misses, by simulation.

    python -m tests.bench.bench_screening

Of 2,000 validation images a share fails. One slice has an error rate of its own, and an
intervention repairs a share of its failures. Everywhere else it repairs as many failures as the
null transform: two of a hundred, by chance. It is missed if it is not asked further.
"""

from __future__ import annotations

import itertools

import numpy as np

from pipeline.slices.causes.intervention_screening import ChangeCounts
from tests.bench.results_file import format_table

IMAGES, SCREENED, DRAWS, NULL_SHARE = 2000, 400, 4000, 0.02
OVERALL_ERRORS, SLICE_SHARES = (0.05, 0.10, 0.25), (0.02, 0.05, 0.10)
SLICE_ERRORS_AND_REPAIRS = ((0.3, 0.3), (0.3, 0.6), (0.6, 0.6))


def measure_miss_rate(
    overall_error: float, slice_share: float, slice_error: float, repaired_share: float
) -> float:
    """Return the share of draws in which the intervention is not asked further."""
    rng = np.random.default_rng(0)
    failing_count = int(overall_error * IMAGES)
    screened_share = min(1.0, SCREENED / 2 / failing_count)
    in_slice = rng.binomial(int(slice_share * IMAGES), slice_error, DRAWS)
    elsewhere = np.maximum(failing_count - in_slice, 0)
    repaired = rng.binomial(in_slice, repaired_share) + rng.binomial(elsewhere, NULL_SHARE)
    seen = rng.binomial(repaired, screened_share)
    null = rng.binomial(rng.binomial(failing_count, NULL_SHARE, DRAWS), screened_share)
    missed = []
    for repaired_count, null_count in zip(seen.tolist(), null.tolist(), strict=True):
        null_changes = ChangeCounts(null_count, 0, SCREENED // 2)
        changes = ChangeCounts(repaired_count, 0, SCREENED // 2)
        missed.append(not changes.can_exceed(null_changes))
    return float(np.mean(missed))


def main() -> None:
    """Print the miss rate of every setting."""
    rows = []
    for overall_error, share in itertools.product(OVERALL_ERRORS, SLICE_SHARES):
        row = {"errors": f"{overall_error:.0%}", "slice": f"{share:.0%}"}
        for error, repaired in SLICE_ERRORS_AND_REPAIRS:
            rate = measure_miss_rate(overall_error, share, error, repaired)
            row[f"error {error}, repaired {repaired}"] = f"{rate:.3f}"
        rows.append(row)
    print(format_table(rows))


if __name__ == "__main__":
    main()
