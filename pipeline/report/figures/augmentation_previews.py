"""Previews of the plan: treated training images beside the slice that they are to resemble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.attributes import measure_images
from pipeline.remedies import apply_remedy, describe_intervention, transfer_tones
from pipeline.report.figures.thumbnails import index_rows
from pipeline.report.report_page import AugmentationPreview

COPY_COUNT = 6
"""Treated copies of one original: enough to show a range, few enough for one row of the page."""
MAX_PREVIEWS = 12
"""Slices and treatments with a preview; further ones would crowd the page."""
MAX_MEASURED_IMAGES = 150
"""Images measured of the slice, of training and of the treated ones; quartiles need no more."""

_TREATMENT_COLUMNS = ["slice", "remedy", "strength_low", "strength_high", "tone_share", "simulator"]
TONED_COPY_COUNT = 2
"""Further copies with the tones of real images, where the plan uses these."""
TONED_COPY_CAPTION = "brightness and colors of a real image of the slice"
LabeledCopies = list[tuple[str, NDArray[np.uint8]]]


def build_previews(artifacts: Mapping[str, Any], seed: int) -> Iterator[AugmentationPreview]:
    """Yield a preview for each slice and treatment of the plan.

    Args:
        artifacts: the needs of the stage `report`, by name.
        seed: seed of the images that are drawn and of the treatments.
    """
    rows = index_rows(artifacts["images"]["image_id"])
    treatments = artifacts["plan"].groupby(_TREATMENT_COLUMNS, dropna=False)
    for treatment, plan_rows in islice(treatments, MAX_PREVIEWS):
        yield _build_preview(artifacts, rows, treatment, plan_rows["image_id"], seed)


def _build_preview(
    artifacts: Mapping[str, Any],
    rows: Mapping[str, int],
    treatment: tuple[Any, ...],
    planned_ids: pd.Series[str],
    seed: int,
) -> AugmentationPreview:
    """Return the preview of one treatment.

    Args:
        artifacts: the needs of the stage `report`, by name.
        rows: row of `pixels` by image id.
        treatment: values of `_TREATMENT_COLUMNS`.
        planned_ids: training images that get the treatment.
        seed: seed of the draws.
    """
    slice_name, remedy, low, high, tone_share, simulator = treatment
    pixels = artifacts["pixels"]
    rng = np.random.default_rng(seed)
    drawn_ids = planned_ids.iloc[rng.permutation(len(planned_ids))[:MAX_MEASURED_IMAGES]]
    membership = artifacts["membership"]
    members = membership.loc[membership["slice"] == slice_name, "image_id"]
    member_rows = members.map(rows).dropna().to_numpy(dtype=np.intp)
    member_rows = rng.permutation(member_rows)[:MAX_MEASURED_IMAGES]
    training = np.asarray(pixels[drawn_ids.map(rows).to_numpy(dtype=np.intp)])
    if pd.isna(simulator):
        treated = apply_remedy(str(remedy), training, low, high, seed)
        copies = _build_treated_copies(training[0], str(remedy), (low, high), seed)
        if tone_share and len(member_rows):
            tone_images = np.asarray(pixels[member_rows])
            toned_count = round(tone_share * len(training))
            treated[:toned_count] = transfer_tones(training[:toned_count], tone_images, seed)
            originals = np.repeat(training[:1], TONED_COPY_COUNT, axis=0)
            for copy in transfer_tones(originals, tone_images, seed):
                copies.append((TONED_COPY_CAPTION, copy))
    else:
        simulated = artifacts["simulated"]
        own_rows = np.flatnonzero((simulated["slice"] == slice_name).to_numpy())
        own_rows = rng.permutation(own_rows)[:MAX_MEASURED_IMAGES]
        treated = np.asarray(artifacts["simulated_pixels"][own_rows])
        copies = _build_simulated_copies(simulated.iloc[own_rows], treated)
    measured = {"slice": np.asarray(pixels[member_rows]), "training": training, "treated": treated}
    return AugmentationPreview(
        slice=str(slice_name),
        remedy=str(remedy),
        original_id=str(drawn_ids.iloc[0]),
        treated_copies=copies,
        attribute_quartiles=_compute_quartiles(measured),
        measured_counts={name: len(images) for name, images in measured.items()},
        simulator="" if pd.isna(simulator) else str(simulator),
    )


def _build_treated_copies(
    image: NDArray[np.uint8], remedy: str, strength_range: tuple[float, float], seed: int
) -> LabeledCopies:
    """Return copies at strengths over the range with their strengths in words, without doubles.

    Args:
        image: uint8 [side, side, 3].
        remedy: name of the remedy.
        strength_range: lowest and highest strength.
        seed: seed of the first copy.
    """
    copies: dict[bytes, tuple[str, NDArray[np.uint8]]] = {}
    for number, strength in enumerate(np.linspace(*strength_range, COPY_COUNT).tolist()):
        copy = apply_remedy(remedy, image[None], strength, strength, seed + number)[0]
        copies.setdefault(copy.tobytes(), (describe_intervention(remedy, strength), copy))
    return list(copies.values())


def _build_simulated_copies(simulated: pd.DataFrame, pixels: NDArray[np.uint8]) -> LabeledCopies:
    """Return simulated images in the order of their strengths, with strength and class in words."""
    first = simulated.head(COPY_COUNT)
    copies: LabeledCopies = []
    for row in np.argsort(first["strength"].to_numpy(), kind="stable"):
        item = first.iloc[row]
        text = describe_intervention(item["condition"], item["strength"])
        copies.append((f"{text}, {item['label']}", pixels[row]))
    return copies


def _compute_quartiles(measured: Mapping[str, NDArray[np.uint8]]) -> pd.DataFrame:
    """Return one row per attribute that all sets of images have, with the quartiles of each."""
    tables = []
    for name, images in measured.items():
        quartiles = measure_images(images).quantile([0.25, 0.5, 0.75]).T
        tables.append(quartiles.set_axis([f"{name}_low", f"{name}_mid", f"{name}_high"], axis=1))
    table = pd.concat(tables, axis=1).dropna()
    return table.rename_axis("attribute").reset_index()
