"""Frozen, readable rules: membership is a function of the image and its label, never of the prediction.

A rule is a conjunction of conditions on the image (attributes, metadata, distance to a photo in frozen
packaged features) and, kept apart from it, an optional class. It is stored as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins

Mask = NDArray[np.bool_]
CHUNK = 65_536  # rows of features that are in memory at once
MARK = "mark of "  # before the class: the column that says whether a photo bears the mark of a class, see `marks`
BORNE = {"True": "with", "False": "without"}
LEVELS = 50  # a text column with more values than this is no condition
CHOSEN = "chosen_for"  # the column of a labelling batch that tells of the model's answer, so never a condition


@dataclass(frozen=True)
class Condition:
    """One test of an image.

    op: `<=`, `>=` (value: number), `between` (value: [from, to], on a circle where from > to),
    `is` (value: text or bool), `near` (column: image_id of a photo, value: radius in frozen features).
    """

    column: str
    op: str
    value: Any

    @property
    def key(self) -> str:
        """What the condition is about, whatever its threshold."""
        return f"{self.column} {self.op}" + (f" {self.value}" if self.op == "is" else "")

    def mask(self, frame: pd.DataFrame, near: Mapping[str, NDArray[np.float32]]) -> Mask:
        """bool [rows of frame]; `near` holds the distance of every row to each photo that a rule names."""
        if self.op == "near":
            distance = near.get(self.column)
            return np.zeros(len(frame), bool) if distance is None else np.asarray(distance <= self.value)
        column = frame[self.column]
        if self.op == "is":
            return np.asarray(column.astype("str") == str(self.value))
        values = column.to_numpy(dtype=float, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.holds(values))

    def holds(self, values: Any) -> Any:
        """Whether numbers, one or many, meet `<=`, `>=` or `between`; NaN does not."""
        if self.op == "between":
            low, high = self.value
            inside = (values >= low, values < high)
            return inside[0] & inside[1] if low <= high else inside[0] | inside[1]
        return values <= self.value if self.op == "<=" else values >= self.value

    def away(self, value: float) -> float:
        """How far a number lies from where `<=`, `>=` or `between` change their answer."""
        limits: list[float] = list(self.value) if self.op == "between" else [self.value]
        return min(abs(value - limit) for limit in limits)

    def words(self) -> str:
        """The condition as an engineer reads it."""
        if self.op == "near":
            return f"looks like photo {self.column}"
        if self.column.startswith(MARK) and self.value in BORNE:
            return f"{BORNE[self.value]} the {self.column}"
        if self.op == "between":
            return f"{self.column} from {self.value[0]:g} to {self.value[1]:g}"
        return f"{self.column} {self.op} {self.value if self.op == 'is' else shown(self.column, self.value)}"


@dataclass(frozen=True)
class Rule:
    """The image part (all conditions hold) and the label part (a class name, or None for every class).

    numbers: what a condition on looks comes to in numbers, by `tree.in_numbers`; decides nothing.
    """

    conditions: tuple[Condition, ...]
    label: str | None = None
    source: str = field(default="attributes", compare=False)
    numbers: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Equal for rules about the same conditions and class, whatever their thresholds."""
        return " and ".join(sorted(c.key for c in self.conditions)) + (f" | {self.label}" if self.label else "")

    @property
    def unmarked(self) -> bool:
        """Whether the rule admits the photos of a class that lack its mark, and asks for nothing else."""
        return self.conditions == (Condition(f"{MARK}{self.label}", "is", "False"),)

    @property
    def by_looks(self) -> bool:
        """Whether a condition is on looks, which no number of a photo tells."""
        return any(c.op == "near" for c in self.conditions)

    def image_mask(self, frame: pd.DataFrame, near: Mapping[str, NDArray[np.float32]] | None = None) -> Mask:
        """bool [rows]: the image part alone (a photo at the gate has no label)."""
        masks = [c.mask(frame, near or {}) for c in self.conditions]
        return np.logical_and.reduce(masks) if masks else np.ones(len(frame), bool)

    def mask(self, frame: pd.DataFrame, near: Mapping[str, NDArray[np.float32]] | None = None) -> Mask:
        """bool [rows]: image part and, where the rule has one, the label part (column `label`)."""
        inside = self.image_mask(frame, near)
        return inside & np.asarray(frame["label"] == self.label) if self.label else inside

    def words(self) -> str:
        """The rule in numbers."""
        parts = [c.words() for c in self.conditions] or ["every photo"]
        about = f" (in numbers: {self.numbers})" if self.numbers else ""
        return " and ".join(parts) + about + (f", class {self.label}" if self.label else "")

    def dump(self) -> str:
        """The rule as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that `dump` wrote."""
        tree = json.loads(text)
        numbers = tree.get("numbers", "")  # a bundle of an older version says none
        return cls(tuple(Condition(**c) for c in tree["conditions"]), tree["label"], tree["source"], numbers)


def named_rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table as named tuples."""
    return iter(table.itertuples())


def distances(embeddings: NDArray[np.float32], rows: Sequence[int]) -> NDArray[np.float32]:
    """float32 [len(rows), n]: cosine distance of every embedding [n, D] to each of `rows`, in frozen packaged
    features."""
    away = np.empty((len(rows), len(embeddings)), np.float32)
    there = np.asarray(embeddings[list(rows)])
    there = there / np.maximum(np.linalg.norm(there, axis=1, keepdims=True), 1e-9)
    for start in range(0, len(embeddings), CHUNK):
        chunk = np.asarray(embeddings[start : start + CHUNK])
        length = np.sqrt(np.einsum("nd,nd->n", chunk, chunk))
        for k, row in enumerate(there):  # one by one: what a row is at does not depend on who else is asked about
            away[k, start : start + CHUNK] = 1 - (chunk @ row) / np.maximum(length, 1e-9)
    return away


def _usable(column: pd.Series, labels: pd.Series, groups: pd.Series) -> bool:
    values = column.astype("str")
    levels = values.nunique()
    if levels < 2 or (not pd.api.types.is_numeric_dtype(column) and levels > LEVELS):
        return False
    if column.name in plugins.names("attributes"):
        return True
    names_group = levels >= groups.nunique() / 2 and bool((values.groupby(groups).nunique() == 1).all())
    names_label = bool((labels.groupby(values).nunique() == 1).all() and (values.groupby(labels).nunique() == 1).all())
    return not (names_group or names_label)


def conditions_frame(images: pd.DataFrame, attributes: pd.DataFrame, marks: pd.DataFrame | None = None) -> pd.DataFrame:
    """The columns that a rule may ask about, beside `image_id`, `label` and `group`: every attribute, the marks, and
    every user column that is not merely another name for the group or for the label. Rows as in `images`."""
    core = {
        "image_id",
        "content_hash",
        "path",
        "source",
        "label",
        "group",
        "captured_at",
        "width",
        "height",
        "given_split",
        CHOSEN,
    }
    user = images[[c for c in images.columns if c not in core]]
    seen = [part.drop(columns="image_id") for part in (attributes, marks) if part is not None]
    frame = pd.concat([images[["image_id", "label", "group"]], *seen, user], axis=1)
    frame = frame.loc[:, ~frame.columns.duplicated()]
    keep = [c for c in frame.columns[3:] if not pd.api.types.is_datetime64_any_dtype(frame[c])]
    return frame[
        ["image_id", "label", "group", *(c for c in keep if _usable(frame[c], frame["label"], frame["group"]))]
    ]


def shown(column: str, value: float) -> str:
    """A value of a column as a reader takes it in: four digits, or as the attribute's plug-in shows it."""
    own = column in plugins.names("attributes")
    show = getattr(plugins.module("attributes", column), "show", None) if own else None
    return str(show(value)) if show else f"{value:.4g}"


def period(column: str) -> float | None:
    """The length of the circle on which an attribute lies (24 for the hour), None for a plain number."""
    if column not in plugins.names("attributes"):
        return None
    value = plugins.module("attributes", column).PERIOD
    return None if value is None else float(value)
