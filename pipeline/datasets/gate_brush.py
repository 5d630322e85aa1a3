"""Drawing tools of the demo's scenes: anti-aliased flat shapes in a frame that can be moved, scaled and turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
Canvas = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

_SHIFT = 4  # OpenCV draws at sixteenths of a pixel
_TURN = np.linspace(0.0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour times a factor, channel by channel, kept within 0..255."""
    red, green, blue = (int(min(255.0, max(0.0, c * factor))) for c in colour)
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """The colour that lies `share` (0..1) of the way from one to the other."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _smooth(points: Floats, rounds: int) -> Floats:
    """Rounds the corners of a closed outline by Chaikin's corner cutting (1974)."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = cut.reshape(-1, 2)
    return points


class Brush:
    """Draws on a uint8 [H, W, 3] RGB canvas in the coordinates of `frame`, an affine float [2, 3] map to pixels."""

    def __init__(self, canvas: Canvas, frame: Floats) -> None:
        """Keeps the canvas (drawn on in place) and the map from own coordinates to its pixels."""
        self.canvas = canvas
        self.frame = frame

    def moved(self, x: float, y: float, wide: float = 1.0, high: float = 1.0, angle: float = 0.0) -> Brush:
        """A brush whose origin lies at (x, y) of this one, stretched and then turned by `angle` degrees clockwise."""
        turn = np.deg2rad(angle)
        inner = np.array(
            [
                [np.cos(turn) * wide, -np.sin(turn) * high, x],
                [np.sin(turn) * wide, np.cos(turn) * high, y],
                [0.0, 0.0, 1.0],
            ]
        )
        return Brush(self.canvas, self.frame @ inner)

    def leaned(self, shear: float) -> Brush:
        """A brush whose verticals lean: x grows by `shear` times y."""
        return Brush(self.canvas, self.frame @ np.array([[1.0, shear, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))

    def shape(self, points: Points | Floats, colour: Colour, smooth: int = 0) -> None:
        """Fills a closed outline; `smooth` rounds of corner cutting first."""
        outline = self._pixels(_smooth(np.asarray(points, dtype=np.float64), smooth))
        cv2.fillPoly(self.canvas, [outline], colour, cv2.LINE_AA, _SHIFT)

    def oval(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """Fills an ellipse with the radii `wide` and `high`."""
        cv2.fillPoly(self.canvas, [self._pixels(_CIRCLE * (wide, high) + (x, y))], colour, cv2.LINE_AA, _SHIFT)

    def box(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """Fills a rectangle whose upper left corner is (x, y)."""
        self.shape([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], colour)

    def stroke(self, points: Points, width: float, colour: Colour) -> None:
        """Draws an open line with round ends."""
        size = float(np.sqrt(abs(np.linalg.det(self.frame[:, :2]))))
        line = self._pixels(np.asarray(points, dtype=np.float64))
        cv2.polylines(self.canvas, [line], False, colour, max(1, round(width * size)), cv2.LINE_AA, _SHIFT)

    def _pixels(self, points: Floats) -> NDArray[np.int32]:
        mapped = points @ self.frame[:, :2].T + self.frame[:, 2]
        return np.rint(mapped * (1 << _SHIFT)).astype(np.int32)
