"""The heads of the demo's people: faces, hair and hats.

Own coordinates: x to the right, y down, origin between the shoulders, which are about 92 wide; the
head reaches y = -78.
"""

from __future__ import annotations

import numpy as np

from pipeline.demo.gate_brush import SceneBrush, mix_colors, scale_color
from pipeline.demo.gate_person import BodyPose, GatePerson


def draw_head(brush: SceneBrush, person: GatePerson, pose: BodyPose) -> None:
    """Draw neck, ears, face and hair."""
    brush.draw_shape(
        [(-11, -24), (11, -24), (12, 2), (0, 9), (-12, 2)], scale_color(person.skin_color, 0.85), 1
    )
    for side in (-1, 1):
        brush.draw_oval(side * 25, -38, 4.5, 7, scale_color(person.skin_color, 0.92))
    brush.draw_shape(
        [(-22, -68), (22, -68), (28, -42), (20, -16), (0, -9), (-20, -16), (-28, -42)],
        person.skin_color,
        2,
    )
    _draw_face(brush.move_frame(pose.head_turn, 0), person, pose)
    _draw_hair(brush, person)


def _draw_face(brush: SceneBrush, person: GatePerson, pose: BodyPose) -> None:
    ink = (44, 34, 32)
    if person.has_beard:
        brush.draw_shape(
            [(-21, -34), (-10, -27), (10, -27), (21, -34), (17, -13), (0, -8), (-17, -13)],
            person.hair_color,
            2,
        )
    for side in (-1, 1):
        brush.draw_oval(side * 9.5, -41, 2.2, 2.8, ink)
        brush.draw_line(
            [(side * 5, -49.5), (side * 10, -50.5), (side * 14.5, -48)],
            1.6,
            mix_colors(person.hair_color, ink, 0.4),
        )
        brush.draw_oval(side * 15, -31, 4, 2.6, mix_colors(person.skin_color, (228, 96, 88), 0.28))
    brush.draw_line([(0, -39), (1.5, -33), (-1.5, -32)], 1.4, scale_color(person.skin_color, 0.75))
    corner = -24 - pose.smile_depth * 0.5
    brush.draw_line(
        [(-7, corner), (0, -24 + pose.smile_depth * 0.6), (7, corner)], 2, (150, 62, 62)
    )
    if person.has_glasses:
        for side in (-1, 1):
            rim = [
                (side * 4, -45),
                (side * 15, -45),
                (side * 15, -36),
                (side * 4, -36),
                (side * 4, -45),
            ]
            brush.draw_line(rim, 1.4, ink)
        brush.draw_line([(-4, -42), (4, -42)], 1.4, ink)


def _draw_hair(brush: SceneBrush, person: GatePerson) -> None:
    crown = [
        (-28, -44),
        (-29, -66),
        (-14, -79),
        (14, -79),
        (29, -66),
        (28, -44),
        (20, -57),
        (-20, -57),
    ]
    if person.hair_style in ("short", "bun", "long"):
        brush.draw_shape(crown, person.hair_color, 2)
        if person.hair_style == "bun":
            brush.draw_oval(0, -81, 11, 9, person.hair_color)
    elif person.hair_style == "side":
        parted = [
            (-29, -40),
            (-30, -66),
            (-12, -80),
            (18, -78),
            (30, -60),
            (27, -44),
            (16, -62),
            (-20, -55),
        ]
        brush.draw_shape(parted, person.hair_color, 2)
    elif person.hair_style == "curly":
        for angle in np.linspace(np.pi * 0.95, np.pi * 2.05, 9):
            brush.draw_oval(
                26 * float(np.cos(angle)),
                -52 + 23 * float(np.sin(angle)),
                9.5,
                9.5,
                person.hair_color,
            )
    elif person.hair_style == "cap":
        brush.draw_shape(
            [(-28, -54), (-24, -74), (0, -82), (24, -74), (28, -54)], person.accent_color, 2
        )
        brush.draw_shape(
            [(-30, -58), (30, -58), (24, -51), (-24, -51)], scale_color(person.accent_color, 0.7), 1
        )
    elif person.hair_style == "beanie":
        brush.draw_shape(
            [(-28, -52), (-27, -74), (0, -86), (27, -74), (28, -52)], person.accent_color, 2
        )
        brush.draw_box(-27, -60, 54, 9, scale_color(person.accent_color, 0.75))
    elif person.hair_style == "scarf":
        hood = [
            (-31, -20),
            (-30, -62),
            (0, -84),
            (30, -62),
            (31, -20),
            (22, -34),
            (18, -58),
            (-18, -58),
            (-22, -34),
        ]
        brush.draw_shape(hood, person.accent_color, 2)
        brush.draw_shape(
            [(-26, -20), (26, -20), (30, 8), (0, 16), (-30, 8)],
            scale_color(person.accent_color, 0.9),
            2,
        )
    elif person.hair_style == "helmet":
        brush.draw_shape(
            [(-30, -54), (-28, -76), (0, -88), (28, -76), (30, -54)], (236, 196, 60), 2
        )
        brush.draw_box(-33, -59, 66, 5, (206, 164, 40))
