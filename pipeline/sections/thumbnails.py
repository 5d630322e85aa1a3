"""The photos on the page: WebP thumbnails out of `pixels`, each stored once."""

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

Mode = Literal["full", "blurred", "none"]
SIDE = 96  # pixels: larger photos are stored at this side, smaller ones as they are
QUALITY = 62
HEAT = 24  # pixels: side of a heat map, which knows no finer detail


def encode(pixels: NDArray[np.uint8], mode: Mode) -> str:
    """A photo, uint8 [side, side, 3] RGB, as base64 of a WebP of at most `SIDE` pixels; blurred where asked."""
    side = pixels.shape[0]
    if side > SIDE:
        pixels = np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if mode == "blurred":
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), pixels.shape[0] / 14), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", quality=QUALITY, method=2)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def encode_heat(heat: NDArray[np.uint8]) -> str:
    """A heat map, uint8 [side, side], as base64 of a small WebP to lay over its photo: opaque where it is strongest."""
    small = np.asarray(cv2.resize(heat, (HEAT, HEAT), interpolation=cv2.INTER_AREA), dtype=np.float32)
    red = np.full_like(small, 255)
    layers = (red, 230 - 190 * small / 255, 30 - 30 * small / 255, 0.78 * small)
    picture = Image.fromarray(np.stack(layers, axis=2).astype(np.uint8), "RGBA")
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=30, alpha_quality=60, method=4)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


class Photos:
    """The photos that fit the page, chosen from the most informative on.

    pixels: uint8 [images, side, side, 3]; rows: image_id to row of `pixels`. `img()` draws one; its first drawing
    carries the bytes, later ones are filled in by the page's script.
    """

    def __init__(self, pixels: NDArray[np.uint8], rows: Mapping[str, int], mode: Mode = "full") -> None:
        """Choose nothing yet: `choose()` and `fit()` do."""
        self.mode = mode
        self.order: list[str] = []
        self.position: dict[str, int] = {}
        self._pixels, self._rows = pixels, rows
        self._encoded: dict[str, str] = {}
        self._drawn: set[str] = set()

    def choose(self, order: Sequence[str]) -> None:
        """Set the order in which photos get room: most informative first."""
        self.order = [image_id for image_id in dict.fromkeys(order) if image_id in self._rows]

    def fit(self, budget: int, extra: int) -> None:
        """Keep the first photos of the order whose bytes, and `extra` bytes of text for each, stay in `budget`."""
        self._drawn, self.position = set(), {}
        for image_id in self.order:
            budget -= len(self._thumbnail(image_id)) + extra
            if budget < 0:
                break
            self.position[image_id] = len(self.position)

    def _thumbnail(self, image_id: str) -> str:
        if self.mode == "none":
            return ""
        if image_id not in self._encoded:
            self._encoded[image_id] = encode(self._pixels[self._rows[image_id]], self.mode)
        return self._encoded[image_id]

    def __contains__(self, image_id: object) -> bool:
        """Whether that photo is on the page."""
        return image_id in self.position

    def known(self, image_ids: Iterable[str]) -> list[str]:
        """Those of `image_ids` that are on the page, in their order."""
        return [image_id for image_id in image_ids if image_id in self.position]

    def img(self, image_id: str, alt: str) -> Markup:
        """The photo as a button that opens it; a plain tile with `alt` in it where the photo is not on the page."""
        position = self.position.get(image_id)
        if position is None:
            return Markup('<span class="tile">{}</span>').format(alt)
        if self.mode == "none":
            return Markup('<button class="tile" type="button" data-open="{}">{}</button>').format(position, alt)
        source = Markup("")
        if image_id not in self._drawn:
            self._drawn.add(image_id)
            source = Markup(f' src="data:image/webp;base64,{self._thumbnail(image_id)}"')
        picture = Markup('<img data-p="{}"{} alt="{}" width="96" height="96">').format(position, source, escape(alt))
        return Markup('<button class="pic" type="button" data-open="{}">{}</button>').format(position, picture)

    def picture(self, pixels: NDArray[np.uint8], alt: str) -> Markup:
        """A picture that is no photo of the data set, such as a treated copy: uint8 [side, side, 3]; opens nothing."""
        if self.mode == "none":
            return Markup('<span class="tile">{}</span>').format(alt)
        source = Markup(f"data:image/webp;base64,{encode(pixels, self.mode)}")
        return Markup('<span class="pic"><img src="{}" alt="{}" width="96" height="96"></span>').format(source, alt)

    def is_drawn(self, image_id: str) -> bool:
        """Whether the markup already carries that photo."""
        return image_id in self._drawn

    def hidden(self) -> list[str | None]:
        """Base64 of every photo on the page in its order, None where the markup already carries it."""
        return [None if image_id in self._drawn else self._thumbnail(image_id) or None for image_id in self.position]


def rows_of(image_ids: Iterable[Any]) -> dict[str, int]:
    """Row numbers by image id."""
    return {str(image_id): row for row, image_id in enumerate(image_ids)}
