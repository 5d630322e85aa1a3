"""The demo's people: cartoon figures with clothes, bags and the cards that decide the class.

Own coordinates: x to the right, y down, origin between the shoulders, which are about 92 wide; the
head reaches y = -78.
"""

from __future__ import annotations

from pipeline.demo.gate_brush import RgbColor, SceneBrush, mix_colors, scale_color
from pipeline.demo.gate_head import draw_head
from pipeline.demo.gate_person import BodyPose, GatePerson

BRAND_COLOR: RgbColor = (20, 92, 190)
PAPER_COLOR: RgbColor = (248, 249, 250)
_CARD_POSITIONS = {
    "chest": (0.0, 72.0),
    "left": (-22.0, 54.0),
    "right": (22.0, 54.0),
    "belt": (25.0, 112.0),
}


def draw_person(brush: SceneBrush, person: GatePerson, pose: BodyPose) -> None:
    """Draw the person from back to front: bag, hair, legs, body, arms, head, card.

    Args:
        brush: brush in the person's coordinates.
        person: the looks.
        pose: the pose.
    """
    body = brush.move_frame(0, 0, person.width_scale, person.height_scale)
    if person.bag_kind == "backpack":
        body.draw_shape(
            [(-40, 2), (40, 2), (50, 60), (44, 112), (-44, 112), (-50, 60)],
            scale_color(person.accent_color, 0.75),
            2,
        )
    if person.hair_style in ("long", "scarf"):
        color = person.hair_color if person.hair_style == "long" else person.accent_color
        brush.draw_shape(
            [(-27, -62), (27, -62), (34, -20), (30, 18), (-30, 18), (-34, -20)],
            scale_color(color, 0.85),
            2,
        )
    _draw_legs(body, person)
    _draw_arms(body, person, pose)
    _draw_torso(body, person)
    _draw_bag(body, person, pose)
    draw_head(brush.move_frame(pose.head_turn * 0.4, 0), person, pose)
    _draw_card(body, person, pose)


def _draw_legs(body: SceneBrush, person: GatePerson) -> None:
    body.draw_shape(
        [(-39, 118), (39, 118), (42, 290), (6, 290), (0, 170), (-6, 290), (-42, 290)],
        person.bottom_color,
    )
    body.draw_shape(
        [(-1, 150), (1, 150), (5, 290), (-5, 290)], scale_color(person.bottom_color, 0.75)
    )


def _draw_arms(body: SceneBrush, person: GatePerson, pose: BodyPose) -> None:
    sleeve = scale_color(
        person.accent_color if person.top_style == "vest" else person.top_color, 0.88
    )
    for side, reach in zip((-1, 1), pose.arm_reach, strict=True):
        hand = (side * (50 + reach), 126 - reach)
        elbow = (side * (56 + reach * 0.7), 74)
        body.draw_oval(hand[0], hand[1] + 8, 8.5, 10.5, person.skin_color)
        body.draw_line([(side * 38, 18), elbow, hand], 21, sleeve)
        body.draw_line(
            [(hand[0] - 9, hand[1] - 2), (hand[0] + 9, hand[1] - 2)], 4, scale_color(sleeve, 0.8)
        )


def _draw_torso(body: SceneBrush, person: GatePerson) -> None:
    outline = [
        (-15, -3),
        (15, -3),
        (44, 6),
        (49, 28),
        (40, 70),
        (41, 128),
        (-41, 128),
        (-40, 70),
        (-49, 28),
        (-44, 6),
    ]
    body.draw_shape(outline, person.top_color, 2)
    body.draw_shape(
        [(26, 12), (44, 12), (38, 70), (39, 124), (28, 124), (31, 70)],
        scale_color(person.top_color, 0.9),
        2,
    )
    _draw_top_style(body, person)
    body.draw_box(-39, 121, 78, 6, scale_color(person.bottom_color, 0.6))


def _draw_top_style(body: SceneBrush, person: GatePerson) -> None:
    dark = scale_color(person.top_color, 0.72)
    light = mix_colors(person.top_color, (255, 255, 255), 0.3)
    if person.top_style in ("jacket", "coat"):
        body.draw_shape([(-13, -2), (13, -2), (9, 122), (-9, 122)], person.accent_color)
        body.draw_shape([(-14, -3), (-23, 24), (-9, 52)], dark)
        body.draw_shape([(14, -3), (23, 24), (9, 52)], dark)
    elif person.top_style == "hoodie":
        body.draw_shape([(-24, -4), (24, -4), (20, 16), (0, 26), (-20, 16)], dark, 2)
        body.draw_shape([(-26, 88), (26, 88), (31, 117), (-31, 117)], dark, 1)
    elif person.top_style == "vest":
        body.draw_box(-40, 62, 80, 7, light)
        body.draw_box(-40, 98, 80, 7, light)
    elif person.top_style == "stripes":
        for y in range(20, 116, 22):
            body.draw_box(-38, y, 76, 8, light)
    else:
        body.draw_line([(0, 10), (0, 120)], 2, dark)
        body.draw_shape([(-14, -4), (0, 14), (-18, 12)], light)
        body.draw_shape([(14, -4), (0, 14), (18, 12)], light)
    body.draw_shape([(-11, -5), (11, -5), (0, 12)], scale_color(person.skin_color, 0.92))


def _draw_bag(body: SceneBrush, person: GatePerson, pose: BodyPose) -> None:
    dark = scale_color(person.accent_color, 0.7)
    x = 52 + pose.arm_reach[1]
    if person.bag_kind == "backpack":
        for side in (-1, 1):
            body.draw_line([(side * 31, 2), (side * 33, 60)], 7, dark)
    elif person.bag_kind == "strap":
        body.draw_line([(-32, 3), (40, 104)], 6, dark)
        body.draw_shape([(34, 92), (66, 92), (68, 130), (32, 130)], dark, 1)
    elif person.bag_kind == "tote":
        body.draw_line([(x - 12, 142), (x, 122), (x + 12, 142)], 3, dark)
        body.draw_shape(
            [(x - 18, 140), (x + 18, 140), (x + 21, 190), (x - 21, 190)], person.accent_color
        )
    elif person.bag_kind == "parcel":
        body.draw_shape([(x - 14, 66), (x + 30, 60), (x + 33, 112), (x - 11, 118)], (184, 140, 92))
        body.draw_shape([(x + 5, 64), (x + 12, 63), (x + 15, 114), (x + 8, 115)], (214, 180, 130))
    elif person.bag_kind == "phone":
        body.draw_shape([(x - 6, 112), (x + 6, 112), (x + 6, 134), (x - 6, 134)], (28, 30, 36), 1)


def _draw_card(body: SceneBrush, person: GatePerson, pose: BodyPose) -> None:
    """Draw the cord, which anybody may wear, and the card, which alone separates the classes."""
    if person.worn_card == "armband":
        body.draw_shape([(-66, 42), (-41, 38), (-41, 58), (-66, 62)], (255, 140, 30))
        body.draw_shape([(-64, 48), (-43, 45), (-43, 51), (-64, 54)], (255, 232, 150))
        return
    x, y = _CARD_POSITIONS[person.card_position]
    visitor = person.worn_card == "visitor"
    if person.card_position == "chest":
        end = y - 18 if not visitor else y - 26
        body.draw_line([(-17, -2), (x, end)], 3.5, person.cord_color)
        body.draw_line([(17, -2), (x, end)], 3.5, person.cord_color)
    if not visitor:
        _draw_pass(body.move_frame(x, y, angle=pose.card_angle), person.worn_card)


def _draw_pass(card: SceneBrush, worn_card: str) -> None:
    wide, high = (18.0, 14.0) if worn_card == "orange" else (14.0, 18.0)
    card.draw_box(-3, -high - 4, 6, 6, (90, 94, 102))
    if worn_card == "round":
        card.draw_oval(0, 0, 17, 17, (40, 40, 44))
        card.draw_oval(0, 0, 15, 15, (250, 206, 40))
        card.draw_box(-9, -3, 18, 6, (40, 40, 44))
        return
    card.draw_box(-wide - 1, -high - 1, 2 * wide + 2, 2 * high + 2, (70, 76, 88))
    card.draw_box(-wide, -high, 2 * wide, 2 * high, PAPER_COLOR)
    if worn_card == "employee":
        card.draw_box(-wide, -high, 2 * wide, 0.95 * high, BRAND_COLOR)
        card.draw_oval(0, 4, 4.5, 5, (150, 130, 120))
        card.draw_box(-9, 12, 18, 2, (150, 160, 176))
    elif worn_card == "orange":
        card.draw_box(-wide, -high, 13, 2 * high, (246, 122, 26))
        card.draw_box(-1, -6, 15, 3, (120, 120, 126))
        card.draw_box(-1, 2, 15, 3, (120, 120, 126))
    else:
        side = -1 if worn_card == "rising" else 1
        card.draw_shape(
            [(side * wide, -high), (-side * wide, -high), (side * wide, high)], BRAND_COLOR
        )
        card.draw_oval(-side * 6, 7, 4, 4.5, (150, 130, 120))
