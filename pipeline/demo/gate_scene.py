"""The demo's two backgrounds: a yard with a boom gate (north), and a brick wall (south).

Frame coordinates: 240 wide and high, origin at the upper left, y down. Everything extends beyond
the frame, so that a tilted camera shows no empty corner.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.demo.gate_brush import ImageCanvas, RgbColor, SceneBrush, mix_colors, scale_color

_SKY_HOURS = (0.0, 4.6, 5.6, 7.5, 12.0, 17.5, 20.0, 21.2, 24.0)
_SKY_TOP_COLORS: tuple[RgbColor, ...] = (
    (12, 18, 44),
    (16, 26, 60),
    (92, 110, 168),
    (108, 164, 226),
    (84, 156, 232),
    (104, 158, 220),
    (96, 104, 166),
    (18, 26, 62),
    (12, 18, 44),
)
_SKY_LOW_COLORS: tuple[RgbColor, ...] = (
    (26, 34, 66),
    (40, 48, 84),
    (250, 178, 136),
    (214, 230, 244),
    (196, 224, 246),
    (236, 220, 200),
    (250, 160, 110),
    (44, 46, 84),
    (26, 34, 66),
)
_LEAF_COLORS: tuple[RgbColor, ...] = ((64, 122, 70), (86, 140, 66), (48, 100, 74), (150, 140, 60))
_DAYLIGHT_START_HOUR, _DAYLIGHT_END_HOUR = 5.5, 20.5
_CAR_COLORS: tuple[RgbColor, ...] = (
    (210, 60, 50),
    (236, 236, 238),
    (52, 92, 150),
    (40, 44, 52),
    (220, 180, 70),
    (130, 140, 150),
    (80, 130, 100),
)


def _interpolate_color(hour: float, colors: tuple[RgbColor, ...]) -> RgbColor:
    reds, greens, blues = zip(*colors, strict=True)
    return (
        int(np.interp(hour, _SKY_HOURS, reds)),
        int(np.interp(hour, _SKY_HOURS, greens)),
        int(np.interp(hour, _SKY_HOURS, blues)),
    )


def _draw_sky(brush: SceneBrush, hour: float, cloud_cover: float, horizon: float) -> None:
    gray: RgbColor = (190, 196, 204)
    by_day = float(np.interp(hour, [5.0, 7.0, 19.0, 21.0], [0.0, 1.0, 1.0, 0.0]))
    gray_share = 0.8 * cloud_cover * by_day
    top = mix_colors(_interpolate_color(hour, _SKY_TOP_COLORS), gray, gray_share)
    low = mix_colors(_interpolate_color(hour, _SKY_LOW_COLORS), gray, gray_share)
    for band in range(20):
        y = -130 + (horizon + 130) * band / 20
        brush.draw_box(-150, y, 540, (horizon + 130) / 20 + 1.5, mix_colors(top, low, band / 19))


def _draw_clouds(brush: SceneBrush, rng: np.random.Generator, hour: float) -> None:
    color = mix_colors(
        _interpolate_color(hour, _SKY_LOW_COLORS),
        (255, 255, 255),
        0.6 if _DAYLIGHT_START_HOUR < hour < _DAYLIGHT_END_HOUR else 0.05,
    )
    for _ in range(int(rng.integers(0, 5))):
        x, y, size = rng.uniform(-40, 280), rng.uniform(-40, 60), rng.uniform(0.6, 1.9)
        for dx, dy, radius in ((-18, 3, 11), (0, -3, 16), (18, 2, 12), (32, 5, 8)):
            brush.draw_oval(
                x + dx * size, y + dy * size, radius * 1.3 * size, radius * 0.72 * size, color
            )


def _draw_tree(brush: SceneBrush, rng: np.random.Generator, x: float, ground: float) -> None:
    leaf = _LEAF_COLORS[int(rng.integers(len(_LEAF_COLORS)))]
    size = rng.uniform(0.7, 1.5)
    brush.draw_box(x - 4 * size, ground - 50 * size, 8 * size, 50 * size, (96, 72, 54))
    for _ in range(6):
        brush.draw_oval(
            x + rng.uniform(-20, 20) * size,
            ground - rng.uniform(45, 95) * size,
            rng.uniform(16, 26) * size,
            rng.uniform(14, 22) * size,
            scale_color(leaf, float(rng.uniform(0.8, 1.15))),
        )


def _draw_car(brush: SceneBrush, rng: np.random.Generator, x: float, ground: float) -> None:
    paint, size = _CAR_COLORS[int(rng.integers(len(_CAR_COLORS)))], rng.uniform(0.8, 1.4)
    car = brush.move_frame(x, ground, size * rng.choice([-1.0, 1.0]), size)
    if rng.random() < 0.5:
        car.draw_shape([(-58, -8), (-58, -62), (20, -62), (32, -38), (54, -32), (56, -8)], paint, 1)
        car.draw_shape([(14, -56), (24, -38), (6, -38), (6, -56)], (70, 90, 110))
    else:
        car.draw_shape(
            [
                (-56, -8),
                (-54, -30),
                (-34, -34),
                (-20, -54),
                (18, -54),
                (34, -34),
                (56, -28),
                (58, -8),
            ],
            paint,
            1,
        )
        car.draw_shape([(-28, -34), (-17, -49), (15, -49), (27, -34)], (70, 90, 110))
    for wheel in (-34, 34):
        car.draw_oval(wheel, -8, 10, 10, (26, 28, 32))
        car.draw_oval(wheel, -8, 4.5, 4.5, (150, 154, 160))


def _draw_lamp(brush: SceneBrush, x: float, ground: float, height: float) -> None:
    brush.draw_line([(x, ground), (x, height), (x - 22, height - 6)], 4, (70, 74, 82))
    head = [(x - 36, height - 9), (x - 16, height - 9), (x - 18, height - 2), (x - 34, height - 2)]
    brush.draw_shape(head, (240, 226, 180))


def _draw_office(brush: SceneBrush, rng: np.random.Generator) -> None:
    wall = mix_colors((196, 186, 172), (150, 164, 176), float(rng.random()))
    right, top = rng.uniform(52, 92), rng.uniform(8, 50)
    brush.draw_box(-150, top, 150 + right, 160 - top, wall)
    brush.draw_box(-150, top - 7, 154 + right, 8, scale_color(wall, 0.7))
    for x in range(-130, int(right) - 26, 34):
        for y in (18, 66):
            brush.draw_box(x + right % 34, top + y, 22, 30, (104, 134, 158))
            brush.draw_box(x + right % 34, top + y, 22, 5, (150, 178, 198))


def _draw_boom(brush: SceneBrush, rng: np.random.Generator) -> None:
    up = rng.choice([0.0, 0.0, -62.0]) + rng.normal(0, 2)
    boom = brush.move_frame(rng.uniform(206, 238), 148, angle=float(180 + abs(up)))
    boom.draw_box(-20, -4.5, 420, 9, (244, 244, 244))
    for x in range(-10, 400, 44):
        boom.draw_shape([(x, -4.5), (x + 22, -4.5), (x + 17, 4.5), (x - 5, 4.5)], (214, 44, 44))
    boom.draw_box(-12, -34, 24, 54, (232, 186, 50))


def draw_north(brush: SceneBrush, rng: np.random.Generator, hour: float) -> None:
    """Draw a yard: sky, an office block, trees and cars, a boom gate, asphalt.

    Args:
        brush: brush in frame coordinates.
        rng: random generator of the visit.
        hour: time of day, in hours.
    """
    horizon = 104 + float(rng.normal(0, 6))
    _draw_sky(brush, hour, float(rng.random()), horizon)
    _draw_clouds(brush, rng, hour)
    hill = mix_colors((104, 138, 112), (120, 140, 160), float(rng.random()))
    ridge = [(-150, horizon - 22), (40, horizon - rng.uniform(10, 50)), (390, horizon - 14)]
    brush.draw_shape([(-150, horizon), *ridge, (390, horizon)], hill, 1)
    ground = mix_colors((128, 130, 134), (168, 160, 148), float(rng.random()))
    brush.draw_box(-150, horizon, 540, 300, ground)
    if rng.random() < 0.6:
        _draw_office(brush, rng)
    for _ in range(int(rng.integers(0, 4))):
        _draw_tree(brush, rng, rng.uniform(-30, 270), horizon + 12)
    brush.draw_shape(
        [(20, horizon), (60, horizon), (40, 400), (-160, 400)], scale_color(ground, 0.86)
    )
    if rng.random() < 0.55:
        _draw_car(
            brush,
            rng,
            rng.choice([rng.uniform(-30, 60), rng.uniform(180, 270)]),
            horizon + rng.uniform(30, 70),
        )
    _draw_boom(brush, rng)
    _draw_lamp(brush, 214, 240, 22)


def _draw_bricks(brush: SceneBrush, rng: np.random.Generator, top: float, ground: float) -> None:
    base = mix_colors((166, 92, 74), (188, 150, 120), float(rng.random()))
    brush.draw_box(-150, top, 540, ground - top, base)
    for row, y in enumerate(np.arange(top, ground - 6, 13.0)):
        brush.draw_box(-150, y, 540, 1.6, scale_color(base, 0.8))
        for x in range(-150 + 15 * (row % 2), 390, 30):
            brush.draw_box(x, y, 1.6, 13, scale_color(base, 0.8))
            if rng.random() < 0.12:
                brush.draw_box(
                    x + 1.6, y + 1.6, 28, 11, scale_color(base, float(rng.uniform(0.84, 1.14)))
                )
    brush.draw_box(-150, top - 8, 540, 9, scale_color(base, 0.62))


def _draw_door(brush: SceneBrush, rng: np.random.Generator, ground: float) -> None:
    paint = ((60, 96, 90), (88, 88, 100), (136, 60, 54), (60, 84, 130))[int(rng.integers(4))]
    x = float(rng.choice([rng.uniform(-30, 30), rng.uniform(150, 210)]))
    brush.draw_box(x - 6, ground - 152, 76, 152, (222, 220, 212))
    brush.draw_box(x, ground - 146, 64, 146, paint)
    brush.draw_box(x + 10, ground - 134, 44, 50, (160, 196, 210))
    brush.draw_oval(x + 54, ground - 66, 4, 4, (230, 206, 120))


def _draw_pot(brush: SceneBrush, rng: np.random.Generator, ground: float) -> None:
    pot = brush.move_frame(float(rng.choice([rng.uniform(-10, 40), rng.uniform(195, 245)])), ground)
    pot.draw_shape([(-16, -34), (16, -34), (12, 14), (-12, 14)], (150, 88, 62))
    for _ in range(7):
        leaf = scale_color(
            _LEAF_COLORS[int(rng.integers(len(_LEAF_COLORS)))], float(rng.uniform(0.8, 1.2))
        )
        pot.draw_oval(rng.uniform(-18, 18), -rng.uniform(36, 70), 11, 13, leaf)


def _draw_fence(brush: SceneBrush, rng: np.random.Generator, top: float, ground: float) -> None:
    steel = mix_colors((70, 84, 80), (120, 124, 128), float(rng.random()))
    for x in np.arange(-150, 390, rng.uniform(18, 30)):
        brush.draw_box(float(x), top, 4, ground - top, steel)
    for y in (top + 8, ground - 24):
        brush.draw_box(-150, y, 540, 5, steel)


def draw_south(brush: SceneBrush, rng: np.random.Generator, hour: float) -> None:
    """Draw a narrow entrance: sky, a brick wall with a door or a fence with bushes, paving stones.

    Args:
        brush: brush in frame coordinates.
        rng: random generator of the visit.
        hour: time of day, in hours.
    """
    ground = 168 + float(rng.normal(0, 7))
    _draw_sky(brush, hour, float(rng.random()), ground)
    _draw_clouds(brush, rng, hour)
    if rng.random() < 0.6:
        _draw_bricks(brush, rng, rng.uniform(-30, 62), ground)
        if rng.random() < 0.7:
            _draw_door(brush, rng, ground)
    else:
        for _ in range(int(rng.integers(1, 5))):
            _draw_tree(brush, rng, rng.uniform(-30, 270), ground)
        _draw_fence(brush, rng, rng.uniform(40, 84), ground)
    paving = mix_colors((150, 142, 140), (178, 150, 130), float(rng.random()))
    brush.draw_box(-150, ground, 540, 260, paving)
    for x in range(-300, 560, 52):
        brush.draw_line([(120 + (x - 120) * 0.5, ground), (x, 400)], 1.6, scale_color(paving, 0.85))
    if rng.random() < 0.5:
        _draw_pot(brush, rng, ground)
    _draw_lamp(brush, 62, 240, 16)


def get_lamp_position(camera: str) -> tuple[float, float]:
    """Return the position of the lamp's bulb, in frame coordinates."""
    return (188.0, 17.0) if camera == "north" else (36.0, 11.0)


def blur_canvas(canvas: ImageCanvas, sigma: float) -> None:
    """Blur the canvas in place, as the lens blurs the background of a person."""
    cv2.GaussianBlur(canvas, (0, 0), sigma, dst=canvas)
