"""Null draws: outcomes permuted by whole groups within class, so that real photos hold nothing to be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import Context
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


def run(cache: Path, draws: int, data: tuple[str, ...], scratch: Path) -> dict[str, Any]:
    """In how many independent draws anything was confirmed."""
    hits, slices = 0, 0
    cleans = [Clean(name, cache) for name in data]
    for seed in range(draws):
        clean = cleans[seed % len(cleans)]
        answers = clean.as_they_are
        none = np.zeros(len(clean.val), bool)
        case = Case(
            Setting(clean.name, "dark", 0, 0.0, "all"), clean, none, answers, clean.photos.pixels[clean.val], 0.0
        )
        labels, groups = clean.photos.labels[clean.val], clean.photos.groups[clean.val]
        donor = donors(labels, groups, seed)
        told = verdict(case, Context("null", seed, scratch, scratch), donor, name=False)
        hits += bool(len(told.confirmed))
        slices += len(told.table)
        if (seed + 1) % 25 == 0:
            print(f"{seed + 1} null draws: something confirmed in {hits}", flush=True)
    return {"draws": draws, "confirmed": hits, "slices": slices}
