"""Null draws, so that real images hold nothing to be found: outcomes permuted by whole groups within class.

For the paired test alone: what interventions do, permuted within margin strata (real errors hold natural slices).

    python -m tests.bench.slices.nulls [--draws N] [--data NAME ...] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.engine.code_fingerprint import hash_stage_code
from pipeline.slices.testing.held_out_slices import collect_slice_evidence, load_held_out_slices
from pipeline.slices.testing.slice_confirmation import SliceEvidence, confirm_slices
from pipeline.stages import cluster, explain
from pipeline.statistics.permutation_tests import assign_margin_strata
from tests.bench.sections import write_section
from tests.bench.slices.clean import Clean
from tests.bench.slices.figures import exact, table
from tests.bench.slices.finder import CONTEXT, DOSES, val_of, verdict
from tests.bench.slices.results import RESULTS, Bar, bar
from tests.bench.slices.settings import Case, Setting
from tests.helpers.validation_sets import encode_responses


def donors(labels: NDArray[Any], groups: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """The image [n] whose outcomes (answer, margin, answers after each intervention) each image gets: a group takes
    those of another group of its class, repeated or cut to its size. Nothing then goes with what a image looks like."""
    rng, donor = np.random.default_rng(seed), np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        names, code = np.unique(groups[rows], return_inverse=True)
        order = rng.permutation(len(names))
        parts = [rows[code == k] for k in range(len(names))]
        for k, mine in enumerate(parts):
            donor[mine] = np.resize(rng.permutation(parts[order[k]]), len(mine))
    return donor


def _errors(case: Case, seed: int) -> int:
    """Slices confirmed where outcomes are permuted."""
    clean = case.clean
    donor = donors(clean.images.labels[clean.val], clean.images.groups[clean.val], seed)
    return len(verdict(case, donor, name=False).confirmed)


def _effects(case: Case, seed: int) -> int:
    """Slices confirmed by the effect of an intervention where effects are permuted."""
    val = val_of(case)
    probe, strata = (
        val.probe_results,
        assign_margin_strata(~val.probe_results.correct, val.probe_results.margin),
    )
    rng, donor = np.random.default_rng(seed), np.arange(len(strata))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        donor[rows] = rng.permutation(rows)
    labels = val.labels[val.probed_rows]
    responses = encode_responses(probe.after[donor], labels, len(val.class_names))
    drawn = replace(val, responses=responses)
    made = cluster.propose_slices(cluster.Config.model_validate({}), CONTEXT, drawn, DOSES)
    found = load_held_out_slices(drawn, made["slices"], made["membership"], DOSES)
    tests = [collect_slice_evidence(drawn, item, CONTEXT.seed) for item in found]
    alone = [(_untested(whole), [_untested(part) for part in parts]) for whole, parts in tests]
    return sum(
        t.status == "confirmed"
        for t in confirm_slices(alone, explain.Config.model_validate({}).false_discovery_rate)
    )


def _untested(pair: SliceEvidence) -> SliceEvidence:
    """Without the test of the errors."""
    return SliceEvidence(replace(pair.excess_test, p=None), pair.effect_test)


KINDS = {"errors": _errors, "effects": _effects}


def _file(cache: Path, data: tuple[str, ...], kind: str) -> Path:
    """Where the draws already judged are kept: under the version of the finder's code."""
    return (
        cache
        / f"nulls-{kind}-{'-'.join(data)}-{hash_stage_code('cluster')[:8]}{hash_stage_code('explain')[:8]}.json"
    )


def _read(file: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return found


def known(cache: Path, data: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """What earlier runs with this finder counted, by kind.

    Draws, and those in which anything was confirmed.
    """
    found = {kind: _read(_file(cache, data, kind)) for kind in KINDS}
    return {
        kind: {"draws": len(s), "confirmed": sum(v > 0 for v in s.values())}
        for kind, s in found.items()
    }


def run(cache: Path, draws: int, data: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """In how many of `draws` independent draws of each kind anything was confirmed."""
    cleans = [Clean(name, cache) for name in data]
    for kind, count in KINDS.items():
        file = _file(cache, data, kind)
        seeds = _read(file)
        for seed in (s for s in range(draws) if str(s) not in seeds):
            clean = cleans[seed % len(cleans)]
            none, pixels = np.zeros(len(clean.val), bool), clean.images.pixels[clean.val]
            case = Case(
                Setting(clean.name, "dark", 0, 0.0, "all"),
                clean,
                none,
                clean.as_they_are,
                pixels,
                0.0,
            )
            seeds[str(seed)] = count(case, seed)
            file.write_text(json.dumps(seeds))
    return known(cache, data)


def main() -> None:
    """Draw, and write the section of RESULTS.md after each fifty draws."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--draws", type=int, default=300)
    asked.add_argument("--data", nargs="+", default=["flowers", "gtsrb"])
    asked.add_argument(
        "--cache", type=Path, default=Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-slices"))
    )
    options = asked.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    command, data = (
        f"python -m {' '.join(['tests.bench.slices.nulls', *sys.argv[1:]])}",
        tuple(options.data),
    )
    for draws in [*range(50, options.draws, 50), options.draws]:
        found = run(options.cache, draws, data)
        lines: list[Bar] = []
        for kind, v in found.items():
            part = v["confirmed"] / max(v["draws"], 1)
            name = f"null draws ({kind} permuted) with anything confirmed"
            lines.append((name, "null", 0.05, part, exact(v["confirmed"], v["draws"]), "<="))
        head = f"{time.strftime('%Y-%m-%d')}, `{command}`: val of {' and '.join(data)} in turn."
        write_section(
            RESULTS, "Null draws", "\n\n".join([head, table([bar(line) for line in lines])])
        )
        print(found, flush=True)


if __name__ == "__main__":
    main()
