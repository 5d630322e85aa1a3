"""What a model's data looked like, kept with it: the attributes, slices and declined answers of the photos that it was
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
from pipeline.slicing.admission import admitted_by
from pipeline.slicing.rules import Rule, conditions_frame
from pipeline.store import read_json

FILE = "reference.parquet"
MOST = 20_000  # photos kept, by whole units; more change no share that anybody would act on
STRAY = 0.002  # share of the units that may be odd, at either end, without standing for a known condition
STRETCH = 10  # minutes: photos of one stretch of time are one observation where no group is known
LATER = ("day",)  # what arrives is always later than what was known: no drift
PREFIX = "slice "  # of a column that says whether a slice admits the photo


def compared() -> list[str]:
    """The attributes in which traffic is compared with what was known."""
    return [name for name in plugins.names("attributes") if name not in LATER]


def units(groups: Sequence[Any], times: Sequence[Any]) -> tuple[NDArray[np.str_], str]:
    """The unit of evidence of each photo, and in words what it is.

    groups: None, NaN or empty where unknown; times: when each photo was taken, NaT where unknown. A photo's unit is
    its group, else the ten minutes in which it was taken, else the photo itself.
    """
    group = pd.Series(list(groups), dtype="object").replace("", None)
    stretch = pd.to_datetime(pd.Series(list(times), dtype="object"), errors="coerce").dt.floor(f"{STRETCH}min")
    known, timed = group.notna(), group.isna() & stretch.notna()
    own = "p" + pd.Series(np.arange(len(group))).astype(str)
    named = np.where(known, "g" + group.astype(str), np.where(timed, "t" + stretch.astype(str), own))
    if known.all():
        return named.astype(str), "groups"
    if (known | timed).all():
        return named.astype(str), f"groups and stretches of {STRETCH} minutes" if known.any() else _STRETCHES
    return named.astype(str), "photos, some or all of which have neither group nor time"


_STRETCHES = f"stretches of {STRETCH} minutes"


def _groups(images: pd.DataFrame) -> pd.Series:
    """The groups of a run, unknown where each photo is its own."""
    single = not images["group"].duplicated().any()
    return pd.Series([None] * len(images), index=images.index, dtype="object") if single else images["group"]


def frame_of(images: pd.DataFrame, attributes: pd.DataFrame, rules: Mapping[str, Rule]) -> tuple[pd.DataFrame, str]:
    """One row a photo as in `images`: unit, the compared attributes, and for each slice whether its image rule admits
    the photo, as where photos arrive; and what the units are."""
    named, words = units(_groups(images).tolist(), images["captured_at"].tolist())
    asked = conditions_frame(images, attributes)
    askable = {name: r for name, r in rules.items() if all(c.column in asked for c in r.conditions if c.op != "near")}
    inside = admitted_by(asked, askable, {})
    table = attributes[[name for name in compared() if name in attributes]].astype(np.float64).reset_index(drop=True)
    table.insert(0, "unit", named)
    return table.assign(**{PREFIX + name: mask for name, mask in inside.items()}), words


def spans(table: pd.DataFrame, stray: int) -> dict[str, list[float]]:
    """Between which values each attribute lies that is known of any photo, in all but `stray` units at either end (a
    photo of the lens cap must not stand for darkness)."""
    found = {}
    for name in (n for n in compared() if n in table and table[n].notna().any()):
        ends = table.groupby("unit")[name].agg(["min", "max"]).dropna()
        at = min(stray, len(ends) - 1)
        found[name] = [float(np.sort(ends["min"])[at]), float(np.sort(ends["max"])[-1 - at])]
    return found


def describe(table: pd.DataFrame, basis: str, declined: pd.Series, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What goes with a model: the table to keep, at most `MOST` photos of whole units, and what is known of all.

    table: as `frame_of`; declined: whether the model declines, NaN outside val. Returns it with `declined`, `val` and
    numbers for units, and {photos, training, validation, units, basis, stray, spans}.
    """
    val = declined.notna().to_numpy()
    number, names = pd.factorize(table["unit"])
    stray = int(STRAY * len(names))
    counts = {"photos": len(table), "training": int((~val).sum()), "validation": int(val.sum()), "units": len(names)}
    about = {**counts, "basis": basis, "stray": stray, "spans": spans(table, stray)}
    unit = np.random.default_rng(seed).permutation(len(names))[number]
    sizes = np.bincount(unit, minlength=len(names))
    before = sizes.cumsum() - sizes
    kept = table.assign(unit=unit, declined=declined.astype(np.float64).to_numpy(), val=val)
    return kept[before[unit] < MOST].reset_index(drop=True), about


@dataclass(frozen=True)
class Reference:
    """A model's data as kept in its bundle. table, about: see `describe`; slices: those of the bundle (slice, words,
    rule); run_id: the run that made it."""

    table: pd.DataFrame
    about: Mapping[str, Any]
    slices: Sequence[Mapping[str, Any]]
    run_id: str

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """That of a bundle's folder. Raises `InputError` where it has none."""
        meta = read_json(folder / "bundle.json")
        if "reference" not in meta or not (folder / FILE).is_file():
            raise InputError(
                f"{folder}: made by a version that kept nothing of its training data; run the stage promote of "
                f"{meta.get('run_id', 'its run')} again"
            )
        return cls(pd.read_parquet(folder / FILE), meta["reference"], meta["slices"], str(meta["run_id"]))

    @property
    def sides(self) -> dict[str, pd.DataFrame]:
        """The photos that it was trained on and those that it was judged on: traffic like either is known."""
        val = self.table["val"].to_numpy(bool)
        return {"training": self.table[~val], "validation": self.table[val]}

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules of its slices."""
        return {str(s["slice"]): Rule.parse(s["rule"]) for s in self.slices}

    def words(self, name: str) -> str:
        """The image rule of a slice, as the rows of `nightshift predict` say it."""
        return replace(self.rules[name], label=None).words()
