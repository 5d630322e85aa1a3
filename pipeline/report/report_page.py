"""The page that every section of the report draws from.

A section (`pipeline.report.sections`) reads the artifacts on the page and nothing else. Images come
from `page.thumbnails.draw_thumbnail()`, which stores each of them once. The page's
Content-Security-Policy forbids inline styles and handlers: use classes, SVG attributes and
`data-*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.domain.rules import Mask, Rule
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.training_settings import BLACK_LEVEL, BLACK_PERCENTILE
from pipeline.report.data_fault_sentences import (
    MIN_SPLIT_IMAGES,
    describe_split_differences,
    describe_unjudged_classes,
    describe_untrained_classes,
)
from pipeline.report.figures.embedding_layout import (
    MapPositions,
    compute_pca_positions,
    compute_tsne_positions,
)
from pipeline.report.figures.thumbnails import ThumbnailStore
from pipeline.report.reviewing.slice_reviews import Review, compute_rule_masks, match_slice_reviews
from pipeline.report.sentences.slice_sentences import describe_applied_rules, describe_slice
from pipeline.statistics.classification.classification_metrics import count_confusion

TOP_CLASS_COUNT = 3  # most probable classes kept of each image: more do not fit its window
# Gray level below which nearly all values of a black image lie; screens show them as black.
RankedClasses = list[tuple[int, float]]


@dataclass(frozen=True)
class AugmentationPreview:
    """One training image before and after the remedy that a slice's plan gives it.

    Attributes:
        slice: name of the slice.
        remedy: name of the remedy.
        original_id: image id of the training image.
        treated_copies: (strength in words, uint8 [side, side, 3]) of each copy.
        attribute_quartiles: one row for each pixel attribute, with the quartiles low, mid and high
            of slice, training and treated images (columns such as `slice_mid`).
        measured_counts: number of images measured, by "slice", "training" and "treated".
        simulator: the simulator that drew the copies; empty if they are the original, treated.
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

    Attributes:
        artifacts: the needs of the stage `report`, by name (see `pipeline.graph`).
        run_id: name of the run.
        seed: seed of the run.
        thumbnails: the images on the page.
        run_facts: `config` (YAML text), `versions` (version by name) and `stages` (name, seconds
            and notes of each); any of them may be absent.
        notes: notes of the stage `report`.
        contact_sheet_size: number of images on a contact sheet.
        previews: augmentation previews of the plan.
        reviews: decisions of reviewers before this run, as JSON of
            `pipeline.storage.review_decisions`; {} without any.
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
        """Return the artifact of that name."""
        return self.artifacts[artifact]

    @property
    def validation_set(self) -> ValidationSet:
        """Return the validation images with predictions and probe results."""
        val: ValidationSet = self.artifacts["validation_set"]
        return val

    @cached_property
    def class_names(self) -> list[str]:
        """Return the class names; a class index is a position in this list."""
        return list(map(str, self.artifacts["classes"]["names"]))

    @cached_property
    def images(self) -> pd.DataFrame:
        """Return `images` indexed by image_id, with the column `split`."""
        splits = self.artifacts["splits"].set_index("image_id")["split"]
        images = _index_by_image(self.artifacts["images"])
        return images.assign(split=splits.reindex(images.index))

    @cached_property
    def flips(self) -> pd.DataFrame:
        """Return `flips`, the predictions for validation before and after, indexed by image_id.

        The added columns are `group` and, as int, `label_index`, `before_index` and `after_index`.
        """
        flips = _index_by_image(self.artifacts["flips"])
        positions = {name: index for index, name in enumerate(self.class_names)}
        for column in ("label", "before", "after"):
            flips[f"{column}_index"] = flips[column].map(positions).astype(int)
        return flips.assign(group=self.images["group"].reindex(flips.index))

    @cached_property
    def is_misclassified(self) -> pd.Series[bool]:
        """Return whether the baseline misclassifies each validation image, indexed by image_id."""
        return self.flips["label_index"] != self.flips["before_index"]

    @cached_property
    def confusion_matrices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the confusion matrices of validation before and after retraining.

        Each is int64 [classes, classes]; rows are labels.
        """
        flips, class_count = self.flips, len(self.class_names)
        before = count_confusion(flips["label_index"], flips["before_index"], class_count)
        after = count_confusion(flips["label_index"], flips["after_index"], class_count)
        return before, after

    @cached_property
    def flips_by_image(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `flips` as plain dicts, by image id."""
        return {str(row["image_id"]): row for row in unwrap_rows(self.flips)}

    @cached_property
    def top_predictions(self) -> dict[str, tuple[RankedClasses, RankedClasses]]:
        """Return the most probable classes before and after, by image id.

        Each is a list of (class index, probability), the most probable class first.
        """
        probabilities = np.asarray(self.artifacts["answers"])
        order = np.argsort(-probabilities, axis=2, kind="stable")[:, :, :TOP_CLASS_COUNT]
        highest = np.take_along_axis(probabilities, order, axis=2)
        ranked: dict[str, tuple[RankedClasses, RankedClasses]] = {}
        for row, image_id in enumerate(self.artifacts["flips"]["image_id"]):
            classes, shares = order[row].tolist(), highest[row].tolist()
            before = list(zip(classes[0], shares[0], strict=True))
            after = list(zip(classes[1], shares[1], strict=True))
            ranked[str(image_id)] = (before, after)
        return ranked

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        val = self.validation_set
        rows = pd.Index(val.image_ids).get_indexer(self.flips.index)
        return np.asarray(val.embeddings[rows], dtype=np.float32)

    @cached_property
    def map_positions(self) -> dict[str, tuple[int, int]]:
        """Return the positions of validation images on the embedding map, in [0, 1000], by id.

        The axes are two principal components of the frozen features.
        """
        positions = compute_pca_positions(
            self._features, self.is_misclassified.to_numpy(bool), self.seed
        )
        return self._key_by_image(positions)

    @cached_property
    def tsne_positions(self) -> dict[str, tuple[int, int]]:
        """Return the positions by t-SNE of some or none of the mapped images, in [0, 1000], by id.

        `compute_tsne_positions` chooses the images.
        """
        map_rows = self.flips.index.get_indexer(pd.Index(list(self.map_positions))).tolist()
        positions = compute_tsne_positions(
            self._features, self.is_misclassified.to_numpy(bool), map_rows, self.seed
        )
        return self._key_by_image(positions)

    def _key_by_image(self, positions: MapPositions) -> dict[str, tuple[int, int]]:
        return {str(self.flips.index[row]): position for row, position in positions.items()}

    @cached_property
    def slice_members(self) -> dict[str, list[str]]:
        """Return the ids of the validation images of each slice, by slice."""
        table = self.artifacts["membership"]
        table = table[table["image_id"].isin(self.flips.index)]
        return {str(name): list(rows["image_id"]) for name, rows in table.groupby("slice")}

    @cached_property
    def frozen_rules(self) -> dict[str, Rule]:
        """Return the frozen rule of each slice, by slice."""
        table = self.artifacts["explanations"]
        return dict(
            zip(table["slice"].astype(str), map(Rule.parse_json, table["frozen"]), strict=True)
        )

    @cached_property
    def rule_masks(self) -> dict[str, Mask]:
        """Return bool [rows of `validation_set`] by slice: all images that its rule admits."""
        return compute_rule_masks(self.validation_set, self.frozen_rules)

    @cached_property
    def slice_reviews(self) -> dict[str, Review]:
        """Return the earlier decision on each slice, by slice; slices without one are absent."""
        decisions = self.reviews.get("slices", {})
        if not decisions:
            return {}
        return match_slice_reviews(self.validation_set, self.frozen_rules, decisions)

    @cached_property
    def slices(self) -> list[dict[str, Any]]:
        """Return `explanations` as plain dicts, confirmed slices first, then by rank.

        A missing value is None. Each has its text too: `words` (the whole sentence), `title`,
        `condition` (the title without a class), `count_text`, `common` (what its failing images
        share, or None) and `applied`.
        """
        rows = unwrap_rows(self.artifacts["explanations"])
        for row in rows:
            text = describe_slice(row)
            row |= {
                "words": text.sentence,
                "title": text.title,
                "condition": describe_slice(row, should_name_class=False).title,
                "count_text": text.counts,
                "common": text.common_traits,
                "applied": describe_applied_rules(row),
            }
        status_order = list(SliceStatus)
        rows.sort(key=lambda row: (status_order.index(row["status"]), row["rank"]))
        return rows

    @cached_property
    def confirmed_slices(self) -> list[dict[str, Any]]:
        """Return the confirmed slices, by rank."""
        return [row for row in self.slices if row["status"] == SliceStatus.CONFIRMED]

    @cached_property
    def suspected_ids(self) -> frozenset[str]:
        """Return the ids of the images whose label is in doubt."""
        return frozenset(self.artifacts["label_issues"]["image_id"])

    @cached_property
    def black_image_ids(self) -> frozenset[str]:
        """Return the ids of the images that are black: nothing can be seen."""
        pixels, table = self.artifacts["pixels"], self.artifacts["attributes"]
        table = table[table["image_id"].isin(set(self.flips.index))]
        if "luminance" in table:  # a black image is dark, and most images need not be read then
            table = table[table["luminance"] < BLACK_LEVEL]
        rows = pd.Index(self.artifacts["images"]["image_id"]).get_indexer(table["image_id"])
        return frozenset(
            image_id
            for image_id, row in zip(table["image_id"], rows, strict=True)
            if np.percentile(pixels[row], BLACK_PERCENTILE) < BLACK_LEVEL
        )

    @cached_property
    def has_targeted_arm(self) -> bool:
        """Return whether a targeted arm was compared.

        Without one, before and after are the same model.
        """
        val = self.artifacts["comparison"].get("val") or {}
        return bool(val.get("arms", {}).get("targeted"))

    @cached_property
    def data_faults(self) -> list[str]:
        """Return sentences on faults of the data that make the figures of the run untrue."""
        is_correct = {str(i): not wrong for i, wrong in self.is_misclassified.items()}
        return [
            *describe_untrained_classes(self.images, is_correct),
            *describe_unjudged_classes(self.images),
            *describe_split_differences(self._light_shares),
        ]

    @property
    def _light_shares(self) -> dict[str, dict[str, float]]:
        """Return the shares of dark and blurred images by split, of splits with enough images."""
        table = self.artifacts["attributes"].set_index("image_id")
        limits = parse_health_limits([])
        marks = {"dark": ("luminance", limits.dark_below)}
        marks["blurred"] = ("sharpness", limits.blurred_below)
        shares: dict[str, dict[str, float]] = {}
        for split, rows in table.groupby(self.images["split"].reindex(table.index)):
            if len(rows) >= MIN_SPLIT_IMAGES:
                shares[str(split)] = {
                    mark: float((rows[column] < limit).mean())
                    for mark, (column, limit) in marks.items()
                    if column in rows
                }
        return shares

    @cached_property
    def all_notes(self) -> list[dict[str, str]]:
        """Return the notes of all stages as {stage, text}, `report` last."""
        notes = []
        for stage in self.run_facts.get("stages", ()):
            for line in stage.get("notes", ()):
                notes.append({"stage": str(stage["name"]), "text": str(line)})
        for line in self.notes:
            notes.append({"stage": "report", "text": line})
        return notes


def _index_by_image(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy indexed by image_id that keeps the column."""
    return pd.DataFrame(table).set_index("image_id", drop=False).rename_axis(None)


def unwrap_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dicts that JSON can hold (see `unwrap_row`)."""
    return list(map(unwrap_row, table.to_dict("records")))


def unwrap_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a table row as JSON can hold it: numpy scalars unwrapped; NaN, NaT and inf as None."""
    return {str(key): _unwrap_value(value) for key, value in row.items()}


def _unwrap_value(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
