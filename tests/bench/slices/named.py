"""`make bench-slices`: name the causes of planted slices, and write that section of `tests/bench/RESULTS.md`.

    python -m tests.bench.slices.named [--causes development|held_out|all] [--most N] [--cache FOLDER] [--known]

Of each valid setting, the confirmed slice that holds most of the planted images (until 2026-11-27 it was the slice that
held most, confirmed or not, though only confirmed ones are named). What was said is kept in the cache folder under
the version of the finder's code: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.report.sentences.slice_sentences import describe_slice
from tests.bench.sections import write_section
from tests.bench.slices.causes import CAUSES, DEVELOPMENT, HELD_OUT
from tests.bench.slices.clean import Clean
from tests.bench.slices.figures import exact, ranges, table
from tests.bench.slices.finder import verdict
from tests.bench.slices.naming import equivalents
from tests.bench.slices.results import Bar, bar, share
from tests.bench.slices.run import HERE, WHICH, drawn, file_of, kept
from tests.bench.slices.settings import Case, plant

Rows = list[dict[str, Any]]
ORDER = "in the order drawn by seed, whatever came out, as far as the time went"


def named_in(case: Case) -> dict[str, Any]:
    """What the whole finder says of the confirmed slice that holds the cause (by overlap with the planted images)."""
    row: dict[str, Any] = {
        "setting": case.setting.name,
        "cause": case.setting.cause,
        "severity": case.setting.severity,
    }
    row |= {"images": int(case.planted.sum()), "drop": case.drop, "valid": case.valid, "set": []}
    row |= {
        "status": "nothing found",
        "strict": False,
        "right": False,
        "overlap": 0.0,
        "named": None,
    }
    told = verdict(case) if case.valid else None
    if told is None or told.table.empty:
        return row
    first = told.table.iloc[told.most]
    cause = None if pd.isna(first["cause"]) else str(first["cause"])
    strict = cause == CAUSES[case.setting.cause].remedy
    same = (
        frozenset()
        if strict
        else equivalents(case.clean, case.setting.cause, case.setting.severity)
    )
    return row | {
        "overlap": float(first["overlap"]),
        "status": str(first["status"]),
        "rule": str(first["rule"]),
        "words": describe_slice(first.to_dict()).sentence,
        "named": cause,
        "set": sorted(r.remedy for r in told.rivals if r.is_named),
        "same": sorted(same),
        "strict": strict,
        "right": strict or (cause is not None and cause in same),
        "strengths": (float(first["strength_low"]), float(first["strength_high"])),
    }


def _dosed(rows: Rows) -> list[tuple[bool, bool]]:
    """Of the settings named strictly right that have a strength.

    Whether the range covers the planted one, and meets it.
    """
    found = []
    for row in (r for r in rows if r["strict"]):
        if planted := ranges(row["cause"], row["severity"]):
            low, high = row["strengths"]
            found.append(
                (low <= planted[0] and high >= planted[1], low <= planted[1] and high >= planted[0])
            )
    return found


def _figures(rows: Rows) -> str:
    n, dosed = len(rows), _dosed(rows)
    confirmed = [r for r in rows if r["status"] == "confirmed"]
    sizes = [len(r["set"]) for r in rows if r["set"]]
    wrong = sum(not r["right"] and r["named"] is not None for r in rows)
    lines = [
        f"- confirmed: {exact(len(confirmed), n)}",
        f"- right cause named first, up to equivalence: {exact(sum(r['right'] for r in rows), n)}",
        f"- strictly: {exact(sum(r['strict'] for r in rows), n)}",
        "- of the confirmed, up to equivalence: "
        f"{exact(sum(r['right'] for r in confirmed), len(confirmed))}",
        f"- a wrong cause named first: {exact(wrong, n)}",
        f"- causes in a named set: {np.mean(sizes) if sizes else 0:.1f} on average",
        "- strength range covers the planted one, where strictly right: "
        f"{exact(sum(c for c, _ in dosed), len(dosed))}",
        "- strength range meets the planted one, where strictly right: "
        f"{exact(sum(m for _, m in dosed), len(dosed))}",
    ]
    return "\n".join(lines)


def _each(rows: Rows) -> str:
    def said(row: dict[str, Any]) -> str:
        rest = [c for c in row["set"] if c != row["named"]]
        return " or ".join([row["named"], *rest]) if row["named"] else "unnamed"

    keys = ("setting", "images", "status")
    lines = [
        {**{k: r[k] for k in keys}, "drop": f"{r['drop']:.0%}", "overlap": f"{r['overlap']:.2f}"}
        for r in rows
    ]
    told = [{"cause": said(r), "right": "yes" if r["right"] else ""} for r in rows]
    return table([a | b for a, b in zip(lines, told, strict=True)])


def write(path: Path, rows: Rows, command: str, chosen: str = ORDER) -> None:
    """The section of RESULTS.md; chosen: in words, how the settings came about."""
    bars: list[Bar] = [
        *share("right cause first, up to equivalence", "named", 0.9, [r["right"] for r in rows]),
        *share(
            "strength range covers the planted one",
            "dosed",
            0.8,
            [covers for covers, _ in _dosed(rows)],
        ),
    ]
    count = f"{len(rows)} valid settings, {chosen}."
    count += " Where Slices names causes too, it does so by the finder of its own date."
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: {count}",
        table([bar(line) for line in bars]),
    ]
    for name, causes in (("Development causes", DEVELOPMENT), ("Held-out causes", HELD_OUT)):
        part = [r for r in rows if r["cause"] in causes]
        parts += (
            [f"### Causes named: {name.lower()}", f"{len(part)} settings.", _figures(part)]
            if part
            else []
        )
    write_section(
        path, "Causes of slices", "\n\n".join([*parts, "### Every setting named", _each(rows)])
    )


def main() -> None:
    """Run and write."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--causes", choices=list(WHICH), default="development")
    asked.add_argument("--data", nargs="+", default=["flowers", "gtsrb"])
    asked.add_argument(
        "--cache", type=Path, default=Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-slices"))
    )
    asked.add_argument("--results", type=Path, default=HERE.parent / "RESULTS.md")
    asked.add_argument("--most", type=int, default=1000, help="settings, in the order drawn")
    asked.add_argument("--setting", nargs="+", help="only these, by name")
    asked.add_argument(
        "--known", action="store_true", help="only what earlier runs left in the cache"
    )
    options = asked.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    command = f"python -m {' '.join(['tests.bench.slices.named', *sys.argv[1:]])}"
    cleans = {name: Clean(name, options.cache) for name in options.data}
    rows: Rows = []
    every = drawn(tuple(options.data), WHICH[options.causes])
    only = [s for s in every if not options.setting or s.name in options.setting]
    for setting in islice(only, options.most):
        file = file_of(setting, options.cache, "named")
        if file.exists() or not options.known:
            row = kept(partial(plant, setting, cleans[setting.data]), file, named_in)
            print(
                f"{setting.name}: {row['status'] if row['valid'] else 'not valid'}, {row['named']}",
                flush=True,
            )
            if row["valid"]:
                rows.append(row)
                write(
                    options.results,
                    rows,
                    command,
                    "chosen by hand, so no sample" if options.setting else ORDER,
                )


if __name__ == "__main__":
    main()
