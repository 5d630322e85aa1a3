"""False gains over repeated openings of test sets, at the alpha that the ledger grants.

`python -m tests.bench.evidence.openings` takes seconds and writes its section of RESULTS.md.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

from pipeline.storage.test_ledger import MAX_OPENINGS, open_test_set
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
GROUPS, HISTORIES = 80, 3000
MODEL_CORRELATION = 0.5
"""Correlation of the gains of two candidates in one group: both are compared with one model."""


def list_granted_alphas(shared: float, folder: Path) -> list[float]:
    """Return the alpha of each opening of sets that share a part with the set before.

    Args:
        shared: share of the groups that a set has in common with the one before.
        folder: where the ledger is written.
    """
    step = round(GROUPS * (1 - shared))
    alphas = []
    for k in range(MAX_OPENINGS):
        names = [f"g{number}" for number in range(k * step, k * step + GROUPS)]
        alphas.append(open_test_set(folder / f"{shared}.jsonl", f"run{k}", names, "m").alpha)
    return alphas


def count_false_gains(alphas: list[float], shared: float, rng: np.random.Generator) -> float:
    """Return the share of histories in which any opening shows a gain although there is none."""
    step = round(GROUPS * (1 - shared))
    count = GROUPS + step * (MAX_OPENINGS - 1)
    common = rng.normal(size=(HISTORIES, 1, count))
    own = rng.normal(size=(HISTORIES, MAX_OPENINGS, count))
    gains = MODEL_CORRELATION**0.5 * common + (1 - MODEL_CORRELATION) ** 0.5 * own
    is_shown = np.zeros(HISTORIES, bool)
    for k, alpha in enumerate(alphas):
        seen = gains[:, k, k * step : k * step + GROUPS]
        scores = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / GROUPS**0.5)
        is_shown |= scores > stats.t.ppf(1 - alpha, GROUPS - 1)
    return float(is_shown.mean())


def main() -> None:
    """Measure, and write the section."""
    lines = [
        f"`python -m tests.bench.evidence.openings`: {MAX_OPENINGS} openings of test sets of "
        f"{GROUPS} groups, each for another candidate without a gain; {HISTORIES:,} histories. "
        "Test sets: how many sets of new groups the openings used.",
        "",
        "| shared with the set before | test sets | alpha of each opening | any false gain "
        "| a test set | the same at 2.5 % each |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rng = np.random.default_rng(0)
    for shared in (1.0, 0.75, 0.5, 0.0):
        with tempfile.TemporaryDirectory() as folder:
            alphas = list_granted_alphas(shared, Path(folder))
        rate = count_false_gains(alphas, shared, rng)
        flat = count_false_gains([0.025] * MAX_OPENINGS, shared, rng)
        sets = 1 + (1 - shared) * (MAX_OPENINGS - 1)
        listed = ", ".join(f"{100 * alpha:.2g} %" for alpha in alphas)
        rates = f"{rate:.1%} | {rate / sets:.1%} | {flat:.1%}"
        lines.append(f"| {shared:.0%} | {sets:.0f} | {listed} | {rates} |")
        print(lines[-1], flush=True)
    write_section(RESULTS, "Openings of a test set", "\n".join(lines))


if __name__ == "__main__":
    main()
