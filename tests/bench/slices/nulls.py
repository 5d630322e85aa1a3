"""Null draws: outcomes permuted by whole groups within class, so that real photos hold nothing to be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import Context
from pipeline.versions import code_version
from tests.bench.slices.clean import Clean
from tests.bench.slices.finder import verdict
from tests.bench.slices.settings import Case, Setting


def donors(labels: NDArray[Any], groups: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """The photo [n] whose outcomes (answer, margin, answers after each intervention) each photo gets: a group takes
    those of another group of its class, repeated or cut to its size. Nothing then goes with what a photo looks like."""
    rng, donor = np.random.default_rng(seed), np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        names, code = np.unique(groups[rows], return_inverse=True)
        order = rng.permutation(len(names))
        parts = [rows[code == k] for k in range(len(names))]
        for k, mine in enumerate(parts):
            donor[mine] = np.resize(rng.permutation(parts[order[k]]), len(mine))
    return donor


def _file(cache: Path, data: tuple[str, ...]) -> Path:
    """Where the draws already judged are kept: under the version of the finder's code."""
    return cache / f"nulls-{'-'.join(data)}-{code_version('cluster')[:8]}{code_version('explain')[:8]}.json"


def _counted(seeds: dict[str, int]) -> dict[str, int]:
    return {"draws": len(seeds), "confirmed": sum(v > 0 for v in seeds.values())}


def known(cache: Path, data: tuple[str, ...]) -> dict[str, int]:
    """What earlier runs with this finder counted."""
    file = _file(cache, data)
    return _counted(json.loads(file.read_text()) if file.exists() else {})


def run(cache: Path, draws: int, data: tuple[str, ...], scratch: Path) -> dict[str, int]:
    """In how many independent draws anything was confirmed."""
    file, cleans = _file(cache, data), [Clean(name, cache) for name in data]
    seeds: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    for seed in range(draws):
        if str(seed) not in seeds:
            clean = cleans[seed % len(cleans)]
            none, pixels = np.zeros(len(clean.val), bool), clean.photos.pixels[clean.val]
            case = Case(Setting(clean.name, "dark", 0, 0.0, "all"), clean, none, clean.as_they_are, pixels, 0.0)
            donor = donors(clean.photos.labels[clean.val], clean.photos.groups[clean.val], seed)
            told = verdict(case, Context("null", seed, scratch, scratch), donor, name=False)
            seeds[str(seed)] = len(told.confirmed)
            file.write_text(json.dumps(seeds))
    return _counted(seeds)
