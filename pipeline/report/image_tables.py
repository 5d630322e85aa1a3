"""The tables beside the page: every validation image, and the failures for a spreadsheet."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.attributes import list_attributes
from pipeline.domain.rule_columns import list_user_columns
from pipeline.report.report_page import RankedClasses, ReportPage

# Meaning and source (stage/artifact, column) of each column of the image table.
_FLIP_COLUMNS = {
    "image_id": ("hash of bytes, path and crop", "compare/flips", "image_id"),
    "label": ("class that the data set states", "compare/flips", "label"),
    "before": ("prediction of the model before", "compare/flips", "before"),
    "control": ("prediction of the control arm", "compare/flips", "control"),
    "after": ("prediction of the targeted arm", "compare/flips", "after"),
    "change": ("fixed, broken, still wrong or still right", "compare/flips", "change"),
    "p_before": ("probability of the label before", "compare/flips", "p_before"),
    "p_after": ("probability of the label after", "compare/flips", "p_after"),
    "group": ("images that count as one observation", "ingest/images", "group"),
}
_FURTHER_COLUMNS = {
    "path": ("path within the data set", "ingest/images", "path"),
    "captured_at": ("capture time", "ingest/images", "captured_at"),
    "slices": ("slices that it is in, joined by ;", "cluster/membership", "slice"),
    "top3_before": ("most probable classes before", "compare/answers", "0"),
    "top3_after": ("most probable classes after", "compare/answers", "1"),
    "map_x": ("first principal component, 0 to 1000", "evaluate/embeddings", ""),
    "map_y": ("second principal component, 0 to 1000", "evaluate/embeddings", ""),
}
USER_COLUMN_PREFIX = "metadata_"
"""Beginning of a metadata column whose name is taken by a column of the table."""


def build_image_table(page: ReportPage) -> pd.DataFrame:
    """Return one row for each validation image: predictions, slices, attributes, map position.

    Columns: image_id, path, label, before, control, after, change, p_before, p_after, group,
    captured_at, slices (joined by ";"), top3_before and top3_after ("class 0.91; ..."), map_x and
    map_y (NaN off the map), then the attributes and the metadata columns of the data set.
    """
    table = page.flips[list(_FLIP_COLUMNS)].reset_index(drop=True)
    ids = table["image_id"]
    slices = _join_slice_names(page)
    slice_texts, top_before, top_after, positions = [], [], [], []
    for image_id in ids:
        before, after = page.top_predictions[image_id]
        slice_texts.append(slices.get(image_id, ""))
        top_before.append(_format_top_predictions(page, before))
        top_after.append(_format_top_predictions(page, after))
        positions.append(page.map_positions.get(image_id, (np.nan, np.nan)))
    coordinates = np.array(positions, dtype=float).reshape(-1, 2)
    table = table.assign(
        path=page.images["path"].reindex(ids).to_numpy(),
        captured_at=page.images["captured_at"].reindex(ids).to_numpy(),
        slices=slice_texts,
        top3_before=top_before,
        top3_after=top_after,
        map_x=coordinates[:, 0],
        map_y=coordinates[:, 1],
    )
    attributes = page["attributes"].set_index("image_id").reindex(ids).reset_index(drop=True)
    table = table.join(attributes)
    metadata = page.images.reindex(ids)[list_user_columns(page["images"])].reset_index(drop=True)
    return table.join(metadata.rename(columns=lambda name: _choose_free_name(table, name)))


def describe_columns(image_table: pd.DataFrame) -> pd.DataFrame:
    """Return meaning, artifact and source column of each column of the image table.

    Args:
        image_table: see `build_image_table`.
    """
    known = _FLIP_COLUMNS | _FURTHER_COLUMNS
    rows = []
    for name in map(str, image_table.columns):
        meaning = ("metadata column of the data set", "ingest/images", name)
        if name in list_attributes():
            meaning = ("attribute measured from the image", "measure/attributes", name)
        rows.append((name, *known.get(name, meaning)))
    return pd.DataFrame(rows, columns=["column", "meaning", "artifact", "source_column"])


def _choose_free_name(table: pd.DataFrame, name: str) -> str:
    while name in table:
        name = USER_COLUMN_PREFIX + name
    return name


def _join_slice_names(page: ReportPage) -> dict[str, str]:
    """Return the names of an image's slices, joined by ";", by image id."""
    names: dict[str, list[str]] = {}
    for name, members in page.slice_members.items():
        for image_id in members:
            names.setdefault(image_id, []).append(name)
    return {image_id: ";".join(sorted(members)) for image_id, members in names.items()}


def _format_top_predictions(page: ReportPage, ranked: RankedClasses) -> str:
    return "; ".join(f"{page.class_names[index]} {share:.3f}" for index, share in ranked)


def select_failures(image_table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are misclassified before or after, worst first.

    Args:
        image_table: see `build_image_table`.
    """
    failures = image_table[image_table["change"] != "still right"]
    return failures.sort_values(["change", "p_after"], kind="stable")
