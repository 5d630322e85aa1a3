"""Drawing tools of the demo's scenes: anti-aliased flat shapes in a frame that can be moved, scaled and turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

RgbColor = tuple[int, int, int]
PointSequence = Sequence[tuple[float, float]]
ImageCanvas = NDArray[np.uint8]
FloatArray = NDArray[np.floating[Any]]

_SUBPIXEL_BITS = 4  # OpenCV draws at sixteenths of a pixel
_CIRCLE_ANGLES = np.linspace(0.0, 2 * np.pi, 28, endpoint=False)
_CIRCLE_POINTS = np.stack([np.cos(_CIRCLE_ANGLES), np.sin(_CIRCLE_ANGLES)], axis=1)


def scale_color(color: RgbColor, factor: float) -> RgbColor:
    """The color times a factor, channel by channel, kept within 0..255."""
    red, green, blue = (int(min(255.0, max(0.0, c * factor))) for c in color)
    return red, green, blue


def mix_colors(first: RgbColor, second: RgbColor, share: float) -> RgbColor:
    """The color that lies `share` (0..1) of the way from one to the other."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _smooth_outline(points: FloatArray, rounds: int) -> FloatArray:
    """Rounds the corners of a closed outline by Chaikin's corner cutting (1974)."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = cut.reshape(-1, 2)
    return points


class SceneBrush:
    """Draws on a uint8 [H, W, 3] RGB canvas in the coordinates of `frame`, an affine float [2, 3] map to pixels."""

    def __init__(self, canvas: ImageCanvas, frame: FloatArray) -> None:
        """Keeps the canvas (drawn on in place) and the map from own coordinates to its pixels."""
        self.canvas = canvas
        self.frame = frame

    def move_frame(
        self,
        x: float,
        y: float,
        width_scale: float = 1.0,
        height_scale: float = 1.0,
        angle: float = 0.0,
    ) -> SceneBrush:
        """A brush whose origin lies at (x, y) of this one, stretched and then turned by `angle` degrees clockwise."""
        turn = np.deg2rad(angle)
        inner = np.array(
            [
                [np.cos(turn) * width_scale, -np.sin(turn) * height_scale, x],
                [np.sin(turn) * width_scale, np.cos(turn) * height_scale, y],
                [0.0, 0.0, 1.0],
            ]
        )
        return SceneBrush(self.canvas, self.frame @ inner)

    def shear_frame(self, shear: float) -> SceneBrush:
        """A brush whose verticals lean: x grows by `shear` times y."""
        return SceneBrush(
            self.canvas,
            self.frame @ np.array([[1.0, shear, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        )

    def draw_shape(
        self, points: PointSequence | FloatArray, color: RgbColor, smoothing_rounds: int = 0
    ) -> None:
        """Fills a closed outline; `smooth` rounds of corner cutting first."""
        outline = self._map_to_pixels(
            _smooth_outline(np.asarray(points, dtype=np.float64), smoothing_rounds)
        )
        cv2.fillPoly(self.canvas, [outline], color, cv2.LINE_AA, _SUBPIXEL_BITS)

    def draw_oval(
        self, x: float, y: float, radius_x: float, radius_y: float, color: RgbColor
    ) -> None:
        """Fills an ellipse with the radii `wide` and `high`."""
        cv2.fillPoly(
            self.canvas,
            [self._map_to_pixels(_CIRCLE_POINTS * (radius_x, radius_y) + (x, y))],
            color,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )

    def draw_box(self, x: float, y: float, width: float, height: float, color: RgbColor) -> None:
        """Fills a rectangle whose upper left corner is (x, y)."""
        self.draw_shape([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], color)

    def draw_line(self, points: PointSequence, width: float, color: RgbColor) -> None:
        """Draws an open line with round ends."""
        size = float(np.sqrt(abs(np.linalg.det(self.frame[:, :2]))))
        line = self._map_to_pixels(np.asarray(points, dtype=np.float64))
        cv2.polylines(
            self.canvas,
            [line],
            False,
            color,
            max(1, round(width * size)),
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )

    def _map_to_pixels(self, points: FloatArray) -> NDArray[np.int32]:
        mapped = points @ self.frame[:, :2].T + self.frame[:, 2]
        return np.rint(mapped * (1 << _SUBPIXEL_BITS)).astype(np.int32)
