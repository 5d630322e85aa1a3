"""Images prepared for the model: decoded, measured for the rules, and scaled to its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.data.reading.image_decoding import (
    ImageError,
    ImageHeader,
    ValueRange,
    is_same_decoding,
    letterbox_image,
)
from pipeline.data.reading.image_record import ImageRecord, RejectedFile, escape_invalid_bytes
from pipeline.data.reading.image_sources import (
    build_file_source,
    build_range_source,
    decode_source,
    fetch_bytes,
    read_source_header,
)
from pipeline.data.reading.ordered_threads import count_usable_cores, map_in_order
from pipeline.domain.rules import Rule
from pipeline.serving.prediction.rule_attributes import MAX_MEASURED_SIDE, RuleAttributes
from pipeline.slices.comparison.comparison_inputs import LUMINANCE_ATTRIBUTE

# Images that a thread takes at once: each transfer between threads costs time.
THREAD_CHUNK_SIZE = 8
# Images prepared ahead of the model: two batches, so that neither waits for the other.
MAX_PREFETCHED_IMAGES = 128
T = TypeVar("T")
Pixels = NDArray[np.uint8]
UserImage = str | Path | bytes | Pixels
"""An image as a Python user names it: a path, the bytes of a file, or uint8 [H, W, 3] RGB."""


def split_chunks(items: Iterable[T], chunk_size: int) -> Iterator[list[T]]:
    """Yield the items in lists of `chunk_size`; the last list may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, chunk_size)):
        yield chunk


@dataclass(frozen=True)
class PreparedImage:
    """An image that could be read.

    Attributes:
        path: its name in the rows.
        pixels: the model's input, uint8 [side, side, 3].
        values: attributes and metadata that the rules test and the rows show, None if unknown.
        group: its group, None if unknown.
        captured_at: capture time in ISO 8601, None if unknown.
    """

    path: str
    pixels: Pixels
    values: dict[str, Any]
    group: str | None
    captured_at: str | None


class ImagePreparer:
    """Reads images for one model."""

    def __init__(
        self,
        side: int,
        rules: Sequence[Rule],
        row_attributes: Sequence[str],
        min_luminance: float | None,
        value_range: ValueRange | None = None,
    ) -> None:
        """Choose the values to read from each image.

        Args:
            side: side of the model's input, in pixels.
            rules: image rules of the slices.
            row_attributes: attributes that the rows show.
            min_luminance: luminance below which every image is declined; None for no limit.
            value_range: gray values of 16-bit images that become black and white.
        """
        self._side = side
        self._value_range = value_range
        self._rule_attributes = RuleAttributes(rules, row_attributes, min_luminance)
        names = set(row_attributes)
        for rule in rules:
            for condition in rule.conditions:
                if condition.op != "near":
                    names.add(condition.column)
        if min_luminance is not None:
            names.add(LUMINANCE_ATTRIBUTE)
        self.value_names = sorted(names)

    def prepare_records(
        self, records: Iterable[ImageRecord | RejectedFile]
    ) -> Iterator[PreparedImage | RejectedFile]:
        """Yield the prepared images in order, read by threads ahead of the consumer."""
        chunks = split_chunks(records, THREAD_CHUNK_SIZE)
        first_chunk = next(chunks, [])
        if len(first_chunk) < THREAD_CHUNK_SIZE:  # a single image does not wait for threads
            yield from map(self._prepare_record, first_chunk)
            return
        prepared_chunks = map_in_order(
            chain([first_chunk], chunks),
            self._prepare_chunk,
            count_usable_cores(),
            MAX_PREFETCHED_IMAGES // THREAD_CHUNK_SIZE,
        )
        with closing(prepared_chunks):
            for chunk in prepared_chunks:
                yield from chunk

    def prepare_user_image(self, image: UserImage, index: int) -> PreparedImage | RejectedFile:
        """Return one prepared image of a Python user.

        Args:
            image: a path, the bytes of a file, or uint8 [H, W, 3] RGB.
            index: its position, which names an image without a path.

        Raises:
            TypeError: it is an array of another shape or dtype.
        """
        if isinstance(image, bytes):
            return self._prepare_record(ImageRecord("", str(index), None), image)
        if not isinstance(image, np.ndarray):
            source = build_file_source(str(Path(image).absolute()))
            return self._prepare_record(ImageRecord(source, escape_invalid_bytes(str(image)), None))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise TypeError(
                f"image {index}: want uint8 [H, W, 3], got {image.dtype} {list(image.shape)}"
            )
        header = ImageHeader(image.shape[1], image.shape[0], "", "RGB", None, None)
        values = self._rule_attributes.measure_values(image, header, None)
        return self._assemble_image(ImageRecord("", str(index), None), image, values, None)

    def _prepare_chunk(
        self, records: list[ImageRecord | RejectedFile]
    ) -> list[PreparedImage | RejectedFile]:
        return [self._prepare_record(record) for record in records]

    def _prepare_record(
        self, record: ImageRecord | RejectedFile, data: bytes | None = None
    ) -> PreparedImage | RejectedFile:
        if isinstance(record, RejectedFile):
            return record
        try:
            return self._decode_image(record, fetch_bytes(record.source) if data is None else data)
        except ImageError as error:
            return RejectedFile(record.path, str(error))
        except MemoryError:
            return RejectedFile(record.path, "too large to be decoded in this machine's memory")

    def _decode_image(self, record: ImageRecord, data: bytes) -> PreparedImage:
        source = record.source
        if self._value_range is not None:
            source = build_range_source(source, self._value_range)
        header = read_source_header(source, data)
        pixels = decode_source(source, data, self._side, header)
        captured_at = record.captured_at or header.captured_at
        decode_full_size = None
        if not is_same_decoding(header, MAX_MEASURED_SIDE, self._side):
            decode_full_size = partial(decode_source, source, data, MAX_MEASURED_SIDE, header)
        measured = self._rule_attributes.measure_values(
            pixels, header, captured_at, decode_full_size
        )
        values = {"camera": header.camera_model, **record.columns, **measured}
        return self._assemble_image(record, pixels, values, captured_at)

    def _assemble_image(
        self,
        record: ImageRecord,
        pixels: Pixels,
        values: Mapping[str, Any],
        captured_at: datetime | None,
    ) -> PreparedImage:
        return PreparedImage(
            record.path,
            letterbox_image(pixels, self._side),
            {name: values.get(name) for name in self.value_names},
            record.group,
            None if captured_at is None else captured_at.isoformat(),
        )
