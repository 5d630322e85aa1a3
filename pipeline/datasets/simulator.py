"""Simulators: an adapter's module may offer labelled photos, drawn anew under a named condition at a dose.

Beside the adapter's function stand `SIMULATES`, the conditions that it can draw (names of remedies), and
`simulate(wanted: Wanted) -> Iterator[Simulated]`, which yields `wanted.photos` photos. It is told nothing of the data
set, and what it draws is trained on alone: it never gets into `images`, and so into neither val nor test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.contracts import Context, InputError
from pipeline.datasets.picture import ImageError, decode, letterbox


@dataclass(frozen=True)
class Wanted:
    """Photos of class `label` that befell `condition` at doses within [low, high], in the unit of the remedy of that
    name. The same `seed` gives the same photos."""

    condition: str
    label: str
    low: float
    high: float
    photos: int
    seed: int


@dataclass(frozen=True)
class Simulated:
    """One photo as a camera would store it (JPEG, PNG or another form that `decode` reads), and its dose."""

    data: bytes
    dose: float


@dataclass(frozen=True)
class Copy:
    """A simulated photo as training sees it: uint8 [side, side, 3]; content_hash as in `images`."""

    content_hash: str
    dose: float
    pixels: NDArray[np.uint8]


def simulators() -> dict[str, tuple[str, ...]]:
    """The adapters that offer a simulator, each with the conditions that it can draw."""
    modules = {name: plugins.module("datasets", name) for name in plugins.names("datasets")}
    return {name: tuple(m.SIMULATES) for name, m in modules.items() if hasattr(m, "simulate")}


def simulate(adapter: str, wanted: Wanted, side: int, known: Collection[str] = ()) -> Iterator[Copy]:
    """What the adapter's simulator draws, letterboxed to `side` px.

    known: content hashes of the data set's photos. Raises `InputError` where the simulator yields a photo of the data
    set, one that cannot be decoded, one of a dose that was not asked for, or too few.
    """
    told, count = f"the simulator of {adapter}, asked for {wanted.condition} of class {wanted.label}", 0
    for item in islice(plugins.module("datasets", adapter).simulate(wanted), wanted.photos):
        content = hashlib.sha256(item.data).hexdigest()[:32]
        if content in known:
            raise InputError(f"prescribe.simulator: {told}, gave a photo of the data set; it must draw new ones")
        if not wanted.low <= item.dose <= wanted.high:
            raise InputError(f"prescribe.simulator: {told} at {wanted.low:.3g} to {wanted.high:.3g}, gave {item.dose}")
        try:
            yield Copy(content, float(item.dose), letterbox(decode(item.data, side), side))
        except ImageError as error:
            raise InputError(f"prescribe.simulator: {told}, gave no photo: {error}") from error
        count += 1
    if count < wanted.photos:
        raise InputError(f"prescribe.simulator: {told}, gave {count} of {wanted.photos} photos; ask for fewer")


SIMULATED = {
    "content_hash": "str", "slice": "str", "label": "str", "simulator": "str", "condition": "str", "dose": "float64",
}  # fmt: skip


def drawn_for(
    plan: pd.DataFrame, names: list[str], photos: int, side: int, around: tuple[Context, Collection[str]]
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """The photos that a plan shows in place of others: `photos` of each class, so that none stands for the condition.

    around: the stage's context, and content hashes of the data set. Returns the artifacts `simulated` and
    `simulated_pixels`."""
    asked = plan.dropna(subset="simulator").drop_duplicates("slice")
    jobs = [(item, label) for item in asked.to_dict("records") for label in names]
    context, known = around
    rows, pixels = [], []
    for item, label in context.track(jobs, total=len(jobs), what="kinds of simulated photos"):
        doses = (float(item["dose_low"]), float(item["dose_high"]))
        wanted = Wanted(str(item["remedy"]), label, *doses, photos, context.seed)
        for copy in simulate(str(item["simulator"]), wanted, side, known):
            rows.append((copy.content_hash, item["slice"], label, item["simulator"], item["remedy"], copy.dose))
            pixels.append(copy.pixels)
    table = pd.DataFrame(rows, columns=list(SIMULATED)).astype(SIMULATED)
    return table, np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8)
