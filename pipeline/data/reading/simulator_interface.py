"""Interface of simulators: adapters that also draw labeled images under a condition.

The module of such an adapter defines `SIMULATED_CONDITIONS`, the names of the remedies whose
condition it can draw, and `simulate_images(request) -> Iterator[SimulatedImage]`, which yields
`request.image_count` images. It gets nothing of the data set. Its images are used for training
alone: they never get into `images`, and so never into validation or test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import InputError, StageContext
from pipeline.data.adapters import list_adapters, load_adapter, load_simulator
from pipeline.data.reading.image_decoding import ImageError, decode_image, letterbox_image

SIMULATED_COLUMNS = {
    "content_hash": "str",
    "slice": "str",
    "label": "str",
    "simulator": "str",
    "condition": "str",
    "strength": "float64",
}
"""Columns of the artifact `simulated` and their dtypes."""


@dataclass(frozen=True)
class SimulationRequest:
    """Images that a simulator is to draw.

    Attributes:
        condition: name of the remedy whose condition the images show.
        label: class of the images.
        low: lowest strength, in the unit of the remedy.
        high: highest strength.
        image_count: number of images.
        seed: the same seed gives the same images.
    """

    condition: str
    label: str
    low: float
    high: float
    image_count: int
    seed: int


@dataclass(frozen=True)
class SimulatedImage:
    """One image as a camera would store it.

    Attributes:
        data: the image as JPEG, PNG or another format that `decode_image` reads.
        strength: strength of its condition, in the unit of the remedy.
    """

    data: bytes
    strength: float


@dataclass(frozen=True)
class SimulatedCopy:
    """A simulated image as training uses it.

    Attributes:
        content_hash: hash of its bytes, as in the artifact `images`.
        strength: strength of its condition, in the unit of the remedy.
        pixels: uint8 [side, side, 3].
    """

    content_hash: str
    strength: float
    pixels: NDArray[np.uint8]


def find_simulators() -> dict[str, tuple[str, ...]]:
    """Return the conditions that each simulator can draw, by name of its adapter."""
    conditions = {}
    for name in list_adapters():
        if hasattr(load_adapter(name), "simulate_images"):
            conditions[name] = tuple(load_simulator(name).SIMULATED_CONDITIONS)
    return conditions


def simulate_copies(
    adapter: str, request: SimulationRequest, side: int, known_hashes: Collection[str] = ()
) -> Iterator[SimulatedCopy]:
    """Yield the images of an adapter's simulator, letterboxed to a square.

    Args:
        adapter: name of the adapter.
        request: the images to draw.
        side: side of the square in pixels.
        known_hashes: content hashes of the images of the data set.

    Raises:
        InputError: the simulator yields an image of the data set, an image that cannot be decoded
            or has another strength, or too few images.
    """
    error_prefix = (
        f"prescribe.simulator: {adapter}, for condition {request.condition} "
        f"of class {request.label}, drew"
    )
    count = 0
    images = load_simulator(adapter).simulate_images(request)
    for image in islice(images, request.image_count):
        content_hash = hashlib.sha256(image.data).hexdigest()[:32]
        if content_hash in known_hashes:
            raise InputError(f"{error_prefix} an image of the data set; it must draw new ones")
        if not request.low <= image.strength <= request.high:
            raise InputError(
                f"{error_prefix} strength {image.strength}; it must be from {request.low:.3g} "
                f"to {request.high:.3g}"
            )
        try:
            pixels = letterbox_image(decode_image(image.data, side), side)
        except ImageError as error:
            raise InputError(f"{error_prefix} no usable image: {error}") from error
        yield SimulatedCopy(content_hash, float(image.strength), pixels)
        count += 1
    if count < request.image_count:
        raise InputError(
            f"{error_prefix} {count} of {request.image_count} images; request fewer "
            "(prescribe.simulated_images)"
        )


def simulate_plan_images(
    plan: pd.DataFrame,
    class_names: list[str],
    images_per_class: int,
    side: int,
    context: StageContext,
    known_hashes: Collection[str],
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Draw the simulated images of a plan, equally many of each class.

    Because the classes are balanced, the condition alone does not predict the class.

    Args:
        plan: the artifact `plan`.
        class_names: all classes.
        images_per_class: images of each class for each slice with a simulator.
        side: side of the images in pixels.
        context: context of the stage; the simulator gets its seed.
        known_hashes: content hashes of the images of the data set.

    Returns:
        The artifacts `simulated` and `simulated_pixels`, uint8 [images, side, side, 3].
    """
    simulated_slices = plan.dropna(subset="simulator").drop_duplicates("slice")
    jobs = []
    for plan_row in simulated_slices.to_dict("records"):
        for label in class_names:
            jobs.append((plan_row, label))
    rows = []
    pixels = []
    for plan_row, label in context.track_progress(
        jobs, total=len(jobs), unit="kinds of simulated images"
    ):
        request = SimulationRequest(
            condition=str(plan_row["remedy"]),
            label=label,
            low=float(plan_row["strength_low"]),
            high=float(plan_row["strength_high"]),
            image_count=images_per_class,
            seed=context.seed,
        )
        for copy in simulate_copies(str(plan_row["simulator"]), request, side, known_hashes):
            rows.append(
                {
                    "content_hash": copy.content_hash,
                    "slice": plan_row["slice"],
                    "label": label,
                    "simulator": plan_row["simulator"],
                    "condition": plan_row["remedy"],
                    "strength": copy.strength,
                }
            )
            pixels.append(copy.pixels)
    table = pd.DataFrame(rows, columns=list(SIMULATED_COLUMNS)).astype(SIMULATED_COLUMNS)
    return table, np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8)
