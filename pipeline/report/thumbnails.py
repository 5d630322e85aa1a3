"""The images on the page: WebP thumbnails out of `pixels`, each stored once."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

ThumbnailMode = Literal["full", "blurred", "none"]
MAX_SIDE_PIXELS = 96  # pixels: larger images are stored at this side, smaller ones as they are
WEBP_QUALITY = 62
HEAT_MAP_SIDE = 24  # pixels: side of a heat map, which knows no finer detail


def encode_thumbnail(pixels: NDArray[np.uint8], mode: ThumbnailMode) -> str:
    """A image, uint8 [side, side, 3] RGB, as base64 of a WebP of at most `SIDE` pixels; blurred where asked."""
    side = pixels.shape[0]
    if side > MAX_SIDE_PIXELS:
        pixels = np.asarray(
            cv2.resize(pixels, (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS), interpolation=cv2.INTER_AREA),
            dtype=np.uint8,
        )
    if mode == "blurred":
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), pixels.shape[0] / 14), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, "WEBP", quality=WEBP_QUALITY, method=2
    )
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def encode_heat_map(heat_map: NDArray[np.uint8]) -> str:
    """A heat map, uint8 [side, side], as base64 of a small WebP to lay over its image: opaque where it is strongest."""
    small = np.asarray(
        cv2.resize(heat_map, (HEAT_MAP_SIDE, HEAT_MAP_SIDE), interpolation=cv2.INTER_AREA),
        dtype=np.float32,
    )
    red = np.full_like(small, 255)
    layers = (red, 230 - 190 * small / 255, 30 - 30 * small / 255, 0.78 * small)
    picture = Image.fromarray(np.stack(layers, axis=2).astype(np.uint8), "RGBA")
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=30, alpha_quality=60, method=4)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


class ThumbnailStore:
    """The images that fit the page, chosen from the most informative on.

    pixels: uint8 [images, side, side, 3]; rows: image_id to row of `pixels`. `img()` draws one; its first drawing
    carries the bytes, later ones are filled in by the page's script.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        row_numbers: Mapping[str, int],
        mode: ThumbnailMode = "full",
    ) -> None:
        """Choose nothing yet: `choose()` and `fit()` do."""
        self.mode = mode
        self.image_order: list[str] = []
        self.positions: dict[str, int] = {}
        self._pixels, self._row_numbers = pixels, row_numbers
        self._encoded_images: dict[str, str] = {}
        self._drawn_ids: set[str] = set()

    def set_order(self, image_ids: Sequence[str]) -> None:
        """Set the order in which images get room: most informative first."""
        self.image_order = [
            image_id for image_id in dict.fromkeys(image_ids) if image_id in self._row_numbers
        ]

    def fit_budget(self, byte_budget: int, text_bytes: int) -> None:
        """Keep the first images of the order whose bytes, and `extra` bytes of text for each, stay in `budget`."""
        self._drawn_ids, self.positions = set(), {}
        for image_id in self.image_order:
            byte_budget -= len(self._get_thumbnail(image_id)) + text_bytes
            if byte_budget < 0:
                break
            self.positions[image_id] = len(self.positions)

    def _get_thumbnail(self, image_id: str) -> str:
        if self.mode == "none":
            return ""
        if image_id not in self._encoded_images:
            self._encoded_images[image_id] = encode_thumbnail(
                self._pixels[self._row_numbers[image_id]], self.mode
            )
        return self._encoded_images[image_id]

    def __contains__(self, image_id: object) -> bool:
        """Whether that image is on the page."""
        return image_id in self.positions

    def select_stored(self, image_ids: Iterable[str]) -> list[str]:
        """Those of `image_ids` that are on the page, in their order."""
        return [image_id for image_id in image_ids if image_id in self.positions]

    def draw_thumbnail(self, image_id: str, alt_text: str) -> Markup:
        """The image as a button that opens it; a plain tile with `alt` in it where the image is not on the page."""
        position = self.positions.get(image_id)
        if position is None:
            return Markup('<span class="tile">{}</span>').format(alt_text)
        if self.mode == "none":
            return Markup('<button class="tile" type="button" data-open="{}">{}</button>').format(
                position, alt_text
            )
        source = Markup("")
        if image_id not in self._drawn_ids:
            self._drawn_ids.add(image_id)
            source = Markup(f' src="data:image/webp;base64,{self._get_thumbnail(image_id)}"')
        picture = Markup('<img data-p="{}"{} alt="{}" width="96" height="96">').format(
            position, source, escape(alt_text)
        )
        return Markup('<button class="pic" type="button" data-open="{}">{}</button>').format(
            position, picture
        )

    def draw_static_image(self, pixels: NDArray[np.uint8], alt_text: str) -> Markup:
        """A picture that is no image of the data set, such as a treated copy: uint8 [side, side, 3]; opens nothing."""
        if self.mode == "none":
            return Markup('<span class="tile">{}</span>').format(alt_text)
        source = Markup(f"data:image/webp;base64,{encode_thumbnail(pixels, self.mode)}")
        return Markup(
            '<span class="pic"><img src="{}" alt="{}" width="96" height="96"></span>'
        ).format(source, alt_text)

    def is_drawn(self, image_id: str) -> bool:
        """Whether the markup already carries that image."""
        return image_id in self._drawn_ids

    def list_undrawn(self) -> list[str | None]:
        """Base64 of every image on the page in its order, None where the markup already carries it."""
        return [
            None if image_id in self._drawn_ids else self._get_thumbnail(image_id) or None
            for image_id in self.positions
        ]


def index_rows(image_ids: Iterable[Any]) -> dict[str, int]:
    """Row numbers by image id."""
    return {str(image_id): row for row, image_id in enumerate(image_ids)}
