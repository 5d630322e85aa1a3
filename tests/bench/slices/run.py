"""`make bench-slices`: run the finder and its peers on every setting, and write `tests/bench/RESULTS.md`.

    python -m tests.bench.slices.run [--causes development|held_out|all] [--cache FOLDER] [--results FILE]

What a clean model says, what each peer scored, and what the finder found is kept in the cache folder, the last under
the version of its code: a run that was stopped goes on, and a final run joins what several did side by side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.engine.code_fingerprint import hash_stage_code
from pipeline.storage.artifact_store import hash_content
from tests.bench.slices.causes import DEVELOPMENT, HELD_OUT
from tests.bench.slices.clean import Clean
from tests.bench.slices.figures import precisions
from tests.bench.slices.finder import HELD, held_out_scores, real_in, val_of
from tests.bench.slices.peers import PEERS, Absent, parts
from tests.bench.slices.results import write_results
from tests.bench.slices.settings import Case, Setting, plant, settings

HERE = Path(__file__).parent
WHICH = {"development": DEVELOPMENT, "held_out": HELD_OUT, "all": (*DEVELOPMENT, *HELD_OUT)}


def drawn(data: tuple[str, ...], causes: tuple[str, ...]) -> list[Setting]:
    """The settings in an order drawn by seed from all there are, whichever of them are valid: a run that is stopped, or
    that names some only, leaves a fair sample."""
    every = list(settings(("flowers", "gtsrb"), WHICH["all"]))
    order = np.argsort(np.random.default_rng(0).permutation(len(every)))
    return [every[k] for k in order if every[k].data in data and every[k].cause in causes]


def file_of(setting: Setting, cache: Path, what: str) -> Path:
    """Where it is kept what this version of the finder says of a setting."""
    version = hash_stage_code("cluster")[:8] + hash_stage_code("explain")[:8]
    return cache / what / f"{setting.name}-{version}.json"


def kept(
    case: Callable[[], Case], file: Path, what: Callable[[Case], dict[str, Any]]
) -> dict[str, Any]:
    """What `what` says of a case, from the file where it has said it before."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(what(case())))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def peers_of(case: Case, cache: Path) -> dict[str, list[float]]:
    """precision@10 of the first three slices of every peer that is there, kept in the cache."""
    arrays = hashlib.sha256(
        case.answers.attributes.to_numpy().tobytes() + case.answers.logits.tobytes()
    ).hexdigest()
    version = hash_content(HERE / "peers.py")[:8] + arrays[:8]
    file = cache / "peers" / f"{case.setting.name}-{version}.json"
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    val = val_of(case)
    held = np.isin(val.folds, HELD)
    attributes = val.frame[list(case.answers.attributes)].to_numpy(dtype=float)
    fit, there = parts(case.answers.features, attributes, case.answers.logits, val.labels, held)
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
    held = np.isin(val_of(case).folds, HELD)
    found = precisions(held_out_scores(case)[held], case.planted[held])
    return {"first": found[0], "best": max(found)}


def precise_in(case: Case, cache: Path) -> dict[str, Any]:
    """What there is to tell of a setting; of one that is not valid, how far it falls short."""
    row: dict[str, Any] = {
        "setting": case.setting.name,
        "cause": case.setting.cause,
        "drop": case.drop,
    }
    row |= {
        "prevalence": float(case.planted.mean()),
        "images": int(case.planted.sum()),
        "valid": case.valid,
    }
    if case.valid:
        for name, what in (("ours", found_in), ("real", real_in)):
            row[name] = kept(lambda: case, file_of(case.setting, cache, what.__name__), what)
        row["peers"] = peers_of(case, cache)
    return row


def told(asked: list[Setting], cache: Path, known: bool) -> Iterator[dict[str, Any]]:
    """The row of every valid setting; which ones are not is printed. known.

    Only of those in the cache.
    """
    cleans = {name: Clean(name, cache) for name in {s.data for s in asked}}
    for setting in asked:
        file = file_of(setting, cache, "row")
        if file.exists() or not known:
            case = partial(plant, setting, cleans[setting.data])
            row = kept(case, file, partial(precise_in, cache=cache))
            line = (
                f"best {max(row['ours']['best'], row['ours']['first']):.1f}"
                if row["valid"]
                else "not valid"
            )
            print(
                f"{setting.name}: {row['images']} images, drop {row['drop']:.1%}, {line}",
                flush=True,
            )
            if row["valid"]:
                yield row


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
    asked.add_argument(
        "--known", action="store_true", help="only what earlier runs left in the cache"
    )
    options = asked.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    command = f"python -m {' '.join(['tests.bench.slices.run', *sys.argv[1:]])}"
    data, causes = tuple(options.data), WHICH[options.causes]
    rows = list(told(drawn(data, causes), options.cache, options.known))
    write_results(options.results, rows, (options.causes, command))


if __name__ == "__main__":
    main()
