"""The looks and poses of the demo's people, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pipeline.demo.gate_brush import RgbColor, scale_color

SKIN_COLORS: tuple[RgbColor, ...] = (
    (255, 222, 196),
    (244, 200, 164),
    (226, 176, 136),
    (198, 142, 102),
    (160, 108, 74),
    (122, 80, 54),
    (92, 60, 42),
)
HAIR_COLORS: tuple[RgbColor, ...] = (
    (38, 28, 24),
    (66, 44, 30),
    (112, 74, 42),
    (190, 146, 84),
    (156, 64, 34),
    (172, 172, 176),
    (232, 228, 220),
)
TOP_COLORS: tuple[RgbColor, ...] = (
    (58, 66, 84),
    (120, 40, 48),
    (44, 92, 78),
    (206, 190, 160),
    (150, 154, 164),
    (226, 226, 230),
    (92, 60, 110),
    (196, 120, 60),
    (52, 110, 150),
    (34, 36, 42),
    (120, 128, 70),
    (214, 150, 160),
    (70, 140, 140),
    (168, 90, 70),
)
BOTTOM_COLORS: tuple[RgbColor, ...] = (
    (40, 46, 66),
    (64, 64, 70),
    (96, 84, 66),
    (30, 30, 34),
    (120, 112, 100),
    (58, 80, 110),
)
_T = TypeVar("_T")

_HAIR_STYLES = ("short", "side", "long", "bun", "curly", "bald", "cap", "beanie", "scarf", "helmet")
_TOP_STYLES = ("shirt", "jacket", "hoodie", "vest", "coat", "stripes")
_BAG_KINDS = ("none", "none", "backpack", "strap", "tote", "parcel", "phone")


@dataclass(frozen=True)
class GatePerson:
    """The looks of a person throughout a visit.

    Attributes:
        worn_card: employee, the kind of a courier's card, or visitor.
    """

    worn_card: str
    card_position: str
    skin_color: RgbColor
    hair_color: RgbColor
    hair_style: str
    top_color: RgbColor
    accent_color: RgbColor
    top_style: str
    bottom_color: RgbColor
    bag_kind: str
    cord_color: RgbColor
    width_scale: float
    height_scale: float
    has_glasses: bool
    has_beard: bool


@dataclass(frozen=True)
class BodyPose:
    """The pose of a person in one frame.

    Attributes:
        card_angle: swing of the card, in degrees.
        head_turn: turn of the head.
        arm_reach: outward reach of both hands.
        smile_depth: depth of the smile.
    """

    card_angle: float
    head_turn: float
    arm_reach: tuple[float, float]
    smile_depth: float


def _pick_choice(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    return choices[int(rng.integers(len(choices)))]


def sample_person(rng: np.random.Generator, worn_card: str) -> GatePerson:
    """Return a random person; only the card depends on `worn_card`."""
    spot = ("chest", "left", "right", "belt")[int(rng.choice(4, p=[0.6, 0.15, 0.15, 0.1]))]
    return GatePerson(
        worn_card=worn_card,
        card_position=spot,
        skin_color=_pick_choice(rng, SKIN_COLORS),
        hair_color=_pick_choice(rng, HAIR_COLORS),
        hair_style=_pick_choice(rng, _HAIR_STYLES),
        top_color=scale_color(_pick_choice(rng, TOP_COLORS), float(rng.uniform(0.85, 1.15))),
        accent_color=_pick_choice(rng, TOP_COLORS),
        top_style=_pick_choice(rng, _TOP_STYLES),
        bottom_color=_pick_choice(rng, BOTTOM_COLORS),
        bag_kind=_pick_choice(rng, _BAG_KINDS),
        cord_color=_pick_choice(rng, TOP_COLORS),
        width_scale=float(rng.uniform(0.9, 1.14)),
        height_scale=float(rng.uniform(0.94, 1.06)),
        has_glasses=bool(rng.random() < 0.25),
        has_beard=bool(rng.random() < 0.2),
    )


def sample_pose(rng: np.random.Generator) -> BodyPose:
    """Return a random pose."""
    arms = (float(rng.uniform(-2, 16)), float(rng.uniform(-2, 16)))
    return BodyPose(
        float(rng.normal(0.0, 4.0)), float(rng.uniform(-4, 4)), arms, float(rng.uniform(0.0, 3.0))
    )
