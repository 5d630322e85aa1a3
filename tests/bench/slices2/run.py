"""`make bench-slices2`: cases that took no part in the finder's development.

    python -m tests.bench.slices2.run [--part development|held_out] [--kinds NAME ...] [--limit N]

Slices are searched on three folds of five and judged on the other two. Results are kept in the
cache folder under the version of the finder's code. The held-out part is run by the last commit
only: its figures are reported, not mended.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.rules import Rule
from pipeline.slices.candidates.rule_admission import measure_reference_distances
from pipeline.slices.candidates.rule_application import apply_rule
from pipeline.slices.candidates.typicality import compute_coordinates
from pipeline.slices.testing.held_out_slices import collect_slice_evidence, load_held_out_slices
from pipeline.slices.testing.slice_confirmation import confirm_slice
from pipeline.stages import cluster, explain
from pipeline.statistics.permutation_tests import estimate_excess_error
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.finder_runs import (
    CONTEXT,
    DOSE_RESPONSE,
    compute_jaccard_index,
    find_held_out_rows,
)
from tests.bench.slices.metrics import compute_top_precisions, format_proportion
from tests.bench.slices.peer_finders import PEERS, PeerAbsentError, PeerPart, split_parts
from tests.bench.slices2.corruption_package import CorruptionsAbsentError
from tests.bench.slices2.metadata_cases import list_metadata_cases, list_power_cases
from tests.bench.slices2.search_cases import (
    SearchCase,
    list_corrupted_cases,
    list_hidden_cases,
    list_null_cases,
    list_paired_cases,
)

TAIL_SHARE = 0.05  # of the images in the tail of an attribute
JUDGED_SLICES = 3
NAIVE_TAIL = "naive tail"
Floats = NDArray[np.float64]
Row = dict[str, Any]
KINDS: dict[str, Callable[[str, CleanModel], Iterator[SearchCase]]] = {
    "corruption": list_corrupted_cases,
    "paired": list_paired_cases,
    "hidden": list_hidden_cases,
    "metadata": lambda _part, clean: list_metadata_cases(clean),
    "power": list_power_cases,
    "null": list_null_cases,
}


def run_naive_tail(fitted: PeerPart, scored: PeerPart) -> Floats:
    """Return the tails of single attributes with most error in excess of the class, best first."""
    errors = fitted.is_misclassified.astype(float)
    means = np.bincount(fitted.labels, errors) / np.maximum(np.bincount(fitted.labels), 1)
    excess = errors - means[fitted.labels]
    tails = []
    for column in range(fitted.attributes.shape[1]):
        for sign in (-1, 1):
            limit = np.quantile(sign * fitted.attributes[:, column], 1 - TAIL_SHARE)
            gathered = excess[sign * fitted.attributes[:, column] >= limit].sum()
            values = sign * scored.attributes[:, column]
            tails.append((-gathered, np.where(values >= limit, values, -np.inf)))
    tails.sort(key=lambda tail: tail[0])
    return np.stack([values for _, values in tails[:JUDGED_SLICES]], 1)


def _search(case: SearchCase) -> tuple[list[Rule], list[bool]]:
    """Return the rules in force and whether each slice is confirmed, on the searched folds."""
    val = case.val.select_rows(~find_held_out_rows(case.val))
    made = cluster.propose_slices(cluster.Config(), CONTEXT, val, DOSE_RESPONSE)
    held_out = load_held_out_slices(val, made["slices"], made["membership"], DOSE_RESPONSE)
    level = explain.Config().false_discovery_rate
    is_confirmed = []
    for item in held_out:
        evidence = collect_slice_evidence(val, item, 0)
        is_confirmed.append(confirm_slice(evidence, item.family_p, level).status == "confirmed")
    return [item.final_rule for item in held_out], is_confirmed


def _judge_scores(case: SearchCase, scores: Floats) -> Row:
    """Return precision at ten and Jaccard index of the first slice and of the best of three."""
    is_judged = find_held_out_rows(case.val)
    if not case.targets:
        return {}
    precisions = [compute_top_precisions(scores, mask[is_judged]) for mask in case.targets]
    overlaps = [
        [compute_jaccard_index(np.isfinite(column), mask[is_judged]) for column in scores.T[:3]]
        for mask in case.targets
    ]
    return {
        "first precision": max(row[0] for row in precisions),
        "best precision": float(np.mean([max(row) for row in precisions])),
        "first overlap": max(row[0] for row in overlaps),
        "best overlap": float(np.mean([max(row) for row in overlaps])),
    }


def measure_finder(case: SearchCase) -> Row:
    """Return the figures of the finder on the judged folds."""
    began = time.process_time()
    rules, is_confirmed = _search(case)
    seconds = time.process_time() - began
    val, is_judged = case.val, find_held_out_rows(case.val)
    distances = measure_reference_distances(val.frame, rules, val.embeddings)
    space = compute_coordinates(val.frame, val.embeddings, ~is_judged)
    columns = []
    for rule in rules:
        applied = apply_rule(val, rule, distances, ~is_judged, space)
        columns.append(applied.typicality[is_judged])
    scores = np.stack(columns, 1) if columns else np.full((int(is_judged.sum()), 1), -np.inf)
    false_count = 0
    found = [False] * len(case.targets)
    for rule, confirmed in zip(rules, is_confirmed, strict=True):
        if not confirmed:
            continue
        mask = rule.compute_mask(val.frame, distances)
        excess = estimate_excess_error(
            val.is_misclassified[is_judged],
            val.labels[is_judged],
            mask[is_judged],
            val.groups[is_judged],
        )
        false_count += not excess.interval.value > 0
        for index, target in enumerate(case.targets):
            found[index] |= bool(target[mask].mean() >= 0.5) if mask.any() else False
    return {
        **_judge_scores(case, scores),
        "confirmed": sum(is_confirmed),
        "false": false_count,
        "found": float(np.mean(found)) if found else None,
        "rules": [rule.format_text() for rule in rules[:JUDGED_SLICES]],
        "seconds": seconds,
    }


def measure_peers(case: SearchCase) -> dict[str, Row]:
    """Return the figures of every installed peer and of the naive tail."""
    val = case.val
    numbers = val.frame.iloc[:, 3:].select_dtypes("number").to_numpy(dtype=float)
    is_judged = find_held_out_rows(val)
    fitted, judged = split_parts(val.embeddings, numbers, val.logits, val.labels, is_judged)
    figures = {NAIVE_TAIL: _judge_scores(case, run_naive_tail(fitted, judged))}
    for name, find_slices in PEERS.items():
        try:
            figures[name] = _judge_scores(case, find_slices(fitted, judged, 0))
        except PeerAbsentError:
            continue
    return figures


def measure_case(case: SearchCase, cache: Path) -> Row:
    """Return the row of a case, computed once for each version of the finder."""
    file = cache / "slices2" / f"{case.name.replace('/', '-')}-{hash_finder_code()}.json"
    if not file.exists():
        row = {"kind": case.kind, "case": case.name, "loss": case.loss, **measure_finder(case)}
        row["peers"] = measure_peers(case) if case.targets else {}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row))
    known: Row = json.loads(file.read_text())
    return known


def find_commit() -> str:
    """Return the commit of the code, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _summarize_kind(kind: str, rows: pd.DataFrame) -> Row:
    summary: Row = {"kind": kind, "cases": len(rows), "confirmed": rows["confirmed"].gt(0).mean()}
    for name in ("first overlap", "best overlap", "first precision", "best precision", "found"):
        summary[name] = rows[name].mean() if name in rows else np.nan
    peers = pd.json_normalize(rows["peers"].tolist())
    firsts = peers.filter(like="first overlap").mean()
    summary["best peer, first overlap"] = firsts.max() if len(firsts) else np.nan
    summary["seconds"] = rows["seconds"].mean()
    return {name: f"{v:.2f}" if isinstance(v, float) else v for name, v in summary.items()}


def write_results(path: Path, rows: list[Row], part: str, command: str) -> None:
    """Write the section of a part.

    Args:
        path: the result file.
        rows: one row a case.
        part: development or held_out.
        command: the command that was run.
    """
    table = pd.DataFrame(rows)
    summary = [_summarize_kind(str(kind), own) for kind, own in table.groupby("kind", sort=False)]
    confirmed = int(table["confirmed"].sum())
    nulls = table[table["kind"] == "null"]
    lines = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`, commit {find_commit()}: {len(rows)} cases.",
        "A slice is found if half of a confirmed slice or more is planted.",
        format_table(summary),
        "Confirmed slices without excess on fresh folds: "
        + format_proportion(int(table["false"].sum()), confirmed),
        "Null draws with anything confirmed: "
        + format_proportion(int(nulls["confirmed"].gt(0).sum()), len(nulls)),
    ]
    write_section(path, f"Slices, second benchmark: {part}", "\n\n".join(lines))


def main() -> None:
    """Measure the cases and write the results."""
    parser = build_parser(__doc__)
    parser.add_argument("--part", choices=["development", "held_out"], default="development")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--limit", type=int, help="cases of each kind at most")
    options = parser.parse_args()
    prepare_process()
    rows = []
    for name in options.data:
        clean = CleanModel(name, options.cache)
        for kind in options.kinds:
            try:
                for case in islice(KINDS[kind](options.part, clean), options.limit):
                    rows.append(measure_case(case, options.cache))
                    shown = {k: v for k, v in rows[-1].items() if k != "peers"}
                    print(json.dumps(shown), flush=True)
            except CorruptionsAbsentError as error:
                print(f"corruptions are left out: {error}", flush=True)
    command = format_command("tests.bench.slices2.run")
    write_results(options.results, rows, options.part, command)


if __name__ == "__main__":
    main()
