"""The reference of a model: attributes, slices and declined answers of the images it is known on.

It is kept with the model, as numbers without names. Traffic can then be compared without the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow.lib import ArrowException

from pipeline.attributes import list_attributes
from pipeline.contracts import InputError
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.rules import Rule
from pipeline.domain.statuses import UnitBasis
from pipeline.slices.candidates.rule_admission import compute_slice_masks
from pipeline.slices.finder_constants import CONSTANTS
from pipeline.storage.bundle_record import RECORD_FILE, check_reference_fields, read_bundle_record
from pipeline.storage.user_files import check_parquet_size

REFERENCE_FILE = "reference.parquet"
# Followed by a slice: the column that holds whether the slice admits the image.
SLICE_COLUMN_PREFIX = "slice "


def list_compared_attributes() -> list[str]:
    """Return the attributes that are compared between traffic and the reference."""
    return [name for name in list_attributes() if name not in CONSTANTS.tracking.time_attributes]


def assign_units(
    groups: Sequence[Any], capture_times: Sequence[Any]
) -> tuple[NDArray[np.str_], UnitBasis]:
    """Return the independent unit of each image, and what the units are.

    The unit of an image is its group. Without a group it is the stretch of `stretch_minutes` in
    which the image was taken, and without a time the image itself.

    Args:
        groups: the group of each image; None, NaN or empty if unknown.
        capture_times: when each image was taken; NaT if unknown.

    >>> times = ["2026-03-01T12:01", "2026-03-01T12:09", None]
    >>> assign_units(["v1", "v1", "v2"], times)
    (array(['gv1', 'gv1', 'gv2'], dtype='<U3'), <UnitBasis.GROUPS: 'groups'>)
    """
    minutes = CONSTANTS.tracking.stretch_minutes
    group = pd.Series(list(groups), dtype="object").replace("", None)
    times = pd.to_datetime(pd.Series(list(capture_times), dtype="object"), errors="coerce")
    stretch = times.dt.floor(f"{minutes}min")
    has_group = group.notna()
    has_time_only = ~has_group & stretch.notna()
    image_names = "p" + pd.Series(np.arange(len(group))).astype(str)
    without_group = np.where(has_time_only, "t" + stretch.astype(str), image_names)
    units = np.where(has_group, "g" + group.astype(str), without_group).astype(str)
    if has_group.all():
        return units, UnitBasis.GROUPS
    if not (has_group | has_time_only).all():
        return units, UnitBasis.IMAGES
    return units, UnitBasis.GROUPS_AND_STRETCHES if has_group.any() else UnitBasis.STRETCHES


def _get_known_groups(images: pd.DataFrame) -> pd.Series:
    """Return the groups of a run; all unknown if every group has one image."""
    if images["group"].duplicated().any():
        return images["group"]
    return pd.Series([None] * len(images), index=images.index, dtype="object")


def build_reference_frame(
    images: pd.DataFrame, attributes: pd.DataFrame, rules: Mapping[str, Rule]
) -> tuple[pd.DataFrame, UnitBasis]:
    """Return the table of a reference, and what its units are.

    Rules that test a column which the images lack are left out.

    Args:
        images: the artifact.
        attributes: the artifact; it has the rows of `images`.
        rules: the rule of each slice.

    Returns:
        One row for each image: `unit`, the compared attributes, and for each slice whether the
        image part of its rule admits the image, as for an image that arrives without a label.
    """
    units, unit_basis = assign_units(
        _get_known_groups(images).tolist(), images["captured_at"].tolist()
    )
    frame = build_condition_frame(images, attributes)
    applicable = {}
    for name, rule in rules.items():
        columns = {condition.column for condition in rule.conditions if condition.op != "near"}
        if columns <= set(frame.columns):
            applicable[name] = rule
    compared = [name for name in list_compared_attributes() if name in attributes]
    table = attributes[compared].astype(np.float64).reset_index(drop=True)
    table.insert(0, "unit", units)
    for name, mask in compute_slice_masks(frame, applicable, {}).items():
        table[SLICE_COLUMN_PREFIX + name] = mask
    return table, unit_basis


def compute_value_ranges(table: pd.DataFrame, stray_unit_count: int) -> dict[str, list[float]]:
    """Return the known range [low, high] of each attribute, without stray units at either end.

    An image of a covered lens must not make darkness a known condition.

    Args:
        table: see `build_reference_frame`.
        stray_unit_count: units left out at either end.
    """
    ranges = {}
    for name in list_compared_attributes():
        if name not in table or not table[name].notna().any():
            continue
        extremes = table.groupby("unit")[name].agg(["min", "max"]).dropna()
        skipped = min(stray_unit_count, len(extremes) - 1)
        lowest, highest = np.sort(extremes["min"]), np.sort(extremes["max"])
        ranges[name] = [float(lowest[skipped]), float(highest[-1 - skipped])]
    return ranges


def summarize_reference(
    table: pd.DataFrame,
    unit_basis: UnitBasis,
    declined: pd.Series,
    seed: int,
    max_images: int = CONSTANTS.tracking.max_reference_images,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the reference to keep with a model: a table of whole units, and a summary.

    Args:
        table: see `build_reference_frame`.
        unit_basis: what the units are.
        declined: whether the model declines each image; NaN outside the validation set.
        seed: seed of the choice of units.
        max_images: images after which no further unit is kept.

    Returns:
        The table with `declined`, `val` and numbers for units; and images, training, validation,
        units, basis, stray (units left out at either end of a range) and spans (ranges).
    """
    is_val = declined.notna().to_numpy()
    unit_numbers, unit_names = pd.factorize(table["unit"])
    stray_unit_count = int(CONSTANTS.tracking.stray_unit_share * len(unit_names))
    summary = {
        "images": len(table),
        "training": int((~is_val).sum()),
        "validation": int(is_val.sum()),
        "units": len(unit_names),
        "basis": unit_basis,
        "stray": stray_unit_count,
        "spans": compute_value_ranges(table, stray_unit_count),
    }
    unit = np.random.default_rng(seed).permutation(len(unit_names))[unit_numbers]
    sizes = np.bincount(unit, minlength=len(unit_names))
    images_before = sizes.cumsum() - sizes
    kept = table.assign(unit=unit, declined=declined.astype(np.float64).to_numpy(), val=is_val)
    return kept[images_before[unit] < max_images].reset_index(drop=True), summary


def _read_reference_table(path: Path) -> pd.DataFrame:
    try:
        check_parquet_size(path)
        return pd.read_parquet(path)
    except (OSError, ValueError, ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read ({reason}); make the model again") from error


@dataclass(frozen=True)
class ReferenceProfile:
    """The reference of a model, as its bundle keeps it.

    Attributes:
        table: one row for each image that is kept, see `summarize_reference`.
        summary: summary of all images, see `summarize_reference`.
        slice_records: the slices of the bundle, with `slice`, `words` and `rule`.
        run_id: the run that made the model.
    """

    table: pd.DataFrame
    summary: Mapping[str, Any]
    slice_records: Sequence[Mapping[str, Any]]
    run_id: str

    @classmethod
    def load_bundle(cls, folder: Path) -> ReferenceProfile:
        """Return the reference in a bundle's folder.

        Raises:
            InputError: the bundle has none.
        """
        record = read_bundle_record(folder)
        if "reference" not in record or not (folder / REFERENCE_FILE).is_file():
            run_name = record.get("run_id", "its run")
            raise InputError(
                f"{folder}: the bundle lacks a reference of its training data; "
                f"run the stage promote of {run_name} again"
            )
        check_reference_fields(record, str(folder / RECORD_FILE))
        profile = cls(
            _read_reference_table(folder / REFERENCE_FILE),
            record["reference"],
            record["slices"],
            str(record["run_id"]),
        )
        try:
            profile.rules  # noqa: B018
        except InputError as error:
            raise InputError(f"{folder}: {error}; make the model again") from error
        return profile

    @property
    def split_tables(self) -> dict[str, pd.DataFrame]:
        """Return the images of training and of validation; traffic like either is known."""
        is_val = self.table["val"].to_numpy(bool)
        return {"training": self.table[~is_val], "validation": self.table[is_val]}

    @property
    def rules(self) -> dict[str, Rule]:
        """Return the rule of each slice."""
        return {str(s["slice"]): Rule.parse_json(s["rule"]) for s in self.slice_records}

    def format_slice_rule(self, slice_name: str) -> str:
        """Return the image part of a slice's rule as text, without its label."""
        return replace(self.rules[slice_name], label=None).format_text()
