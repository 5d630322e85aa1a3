"""A promoted bundle as one object: images in, rows out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import chain, compress, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.contracts import InputError
from pipeline.data.reading.image_decoding import (
    ImageError,
    ImageHeader,
    is_same_decoding,
    letterbox_image,
)
from pipeline.data.reading.image_record import ImageRecord, RejectedFile, escape_invalid_bytes
from pipeline.data.reading.image_sources import (
    build_file_source,
    decode_source,
    fetch_bytes,
    read_source_header,
)
from pipeline.domain.rules import Rule
from pipeline.serving.prediction.inference_engine import InferenceEngine, open_engine
from pipeline.serving.prediction.model_bundles import find_bundle
from pipeline.serving.prediction.rule_attributes import MAX_MEASURED_SIDE, RuleAttributes
from pipeline.slices.candidates.rule_admission import compute_slice_masks
from pipeline.slices.prescription.comparison_inputs import LUMINANCE_ATTRIBUTE

TOP_CLASS_COUNT, BATCH_SIZE = 3, 64
THREAD_CHUNK_SIZE = 8  # images that a thread takes at once, since each handing over costs time
Pixels = NDArray[np.uint8]
PredictionRow = dict[str, Any]


@dataclass(frozen=True)
class _PreparedImage:
    """A image that could be read: its small copy, what the rules and the user ask about it, and what is shown of it
    (group, time, attributes)."""

    path: str
    pixels: Pixels
    rule_values: dict[str, Any]
    row_values: tuple[Any, ...]


@dataclass(frozen=True)
class Predictor:
    """The model in force with its decline rule, its corrections, and the image rules of the slices found on val.

    engine: who answers. attributes: which of them the rows show.
    """

    engine: InferenceEngine
    attributes: tuple[str, ...] = ()

    @property
    def meta(self) -> Mapping[str, Any]:
        """The bundle: classes, side, policy, slices and more."""
        return self.engine.meta

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row, in order."""
        return self._column_names

    @cached_property
    def _column_names(self) -> tuple[str, ...]:
        ranked = (
            f"{part}_{k}"
            for k in range(1, self._top_count + 1)
            for part in ("class", "probability")
        )
        said = ("path", "predicted", "probability", "decision", "reason", "correction", "slices")
        return (*said, "group", "captured_at", *ranked, *self.attributes, "error")

    @property
    def _top_count(self) -> int:
        return min(TOP_CLASS_COUNT, len(self.meta["classes"]))

    @cached_property
    def _slice_rules(self) -> dict[str, Rule]:
        return {s["slice"]: Rule.parse_json(s["rule"]) for s in self.meta["slices"]}

    @cached_property
    def _rule_words(self) -> dict[str, str]:
        """Each rule in words, without its label; once, since the plug-ins are asked for their wording."""
        return {
            name: f"{name}: {replace(rule, label=None).format_text()}"
            for name, rule in self._slice_rules.items()
        }

    @cached_property
    def _required_columns(self) -> set[str]:
        """Every column that a rule asks about, and every attribute that a row shows."""
        ruled = {
            c.column
            for rule in self._slice_rules.values()
            for c in rule.conditions
            if c.op != "near"
        }
        return (
            ruled
            | set(self.attributes)
            | (set() if self._min_luminance is None else {LUMINANCE_ATTRIBUTE})
        )

    @property
    def _min_luminance(self) -> float | None:
        """The light below which nobody is answered."""
        least = self.meta["policy"]["decline"].get("light")
        return None if least is None else float(least)

    @cached_property
    def _rule_attributes(self) -> RuleAttributes:
        return RuleAttributes(
            list(self._slice_rules.values()), self.attributes, self._min_luminance
        )

    def _prepare_image(
        self, record: ImageRecord | RejectedFile, data: bytes | None = None
    ) -> _PreparedImage | PredictionRow:
        if isinstance(record, RejectedFile):
            return self._build_error_row(record.path, record.reason)
        try:
            return self._decode_image(record, fetch_bytes(record.source) if data is None else data)
        except (ImageError, MemoryError) as error:
            return self._build_error_row(
                record.path, str(error) or "too large to be decoded in this machine's memory"
            )

    def _decode_image(self, record: ImageRecord, data: bytes) -> _PreparedImage:
        head, side = read_source_header(record.source, data), int(self.meta["side"])
        small, taken = (
            decode_source(record.source, data, side, head),
            record.captured_at or head.captured_at,
        )
        whole = (
            None
            if is_same_decoding(head, MAX_MEASURED_SIDE, side)
            else partial(decode_source, record.source, data, MAX_MEASURED_SIDE, head)
        )
        values = self._rule_attributes.measure_values(small, head, taken, whole)
        return self._assemble_image(
            record, small, {"camera": head.camera_model, **record.columns, **values}, taken
        )

    def _assemble_image(
        self,
        record: ImageRecord,
        pixels: Pixels,
        values: Mapping[str, Any],
        captured_at: datetime | None,
    ) -> _PreparedImage:
        asked = {name: values.get(name) for name in self._required_columns}
        when = None if captured_at is None else captured_at.isoformat()
        shown = (record.group, when, *(asked[name] for name in self.attributes))
        return _PreparedImage(
            record.path, letterbox_image(pixels, int(self.meta["side"])), asked, shown
        )

    def _build_error_row(self, path: str, error: str) -> PredictionRow:
        return {
            **dict.fromkeys(self.columns),
            "path": path,
            "decision": "error",
            "reason": error,
            "error": error,
        }

    def _predict_images(self, images: Sequence[_PreparedImage]) -> list[PredictionRow]:
        members = self._match_slices(images)
        answers = self.engine.predict_pixels(np.stack([s.pixels for s in images]), members)
        best = np.argsort(-answers.probabilities, axis=1, kind="stable")[:, : self._top_count]
        chance = np.take_along_axis(answers.probabilities, best, axis=1).tolist()
        names = [[self.meta["classes"][c] for c in row] for row in best.tolist()]
        inside = (
            zip(*(mask.tolist() for mask in members.values()), strict=True)
            if members
            else repeat((), len(images))
        )
        ranked = (list(zip(*pair, strict=True)) for pair in zip(names, chance, strict=True))
        rows = zip(
            images,
            ranked,
            answers.is_answered.tolist(),
            answers.applied_corrections,
            inside,
            strict=True,
        )
        return [self._build_row(*row) for row in rows]

    def _match_slices(self, images: Sequence[_PreparedImage]) -> dict[str, NDArray[np.bool_]]:
        """Which slices admit each image: bool [N] by name."""
        if not self._slice_rules:
            return {}
        asked = pd.DataFrame(
            {n: [image.rule_values[n] for image in images] for n in self._required_columns},
            index=range(len(images)),
        )
        return compute_slice_masks(asked, self._slice_rules, {})

    def _build_row(
        self,
        image: _PreparedImage,
        ranked_classes: list[tuple[str, float]],
        is_answered: bool,
        correction: str,
        is_member: Iterable[bool],
    ) -> PredictionRow:
        decision, reason = self._explain_decision(
            ranked_classes[0][1], is_answered, image.rule_values.get(LUMINANCE_ATTRIBUTE)
        )
        said = (
            image.path,
            *ranked_classes[0],
            decision,
            reason,
            correction,
            "; ".join(compress(self._rule_words.values(), is_member)),
        )
        values = (
            *said,
            *image.row_values[:2],
            *chain.from_iterable(ranked_classes),
            *image.row_values[2:],
            None,
        )
        return dict(zip(self._column_names, values, strict=True))

    def _explain_decision(
        self, confidence: float, is_answered: bool, luminance: float | None
    ) -> tuple[str, str]:
        """Answer or decline, and why. sure: as the engine has it, which may have measured the light by itself."""
        threshold = self.meta["policy"]["decline"]["threshold"]
        if threshold is None:
            return "decline", "no confidence keeps the error within the target"
        dark = (
            luminance is not None
            and self._min_luminance is not None
            and luminance < self._min_luminance
        )
        if dark or (
            not is_answered and self._min_luminance is not None and confidence >= threshold
        ):
            seen = (
                f" {luminance:.1f}" if dark else ""
            )  # else the graph has measured it on its small copy
            return "decline", f"light{seen} is below {self._min_luminance:.1f}"
        return (
            ("answer", "")
            if is_answered
            else ("decline", f"confidence {confidence:.3f} is below {threshold:.3f}")
        )

    def stream_rows(self, records: Iterable[ImageRecord | RejectedFile]) -> Iterator[PredictionRow]:
        """One row a image, in order, a few `BATCH` in memory; a image that cannot be read is a row with its error.

        Keys: `columns`. decision: answer | decline | error; probability: calibrated; correction: what was done to the
        image before the model looked; slices: those of the report whose image rule admits it, with that rule; group,
        captured_at (ISO 8601): where the table or the file says them.
        """
        yield from self._predict_batches(self._prefetch_images(records))

    def _prefetch_images(
        self, records: Iterable[ImageRecord | RejectedFile]
    ) -> Iterator[_PreparedImage | PredictionRow]:
        """What `_look` sees, in order, while the model looks at the batch before: at most two batches wait."""
        waiting: deque[Future[list[_PreparedImage | PredictionRow]]] = deque()
        rest = iter(records)
        if (
            len(few := list(islice(rest, THREAD_CHUNK_SIZE))) < THREAD_CHUNK_SIZE
        ):  # a image by itself waits for no threads to start
            yield from map(self._prepare_image, few)
            return
        rest = chain(few, rest)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                while handful := list(islice(rest, THREAD_CHUNK_SIZE)):
                    waiting.append(
                        pool.submit(
                            lambda some: [self._prepare_image(image) for image in some], handful
                        )
                    )
                    if len(waiting) > 2 * BATCH_SIZE // THREAD_CHUNK_SIZE:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _predict_batches(
        self, items: Iterable[_PreparedImage | PredictionRow]
    ) -> Iterator[PredictionRow]:
        rest = iter(items)
        while batch := list(islice(rest, BATCH_SIZE)):
            seen = [item for item in batch if isinstance(item, _PreparedImage)]
            answers = iter(self._predict_images(seen) if seen else ())
            yield from (
                next(answers) if isinstance(item, _PreparedImage) else item for item in batch
            )

    def predict(self, images: Iterable[str | Path | bytes | Pixels]) -> pd.DataFrame:
        """Answer for images by path, as a file's bytes, or as pixels uint8 [H, W, 3] RGB: one row each, columns as
        `columns`.

        Pixels have no EXIF: rules that ask for the hour or the camera do not admit them. Raises `TypeError` for
        pixels of another shape or dtype, and for a path by itself.
        """
        if isinstance(images, str | Path | bytes):
            raise TypeError("images: want a list of images, got one; put it in brackets")
        rows = self._predict_batches(
            self._open_image(image, number) for number, image in enumerate(images)
        )
        return pd.DataFrame(list(rows), columns=list(self.columns))

    def _open_image(
        self, image: str | Path | bytes | Pixels, index: int
    ) -> _PreparedImage | PredictionRow:
        if isinstance(image, bytes):
            return self._prepare_image(ImageRecord("", str(index), None), image)
        if not isinstance(image, np.ndarray):
            return self._prepare_image(
                ImageRecord(
                    build_file_source(str(Path(image).absolute())),
                    escape_invalid_bytes(str(image)),
                    None,
                )
            )
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise TypeError(
                f"image {index}: want uint8 [H, W, 3], got {image.dtype} {list(image.shape)}"
            )
        head = ImageHeader(image.shape[1], image.shape[0], "", "RGB", None, None)
        return self._assemble_image(
            ImageRecord("", str(index), None),
            image,
            self._rule_attributes.measure_values(image, head, None),
            None,
        )


EXTERNAL_LOADERS = {"model.pt2": "torch.export.load", "MLmodel": "mlflow.pyfunc.load_model"}
"""Exports that other tools load: by the file that tells them."""


def _find_export(path: Path) -> Path | None:
    """An exported file or folder that predict takes: ONNX, or what holds a bundle. Raises `InputError` for others."""
    for file, reader in EXTERNAL_LOADERS.items():
        if path.name == file or (path / file).is_file():
            raise InputError(
                f"{path}: is for {reader}; name the run, or an export as safetensors or ONNX"
            )
    if path.suffix == ".onnx":
        return path
    return path / "model.onnx" if (path / "model.onnx").is_file() else None


def load_predictor(
    model_name: str = "champion", home: Path | str = "runs", attributes: Sequence[str] = ()
) -> Predictor:
    """The model in force in a folder of runs, that of a run or of a bundle's folder, or an exported one (safetensors or
    ONNX).

    attributes: shown with each image, `all` for every one. Raises `InputError` where there is no such model or
    attribute.
    """
    attributes = plugins.list_plugins("attributes") if list(attributes) == ["all"] else attributes
    unknown = [a for a in attributes if a not in plugins.list_plugins("attributes")]
    if unknown:
        known = ", ".join(plugins.list_plugins("attributes"))
        raise InputError(f"--attributes: there is no attribute {unknown[0]!r}; there are: {known}")
    return Predictor(
        open_engine(_find_export(Path(model_name)) or find_bundle(model_name, Path(home))),
        tuple(attributes),
    )
