"""`make bench-slices2`: the names and remedies of every confirmed slice, end to end.

    python -m tests.bench.slices2.named [--part development|held_out] [--kinds NAME ...] [--limit N]

Slices are searched on the same folds as in `tests.bench.slices2.run`. A setting counts if the
planted images lose a tenth of their accuracy. It survives a step if every planted cause does:

- found: a confirmed slice consists mostly of its images;
- rightly named: every confirmed slice whose failures are mostly planted has a right or an
  equivalent name, or none where no transform is the cause;
- right remedy: each of these slices is trained on that transform, or asks for images or repeats
  them where no transform is the cause.

Whether a candidate is promoted is not measured: it needs the training of its arms.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from tests.bench.results_file import format_table, write_section
from tests.bench.slices.clean_models import CleanModel
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.metrics import format_proportion
from tests.bench.slices.planted_settings import MIN_ACCURACY_LOSS
from tests.bench.slices2.corruption_package import CorruptionsAbsentError
from tests.bench.slices2.name_scores import name_slices
from tests.bench.slices2.run import KINDS, find_commit
from tests.bench.slices2.search_cases import SearchCase

RIGHT_NAMES = ("right", "equivalent", "unexplained rightly")
STEPS = ("found", "rightly named", "right remedy")
NAMED_KINDS = tuple(name for name in KINDS if name != "null")  # a null draw has nothing to name
Row = dict[str, Any]


def load_or_name(case: SearchCase, cache: Path) -> Row:
    """Return the row of a case, computed once for each version of the stages."""
    version = hash_finder_code("cluster", "explain", "prescribe")
    file = cache / "slices2" / f"names {case.name.replace('/', '-')}-{version}.json"
    if not file.exists():
        row = name_slices(case)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row))
    known: Row = json.loads(file.read_text())
    return known


def list_survived_steps(row: Row) -> list[str]:
    """Return the steps that a setting survives, one after the other.

    Args:
        row: of `name_slices`.
    """
    survived = []
    by_target: list[list[Row]] = [[] for _ in row["causes"]]
    for item in row["slices"]:
        if item["target"] is not None:
            by_target[item["target"]].append(item)
    checks = (
        all(any(item["is found"] for item in items) for items in by_target),
        all(item["name"] in RIGHT_NAMES for items in by_target for item in items),
        all(item["is remedied"] for items in by_target for item in items),
    )
    for step, is_passed in zip(STEPS, checks, strict=True):
        if not is_passed:
            break
        survived.append(step)
    return survived


def _summarize_kind(kind: str, rows: list[Row]) -> Row:
    """Return the settings of a kind, and how many survive each step."""
    survived = [list_survived_steps(row) for row in rows]
    counts = {step: sum(step in steps for steps in survived) for step in STEPS}
    shares = {step: f"{count} ({count / len(rows):.0%})" for step, count in counts.items()}
    seconds = sum(row["seconds"] for row in rows) / len(rows)
    return {"kind": kind, "settings": len(rows), **shares, "seconds": f"{seconds:.0f}"}


def _format_slice_names(rows: list[Row]) -> str:
    """Return the names of all confirmed slices as lines."""
    has_transform = Counter[str]()
    has_none = Counter[str]()
    natural = Counter[str]()
    for row in rows:
        for item in row["slices"]:
            if item["target"] is None:
                natural[item["name"]] += 1
            elif row["causes"][item["target"]]:
                has_transform[item["name"]] += 1
            else:
                has_none[item["name"]] += 1
    lines = []
    for name in ("right", "equivalent", "false name", "unnamed", "unexplained rightly"):
        share = format_proportion(has_transform[name], has_transform.total())
        lines.append(f"- slices of a corruption, {name}: {share}")
    share = format_proportion(has_none["false name"], has_none.total())
    lines.append(f"- slices that no transform explains, false name: {share}")
    share = format_proportion(natural["natural, named"], natural.total())
    lines.append(f"- slices whose failures are mostly not planted, named: {share}")
    pairs = [row for row in rows if any(len(names) > 1 for names in row["causes"])]
    named = [item for row in pairs for item in row["slices"] if item["target"] is not None]
    both = sum(len(item["all words"]) > 1 and item["name"] in RIGHT_NAMES for item in named)
    lines.append(f"- slices of two corruptions, two names: {format_proportion(both, len(named))}")
    return "\n".join(lines)


def _list_slices(rows: list[Row]) -> list[Row]:
    listed = []
    for row in rows:
        survived = list_survived_steps(row)
        shown = {"setting": row["case"], "loss": f"{row['loss']:.0%}"}
        for item in row["slices"] or [{"name": "nothing confirmed"}]:
            listed.append(
                {
                    **shown,
                    "rule": item.get("rule", ""),
                    "name": item.get("words") or "",
                    "judged": item["name"],
                    "remedy": item.get("kind", ""),
                    "survives": survived[-1] if survived else "",
                }
            )
    return listed


def write_name_results(path: Path, rows: list[Row], part: str, command: str) -> None:
    """Write the section of a part.

    Args:
        path: the result file.
        rows: one row a case, see `name_slices`.
        part: development or held_out.
        command: the command that was run.
    """
    valid = [row for row in rows if row["loss"] >= MIN_ACCURACY_LOSS]
    kinds = dict.fromkeys(row["kind"] for row in valid)
    summary = [_summarize_kind(kind, [r for r in valid if r["kind"] == kind]) for kind in kinds]
    if valid:
        summary.append(_summarize_kind("all", valid))
    lines = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`, commit {find_commit()}: {len(valid)} settings "
        "whose planted images lose a tenth of their accuracy or more.",
        format_table(summary),
        _format_slice_names(valid),
        format_table(_list_slices(valid)),
    ]
    write_section(path, f"Names and remedies, second benchmark: {part}", "\n\n".join(lines))


def main() -> None:
    """Name the slices of the cases, and write the results after each one."""
    parser = build_parser(__doc__)
    parser.add_argument("--part", choices=["development", "held_out"], default="development")
    parser.add_argument("--kinds", nargs="+", choices=NAMED_KINDS, default=list(NAMED_KINDS))
    parser.add_argument("--limit", type=int, help="settings of each kind at most that count")
    options = parser.parse_args()
    prepare_process()
    command = format_command("tests.bench.slices2.named")
    rows: list[Row] = []
    for name in options.data:
        clean = CleanModel(name, options.cache)
        for kind in options.kinds:
            cases = KINDS[kind](options.part, clean)
            counted = (case for case in cases if case.loss >= MIN_ACCURACY_LOSS)
            try:
                for case in islice(counted, options.limit):
                    rows.append(load_or_name(case, options.cache))
                    print(json.dumps(rows[-1]), flush=True)
                    write_name_results(options.results, rows, options.part, command)
            except CorruptionsAbsentError as error:
                print(f"corruptions are left out: {error}", flush=True)


if __name__ == "__main__":
    main()
