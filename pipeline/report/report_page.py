"""The report's sections: `pipeline/sections/<name>.py` with `<name>(page: Page) -> Markup` and `TITLE` in it.

A section draws from the artifacts on the page alone. What it returns lies between its heading and the next;
empty Markup leaves the section out. Images come from `page.images.img()`, so that each is stored once.
The page's Content-Security-Policy forbids inline styles and handlers: use classes, SVG attributes and `data-*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.report.embedding_layout import compute_pca_positions, compute_tsne_positions
from pipeline.report.number_format import TEMPLATE_FILTERS
from pipeline.report.slice_sentences import describe_slice
from pipeline.report.thumbnails import ThumbnailStore
from pipeline.statistics import classification_metrics

_TEMPLATE_FOLDER = Path(__file__).parent / "assets"
TOP_CLASS_COUNT = 3  # likeliest classes told of each image


def _build_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(TEMPLATE_FILTERS)
    return environment


_JINJA_ENVIRONMENT = _build_environment()


def render_template(template: str, **values: Any) -> Markup:
    """The template `pipeline/sections/<template>` filled in; everything that is not Markup is escaped."""
    return Markup(_JINJA_ENVIRONMENT.get_template(template).render(**values))


@dataclass(frozen=True)
class AugmentationPreview:
    """What a slice's plan makes of a training image. original: its image id; copies: (strength in words, uint8 [S, S, 3]).

    profile: one row for each pixel attribute with the quartiles low, mid, high of slice, training and treated images
    (columns such as `slice_mid`); n: how many images of each were measured. simulator: who drew the copies, in place of
    the original; "" where they are the original, treated.
    """

    slice: str
    remedy: str
    original_id: str
    treated_copies: Sequence[tuple[str, Any]]
    attribute_quartiles: pd.DataFrame
    measured_counts: Mapping[str, int]
    simulator: str = ""


@dataclass(frozen=True)
class ReportPage:
    """What a section may draw from.

    made: the report stage's needs by artifact name (`graph.STAGES`). facts: `config` (YAML text), `versions`
    (name to version), `stages` (name, seconds, notes), any of them absent. contact: images on a contact sheet.
    reviews: what reviewers decided before this run (`evidence.review.Reviews` as JSON), {} for nothing.
    """

    artifacts: Mapping[str, Any]
    run_id: str
    seed: int
    thumbnails: ThumbnailStore
    run_facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    contact_sheet_size: int = 24
    previews: Sequence[AugmentationPreview] = ()
    reviews: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, artifact: str) -> Any:
        """The artifact of that name."""
        return self.artifacts[artifact]

    @property
    def validation_set(self) -> ValidationSet:
        """Return what is known about the validation images."""
        val: ValidationSet = self.artifacts["validation_set"]
        return val

    @cached_property
    def class_names(self) -> list[str]:
        """Class names; a class index is a position in it."""
        return [str(name) for name in self.artifacts["classes"]["names"]]

    @cached_property
    def images(self) -> pd.DataFrame:
        """`images` indexed by image_id, with the column `split`."""
        splits = self.artifacts["splits"].set_index("image_id")["split"]
        images = (
            pd.DataFrame(self.artifacts["images"])
            .set_index("image_id", drop=False)
            .rename_axis(None)
        )
        return images.assign(split=splits.reindex(images.index))

    @cached_property
    def flips(self) -> pd.DataFrame:
        """`flips` indexed by image_id, with class indices `true`, `was`, `now` (int) and the column `group`."""
        flips = (
            pd.DataFrame(self.artifacts["flips"])
            .set_index("image_id", drop=False)
            .rename_axis(None)
        )
        index = {name: i for i, name in enumerate(self.class_names)}
        pairs = (("true", "label"), ("was", "before"), ("now", "after"))
        numbers = {to: flips[of].map(index).astype(int) for to, of in pairs}
        return flips.assign(**numbers, group=self.images["group"].reindex(flips.index))

    @cached_property
    def confusion_matrices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The confusion matrices of validation before and after, int64 [classes, classes]: rows are the truth."""
        before, after = (
            classification_metrics.count_confusion(
                self.flips["true"], self.flips[c], len(self.class_names)
            )
            for c in ("was", "now")
        )
        return before, after

    @cached_property
    def flips_by_image(self) -> dict[str, dict[str, Any]]:
        """The rows of `flips` as plain dicts, by image id."""
        return {str(row["image_id"]): unwrap_row(row) for row in self.flips.to_dict("records")}

    @cached_property
    def top_predictions(self) -> dict[str, list[list[tuple[int, float]]]]:
        """The three likeliest classes before and after, as (class index, probability), by image id."""
        shares = np.asarray(self.artifacts["answers"])
        order = np.argsort(-shares, axis=2, kind="stable")[:, :, :TOP_CLASS_COUNT]
        best = np.take_along_axis(shares, order, axis=2)
        both = zip(self.artifacts["flips"]["image_id"], order.tolist(), best.tolist(), strict=True)
        pairs = (
            (i, [list(zip(a, b, strict=True)) for a, b in zip(k, p, strict=True)])
            for i, k, p in both
        )
        return {str(image_id): ranked for image_id, ranked in pairs}

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        val = self.validation_set
        rows = pd.Index(val.image_ids).get_indexer(self.flips.index)
        return np.asarray(val.embeddings[rows], dtype=np.float32)

    @cached_property
    def _is_misclassified(self) -> NDArray[np.bool_]:
        return (self.flips["true"] != self.flips["was"]).to_numpy(bool)

    @cached_property
    def map_positions(self) -> dict[str, tuple[int, int]]:
        """Places of validation images on the map, in [0, 1000], by image id."""
        spots = compute_pca_positions(self._features, self._is_misclassified, self.seed)
        return {str(self.flips.index[row]): spot for row, spot in spots.items()}

    @cached_property
    def tsne_positions(self) -> dict[str, tuple[int, int]]:
        """Their places where alike images lie close together; of some or none of them (`places.lay_close`)."""
        among = self.flips.index.get_indexer(pd.Index(list(self.map_positions))).tolist()
        spots = compute_tsne_positions(self._features, self._is_misclassified, among, self.seed)
        return {str(self.flips.index[row]): spot for row, spot in spots.items()}

    @cached_property
    def slice_members(self) -> dict[str, list[str]]:
        """The image ids of each slice, by slice; only images of val."""
        table = self.artifacts["membership"]
        known = table[table["image_id"].isin(self.flips.index)]
        return {str(name): list(rows["image_id"]) for name, rows in known.groupby("slice")}

    @cached_property
    def slices(self) -> list[dict[str, Any]]:
        """`explanations` as plain dicts (null for missing), confirmed ones first, then by rank.

        Each has its text too: `words` (the whole sentence), `title` and `counts`."""
        order = list(SliceStatus)
        rows = [unwrap_row(row) for row in self.artifacts["explanations"].to_dict("records")]
        rows = [row | _text_of(row) for row in rows]
        return sorted(rows, key=lambda row: (order.index(row["status"]), row["rank"]))

    @cached_property
    def confirmed_slices(self) -> list[dict[str, Any]]:
        """The confirmed slices, by rank."""
        return [row for row in self.slices if row["status"] == SliceStatus.CONFIRMED]

    @cached_property
    def has_repaired_model(self) -> bool:
        """Whether a repaired candidate was compared at all (otherwise before and after are one model)."""
        return bool((self.artifacts["comparison"].get("val") or {}).get("arms", {}).get("targeted"))

    @cached_property
    def all_notes(self) -> list[dict[str, str]]:
        """What was odd, as {stage, text}: the earlier stages' notes, then this one's."""
        earlier = [
            (str(s["name"]), str(line))
            for s in self.run_facts.get("stages", ())
            for line in s.get("notes", ())
        ]
        return [
            {"stage": stage, "text": text}
            for stage, text in [*earlier, *(("report", n) for n in self.notes)]
        ]


def _text_of(row: Mapping[str, Any]) -> dict[str, str]:
    text = describe_slice(row)
    return {"words": text.sentence, "title": text.title, "counts": text.counts}


def unwrap_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A table row as JSON can hold it: numpy scalars unwrapped, NaN and NaT as None."""
    return {str(key): _unwrap_value(value) for key, value in row.items()}


def _unwrap_value(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
