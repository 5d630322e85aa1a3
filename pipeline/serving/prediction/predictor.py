"""A promoted model as one object: images in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.attributes import list_attributes
from pipeline.contracts import InputError
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.domain.rules import Rule
from pipeline.domain.statuses import Decision, DecisionReason
from pipeline.serving.prediction.image_preparation import (
    ImagePreparer,
    PreparedImage,
    UserImage,
    split_chunks,
)
from pipeline.serving.prediction.inference_engine import InferenceEngine, open_engine
from pipeline.serving.prediction.model_bundles import find_bundle, find_graph_file
from pipeline.slices.candidates.rule_admission import compute_slice_masks
from pipeline.slices.comparison.comparison_inputs import LUMINANCE_ATTRIBUTE

TOP_CLASS_COUNT = 3
# Images that the model sees at once.
BATCH_SIZE = 64
PREDICTION_COLUMNS = (
    "path",
    "predicted",
    "probability",
    "decision",
    "reason",
    "correction",
    "slices",
    "group",
    "captured_at",
    "model",
)
"""Columns before the likeliest classes, the attributes and the error."""
SLICE_SEPARATOR = "; "
"""Between the names of slices in a row."""
PredictionRow = dict[str, Any]


@dataclass(frozen=True)
class Predictor:
    """A model with its decline rule, its corrections and the image rules of its slices.

    Attributes:
        engine: predicts batches of pixels.
        attributes: names of the attributes that the rows show.
    """

    engine: InferenceEngine
    attributes: tuple[str, ...] = ()

    @property
    def meta(self) -> Mapping[str, Any]:
        """Return the record of the bundle: classes, side, policy, slices and more."""
        return self.engine.meta

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of a row, in order."""
        names = [*PREDICTION_COLUMNS]
        for rank in range(1, self._top_count + 1):
            names += [f"class_{rank}", f"probability_{rank}"]
        return (*names, *self.attributes, "error")

    def stream_rows(self, records: Iterable[ImageRecord | RejectedFile]) -> Iterator[PredictionRow]:
        """Yield one row for each image, in order, with a few batches in memory.

        The columns of a row:

        - path.
        - predicted, probability: the likeliest class and its calibrated probability.
        - decision, reason: see `pipeline.domain.statuses`.
        - correction: the change of the image before prediction, "" for none.
        - slices: names of the slices whose image rule admits the image.
        - group, captured_at: if known; the time in ISO 8601.
        - model: the run that made the model.
        - class_1, probability_1, ...: the likeliest classes.
        - the attributes.
        - error: why the image could not be read.
        """
        yield from self._predict_batches(self._preparer.prepare_records(records))

    def predict(self, images: Iterable[UserImage]) -> pd.DataFrame:
        """Return one row for each image, with the columns `columns`.

        Pixels have no EXIF: a rule on the hour or the camera does not admit them.

        Args:
            images: paths, the bytes of files, or pixels uint8 [H, W, 3] RGB.

        Raises:
            TypeError: pixels of another shape or dtype, or a single image instead of a list.
        """
        if isinstance(images, str | Path | bytes):
            raise TypeError("images: want a list of images, got one; put it in brackets")
        prepared = (
            self._preparer.prepare_user_image(image, index) for index, image in enumerate(images)
        )
        return pd.DataFrame(list(self._predict_batches(prepared)), columns=list(self.columns))

    @property
    def _top_count(self) -> int:
        return min(TOP_CLASS_COUNT, len(self.meta["classes"]))

    def check_rules(self, origin: str) -> None:
        """Raise `InputError` unless the rules of the slices can be read, and corrections have one.

        Args:
            origin: the model's file or folder, as the error message names it.
        """
        try:
            rules = self._slice_rules
        except InputError as error:
            raise InputError(f"{origin}: {error}; make the model again") from error
        for correction in self.meta["policy"]["corrections"]:
            if correction["slice"] not in rules:
                raise InputError(
                    f"{origin}: corrects the slice {correction['slice']!r}, which has no rule; "
                    "make the model again"
                )

    @cached_property
    def _slice_rules(self) -> dict[str, Rule]:
        return {item["slice"]: Rule.parse_json(item["rule"]) for item in self.meta["slices"]}

    @cached_property
    def _min_luminance(self) -> float | None:
        """Return the mean luminance below which every image is declined."""
        limit = self.meta["policy"]["decline"].get("light")
        return None if limit is None else float(limit)

    @cached_property
    def _preparer(self) -> ImagePreparer:
        rules = list(self._slice_rules.values())
        value_range = self.meta.get("range")
        return ImagePreparer(
            int(self.meta["side"]),
            rules,
            self.attributes,
            self._min_luminance,
            value_range and (int(value_range[0]), int(value_range[1])),
        )

    def _predict_batches(
        self, items: Iterable[PreparedImage | RejectedFile]
    ) -> Iterator[PredictionRow]:
        for batch in split_chunks(items, BATCH_SIZE):
            images = [item for item in batch if isinstance(item, PreparedImage)]
            rows = iter(self._predict_images(images) if images else ())
            for item in batch:
                if isinstance(item, PreparedImage):
                    yield next(rows)
                else:
                    yield self._build_error_row(item.path, item.reason)

    def _predict_images(self, images: Sequence[PreparedImage]) -> list[PredictionRow]:
        masks = self._match_slices(images)
        pixels = np.stack([image.pixels for image in images])
        predictions = self.engine.predict_pixels(pixels, masks)
        probabilities = predictions.probabilities
        top = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._top_count]
        top_probabilities = np.take_along_axis(probabilities, top, axis=1).tolist()
        top_classes = np.array(self.meta["classes"], dtype=object)[top].tolist()
        rows = []
        for k, image in enumerate(images):
            classes, confidence = top_classes[k], top_probabilities[k][0]
            luminance = image.values.get(LUMINANCE_ATTRIBUTE)
            decision, reason = self._decide(confidence, bool(predictions.is_answered[k]), luminance)
            row = {
                "path": image.path,
                "predicted": classes[0],
                "probability": confidence,
                "decision": decision.value,
                "reason": reason.value,
                "correction": predictions.applied_corrections[k],
                "slices": SLICE_SEPARATOR.join(name for name in masks if masks[name][k]),
                "group": image.group,
                "captured_at": image.captured_at,
                "model": self.meta["run_id"],
            }
            for rank, name in enumerate(classes, 1):
                row[f"class_{rank}"] = name
                row[f"probability_{rank}"] = top_probabilities[k][rank - 1]
            for name in self.attributes:
                row[name] = image.values[name]
            rows.append({**row, "error": None})
        return rows

    def _build_error_row(self, path: str, error: str) -> PredictionRow:
        return {
            **dict.fromkeys(self.columns),
            "path": path,
            "decision": Decision.ERROR.value,
            "reason": DecisionReason.UNREADABLE.value,
            "model": self.meta["run_id"],
            "error": error,
        }

    def _match_slices(self, images: Sequence[PreparedImage]) -> dict[str, NDArray[np.bool_]]:
        """Return which slices admit each image: bool [N] by slice."""
        if not self._slice_rules:
            return {}
        frame = pd.DataFrame(
            [image.values for image in images],
            columns=self._preparer.value_names,
            index=range(len(images)),
        )
        return compute_slice_masks(frame, self._slice_rules, {})

    def _decide(
        self, confidence: float, is_answered: bool, luminance: float | None
    ) -> tuple[Decision, DecisionReason]:
        """Return whether an image is answered, and why not.

        Args:
            confidence: calibrated probability of the predicted class.
            is_answered: decision of the engine.
            luminance: mean luminance of the image, None if unknown.
        """
        threshold = self.meta["policy"]["decline"]["threshold"]
        if threshold is None:
            return Decision.DECLINE, DecisionReason.NO_THRESHOLD
        min_luminance = self._min_luminance
        if min_luminance is not None:
            is_dark = luminance is not None and luminance < min_luminance
            # A graph measures the light on the model's pixels, and declines for it by itself.
            if is_dark or (not is_answered and confidence >= threshold):
                return Decision.DECLINE, DecisionReason.LOW_LIGHT
        if is_answered:
            return Decision.ANSWER, DecisionReason.NONE
        return Decision.DECLINE, DecisionReason.LOW_CONFIDENCE


def load_predictor(
    model_name: str = "champion", runs_folder: Path | str = "runs", attributes: Sequence[str] = ()
) -> Predictor:
    """Return a model that predicts, with its decline rule and its corrections.

    Args:
        model_name: `champion` (if only one config has one), `champion:NAME` (of the config NAME),
            a run, the folder of a bundle, or an export as safetensors or ONNX.
        runs_folder: the folder of all runs.
        attributes: attributes that the rows show; `["all"]` for every one.

    Raises:
        InputError: there is no such model or attribute.
    """
    known = list_attributes()
    if list(attributes) == ["all"]:
        attributes = known
    for name in attributes:
        if name not in known:
            raise InputError(
                f"--attributes: there is no attribute {name!r}; there are: {', '.join(known)}"
            )
    location = find_graph_file(Path(model_name)) or find_bundle(model_name, Path(runs_folder))
    predictor = Predictor(open_engine(location), tuple(attributes))
    predictor.check_rules(str(location))
    return predictor
