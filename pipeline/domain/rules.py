"""Frozen, readable rules: membership is a function of the image and its label.

It never depends on the prediction. A rule is a conjunction of conditions on the image (attributes,
metadata, distance to another image in frozen packaged features) and, kept apart from it, an
optional class. It is stored as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.domain.attribute_values import format_value, get_period
from pipeline.domain.rule_records import read_rule_record

Mask = NDArray[np.bool_]
# Followed by a class: the column that holds whether an image bears the mark of that class.
MARK_PREFIX = "mark of "
MARK_WORDS = {"True": "with", "False": "without"}


@dataclass(frozen=True)
class Condition:
    """One test of an image.

    Attributes:
        column: the tested column; for `near`, the id of the image that distances are measured to.
        op: `<=`, `>=`, `between`, `is`, `starts` or `near`.
        value: for `<=` and `>=` the threshold; for `between` [from, to), which wraps around a
            period, or is both tails without one, if from > to; for `is` the text or bool; for
            `starts` the beginning of the text; for `near` the largest cosine distance in frozen
            features.

    >>> dark = Condition("luminance", "<=", 62.4)
    >>> dark.format_text()
    'luminance <= 62.4'
    >>> night = Condition("hour", "between", (21.0, 5.0))
    >>> night.format_text()
    'hour from 21 to 5'
    >>> Condition("tilt", "between", (8.0, -8.0)).format_text()
    'tilt below -8 or from 8'
    >>> Condition("camera", "starts", "north-").format_text()
    'camera starts with north-'
    >>> Condition("camera", "is", "north").format_text()
    'camera is north'
    >>> Condition("mark of stop", "is", "False").format_text()
    'without the mark of stop'
    >>> Condition("00a1b2c3", "near", 0.2).format_text()
    'looks like image 00a1b2c3'
    """

    column: str
    op: str
    value: Any

    @property
    def key(self) -> str:
        """Return the condition without its threshold; the value of `is` is kept.

        >>> Condition("luminance", "<=", 62.4).key
        'luminance <='
        >>> Condition("camera", "is", "north").key
        'camera is north'
        """
        is_text = self.op in ("is", "starts")
        return f"{self.column} {self.op}" + (f" {self.value}" if is_text else "")

    def compute_mask(
        self, frame: pd.DataFrame, reference_distances: Mapping[str, NDArray[np.float32]]
    ) -> Mask:
        """Return bool [rows]: whether each image meets the condition; unknown values do not.

        Args:
            frame: one row for each image, with the tested column unless the condition is `near`.
            reference_distances: for `near`, float32 [rows] of cosine distances by image id. If the
                image is missing, no row meets the condition.

        >>> frame = pd.DataFrame({"hour": [23.0, 12.0, 4.5, None], "camera": list("nsnn")})
        >>> Condition("hour", "between", (21.0, 5.0)).compute_mask(frame, {}).tolist()
        [True, False, True, False]
        >>> Condition("hour", ">=", 12.0).compute_mask(frame, {}).tolist()
        [True, True, False, False]
        >>> Condition("camera", "is", "s").compute_mask(frame, {}).tolist()
        [False, True, False, False]
        >>> distances = {"00a1b2c3": np.array([0.1, 0.3, 0.2, np.nan], np.float32)}
        >>> Condition("00a1b2c3", "near", 0.25).compute_mask(frame, distances).tolist()
        [True, False, True, False]
        >>> Condition("00a1b2c3", "near", 0.25).compute_mask(frame, {}).any()
        np.False_
        """
        if self.op == "near":
            distances = reference_distances.get(self.column)
            if distances is None:
                return np.zeros(len(frame), bool)
            return np.asarray(distances <= self.value)
        column = frame[self.column]
        if self.op == "is":
            return np.asarray(column.astype("str") == str(self.value))
        if self.op == "starts":
            texts = column.astype("str").fillna("").str
            return texts.startswith(str(self.value)).to_numpy(dtype=bool)
        values = column.to_numpy(dtype=float, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.is_met_by(values))

    def is_met_by(self, values: Any) -> Any:
        """Return whether a number or an array of numbers meets `<=`, `>=` or `between`.

        NaN does not.

        >>> night = Condition("hour", "between", (21.0, 5.0))
        >>> night.is_met_by(23.5), night.is_met_by(5.0), night.is_met_by(float("nan"))
        (True, False, False)
        """
        if self.op == "<=":
            return values <= self.value
        if self.op == ">=":
            return values >= self.value
        low, high = self.value
        if low <= high:
            return (values >= low) & (values < high)
        return (values >= low) | (values < high)

    def measure_limit_distance(self, value: float) -> float:
        """Return the distance of a number to the nearest threshold of `<=`, `>=` or `between`.

        >>> Condition("hour", "between", (21.0, 5.0)).measure_limit_distance(22.5)
        1.5
        """
        limits: list[float] = list(self.value) if self.op == "between" else [self.value]
        return min(abs(value - limit) for limit in limits)

    def format_text(self) -> str:
        """Return the condition with its threshold, such as `luminance <= 62.4`."""
        if self.op == "near":
            return f"looks like image {self.column}"
        if self.op == "between":
            return self._format_range()
        if self.op in ("is", "starts"):
            return self._format_comparison("")
        return self._format_comparison(format_value(self.column, self.value))

    def _format_range(self) -> str:
        low, high = self.value
        if low > high and get_period(self.column) is None:
            return f"{self.column} below {high:g} or from {low:g}"
        return f"{self.column} from {low:g} to {high:g}"

    def _format_comparison(self, threshold: str) -> str:
        if self.op == "starts":
            return f"{self.column} starts with {self.value}"
        if self.op != "is":
            return f"{self.column} {self.op} {threshold}"
        if self.column.startswith(MARK_PREFIX) and self.value in MARK_WORDS:
            return f"{MARK_WORDS[self.value]} the {self.column}"
        return f"{self.column} is {self.value}"


@dataclass(frozen=True)
class Rule:
    """A conjunction of conditions on the image and, apart from it, an optional class.

    Attributes:
        conditions: the image part; every image meets an empty one.
        label: the label part, the name of a class; None for every class.
        source: the source of proposals that it comes from. It does not affect equality.

    >>> night = Condition("hour", "between", (21.0, 5.0))
    >>> rule = Rule((Condition("luminance", "<=", 62.4), night), label="badge")
    >>> rule.format_text()
    'luminance <= 62.4 and hour from 21 to 5, class badge'
    >>> frame = pd.DataFrame(
    ...     {"label": ["badge", "none", "badge"], "luminance": [20, 30, 90], "hour": [23, 3, 22]}
    ... )
    >>> rule.compute_mask(frame).tolist()
    [True, False, False]
    >>> rule.compute_image_mask(frame).tolist()
    [True, True, False]
    """

    conditions: tuple[Condition, ...]
    label: str | None = None
    source: str = field(default="attributes", compare=False)

    @property
    def key(self) -> str:
        """Return the conditions in alphabetical order without thresholds, and the class.

        >>> Rule((Condition("luminance", "<=", 9), Condition("hour", ">=", 21)), "badge").key
        'hour >= and luminance <= | badge'
        """
        conditions = " and ".join(sorted(condition.key for condition in self.conditions))
        return conditions + (f" | {self.label}" if self.label else "")

    @property
    def is_unmarked_class(self) -> bool:
        """Return whether the rule is: the images of a class that lack its mark.

        >>> without_mark = Condition("mark of stop", "is", "False")
        >>> Rule((without_mark,), "stop").is_unmarked_class
        True
        >>> Rule((without_mark,), "yield").is_unmarked_class
        False
        """
        return self.conditions == (Condition(f"{MARK_PREFIX}{self.label}", "is", "False"),)

    @property
    def has_similarity_condition(self) -> bool:
        """Return whether a condition is `near`, which no attribute decides."""
        return any(condition.op == "near" for condition in self.conditions)

    def compute_image_mask(
        self,
        frame: pd.DataFrame,
        reference_distances: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Mask:
        """Return bool [rows]: the image part alone; an image at prediction time has no label.

        Args:
            frame: one row for each image, with the tested columns.
            reference_distances: for `near`, float32 [rows] of cosine distances by image id.
        """
        mask = np.ones(len(frame), bool)
        for condition in self.conditions:
            mask &= condition.compute_mask(frame, reference_distances or {})
        return mask

    def compute_mask(
        self,
        frame: pd.DataFrame,
        reference_distances: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Mask:
        """Return bool [rows]: the image part and, if the rule has one, the label part.

        Args:
            frame: one row for each image, with the tested columns and `label`.
            reference_distances: for `near`, float32 [rows] of cosine distances by image id.
        """
        mask = self.compute_image_mask(frame, reference_distances)
        return mask & np.asarray(frame["label"] == self.label) if self.label else mask

    def format_text(self) -> str:
        """Return the rule with its thresholds, such as `luminance <= 62.4, class badge`."""
        return self._join_parts([condition.format_text() for condition in self.conditions])

    def _join_parts(self, parts: list[str]) -> str:
        image_part = " and ".join(parts or ["every image"])
        return image_part + (f", class {self.label}" if self.label else "")

    def dump_json(self) -> str:
        """Return the rule as JSON, see `parse_json`.

        >>> Rule((Condition("camera", "is", "north"),)).dump_json()
        '{"conditions": [{"column": "camera", "op": "is", "value": "north"}], "label": null, \
"source": "attributes"}'
        """
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def parse_json(cls, text: str) -> Rule:
        """Return the rule that `dump_json` wrote.

        >>> rule = Rule((Condition("hour", "between", (21.0, 5.0)),), "badge", source="class")
        >>> parsed = Rule.parse_json(rule.dump_json())
        >>> parsed == rule, parsed.source
        (True, 'class')

        Raises:
            InputError: it is anything else.
        """
        record = read_rule_record(text)
        conditions = [Condition(c.column, c.op, c.value) for c in record.conditions]
        return cls(tuple(conditions), record.label, record.source)


def iterate_rows(table: pd.DataFrame) -> Iterator[Any]:
    """Iterate over the rows of a table as named tuples, typed `Any`.

    >>> [row.luminance for row in iterate_rows(pd.DataFrame({"luminance": [20, 90]}))]
    [20, 90]
    """
    return iter(table.itertuples())
