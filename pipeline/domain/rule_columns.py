"""The columns of an image table that a rule may test."""

from __future__ import annotations

import pandas as pd

from pipeline.attributes import list_attributes
from pipeline.domain.group_source import INNER_GROUP_COLUMN
from pipeline.domain.text_prefixes import has_shared_prefix

KEY_COLUMNS = ["image_id", "label", "group"]
# A text column with more values is a name or an id: a rule may test its beginnings only, such as
# the device in "device-0012/0003", and not at all if no values begin alike.
MAX_COLUMN_LEVELS = 50
# The column of a labeling batch that holds why an image was chosen. It depends on the prediction.
CHOSEN_COLUMN = "chosen_for"
# Columns of `images` that no rule may test.
RESERVED_COLUMNS = frozenset(
    {
        *KEY_COLUMNS,
        "content_hash",
        "path",
        "source",
        "captured_at",
        "width",
        "height",
        "given_split",
        "group_source",
        INNER_GROUP_COLUMN,
        CHOSEN_COLUMN,
    }
)


def list_user_columns(images: pd.DataFrame) -> list[str]:
    """Return the columns of `images` that came with the data set: camera, shift and the like."""
    return [str(name) for name in images.columns if name not in RESERVED_COLUMNS]


def _is_usable_column(column: pd.Series, labels: pd.Series, groups: pd.Series) -> bool:
    values = column.astype("str")
    levels = values.nunique()
    if levels < 2:
        return False
    if not pd.api.types.is_numeric_dtype(column) and levels > MAX_COLUMN_LEVELS:
        return has_shared_prefix(set(values.dropna()))
    if column.name in list_attributes():
        return True
    has_many_levels = levels >= groups.nunique() / 2
    if has_many_levels and _is_function_of(values, groups):
        return False
    return not (_is_function_of(labels, values) and _is_function_of(values, labels))


def _is_function_of(values: pd.Series, keys: pd.Series) -> bool:
    """Return whether all rows of one key have the same value."""
    return bool((values.groupby(keys).nunique() == 1).all())


def build_metadata_frame(
    images: pd.DataFrame, attributes: pd.DataFrame, marks: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return `image_id`, `label`, `group`, every attribute, the marks and the user's own columns.

    Times are left out. It has the rows of `images`.

    Args:
        images: the artifact.
        attributes: the artifact; it has the rows of `images`.
        marks: the artifact, or None.
    """
    measured = [
        table.drop(columns="image_id") for table in (attributes, marks) if table is not None
    ]
    user_columns = images[list_user_columns(images)]
    frame = pd.concat([images[KEY_COLUMNS], *measured, user_columns], axis=1)
    frame = frame.loc[:, ~frame.columns.duplicated()]
    times = [c for c in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[c])]
    return frame.drop(columns=times)


def split_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a metadata frame into the columns that a rule may test and the others.

    A rule may test every attribute and mark, and every user column that is not merely another name
    of the group or of the label.

    Args:
        frame: see `build_metadata_frame`.

    Returns:
        The key columns with those that a rule may test, and the other columns.
    """
    usable: list[str] = []
    other: list[str] = []
    for name in frame.columns[len(KEY_COLUMNS) :]:
        is_usable = _is_usable_column(frame[name], frame["label"], frame["group"])
        (usable if is_usable else other).append(name)
    return frame[[*KEY_COLUMNS, *usable]], frame[other]


def build_condition_frame(
    images: pd.DataFrame, attributes: pd.DataFrame, marks: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return `image_id`, `label` and `group`, then the columns that a rule may test.

    Args:
        images: the artifact.
        attributes: the artifact; it has the rows of `images`.
        marks: the artifact, or None.
    """
    return split_columns(build_metadata_frame(images, attributes, marks))[0]
