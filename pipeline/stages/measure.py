"""Stage `measure`: measure every attribute of every image, on the stored file."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.attributes import list_attributes
from pipeline.config import StageSettings
from pipeline.contracts import StageContext, StageOutputs
from pipeline.data.reading.file_attributes import PIXEL_SOURCES, measure_files, measure_metadata


class Config(StageSettings):
    """Settings of the measuring."""

    workers: int | None = Field(
        None, ge=1, description="threads that decode and measure; empty: one per core, 8 at most"
    )
    max_side: int = Field(
        1024, ge=64, description="longer side, in pixels, to which a larger image is reduced first"
    )


def run(config: Config, context: StageContext, *, images: pd.DataFrame) -> StageOutputs:
    """Return `attributes`: rows as in `images`, one float64 column per attribute, NaN if unknown.

    Values that an earlier run measured on the same bytes are reused. Images that can no longer be
    read are noted.

    Args:
        config: settings of the stage.
        context: seed, progress, notes and folders.
        images: the artifact of that name.
    """
    known = _load_known_values(context)
    values = known.reindex(images["image_id"]).to_numpy(dtype=np.float64, copy=True)
    new_rows = np.flatnonzero(~images["image_id"].isin(known.index).to_numpy())
    measurements = measure_files(images.iloc[new_rows], config.max_side, config.workers)
    unreadable = []
    for row, measurement in context.track_progress(
        zip(new_rows, measurements, strict=True), total=len(new_rows), unit="images"
    ):
        values[row] = measurement.values
        if measurement.error:
            unreadable.append(f"{images['path'].iloc[row]} ({measurement.error})")
    if unreadable:
        context.add_note(
            f"{len(unreadable)} images could not be read again, so their attributes are unknown; "
            f"first: {unreadable[0]}"
        )
    table = pd.DataFrame(values, columns=known.columns).join(measure_metadata(images))
    table = table[list(list_attributes())]
    table.insert(0, "image_id", pd.Series(images["image_id"].to_numpy(), dtype="str"))
    return {"attributes": table}


def _load_known_values(context: StageContext) -> pd.DataFrame:
    """Return the values that an earlier run measured on pixels, by image_id.

    Images without any value are left out, so that they are tried again.
    """
    columns = list(list_attributes(PIXEL_SOURCES))
    table: pd.DataFrame | None = (context.previous_outputs or {}).get("attributes")
    if table is None or not set(columns) <= set(table.columns):
        return pd.DataFrame(columns=columns, index=pd.Index([], dtype="str"), dtype=np.float64)
    has_values = table[columns].notna().any(axis=1)
    return table[has_values].set_index("image_id")[columns]
