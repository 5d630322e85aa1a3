"""Frozen, readable rules: membership is a function of the image and its label, never of the prediction.

A rule is a conjunction of conditions on the image (attributes, metadata, distance to a image in frozen
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
CHUNK_ROWS = 65_536  # rows of features that are in memory at once
MARK_PREFIX = "mark of "  # before the class: the column that says whether a image bears the mark of a class, see `marks`
MARK_WORDS = {"True": "with", "False": "without"}
MAX_COLUMN_LEVELS = 50  # a text column with more values than this is no condition
CHOSEN_COLUMN = "chosen_for"  # the column of a labeling batch that tells of the model's answer, so never a condition

RESERVED_COLUMNS = frozenset(
    ("image_id", "content_hash", "path", "source", "label", "group", "captured_at", "width", "height", "given_split",
     CHOSEN_COLUMN)
)  # fmt: skip
"""Columns of `images` that no rule may test."""


@dataclass(frozen=True)
class Condition:
    """One test of an image.

    op: `<=`, `>=` (value: number), `between` (value: [from, to], on a circle where from > to),
    `is` (value: text or bool), `near` (column: image_id of a image, value: radius in frozen features).
    """

    column: str
    op: str
    value: Any

    @property
    def key(self) -> str:
        """What the condition is about, whatever its threshold."""
        return f"{self.column} {self.op}" + (f" {self.value}" if self.op == "is" else "")

    @property
    def identity(self) -> str:
        """Return the condition without its threshold or image id."""
        if self.op == "near":
            return "looks like image #"
        return f"{self.column} from # to #" if self.op == "between" else self._text("#")

    def compute_mask(
        self, frame: pd.DataFrame, reference_distances: Mapping[str, NDArray[np.float32]]
    ) -> Mask:
        """bool [rows of frame]; `near` holds the distance of every row to each image that a rule names."""
        if self.op == "near":
            distance = reference_distances.get(self.column)
            return (
                np.zeros(len(frame), bool)
                if distance is None
                else np.asarray(distance <= self.value)
            )
        column = frame[self.column]
        if self.op == "is":
            return np.asarray(column.astype("str") == str(self.value))
        values = column.to_numpy(dtype=float, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.is_met_by(values))

    def is_met_by(self, values: Any) -> Any:
        """Whether numbers, one or many, meet `<=`, `>=` or `between`; NaN does not."""
        if self.op == "between":
            low, high = self.value
            inside = (values >= low, values < high)
            return inside[0] & inside[1] if low <= high else inside[0] | inside[1]
        return values <= self.value if self.op == "<=" else values >= self.value

    def measure_limit_distance(self, value: float) -> float:
        """How far a number lies from where `<=`, `>=` or `between` change their answer."""
        limits: list[float] = list(self.value) if self.op == "between" else [self.value]
        return min(abs(value - limit) for limit in limits)

    def format_text(self) -> str:
        """The condition as an engineer reads it."""
        if self.op == "near":
            return f"looks like image {self.column}"
        if self.op == "between":
            return f"{self.column} from {self.value[0]:g} to {self.value[1]:g}"
        return self._text("" if self.op == "is" else format_value(self.column, self.value))

    def _text(self, threshold: str) -> str:
        if self.op == "is" and self.column.startswith(MARK_PREFIX) and self.value in MARK_WORDS:
            return f"{MARK_WORDS[self.value]} the {self.column}"
        return f"{self.column} {self.op} {self.value if self.op == 'is' else threshold}"


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
        return " and ".join(sorted(c.key for c in self.conditions)) + (
            f" | {self.label}" if self.label else ""
        )

    @property
    def identity(self) -> str:
        """Return the rule without thresholds and image ids, by which it is known again in another run."""
        parts = [c.identity for c in self.conditions] or ["every image"]
        return " and ".join(parts) + (f", class {self.label}" if self.label else "")

    @property
    def is_unmarked_class(self) -> bool:
        """Whether the rule admits the images of a class that lack its mark, and asks for nothing else."""
        return self.conditions == (Condition(f"{MARK_PREFIX}{self.label}", "is", "False"),)

    @property
    def has_similarity_condition(self) -> bool:
        """Whether a condition is on looks, which no number of a image tells."""
        return any(c.op == "near" for c in self.conditions)

    def compute_image_mask(
        self,
        frame: pd.DataFrame,
        reference_distances: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Mask:
        """bool [rows]: the image part alone (a image at the gate has no label)."""
        masks = [c.compute_mask(frame, reference_distances or {}) for c in self.conditions]
        return np.logical_and.reduce(masks) if masks else np.ones(len(frame), bool)

    def compute_mask(
        self,
        frame: pd.DataFrame,
        reference_distances: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Mask:
        """bool [rows]: image part and, where the rule has one, the label part (column `label`)."""
        inside = self.compute_image_mask(frame, reference_distances)
        return inside & np.asarray(frame["label"] == self.label) if self.label else inside

    def format_text(self) -> str:
        """The rule in numbers."""
        parts = [c.format_text() for c in self.conditions] or ["every image"]
        about = f" (in numbers: {self.numbers})" if self.numbers else ""
        return " and ".join(parts) + about + (f", class {self.label}" if self.label else "")

    def dump_json(self) -> str:
        """The rule as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def parse_json(cls, text: str) -> Rule:
        """The rule that `dump` wrote."""
        tree = json.loads(text)
        numbers = tree.get("numbers", "")  # a bundle of an older version says none
        return cls(
            tuple(Condition(**c) for c in tree["conditions"]),
            tree["label"],
            tree["source"],
            numbers,
        )


def iterate_rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table as named tuples."""
    return iter(table.itertuples())


def measure_cosine_distances(
    embeddings: NDArray[np.float32], reference_rows: Sequence[int]
) -> NDArray[np.float32]:
    """float32 [len(rows), n]: cosine distance of every embedding [n, D] to each of `rows`, in frozen packaged
    features."""
    away = np.empty((len(reference_rows), len(embeddings)), np.float32)
    there = np.asarray(embeddings[list(reference_rows)])
    there = there / np.maximum(np.linalg.norm(there, axis=1, keepdims=True), 1e-9)
    for start in range(0, len(embeddings), CHUNK_ROWS):
        chunk = np.asarray(embeddings[start : start + CHUNK_ROWS])
        length = np.sqrt(np.einsum("nd,nd->n", chunk, chunk))
        for k, row in enumerate(
            there
        ):  # one by one: what a row is at does not depend on who else is asked about
            away[k, start : start + CHUNK_ROWS] = 1 - (chunk @ row) / np.maximum(length, 1e-9)
    return away


def _is_usable_column(column: pd.Series, labels: pd.Series, groups: pd.Series) -> bool:
    values = column.astype("str")
    levels = values.nunique()
    if levels < 2 or (not pd.api.types.is_numeric_dtype(column) and levels > MAX_COLUMN_LEVELS):
        return False
    if column.name in plugins.list_plugins("attributes"):
        return True
    names_group = levels >= groups.nunique() / 2 and bool(
        (values.groupby(groups).nunique() == 1).all()
    )
    names_label = bool(
        (labels.groupby(values).nunique() == 1).all()
        and (values.groupby(labels).nunique() == 1).all()
    )
    return not (names_group or names_label)


def metadata_frame(
    images: pd.DataFrame, attributes: pd.DataFrame, marks: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return `image_id`, `label`, `group`, every attribute, the marks and every column of the user's own.

    Times are left out. Rows as in `images`.
    """
    user = images[[c for c in images.columns if c not in RESERVED_COLUMNS]]
    parts = [part.drop(columns="image_id") for part in (attributes, marks) if part is not None]
    frame = pd.concat([images[["image_id", "label", "group"]], *parts, user], axis=1)
    frame = frame.loc[:, ~frame.columns.duplicated()]
    return frame[[c for c in frame.columns if not pd.api.types.is_datetime64_any_dtype(frame[c])]]


def split_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split `metadata_frame` into the columns that a rule may test, after the first three, and the others.

    A rule may test every attribute and mark, and every user column that is not merely another name for the group or
    for the label.
    """
    columns = frame.columns[3:]
    usable = [c for c in columns if _is_usable_column(frame[c], frame["label"], frame["group"])]
    return frame[["image_id", "label", "group", *usable]], frame[
        [c for c in columns if c not in usable]
    ]


def build_condition_frame(
    images: pd.DataFrame, attributes: pd.DataFrame, marks: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the columns that a rule may test, after `image_id`, `label` and `group`. Rows as in `images`."""
    return split_columns(metadata_frame(images, attributes, marks))[0]


def format_value(column: str, value: float) -> str:
    """A value of a column as a reader takes it in: four digits, or as the attribute's plug-in shows it."""
    own = column in plugins.list_plugins("attributes")
    show = getattr(plugins.load_plugin("attributes", column), "format_value", None) if own else None
    return str(show(value)) if show else f"{value:.4g}"


def get_period(column: str) -> float | None:
    """The length of the circle on which an attribute lies (24 for the hour), None for a plain number."""
    if column not in plugins.list_plugins("attributes"):
        return None
    value = plugins.load_plugin("attributes", column).PERIOD
    return None if value is None else float(value)
