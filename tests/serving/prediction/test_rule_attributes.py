"""Membership is that of the full-size image in every case, at fewer decodes."""

from datetime import datetime

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.attributes import DecodedImage, load_measures
from pipeline.data.reading.image_decoding import ImageHeader, decode_image
from pipeline.domain.rules import Condition, Rule
from pipeline.serving.prediction.rule_attributes import RuleAttributes

DARK = Condition("luminance", "<=", 60.0)
TILTED = Condition("tilt", "<=", -5.0)
NIGHT = Condition("hour", "between", [21.0, 5.0])
HEADER = ImageHeader(240, 180, "JPEG", "RGB", None, None)
VALUE_RANGES = {
    "luminance": (10, 130),
    "warmth": (-0.2, 0.2),
    "tilt": (-45, 45),
    "blockiness": (0.8, 1.6),
    "hour": (0, 24),
}


def _encode_image(light: int, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 2 * light, (9, 12, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (240, 180), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def _measure_full_size(data: bytes, captured_at: datetime | None = None) -> dict[str, float]:
    image = DecodedImage(decode_image(data), captured_at, 240, 180)
    return {name: function(image) for name, function in load_measures().items()}


def _measure(
    rules: list[Rule],
    data: bytes,
    captured_at: datetime | None = None,
    *,
    row_attributes: tuple[str, ...] = (),
    min_luminance: float | None = None,
) -> tuple[dict[str, float], bool]:
    """Return the values of a reduced copy, and whether the full-size image was decoded for them."""
    decodes: list[int] = []

    def decode_full_size() -> np.ndarray:
        decodes.append(1)
        return decode_image(data)

    attributes = RuleAttributes(rules, row_attributes, min_luminance)
    reduced = decode_image(data, 60)
    values = attributes.measure_values(reduced, HEADER, captured_at, decode_full_size)
    return values, bool(decodes)


@pytest.mark.parametrize(("light", "hour", "is_full_size"), [
    (20, 22, True),  # dark, at night: only the full-size image decides the tilt
    (20, 12, False),  # by day: the rule fails whatever the tilt is
    (20, None, False),  # unknown hour: the same
    (110, 22, False),  # far from dark
])  # fmt: skip
def test_full_size_image_is_decoded_only_for_an_open_rule(
    light: int, hour: int | None, is_full_size: bool
) -> None:
    captured_at = None if hour is None else datetime(2024, 3, 1, hour)
    values, is_decoded = _measure([Rule((DARK, NIGHT, TILTED))], _encode_image(light), captured_at)
    assert is_decoded == is_full_size
    assert ("tilt" in values) == is_full_size


def test_luminance_near_the_threshold_is_measured_at_full_size() -> None:
    data = _encode_image(40)
    reduced, _ = _measure([Rule((Condition("luminance", "<=", 250.0),))], data)
    near = Condition("luminance", "<=", reduced["luminance"] + 3)
    values, is_decoded = _measure([Rule((near,))], data)
    assert is_decoded
    assert values["luminance"] == _measure_full_size(data)["luminance"] != reduced["luminance"]
    assert _measure([], data, min_luminance=reduced["luminance"] + 3)[1]
    assert not _measure([], data, min_luminance=reduced["luminance"] + 30)[1]


def test_attributes_of_a_row_are_measured_at_full_size() -> None:
    data = _encode_image(110)
    values, is_decoded = _measure([], data, row_attributes=("luminance",))
    assert is_decoded
    assert values == {"luminance": _measure_full_size(data)["luminance"]}
    assert not _measure([], data, row_attributes=("size",))[1]


def test_nothing_is_measured_for_a_rule_on_similarity() -> None:
    rule = Rule((TILTED, Condition("an image", "near", 0.2)))
    assert _measure([rule], _encode_image(110)) == ({}, False)


def test_full_size_pixels_give_every_value() -> None:
    data = _encode_image(110)
    attributes = RuleAttributes([Rule((DARK, TILTED))], (), None)
    values = attributes.measure_values(decode_image(data), HEADER, None)
    expected = _measure_full_size(data)
    assert values == {name: expected[name] for name in ("luminance", "tilt")}


def _draw_rule(rng: np.random.Generator) -> Rule:
    names = rng.permutation(list(VALUE_RANGES))[: rng.integers(1, 4)]
    conditions = []
    for name in names.tolist():
        low, high = sorted(rng.uniform(*VALUE_RANGES[name], 2))
        op = rng.choice(["<=", ">=", "between"])
        conditions.append(Condition(name, str(op), [low, high] if op == "between" else low))
    if rng.random() < 0.2:
        conditions.append(Condition("door", "is", "east"))
    return Rule(tuple(conditions))


def test_membership_is_that_of_the_full_size_image() -> None:
    rng = np.random.default_rng(1)
    reduced_count = 0
    for trial in range(300):
        data = _encode_image(int(rng.integers(8, 120)), trial)
        captured_at = datetime(2024, 3, 1, int(rng.integers(24)))
        rules = [_draw_rule(rng) for _ in range(rng.integers(1, 3))]
        values, is_decoded = _measure(rules, data, captured_at)
        expected = _measure_full_size(data, captured_at)
        reduced_count += not is_decoded
        for rule in rules:
            row = dict.fromkeys((c.column for c in rule.conditions), np.nan) | {"door": "east"}
            actual_mask = rule.compute_image_mask(pd.DataFrame([row | values]))
            expected_mask = rule.compute_image_mask(pd.DataFrame([row | expected]))
            assert actual_mask.tolist() == expected_mask.tolist(), rule.format_text()
    assert 60 < reduced_count < 240
