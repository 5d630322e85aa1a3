"""What a model's data looked like, kept with it: the attributes, slices and declined answers of the images that it was
trained and judged on, as numbers without names, so that traffic can be compared where the run is not at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.contracts import InputError
from pipeline.domain.rules import Rule, build_condition_frame
from pipeline.slices.candidates.rule_admission import compute_slice_masks
from pipeline.storage.artifact_store import read_json

REFERENCE_FILE = "reference.parquet"
MAX_REFERENCE_IMAGES = (
    20_000  # images kept, by whole units; more change no share that anybody would act on
)
STRAY_UNIT_SHARE = 0.002  # share of the units that may be odd, at either end, without standing for a known condition
STRETCH_MINUTES = (
    10  # minutes: images of one stretch of time are one observation where no group is known
)
TIME_ATTRIBUTES = ("day",)  # what arrives is always later than what was known: no drift
SLICE_COLUMN_PREFIX = "slice "  # of a column that says whether a slice admits the image


def list_compared_attributes() -> list[str]:
    """The attributes in which traffic is compared with what was known."""
    return [name for name in plugins.list_plugins("attributes") if name not in TIME_ATTRIBUTES]


def assign_units(
    groups: Sequence[Any], capture_times: Sequence[Any]
) -> tuple[NDArray[np.str_], str]:
    """The unit of evidence of each image, and in words what it is.

    groups: None, NaN or empty where unknown; times: when each image was taken, NaT where unknown. A image's unit is
    its group, else the ten minutes in which it was taken, else the image itself.
    """
    group = pd.Series(list(groups), dtype="object").replace("", None)
    stretch = pd.to_datetime(
        pd.Series(list(capture_times), dtype="object"), errors="coerce"
    ).dt.floor(f"{STRETCH_MINUTES}min")
    known, timed = group.notna(), group.isna() & stretch.notna()
    own = "p" + pd.Series(np.arange(len(group))).astype(str)
    named = np.where(
        known, "g" + group.astype(str), np.where(timed, "t" + stretch.astype(str), own)
    )
    if known.all():
        return named.astype(str), "groups"
    if (known | timed).all():
        return (
            named.astype(str),
            f"groups and stretches of {STRETCH_MINUTES} minutes"
            if known.any()
            else _STRETCH_DESCRIPTION,
        )
    return named.astype(str), "images, some or all of which have neither group nor time"


_STRETCH_DESCRIPTION = f"stretches of {STRETCH_MINUTES} minutes"


def _get_known_groups(images: pd.DataFrame) -> pd.Series:
    """The groups of a run, unknown where each image is its own."""
    single = not images["group"].duplicated().any()
    return (
        pd.Series([None] * len(images), index=images.index, dtype="object")
        if single
        else images["group"]
    )


def build_reference_frame(
    images: pd.DataFrame, attributes: pd.DataFrame, rules: Mapping[str, Rule]
) -> tuple[pd.DataFrame, str]:
    """One row a image as in `images`: unit, the compared attributes, and for each slice whether its image rule admits
    the image, as where images arrive; and what the units are."""
    named, words = assign_units(_get_known_groups(images).tolist(), images["captured_at"].tolist())
    asked = build_condition_frame(images, attributes)
    askable = {
        name: r
        for name, r in rules.items()
        if all(c.column in asked for c in r.conditions if c.op != "near")
    }
    inside = compute_slice_masks(asked, askable, {})
    table = (
        attributes[[name for name in list_compared_attributes() if name in attributes]]
        .astype(np.float64)
        .reset_index(drop=True)
    )
    table.insert(0, "unit", named)
    return table.assign(
        **{SLICE_COLUMN_PREFIX + name: mask for name, mask in inside.items()}
    ), words


def compute_value_ranges(table: pd.DataFrame, stray_units: int) -> dict[str, list[float]]:
    """Between which values each attribute lies that is known of any image, in all but `stray` units at either end (a
    image of the lens cap must not stand for darkness)."""
    found = {}
    for name in (n for n in list_compared_attributes() if n in table and table[n].notna().any()):
        ends = table.groupby("unit")[name].agg(["min", "max"]).dropna()
        at = min(stray_units, len(ends) - 1)
        found[name] = [float(np.sort(ends["min"])[at]), float(np.sort(ends["max"])[-1 - at])]
    return found


def summarize_reference(
    table: pd.DataFrame, unit_basis: str, declined: pd.Series, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What goes with a model: the table to keep, at most `MOST` images of whole units, and what is known of all.

    table: as `frame_of`; declined: whether the model declines, NaN outside val. Returns it with `declined`, `val` and
    numbers for units, and {images, training, validation, units, basis, stray, spans}.
    """
    val = declined.notna().to_numpy()
    number, names = pd.factorize(table["unit"])
    stray = int(STRAY_UNIT_SHARE * len(names))
    counts = {
        "images": len(table),
        "training": int((~val).sum()),
        "validation": int(val.sum()),
        "units": len(names),
    }
    about = {
        **counts,
        "basis": unit_basis,
        "stray": stray,
        "spans": compute_value_ranges(table, stray),
    }
    unit = np.random.default_rng(seed).permutation(len(names))[number]
    sizes = np.bincount(unit, minlength=len(names))
    before = sizes.cumsum() - sizes
    kept = table.assign(unit=unit, declined=declined.astype(np.float64).to_numpy(), val=val)
    return kept[before[unit] < MAX_REFERENCE_IMAGES].reset_index(drop=True), about


@dataclass(frozen=True)
class ReferenceProfile:
    """A model's data as kept in its bundle. table, about: see `describe`; slices: those of the bundle (slice, words,
    rule); run_id: the run that made it."""

    table: pd.DataFrame
    summary: Mapping[str, Any]
    slice_records: Sequence[Mapping[str, Any]]
    run_id: str

    @classmethod
    def load_bundle(cls, folder: Path) -> ReferenceProfile:
        """That of a bundle's folder. Raises `InputError` where it has none."""
        meta = read_json(folder / "bundle.json")
        if "reference" not in meta or not (folder / REFERENCE_FILE).is_file():
            raise InputError(
                f"{folder}: made by a version that kept nothing of its training data; run the stage promote of "
                f"{meta.get('run_id', 'its run')} again"
            )
        return cls(
            pd.read_parquet(folder / REFERENCE_FILE),
            meta["reference"],
            meta["slices"],
            str(meta["run_id"]),
        )

    @property
    def split_tables(self) -> dict[str, pd.DataFrame]:
        """The images that it was trained on and those that it was judged on: traffic like either is known."""
        val = self.table["val"].to_numpy(bool)
        return {"training": self.table[~val], "validation": self.table[val]}

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules of its slices."""
        return {str(s["slice"]): Rule.parse_json(s["rule"]) for s in self.slice_records}

    def format_slice_rule(self, slice_name: str) -> str:
        """The image rule of a slice, as the rows of `nightshift predict` say it."""
        return replace(self.rules[slice_name], label=None).format_text()
