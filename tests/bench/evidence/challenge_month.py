"""A champion challenged over a month, as the schedule of dags/README.md does it.

Each night images arrive, `draw_labels` chooses which to label, and the batch goes into the ledger
of the challenger; `judge_arrivals` then looks at all batches so far. `python -m
tests.bench.evidence.challenge_month` takes a minute and writes a section of RESULTS.md.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from pipeline.statistics.arrivals.active_evaluation import LabeledTraffic, draw_labels
from pipeline.statistics.arrivals.arrival_batch import (
    ArrivalBatch,
    ArrivedAnswers,
    build_arrival_batch,
)
from pipeline.statistics.arrivals.arrival_verdict import ArrivalVerdict, judge_arrivals
from pipeline.storage.arrival_ledger import read_batches, record_batch
from tests.bench.results_file import write_section

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
NIGHTS, GROUPS_A_NIGHT, IMAGES_A_GROUP = 30, 120, 4
LABELS_A_NIGHT = 40
INSIDE_SHARE = 0.25
ALPHA = 0.025
DRAWS = 20


@dataclass(frozen=True)
class Challenge:
    """A challenger against the champion.

    Attributes:
        name: what is planted.
        inside: gain inside the slice, by class.
        outside: gain elsewhere.
    """

    name: str
    inside: tuple[float, float]
    outside: float = 0.0


CHALLENGES = (
    Challenge("no gain", (0.0, 0.0)),
    Challenge("2 points worse everywhere", (-0.02, -0.02), -0.02),
    Challenge("+8 points in the slice, 4 points worse elsewhere", (0.08, 0.08), -0.04),
    Challenge("one class +20, the other -10 points in the slice", (0.2, -0.1)),
    Challenge("+4 points in the slice", (0.04, 0.04)),
    Challenge("+8 points in the slice", (0.08, 0.08)),
    Challenge("+12 points in the slice", (0.12, 0.12)),
)


def draw_night(rng: np.random.Generator, challenge: Challenge, night: int) -> ArrivalBatch:
    """Return the labeled batch of a night; images of a group are alike."""
    count = GROUPS_A_NIGHT * IMAGES_A_GROUP
    groups = np.repeat(np.arange(GROUPS_A_NIGHT), IMAGES_A_GROUP)
    is_inside = (rng.random(GROUPS_A_NIGHT) < INSIDE_SHARE)[groups]
    labels = rng.integers(0, 2, GROUPS_A_NIGHT)[groups]
    gain = np.where(is_inside, np.array(challenge.inside)[labels], challenge.outside)
    churn = np.where(is_inside, 0.06, 0.02)  # changes in both directions without any gain
    shared = rng.normal(size=GROUPS_A_NIGHT)[groups]
    chance = stats.norm.cdf(0.6**0.5 * shared + 0.4**0.5 * rng.normal(size=count))
    is_broken = chance < churn + np.maximum(-gain, 0.0)
    is_repaired = chance > 1 - churn - np.maximum(gain, 0.0)
    answers = ArrivedAnswers(
        np.where(is_broken, 1 - labels, labels),
        np.where(is_repaired, 1 - labels, labels),
        labels,
        is_inside,
    )
    draw = draw_labels(answers.is_disagreement, is_inside, LABELS_A_NIGHT, int(rng.integers(2**31)))
    names = np.array([f"night {night} visit {group:04d}" for group in range(GROUPS_A_NIGHT)])
    traffic = LabeledTraffic(names[groups], draw.probability, draw.is_drawn)
    return build_arrival_batch(traffic, answers)


def challenge_champion(runs_folder: Path, challenge: Challenge, seed: int) -> list[ArrivalVerdict]:
    """Return the verdict after each night, from the ledger of the challenger."""
    rng = np.random.default_rng(seed)
    run_id = f"challenger-{seed}"
    verdicts = []
    for night in range(NIGHTS):
        batch = draw_night(rng, challenge, night)
        entry = {"batch": str(night), "challenger": "a", "incumbent": "b"}
        record_batch(runs_folder, run_id, entry | {"evidence": batch.build_record()})
        known = [
            ArrivalBatch.parse_record(e["evidence"]) for e in read_batches(runs_folder, run_id)
        ]
        verdicts.append(judge_arrivals(known, ALPHA))
    return verdicts


def is_replaced(verdict: ArrivalVerdict) -> bool:
    """Return whether the gate would replace the champion."""
    shown = min(verdict.evidence_gain, verdict.evidence_safe) >= verdict.needed
    return shown and not verdict.harmed


def is_shown_by_repetition(verdicts: list[ArrivalVerdict], runs_folder: Path, seed: int) -> bool:
    """Return whether a t-test of the gain, repeated every night, ever shows one."""
    entries = read_batches(runs_folder, f"challenger-{seed}")
    gains: list[float] = []
    for entry in entries:
        gains += [value for value in entry["evidence"]["inside"] if value is not None]
        values = np.array(gains)
        error = float(values.std(ddof=1)) / len(values) ** 0.5
        if error and values.mean() / error > stats.t.ppf(1 - ALPHA, len(values) - 1):
            return True
    return False


def main() -> None:
    """Measure, and write the section."""
    lines = [
        f"`python -m tests.bench.evidence.challenge_month`: {GROUPS_A_NIGHT} groups of "
        f"{IMAGES_A_GROUP} images arrive each night for {NIGHTS} nights, a quarter in the slice; "
        f"{LABELS_A_NIGHT} images are labeled each morning. The gate looks every morning at "
        f"{ALPHA:.1%}: a gain in the slice, no loss of a point overall, no class worse. "
        f"{DRAWS} months a row. A t-test every night is no valid test.",
        "",
        "| challenger | replaces the champion within the month | median night | labels by then "
        "| a t-test of the gain every night shows one |",
        "| --- | --- | --- | --- | --- |",
    ]
    for challenge in CHALLENGES:
        nights, labels, repeated = [], [], 0
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(DRAWS):
                verdicts = challenge_champion(Path(folder), challenge, seed)
                decided = [k for k, verdict in enumerate(verdicts) if is_replaced(verdict)]
                if decided:
                    nights.append(decided[0] + 1)
                    labels.append(verdicts[decided[0]].labels)
                repeated += is_shown_by_repetition(verdicts, Path(folder), seed)
        median = f"{np.median(nights):.0f} | {np.median(labels):.0f}" if nights else " | "
        share = f"{len(nights)} of {DRAWS}"
        lines.append(f"| {challenge.name} | {share} | {median} | {repeated} of {DRAWS} |")
        print(lines[-1], flush=True)
    write_section(RESULTS, "A champion challenged over a month", "\n".join(lines))


if __name__ == "__main__":
    main()
