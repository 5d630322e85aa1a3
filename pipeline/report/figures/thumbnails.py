"""The images on the page: WebP thumbnails of `pixels`, each stored once."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipeline.report.figures.original_images import LARGE_SIDE, load_original

ThumbnailMode = Literal["full", "blurred", "none"]
MAX_SIDE_PIXELS = 96  # width of a tile on a contact sheet
WEBP_QUALITY = 62  # about 2 kB for a photo of 96 px, so that thousands fit the page
BLUR_DIVISOR = 14  # the blur's standard deviation is the side divided by this, 7 px at 96 px
LARGE_QUALITY = 55  # about 7 kB for a photo of 240 px
LARGE_SHARE = 0.35  # of the bytes of all images, for originals of failures
MAX_LARGE_IMAGES = 250  # files that are opened; more take longer than the rest of the page
HEAT_MAP_SIDE = 24  # pixels; Grad-CAM resolves no finer detail
HEAT_MAP_QUALITY = 30
HEAT_MAP_ALPHA_QUALITY = 60
HEAT_MAP_OPACITY = 0.78  # at the strongest place, so that the image stays visible below


def blur_image(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image, uint8 [side, side, 3], blurred so that no person can be recognized."""
    deviation = pixels.shape[0] / BLUR_DIVISOR
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), deviation), dtype=np.uint8)


def encode_thumbnail(
    pixels: NDArray[np.uint8],
    mode: ThumbnailMode,
    max_side: int = MAX_SIDE_PIXELS,
    quality: int = WEBP_QUALITY,
) -> str:
    """Return an image as base64 of a WebP.

    Args:
        pixels: uint8 [side, side, 3], RGB.
        mode: how images appear on the page.
        max_side: side at most, in pixels.
        quality: quality of the WebP, to 100.
    """
    side = pixels.shape[0]
    if side > max_side:
        pixels = np.asarray(
            cv2.resize(pixels, (max_side, max_side), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    if mode == "blurred":
        pixels = blur_image(pixels)
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(buffer, "WEBP", quality=quality, method=2)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def encode_heat_map(heat_map: NDArray[np.uint8]) -> str:
    """Return a heat map as base64 of a small WebP to lay over its image.

    It is yellow and transparent at its weakest, red and nearly opaque at its strongest.

    Args:
        heat_map: uint8 [side, side]; 255 is the strongest.
    """
    small = np.asarray(
        cv2.resize(heat_map, (HEAT_MAP_SIDE, HEAT_MAP_SIDE), interpolation=cv2.INTER_AREA),
        dtype=np.float32,
    )
    red = np.full_like(small, 255)
    green, blue = 230 - 190 * small / 255, 30 - 30 * small / 255
    channels = np.stack((red, green, blue, HEAT_MAP_OPACITY * small), axis=2)
    image = Image.fromarray(channels.astype(np.uint8), "RGBA")
    buffer = io.BytesIO()
    image.save(
        buffer, "WEBP", quality=HEAT_MAP_QUALITY, alpha_quality=HEAT_MAP_ALPHA_QUALITY, method=4
    )
    return base64.b64encode(buffer.getvalue()).decode("ascii")


class ThumbnailStore:
    """The images that fit the page, the most informative first.

    `draw_thumbnail` draws one. The first drawing of an image carries its bytes; the page's script
    fills in the later ones.

    Attributes:
        mode: how images appear on the page.
        image_order: image ids by priority.
        positions: image ids on the page and their numbers, 0, 1, ...
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        row_numbers: Mapping[str, int],
        mode: ThumbnailMode = "full",
        original_sources: Mapping[str, str] | None = None,
    ) -> None:
        """Create a store without images; `set_order` and `fit_budget` choose them.

        Args:
            pixels: uint8 [images, side, side, 3].
            row_numbers: row of `pixels` by image id.
            mode: how images appear on the page.
            original_sources: sources of larger originals, by image id.
        """
        self.mode = mode
        self.image_order: list[str] = []
        self._enlarged_order: list[str] = []
        self._original_sources = original_sources or {}
        self._large_images: dict[str, str] = {}
        self._enlarged_ids: set[str] = set()
        self.positions: dict[str, int] = {}
        self._pixels = pixels
        self._row_numbers = row_numbers
        self._encoded_images: dict[str, str] = {}
        self._drawn_ids: set[str] = set()

    def set_order(self, image_ids: Sequence[str], enlarged_ids: Sequence[str] = ()) -> None:
        """Set the priority of the images, the most informative first.

        Args:
            image_ids: ids of the images.
            enlarged_ids: ids of those that are shown larger where the originals are at hand.
        """
        self.image_order = list(filter(self._row_numbers.__contains__, dict.fromkeys(image_ids)))
        has_original = self._original_sources.__contains__
        self._enlarged_order = list(filter(has_original, enlarged_ids))[:MAX_LARGE_IMAGES]

    def fit_budget(self, byte_budget: int, text_bytes: int) -> None:
        """Keep the first images of the order that fit `byte_budget`.

        Args:
            byte_budget: bytes of all images and their text.
            text_bytes: bytes of text that each image adds to the page.
        """
        self._drawn_ids, self.positions = set(), {}
        self._enlarged_ids = set() if self.mode == "none" else self._choose_enlarged(byte_budget)
        for image_id in self.image_order:
            byte_budget -= len(self._get_thumbnail(image_id)) + text_bytes
            if byte_budget < 0:
                break
            self.positions[image_id] = len(self.positions)

    def _choose_enlarged(self, byte_budget: int) -> set[str]:
        """Return the ids of the first images of the enlarged order that fit their share."""
        large_budget, chosen = byte_budget * LARGE_SHARE, set()
        for image_id in self._enlarged_order:
            large_budget -= len(self._encode_original(image_id))
            if large_budget < 0:
                break
            if self._large_images[image_id]:
                chosen.add(image_id)
        return chosen

    def _encode_original(self, image_id: str) -> str:
        """Return the original as base64; empty if it is not at hand."""
        if image_id not in self._large_images:
            kept_copy = np.asarray(self._pixels[self._row_numbers[image_id]])
            original = load_original(self._original_sources[image_id], kept_copy)
            self._large_images[image_id] = (
                ""
                if original is None
                else encode_thumbnail(original, self.mode, LARGE_SIDE, LARGE_QUALITY)
            )
        return self._large_images[image_id]

    def _get_thumbnail(self, image_id: str) -> str:
        if self.mode == "none":
            return ""
        if image_id in self._enlarged_ids:
            return self._large_images[image_id]
        if image_id not in self._encoded_images:
            pixels = self._pixels[self._row_numbers[image_id]]
            self._encoded_images[image_id] = encode_thumbnail(pixels, self.mode)
        return self._encoded_images[image_id]

    def __contains__(self, image_id: object) -> bool:
        """Return whether the image is on the page."""
        return image_id in self.positions

    def select_stored(self, image_ids: Iterable[str]) -> list[str]:
        """Return the ids among `image_ids` that are on the page, in their order."""
        return list(filter(self.positions.__contains__, image_ids))

    def draw_thumbnail(self, image_id: str, alt_text: str) -> Markup:
        """Return the image as a button that opens it, or a tile of text if it is not stored.

        Args:
            image_id: id of the image.
            alt_text: text for readers who do not see it.
        """
        position = self.positions.get(image_id)
        if position is None:
            return Markup('<span class="tile">{}</span>').format(alt_text)
        if self.mode == "none":
            button = Markup('<button class="tile" type="button" data-open="{}">{}</button>')
            return button.format(position, alt_text)
        source = Markup("")
        if image_id not in self._drawn_ids:
            self._drawn_ids.add(image_id)
            source = Markup(f' src="data:image/webp;base64,{self._get_thumbnail(image_id)}"')
        image = Markup('<img data-p="{}"{} alt="{}" width="96" height="96">')
        button = Markup('<button class="pic" type="button" data-open="{}">{}</button>')
        return button.format(position, image.format(position, source, alt_text))

    def draw_static_image(self, pixels: NDArray[np.uint8], alt_text: str) -> Markup:
        """Return an image that is not in the data set, such as a treated copy; it opens nothing.

        Args:
            pixels: uint8 [side, side, 3].
            alt_text: text for readers who do not see it.
        """
        if self.mode == "none":
            return Markup('<span class="tile">{}</span>').format(alt_text)
        source = Markup(f"data:image/webp;base64,{encode_thumbnail(pixels, self.mode)}")
        image = Markup('<span class="pic"><img src="{}" alt="{}" width="96" height="96"></span>')
        return image.format(source, alt_text)

    def measure_contrast(self, image_id: str) -> float:
        """Return the standard deviation of the image's pixels, in gray levels."""
        return float(np.std(self._pixels[self._row_numbers[image_id]]))

    def is_drawn(self, image_id: str) -> bool:
        """Return whether the markup already carries the image."""
        return image_id in self._drawn_ids

    def list_undrawn(self) -> list[str | None]:
        """Return base64 of every image on the page, None if the markup already carries it."""
        encoded: list[str | None] = []
        for image_id in self.positions:
            thumbnail = None if image_id in self._drawn_ids else self._get_thumbnail(image_id)
            encoded.append(thumbnail or None)
        return encoded


def index_rows(image_ids: Iterable[Any]) -> dict[str, int]:
    """Return row numbers by image id."""
    return {str(image_id): row for row, image_id in enumerate(image_ids)}
