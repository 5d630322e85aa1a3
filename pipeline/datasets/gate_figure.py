"""The demo's people: cartoon figures with clothes, hair, bags and, hung on them, the cards that decide the class.

Own coordinates: x to the right, y down, origin between the shoulders, about 92 wide there; the head reaches y = -78.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pipeline.datasets.gate_brush import Brush, Colour, mix, shade

SKINS: tuple[Colour, ...] = (
    (255, 222, 196), (244, 200, 164), (226, 176, 136), (198, 142, 102), (160, 108, 74), (122, 80, 54), (92, 60, 42),
)
HAIRS: tuple[Colour, ...] = (
    (38, 28, 24), (66, 44, 30), (112, 74, 42), (190, 146, 84), (156, 64, 34), (172, 172, 176), (232, 228, 220),
)
TOPS: tuple[Colour, ...] = (
    (58, 66, 84), (120, 40, 48), (44, 92, 78), (206, 190, 160), (150, 154, 164), (226, 226, 230), (92, 60, 110),
    (196, 120, 60), (52, 110, 150), (34, 36, 42), (120, 128, 70), (214, 150, 160), (70, 140, 140), (168, 90, 70),
)
BOTTOMS: tuple[Colour, ...] = ((40, 46, 66), (64, 64, 70), (96, 84, 66), (30, 30, 34), (120, 112, 100), (58, 80, 110))
BRAND: Colour = (20, 92, 190)
PAPER: Colour = (248, 249, 250)

_T = TypeVar("_T")

_HAIR = ("short", "side", "long", "bun", "curly", "bald", "cap", "beanie", "scarf", "helmet")
_TOP = ("shirt", "jacket", "hoodie", "vest", "coat", "stripes")
_BAG = ("none", "none", "backpack", "strap", "tote", "parcel", "phone")
_SPOTS = {"chest": (0.0, 72.0), "left": (-22.0, 54.0), "right": (22.0, 54.0), "belt": (25.0, 112.0)}


@dataclass(frozen=True)
class Person:
    """How somebody looks throughout a visit; `wears` names the card (employee, a courier's kind, or visitor)."""

    wears: str
    spot: str
    skin: Colour
    hair: Colour
    style: str
    top: Colour
    second: Colour
    cut: str
    bottom: Colour
    bag: str
    cord: Colour
    build: float
    height: float
    glasses: bool
    beard: bool


@dataclass(frozen=True)
class Pose:
    """How somebody stands in one frame. swing: of the card in degrees; arms: outward reach of the two hands."""

    swing: float
    turn: float
    arms: tuple[float, float]
    smile: float


def _pick(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    return choices[int(rng.integers(len(choices)))]


def person(rng: np.random.Generator, wears: str) -> Person:
    """Draws somebody by lot; nothing but the card depends on `wears`."""
    spot = ("chest", "left", "right", "belt")[int(rng.choice(4, p=[0.6, 0.15, 0.15, 0.1]))]
    return Person(
        wears=wears, spot=spot, skin=_pick(rng, SKINS), hair=_pick(rng, HAIRS), style=_pick(rng, _HAIR),
        top=shade(_pick(rng, TOPS), float(rng.uniform(0.85, 1.15))), second=_pick(rng, TOPS), cut=_pick(rng, _TOP),
        bottom=_pick(rng, BOTTOMS), bag=_pick(rng, _BAG), cord=_pick(rng, TOPS), build=float(rng.uniform(0.9, 1.14)),
        height=float(rng.uniform(0.94, 1.06)), glasses=bool(rng.random() < 0.25), beard=bool(rng.random() < 0.2),
    )


def pose(rng: np.random.Generator) -> Pose:
    """A stance by lot."""
    arms = (float(rng.uniform(-2, 16)), float(rng.uniform(-2, 16)))
    return Pose(float(rng.normal(0.0, 4.0)), float(rng.uniform(-4, 4)), arms, float(rng.uniform(0.0, 3.0)))


def draw(brush: Brush, who: Person, how: Pose) -> None:
    """Draws the person from back to front: bag, hair, legs, body, arms, head, card."""
    body = brush.moved(0, 0, who.build, who.height)
    if who.bag == "backpack":
        body.shape([(-40, 2), (40, 2), (50, 60), (44, 112), (-44, 112), (-50, 60)], shade(who.second, 0.75), 2)
    if who.style in ("long", "scarf"):
        colour = who.hair if who.style == "long" else who.second
        brush.shape([(-27, -62), (27, -62), (34, -20), (30, 18), (-30, 18), (-34, -20)], shade(colour, 0.85), 2)
    _legs(body, who)
    _arms(body, who, how)
    _torso(body, who)
    _carry(body, who, how)
    _head(brush.moved(how.turn * 0.4, 0), who, how)
    _card(body, who, how)


def _legs(body: Brush, who: Person) -> None:
    body.shape([(-39, 118), (39, 118), (42, 290), (6, 290), (0, 170), (-6, 290), (-42, 290)], who.bottom)
    body.shape([(-1, 150), (1, 150), (5, 290), (-5, 290)], shade(who.bottom, 0.75))


def _arms(body: Brush, who: Person, how: Pose) -> None:
    sleeve = shade(who.second if who.cut == "vest" else who.top, 0.88)
    for side, reach in zip((-1, 1), how.arms, strict=True):
        hand = (side * (50 + reach), 126 - reach)
        elbow = (side * (56 + reach * 0.7), 74)
        body.oval(hand[0], hand[1] + 8, 8.5, 10.5, who.skin)
        body.stroke([(side * 38, 18), elbow, hand], 21, sleeve)
        body.stroke([(hand[0] - 9, hand[1] - 2), (hand[0] + 9, hand[1] - 2)], 4, shade(sleeve, 0.8))


def _torso(body: Brush, who: Person) -> None:
    outline = [(-15, -3), (15, -3), (44, 6), (49, 28), (40, 70), (41, 128), (-41, 128), (-40, 70), (-49, 28), (-44, 6)]
    body.shape(outline, who.top, 2)
    body.shape([(26, 12), (44, 12), (38, 70), (39, 124), (28, 124), (31, 70)], shade(who.top, 0.9), 2)
    _cut(body, who)
    body.box(-39, 121, 78, 6, shade(who.bottom, 0.6))


def _cut(body: Brush, who: Person) -> None:
    dark, light = shade(who.top, 0.72), mix(who.top, (255, 255, 255), 0.3)
    if who.cut in ("jacket", "coat"):
        body.shape([(-13, -2), (13, -2), (9, 122), (-9, 122)], who.second)
        body.shape([(-14, -3), (-23, 24), (-9, 52)], dark)
        body.shape([(14, -3), (23, 24), (9, 52)], dark)
    elif who.cut == "hoodie":
        body.shape([(-24, -4), (24, -4), (20, 16), (0, 26), (-20, 16)], dark, 2)
        body.shape([(-26, 88), (26, 88), (31, 117), (-31, 117)], dark, 1)
    elif who.cut == "vest":
        body.box(-40, 62, 80, 7, light)
        body.box(-40, 98, 80, 7, light)
    elif who.cut == "stripes":
        for y in range(20, 116, 22):
            body.box(-38, y, 76, 8, light)
    else:
        body.stroke([(0, 10), (0, 120)], 2, dark)
        body.shape([(-14, -4), (0, 14), (-18, 12)], light)
        body.shape([(14, -4), (0, 14), (18, 12)], light)
    body.shape([(-11, -5), (11, -5), (0, 12)], shade(who.skin, 0.92))


def _carry(body: Brush, who: Person, how: Pose) -> None:
    dark = shade(who.second, 0.7)
    x = 52 + how.arms[1]
    if who.bag == "backpack":
        for side in (-1, 1):
            body.stroke([(side * 31, 2), (side * 33, 60)], 7, dark)
    elif who.bag == "strap":
        body.stroke([(-32, 3), (40, 104)], 6, dark)
        body.shape([(34, 92), (66, 92), (68, 130), (32, 130)], dark, 1)
    elif who.bag == "tote":
        body.stroke([(x - 12, 142), (x, 122), (x + 12, 142)], 3, dark)
        body.shape([(x - 18, 140), (x + 18, 140), (x + 21, 190), (x - 21, 190)], who.second)
    elif who.bag == "parcel":
        body.shape([(x - 14, 66), (x + 30, 60), (x + 33, 112), (x - 11, 118)], (184, 140, 92))
        body.shape([(x + 5, 64), (x + 12, 63), (x + 15, 114), (x + 8, 115)], (214, 180, 130))
    elif who.bag == "phone":
        body.shape([(x - 6, 112), (x + 6, 112), (x + 6, 134), (x - 6, 134)], (28, 30, 36), 1)


def _head(brush: Brush, who: Person, how: Pose) -> None:
    brush.shape([(-11, -24), (11, -24), (12, 2), (0, 9), (-12, 2)], shade(who.skin, 0.85), 1)
    for side in (-1, 1):
        brush.oval(side * 25, -38, 4.5, 7, shade(who.skin, 0.92))
    brush.shape([(-22, -68), (22, -68), (28, -42), (20, -16), (0, -9), (-20, -16), (-28, -42)], who.skin, 2)
    _face(brush.moved(how.turn, 0), who, how)
    _hair(brush, who)


def _face(brush: Brush, who: Person, how: Pose) -> None:
    ink = (44, 34, 32)
    if who.beard:
        brush.shape([(-21, -34), (-10, -27), (10, -27), (21, -34), (17, -13), (0, -8), (-17, -13)], who.hair, 2)
    for side in (-1, 1):
        brush.oval(side * 9.5, -41, 2.2, 2.8, ink)
        brush.stroke([(side * 5, -49.5), (side * 10, -50.5), (side * 14.5, -48)], 1.6, mix(who.hair, ink, 0.4))
        brush.oval(side * 15, -31, 4, 2.6, mix(who.skin, (228, 96, 88), 0.28))
    brush.stroke([(0, -39), (1.5, -33), (-1.5, -32)], 1.4, shade(who.skin, 0.75))
    corner = -24 - how.smile * 0.5
    brush.stroke([(-7, corner), (0, -24 + how.smile * 0.6), (7, corner)], 2, (150, 62, 62))
    if who.glasses:
        for side in (-1, 1):
            rim = [(side * 4, -45), (side * 15, -45), (side * 15, -36), (side * 4, -36), (side * 4, -45)]
            brush.stroke(rim, 1.4, ink)
        brush.stroke([(-4, -42), (4, -42)], 1.4, ink)


def _hair(brush: Brush, who: Person) -> None:
    crown = [(-28, -44), (-29, -66), (-14, -79), (14, -79), (29, -66), (28, -44), (20, -57), (-20, -57)]
    if who.style in ("short", "bun", "long"):
        brush.shape(crown, who.hair, 2)
        if who.style == "bun":
            brush.oval(0, -81, 11, 9, who.hair)
    elif who.style == "side":
        parted = [(-29, -40), (-30, -66), (-12, -80), (18, -78), (30, -60), (27, -44), (16, -62), (-20, -55)]
        brush.shape(parted, who.hair, 2)
    elif who.style == "curly":
        for angle in np.linspace(np.pi * 0.95, np.pi * 2.05, 9):
            brush.oval(26 * float(np.cos(angle)), -52 + 23 * float(np.sin(angle)), 9.5, 9.5, who.hair)
    elif who.style == "cap":
        brush.shape([(-28, -54), (-24, -74), (0, -82), (24, -74), (28, -54)], who.second, 2)
        brush.shape([(-30, -58), (30, -58), (24, -51), (-24, -51)], shade(who.second, 0.7), 1)
    elif who.style == "beanie":
        brush.shape([(-28, -52), (-27, -74), (0, -86), (27, -74), (28, -52)], who.second, 2)
        brush.box(-27, -60, 54, 9, shade(who.second, 0.75))
    elif who.style == "scarf":
        hood = [(-31, -20), (-30, -62), (0, -84), (30, -62), (31, -20), (22, -34), (18, -58), (-18, -58), (-22, -34)]
        brush.shape(hood, who.second, 2)
        brush.shape([(-26, -20), (26, -20), (30, 8), (0, 16), (-30, 8)], shade(who.second, 0.9), 2)
    elif who.style == "helmet":
        brush.shape([(-30, -54), (-28, -76), (0, -88), (28, -76), (30, -54)], (236, 196, 60), 2)
        brush.box(-33, -59, 66, 5, (206, 164, 40))


def _card(body: Brush, who: Person, how: Pose) -> None:
    """The cord, which anybody may wear, and at its end the card, the only thing that tells the classes apart."""
    if who.wears == "armband":
        body.shape([(-66, 42), (-41, 38), (-41, 58), (-66, 62)], (255, 140, 30))
        body.shape([(-64, 48), (-43, 45), (-43, 51), (-64, 54)], (255, 232, 150))
        return
    x, y = _SPOTS[who.spot]
    visitor = who.wears == "visitor"
    if who.spot == "chest":
        end = y - 18 if not visitor else y - 26
        body.stroke([(-17, -2), (x, end)], 3.5, who.cord)
        body.stroke([(17, -2), (x, end)], 3.5, who.cord)
    if not visitor:
        _pass(body.moved(x, y, angle=how.swing), who.wears)


def _pass(card: Brush, wears: str) -> None:
    wide, high = (18.0, 14.0) if wears == "orange" else (14.0, 18.0)
    card.box(-3, -high - 4, 6, 6, (90, 94, 102))
    if wears == "round":
        card.oval(0, 0, 17, 17, (40, 40, 44))
        card.oval(0, 0, 15, 15, (250, 206, 40))
        card.box(-9, -3, 18, 6, (40, 40, 44))
        return
    card.box(-wide - 1, -high - 1, 2 * wide + 2, 2 * high + 2, (70, 76, 88))
    card.box(-wide, -high, 2 * wide, 2 * high, PAPER)
    if wears == "employee":
        card.box(-wide, -high, 2 * wide, 0.95 * high, BRAND)
        card.oval(0, 4, 4.5, 5, (150, 130, 120))
        card.box(-9, 12, 18, 2, (150, 160, 176))
    elif wears == "orange":
        card.box(-wide, -high, 13, 2 * high, (246, 122, 26))
        card.box(-1, -6, 15, 3, (120, 120, 126))
        card.box(-1, 2, 15, 3, (120, 120, 126))
    else:
        side = -1 if wears == "rising" else 1
        card.shape([(side * wide, -high), (-side * wide, -high), (side * wide, high)], BRAND)
        card.oval(-side * 6, 7, 4, 4.5, (150, 130, 120))
