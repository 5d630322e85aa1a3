"""`make bench-slices`: run the finder and its peers on every setting, and write `tests/bench/RESULTS.md`.

    python -m tests.bench.slices.run [--causes development|held_out|all] [--nulls N] [--cache FOLDER] [--results FILE]

What a clean model says, and what each peer scored, is kept in the cache folder; the finder runs anew every time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.contracts import Context
from pipeline.store import digest
from tests.bench.slices import nulls, speed
from tests.bench.slices.causes import CAUSES, DEVELOPMENT, HELD_OUT
from tests.bench.slices.clean import Clean
from tests.bench.slices.figures import covers, precisions
from tests.bench.slices.finder import HELD, held_out_scores, val_of, verdict
from tests.bench.slices.naming import equivalents
from tests.bench.slices.peers import PEERS, Absent, parts
from tests.bench.slices.results import write_results
from tests.bench.slices.settings import PREVALENCE, Case, plant, settings

HERE, OTHER = Path(__file__).parent, 0.1
WHICH = {"development": DEVELOPMENT, "held_out": HELD_OUT, "all": (*DEVELOPMENT, *HELD_OUT)}


def cases(data: tuple[str, ...], causes: tuple[str, ...], cache: Path) -> Iterator[Case]:
    """Every valid case; which ones are not is printed."""
    for name in data:
        clean = Clean(name, cache)
        for setting in settings((name,), causes):
            case = plant(setting, clean)
            if case.valid:
                yield case
            else:
                print(f"not valid: {setting.name}: {int(case.planted.sum())} photos, drop {case.drop:.1%}", flush=True)


def peers_of(case: Case, cache: Path) -> dict[str, list[float]]:
    """precision@10 of the first three slices of every peer that is there, kept in the cache."""
    version = digest(HERE / "peers.py")[:8]
    file = cache / "peers" / f"{case.setting.name}-{version}.json"
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    val = val_of(case)
    held = np.isin(val.fold, HELD)
    attributes = val.frame[list(case.answers.attributes)].to_numpy(dtype=float)
    fit, there = parts(case.answers.features, attributes, case.answers.logits, val.truth, held)
    for name, peer in PEERS.items():
        if name not in known:
            try:
                known[name] = precisions(peer(fit, there, 0), case.planted[held])
            except Absent as reason:
                print(f"{name}: absent ({reason})", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known))
    return known


def found_in(case: Case) -> dict[str, Any]:
    """precision@10 of the finder's first three slices."""
    held = np.isin(val_of(case).fold, HELD)
    found = precisions(held_out_scores(case)[held], case.planted[held])
    return {"first": found[0], "best": max(found)}


def named_in(case: Case, scratch: Path) -> dict[str, Any]:
    """What the whole finder says of the slice that holds the cause (by overlap with the planted photos)."""
    told = verdict(case, Context("bench", 0, scratch, scratch))
    if told.table.empty:
        return {"status": "nothing found", "strict": False, "right": False, "set": []}
    first = told.table.iloc[int(told.table["overlap"].argmax())]
    named = told.causes[(told.causes["slice"] == first["slice"]) & told.causes["named"]]
    cause = None if pd.isna(first["cause"]) else str(first["cause"])
    strict = cause == CAUSES[case.setting.cause].remedy
    same = frozenset() if strict else equivalents(case.clean, case.setting.cause, case.setting.severity)
    range_ = (float(first["dose_low"]), float(first["dose_high"]))
    real = told.confirmed[told.confirmed["overlap"] < OTHER]
    return {
        "overlap": float(first["overlap"]),
        "rank": int(first["rank"]),
        "status": str(first["status"]),
        "rule": str(first["rule"]),
        "words": str(first["words"]),
        "set": sorted(named["remedy"]),
        "same": sorted(same),
        "strict": strict,
        "right": strict or (cause is not None and cause in same),
        "covers": covers(case.setting.cause, case.setting.severity, *range_) if strict else None,
        "others": len(real),
    }


def _precise(case: Case, cache: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"setting": case.setting.name, "cause": case.setting.cause, "drop": case.drop}
    row |= {"prevalence": float(case.planted.mean()), "photos": int(case.planted.sum())}
    row |= {"ours": found_in(case), "peers": peers_of(case, cache)}
    print(f"{row['setting']}: first {row['ours']['first']:.1f} best {row['ours']['best']:.1f}", flush=True)
    return row


def main() -> None:
    """Run and write."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--causes", choices=list(WHICH), default="development")
    asked.add_argument("--data", nargs="+", default=["flowers", "gtsrb"])
    asked.add_argument("--nulls", type=int, default=300)
    asked.add_argument("--cache", type=Path, default=Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-slices")))
    asked.add_argument("--results", type=Path, default=HERE.parent / "RESULTS.md")
    asked.add_argument("--named", choices=["all", "part", "none"], default="part", help="part: 15 %% in all classes")
    asked.add_argument("--no-speed", action="store_true")
    options = asked.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    command = f"python -m {' '.join(['tests.bench.slices.run', *sys.argv[1:]])}"
    data, causes = tuple(options.data), WHICH[options.causes]
    rows = [_precise(case, options.cache) for case in cases(data, causes, options.cache)]
    fast = None if options.no_speed else speed.run()
    null = nulls.known(options.cache, data)

    def write() -> None:
        write_results(options.results, rows, null, fast, (options.causes, command))

    write()
    with TemporaryDirectory() as folder:
        for row, case in zip(rows, cases(data, causes, options.cache), strict=True):
            here = case.setting.scope == "all" and case.setting.prevalence == PREVALENCE[-1]
            if options.named == "all" or (options.named == "part" and here):
                row["named"] = named_in(case, Path(folder))
                print(f"{row['setting']}: {row['named']['status']}, {row['named']['set']}", flush=True)
                write()
        null = nulls.run(options.cache, options.nulls, data, Path(folder))
    write()


if __name__ == "__main__":
    main()
