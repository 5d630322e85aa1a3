"""What is measured where a image arrives; membership is that of the image at its stored size in every case."""

from datetime import datetime

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.attributes import DecodedImage, load_measures
from pipeline.data.reading.image_decoding import ImageHeader, decode_image
from pipeline.domain.rules import Condition, Rule
from pipeline.serving.prediction.rule_attributes import RuleAttributes

DARK, TILTED = Condition("luminance", "<=", 60.0), Condition("tilt", "<=", -5.0)
NIGHT = Condition("hour", "between", [21.0, 5.0])
OPS = ["<=", ">=", "between"]
HEAD = ImageHeader(240, 180, "JPEG", "RGB", None, None)


def _image(light: int, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 2 * light, (9, 12, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(coarse, (240, 180), interpolation=cv2.INTER_CUBIC))[
        1
    ].tobytes()


def _asked(
    rules: list[Rule],
    data: bytes,
    taken: datetime | None = None,
    *,
    shown: tuple[str, ...] = (),
    least: float | None = None,
) -> tuple[dict, bool]:
    """The values, and whether the image was decoded at its stored size for them."""
    calls: list[int] = []

    def whole() -> np.ndarray:
        calls.append(1)
        return decode_image(data)

    return RuleAttributes(rules, shown, least).measure_values(
        decode_image(data, 60), HEAD, taken, whole
    ), bool(calls)


@pytest.mark.parametrize(("light", "taken", "whole"), [
    (20, 22, True),  # dark, at night: only the stored image tells how it is tilted
    (20, 12, False),  # by day: the rule fails whatever the picture shows
    (20, None, False),  # nobody knows when: the same
    (110, 22, False),  # far from dark
])  # fmt: skip
def test_a_image_is_decoded_whole_only_while_a_rule_is_open(
    light: int, taken: int | None, whole: bool
) -> None:
    when = None if taken is None else datetime(2024, 3, 1, taken)
    values, decoded = _asked([Rule((DARK, NIGHT, TILTED))], _image(light), when)
    assert decoded == whole
    assert ("tilt" in values) == whole


def test_a_light_near_the_limit_is_measured_whole() -> None:
    data = _image(40)
    rough, _ = _asked([Rule((Condition("luminance", "<=", 250.0),))], data)
    near = Condition("luminance", "<=", rough["luminance"] + 3)
    values, decoded = _asked([Rule((near,))], data)
    assert decoded
    assert (
        values["luminance"]
        == load_measures()["luminance"](DecodedImage(decode_image(data), None, 240, 180))
        != rough["luminance"]
    )
    assert _asked([], data, least=rough["luminance"] + 3)[1], "the least light is a limit as well"
    assert not _asked([], data, least=rough["luminance"] + 30)[1]


def test_what_rows_show_is_measured_whole_and_looks_are_not_measured() -> None:
    data = _image(110)
    assert _asked([], data, shown=("luminance",)) == (
        {"luminance": load_measures()["luminance"](_whole(data))},
        True,
    )
    assert _asked([], data, shown=("size",))[1] is False
    assert _asked([Rule((TILTED, Condition("a image", "near", 0.2)))], data) == ({}, False)
    assert set(
        RuleAttributes([Rule((DARK, TILTED))], (), None).measure_values(
            decode_image(data), HEAD, None
        )
    ) == {"luminance", "tilt"}


def _whole(data: bytes) -> DecodedImage:
    return DecodedImage(decode_image(data), None, 240, 180)


def test_membership_is_that_of_the_stored_image_for_rules_of_every_kind() -> None:
    rng = np.random.default_rng(1)
    kinds = [
        ("luminance", 10, 130),
        ("warmth", -0.2, 0.2),
        ("tilt", -45, 45),
        ("blockiness", 0.8, 1.6),
        ("hour", 0, 24),
    ]
    saved = 0
    for trial in range(300):
        data, when = (
            _image(int(rng.integers(8, 120)), trial),
            datetime(2024, 3, 1, int(rng.integers(24))),
        )
        rules = []
        for _ in range(rng.integers(1, 3)):
            chosen = [kinds[k] for k in rng.permutation(len(kinds))[: rng.integers(1, 4)]]
            limits = [(name, sorted(rng.uniform(low, high, 2))) for name, low, high in chosen]
            made = [
                Condition(n, op, v if op == "between" else v[0])
                for n, v in limits
                for op in rng.choice(OPS, 1)
            ]
            rules.append(
                Rule((*made, *([Condition("door", "is", "east")] if rng.random() < 0.2 else [])))
            )
        values, decoded = _asked(rules, data, when)
        want = {
            name: f(DecodedImage(decode_image(data), when, 240, 180))
            for name, f in load_measures().items()
        }
        saved += not decoded
        for rule in rules:
            blank = dict.fromkeys(c.column for c in rule.conditions)
            got, whole = (
                pd.DataFrame([blank | {"door": "east"} | known]) for known in (values, want)
            )
            assert rule.image_mask(got).tolist() == rule.image_mask(whole).tolist(), rule.words()
    assert 60 < saved < 240
