"""Simulators: an adapter's module may offer labeled images, drawn anew under a named condition at a strength.

Beside the adapter's function stand `SIMULATES`, the conditions that it can draw (names of remedies), and
`simulate(wanted: Wanted) -> Iterator[Simulated]`, which yields `wanted.images` images. It is told nothing of the data
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
from pipeline.contracts import InputError, StageContext
from pipeline.data.reading.image_decoding import ImageError, decode_image, letterbox_image


@dataclass(frozen=True)
class SimulationRequest:
    """Images of class `label` that befell `condition` at strengths within [low, high], in the unit of the remedy of that
    name. The same `seed` gives the same images."""

    condition: str
    label: str
    low: float
    high: float
    image_count: int
    seed: int


@dataclass(frozen=True)
class SimulatedImage:
    """One image as a camera would store it (JPEG, PNG or another form that `decode` reads), and its strength."""

    data: bytes
    strength: float


@dataclass(frozen=True)
class SimulatedCopy:
    """A simulated image as training sees it: uint8 [side, side, 3]; content_hash as in `images`."""

    content_hash: str
    strength: float
    pixels: NDArray[np.uint8]


def find_simulators() -> dict[str, tuple[str, ...]]:
    """The adapters that offer a simulator, each with the conditions that it can draw."""
    modules = {
        name: plugins.load_plugin("adapters", name) for name in plugins.list_plugins("adapters")
    }
    return {
        name: tuple(m.SIMULATED_CONDITIONS)
        for name, m in modules.items()
        if hasattr(m, "simulate_images")
    }


def simulate_copies(
    adapter: str, request: SimulationRequest, side: int, known_hashes: Collection[str] = ()
) -> Iterator[SimulatedCopy]:
    """What the adapter's simulator draws, letterboxed to `side` px.

    known: content hashes of the data set's images. Raises `InputError` where the simulator yields a image of the data
    set, one that cannot be decoded, one of a strength that was not asked for, or too few.
    """
    told, count = (
        f"the simulator of {adapter}, asked for {request.condition} of class {request.label}",
        0,
    )
    for item in islice(
        plugins.load_plugin("adapters", adapter).simulate_images(request), request.image_count
    ):
        content = hashlib.sha256(item.data).hexdigest()[:32]
        if content in known_hashes:
            raise InputError(
                f"prescribe.simulator: {told}, gave a image of the data set; it must draw new ones"
            )
        if not request.low <= item.strength <= request.high:
            raise InputError(
                f"prescribe.simulator: {told} at {request.low:.3g} to {request.high:.3g}, gave {item.strength}"
            )
        try:
            yield SimulatedCopy(
                content, float(item.strength), letterbox_image(decode_image(item.data, side), side)
            )
        except ImageError as error:
            raise InputError(f"prescribe.simulator: {told}, gave no image: {error}") from error
        count += 1
    if count < request.image_count:
        raise InputError(
            f"prescribe.simulator: {told}, gave {count} of {request.image_count} images; ask for fewer"
        )


SIMULATED_COLUMNS = {
    "content_hash": "str", "slice": "str", "label": "str", "simulator": "str", "condition": "str", "strength": "float64",
}  # fmt: skip


def simulate_plan_images(
    plan: pd.DataFrame,
    class_names: list[str],
    images_per_class: int,
    side: int,
    context_and_hashes: tuple[StageContext, Collection[str]],
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """The images that a plan shows in place of others: `images` of each class, so that none stands for the condition.

    around: the stage's context, and content hashes of the data set. Returns the artifacts `simulated` and
    `simulated_pixels`."""
    asked = plan.dropna(subset="simulator").drop_duplicates("slice")
    jobs = [(item, label) for item in asked.to_dict("records") for label in class_names]
    context, known = context_and_hashes
    rows, pixels = [], []
    for item, label in context.track_progress(
        jobs, total=len(jobs), unit="kinds of simulated images"
    ):
        strengths = (float(item["strength_low"]), float(item["strength_high"]))
        wanted = SimulationRequest(
            str(item["remedy"]), label, *strengths, images_per_class, context.seed
        )
        for copy in simulate_copies(str(item["simulator"]), wanted, side, known):
            rows.append(
                (
                    copy.content_hash,
                    item["slice"],
                    label,
                    item["simulator"],
                    item["remedy"],
                    copy.strength,
                )
            )
            pixels.append(copy.pixels)
    table = pd.DataFrame(rows, columns=list(SIMULATED_COLUMNS)).astype(SIMULATED_COLUMNS)
    return table, np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8)
