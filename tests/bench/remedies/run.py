"""`make bench-remedies`: what the prescribed remedy closes of the gap to real dark images.

    python -m tests.bench.remedies.run                           every part
    python -m tests.bench.remedies.run --arms control targeted   some arms
    python -m tests.bench.remedies.run --seeds 5 --placebos 0 20
    python -m tests.bench.remedies.run --arms --planted fog-1 --planted-seeds 2

The signs are real, by day and night, and generic augmentation is compared. Every arm has the same
start (a small network trained by day at 32 px), the same passes and schedule. --cache keeps the
run, the weights and the correctness, so that parts of several runs add up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.remedies.arms import ARMS, measure_correctness
from tests.bench.remedies.closure import ArmCorrectness, compute_accuracy, estimate_closure
from tests.bench.remedies.gate import build_prescribed_case, is_placebo_promoted, judge_candidates
from tests.bench.remedies.planted_suite import PlantedDayCase, build_planted_case
from tests.bench.remedies.protocol import ARM_PASSES, DAY_PASSES, DayTrainedProtocol
from tests.bench.remedies.result_texts import (
    CLOSURE_ARMS,
    Row,
    format_arms,
    format_closure,
    format_suite,
)
from tests.bench.results_file import write_section
from tests.bench.slices.metrics import format_proportion
from tests.bench.slices.planted_causes import HELD_OUT_CAUSES

RESULTS_FILE = Path(__file__).parents[1] / "RESULTS.md"
MAX_SEEDS = 50
GATED_ARMS = ("targeted", "wrong remedy")
SUITE_TEXT = (
    "held-out causes in lit images of val and of the test, none in train; the model trained by day "
    "and its stages."
)


def load_correctness(source: DayTrainedProtocol, folder: Path) -> dict[str, Any]:
    """Return the correctness of each arm, for the seeds that are kept."""
    correctness = {}
    for arm in ARMS:
        seeds = [seed for seed in range(MAX_SEEDS) if (folder / f"{arm}-{seed}.npy").exists()]
        if seeds:
            rows = [measure_correctness(source, arm, seed, folder) for seed in seeds]
            correctness[arm] = np.stack(rows)
    return correctness


def judge_arms(
    protocol: DayTrainedProtocol, correctness: ArmCorrectness, folder: Path
) -> list[str]:
    """Return the gate's outcome for the targeted arm and for the wrong remedy.

    Args:
        protocol: the protocol.
        correctness: by arm: bool [seeds, test].
        folder: folder of the weights.
    """
    lines = []
    for arm in GATED_ARMS:
        if arm not in correctness or "control" not in correctness:
            continue
        seeds = range(min(len(correctness[arm]), len(correctness["control"])))
        files = {
            role: [(seed, folder / f"{name}-{seed}.safetensors") for seed in seeds]
            for role, name in (("control", "control"), ("targeted", arm))
        }
        is_promoted, outcome = judge_candidates(protocol, build_prescribed_case(protocol), files)
        verdict = "promoted" if is_promoted else "not promoted"
        lines.append(f"- gate, {arm}: {verdict} ({outcome}), {len(seeds)} seeds")
    return lines


def count_placebos(
    options: argparse.Namespace, protocol: DayTrainedProtocol, folder: Path
) -> list[str]:
    """Judge the requested placebos, and return a line for each number of seeds that is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = options.placebo_seeds
    file = folder / f"placebos-{seeds}.json"
    outcomes = json.loads(file.read_text()) if file.exists() else {}
    for number in range(*options.placebos):
        if str(number) not in outcomes:
            outcomes[str(number)] = is_placebo_promoted(protocol, number, seeds, folder)
            file.write_text(json.dumps(outcomes))
            outcome = "promoted" if outcomes[str(number)] else "refused"
            print(f"placebo {number}: {outcome}", flush=True)
    lines = []
    for kept_file in sorted(folder.glob("placebos-*.json")):
        kept = json.loads(kept_file.read_text())
        proportion = format_proportion(sum(kept.values()), len(kept))
        pairs = kept_file.stem.rsplit("-", 1)[1]
        lines.append(f"- placebos promoted: {proportion}, pairs of arms for each: {pairs}")
    return lines


def measure_planted_closure(case: PlantedDayCase, seed_count: int, folder: Path) -> Row:
    """Return the closure of one planted cause, and the gain of the oracle.

    Args:
        case: the planted cause, after its stages.
        seed_count: seeds of each arm.
        folder: folder of the weights.
    """
    correctness = {}
    for arm in CLOSURE_ARMS:
        seeds = range(seed_count)
        correctness[arm] = np.stack(
            [measure_correctness(case, arm, seed, folder / "arms") for seed in seeds]
        )
    is_planted, groups = case.subsets["planted"], case.base.groups[case.test_rows]
    oracle_accuracy = compute_accuracy(correctness["oracle"], is_planted)
    control_accuracy = compute_accuracy(correctness["control"], is_planted)
    closure, low, high = estimate_closure(correctness, is_planted, groups)
    row: Row = {
        "seeds": seed_count,
        "oracle_gain": oracle_accuracy - control_accuracy,
        "test_images": int(is_planted.sum()),
        "closure": closure,
        "low": low,
        "high": high,
    }
    for name, subset in case.subsets.items():
        for arm in correctness:
            row[f"{name}, {arm}"] = compute_accuracy(correctness[arm], subset)
    return row


def measure_suite(options: argparse.Namespace, protocol: DayTrainedProtocol) -> list[Row]:
    """Measure the requested planted settings, and return the row of each that is kept."""
    folder = options.cache / "planted"
    folder.mkdir(exist_ok=True)
    for name in options.planted:
        cause, severity = name.rsplit("-", 1)
        file = folder / f"{name}.json"
        row = json.loads(file.read_text()) if file.exists() else {}
        if row.get("seeds", -1) < options.planted_seeds:
            case = build_planted_case(protocol, cause, int(severity), folder)
            case.run_stages()
            row = {"cause": cause, "severity": int(severity), "seeds": 0}
            row |= case.describe_prescription()
            if options.planted_seeds and row["remedy"]:
                row |= measure_planted_closure(case, options.planted_seeds, folder / name)
            file.write_text(json.dumps(row))
        print(name, row, flush=True)
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ.get("NIGHTSHIFT_GTSRB", "data/gtsrb"))
    cache = Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-remedies"))
    suite = [f"{cause}-{severity}" for cause in HELD_OUT_CAUSES for severity in (0, 1)]
    parser.add_argument("--data", type=Path, default=data, help="the unpacked traffic signs")
    parser.add_argument("--cache", type=Path, default=cache, help="folder of kept results")
    parser.add_argument("--arms", nargs="*", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each arm")
    parser.add_argument("--passes", type=int, default=ARM_PASSES, help="image passes of each arm")
    parser.add_argument(
        "--day-passes", type=int, default=DAY_PASSES, help="image passes of the day's model"
    )
    parser.add_argument(
        "--placebos", type=int, nargs=2, default=[0, 100], metavar=("FIRST", "LAST")
    )
    parser.add_argument(
        "--placebo-seeds", type=int, default=5, help="pairs of arms of each placebo"
    )
    parser.add_argument(
        "--planted", nargs="*", choices=suite, default=suite, metavar="CAUSE-SEVERITY"
    )
    parser.add_argument("--planted-seeds", type=int, default=2, help="seeds of each planted arm")
    parser.add_argument("--gates", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS_FILE, help="result file")
    return parser.parse_args()


def _describe_run(options: argparse.Namespace, protocol: DayTrainedProtocol) -> str:
    groups = protocol.groups[protocol.test_rows]
    counts = []
    for name, subset in protocol.subsets.items():
        track_count = len(np.unique(groups[subset]))
        counts.append(f"{int(subset.sum()):,} {name} of {track_count} tracks")
    return (
        f"GTSRB trained by day, {options.passes:,} passes for each arm, five-layer network at "
        f"32 px.\n\nTest images: {', '.join(counts)}."
    )


def main() -> None:
    """Measure the requested parts, and write the results."""
    options = parse_options()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    protocol = DayTrainedProtocol(options.data, options.cache, options.passes, options.day_passes)
    folder = options.cache / "arms"
    for seed in range(options.seeds):
        for arm in options.arms:
            measure_correctness(protocol, arm, seed, folder)
            print(f"seed {seed}, {arm}", flush=True)
    correctness = load_correctness(protocol, folder)
    command = " ".join(["python -m tests.bench.remedies.run", *sys.argv[1:]])
    head = f"{time.strftime('%Y-%m-%d')}, `{command}`: "
    about = head + _describe_run(options, protocol)
    placebo_lines = count_placebos(options, protocol, folder)
    if placebo_lines:
        text = "\n\n".join([about, "\n".join(placebo_lines)])
        write_section(options.results, "Placebos", text)
    suite = format_suite(measure_suite(options, protocol))
    if suite:
        text = "\n\n".join([head + SUITE_TEXT, *suite])
        write_section(options.results, "Remedies for planted causes", text)
        print(text)
    if correctness:
        lines = format_closure(protocol, correctness)
        if options.gates:
            lines += judge_arms(protocol, correctness, folder)
        table = format_arms(protocol, correctness)
        text = "\n\n".join([about, "Accuracies are means over seeds.", table, "\n".join(lines)])
        write_section(options.results, "Remedies", text)
        print(text)


if __name__ == "__main__":
    main()
