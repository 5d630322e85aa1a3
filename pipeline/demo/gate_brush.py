"""Drawing tools: anti-aliased flat shapes in a frame that can be moved, scaled and rotated."""

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
    """Return the color times a factor, channel by channel, clipped to 0..255."""
    red, green, blue = color
    return _scale_channel(red, factor), _scale_channel(green, factor), _scale_channel(blue, factor)


def _scale_channel(value: float, factor: float) -> int:
    return int(min(255.0, max(0.0, value * factor)))


def mix_colors(first: RgbColor, second: RgbColor, share: float) -> RgbColor:
    """Return the mix of two colors; `share` (0..1) weighs the second.

    Args:
        first: the first color.
        second: the second color.
        share: share of the second color.
    """
    return (
        _mix_channels(first[0], second[0], share),
        _mix_channels(first[1], second[1], share),
        _mix_channels(first[2], second[2], share),
    )


def _mix_channels(first: float, second: float, share: float) -> int:
    return int(first + (second - first) * share)


def _smooth_outline(points: FloatArray, rounds: int) -> FloatArray:
    """Return a closed outline with rounded corners (Chaikin's corner cutting, 1974)."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = cut.reshape(-1, 2)
    return points


class SceneBrush:
    """A brush for a uint8 [H, W, 3] RGB canvas, in the coordinates of a frame."""

    def __init__(self, canvas: ImageCanvas, frame: FloatArray) -> None:
        """Create the brush.

        Args:
            canvas: uint8 [H, W, 3], drawn on in place.
            frame: affine map from frame coordinates to pixels, float [2, 3].
        """
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
        """Return a brush whose origin is at (x, y) of this one, scaled, then rotated clockwise.

        Args:
            x: new origin.
            y: new origin.
            width_scale: horizontal scale.
            height_scale: vertical scale.
            angle: degrees clockwise.
        """
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
        """Return a brush with leaning verticals: x grows by `shear` times y."""
        return SceneBrush(
            self.canvas,
            self.frame @ np.array([[1.0, shear, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        )

    def draw_shape(
        self, points: PointSequence | FloatArray, color: RgbColor, smoothing_rounds: int = 0
    ) -> None:
        """Fill a closed outline.

        Args:
            points: corners of the outline.
            color: RGB.
            smoothing_rounds: rounds of corner cutting.
        """
        outline = self._map_to_pixels(
            _smooth_outline(np.asarray(points, dtype=np.float64), smoothing_rounds)
        )
        cv2.fillPoly(self.canvas, [outline], color, cv2.LINE_AA, _SUBPIXEL_BITS)

    def draw_oval(
        self, x: float, y: float, radius_x: float, radius_y: float, color: RgbColor
    ) -> None:
        """Fill an ellipse around (x, y).

        Args:
            x: center.
            y: center.
            radius_x: horizontal radius.
            radius_y: vertical radius.
            color: RGB.
        """
        cv2.fillPoly(
            self.canvas,
            [self._map_to_pixels(_CIRCLE_POINTS * (radius_x, radius_y) + (x, y))],
            color,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )

    def draw_box(self, x: float, y: float, width: float, height: float, color: RgbColor) -> None:
        """Fill a rectangle with its upper left corner at (x, y).

        Args:
            x: left edge.
            y: upper edge.
            width: width.
            height: height.
            color: RGB.
        """
        self.draw_shape([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], color)

    def draw_line(self, points: PointSequence, width: float, color: RgbColor) -> None:
        """Draw an open line with round ends.

        Args:
            points: corners of the line.
            width: width of the line.
            color: RGB.
        """
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
