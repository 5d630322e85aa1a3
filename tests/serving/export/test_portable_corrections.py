import numpy as np
import pandas as pd
import pytest

from pipeline.attributes import measure_images
from pipeline.domain.rules import Condition, Rule
from pipeline.learning.models.decision_module import (
    ContrastScaling,
    ImageResampling,
    LookupTable,
    apply_pixel_transform,
)
from pipeline.remedies import apply_remedy
from pipeline.serving.export.portable_corrections import (
    ValidationImages,
    find_equivalent_change,
    select_portable_corrections,
)
from tests.night import image

RNG = np.random.default_rng(4)
PHOTOS = np.stack([image(("lying", "standing")[k % 2], k % 3 == 0, RNG) for k in range(60)])


def _val() -> ValidationImages:
    frame = measure_images(PHOTOS)
    return ValidationImages(PHOTOS, frame.assign(hour=12.0, door="east"))


@pytest.mark.parametrize(
    ("remedy", "strength", "kind"),
    [
        ("exposure", 4.0, LookupTable),
        ("gamma", 0.5, LookupTable),
        ("color_cast", 1.6, LookupTable),
        ("contrast", 2.5, ContrastScaling),
        ("rotation", -20.0, ImageResampling),
        ("zoom", 1.4, ImageResampling),
        ("horizontal_flip", 1.0, ImageResampling),
    ],
)
def test_a_remedy_is_carried_by_what_does_the_same(remedy: str, strength: float, kind: type) -> None:
    change = find_equivalent_change(remedy, strength, PHOTOS[:20])
    assert isinstance(change, kind)
    off = np.abs(
        apply_pixel_transform(change, PHOTOS) - apply_remedy(remedy, PHOTOS, strength, strength, seed=0)
    )
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


@pytest.mark.parametrize(
    ("remedy", "strength"), [("noise", 12.0), ("jpeg", 10.0), ("blur", 2.0), ("occlusion", 0.3)]
)
def test_what_no_module_does_is_not_carried(remedy: str, strength: float) -> None:
    assert find_equivalent_change(remedy, strength, PHOTOS[:20]) is None


def _carry(
    *conditions: Condition, remedy: str = "exposure", val: ValidationImages | None = None
) -> dict[str, object]:
    item = {"slice": "s1", "remedy": remedy, "strength": 2.0, "words": "in words"}
    found = select_portable_corrections(
        [item], {"s1": Rule(conditions, label="lying")}, val or _val()
    )
    assert len(found.corrections) == int(found.descriptions[0]["carried"])
    return found.descriptions[0]


def test_a_condition_on_light_is_carried_and_its_difference_counted() -> None:
    told = _carry(Condition("luminance", "<=", 45.0))
    assert told["when"] == "luminance <= 45", "a image that arrives has no label"
    assert (told["carried"], told["elsewhere"], told["of"], told["why"]) == (True, 0, 60, "")


@pytest.mark.parametrize(
    "condition",
    [
        Condition("hour", ">=", 20.0),
        Condition("door", "is", "east"),
        Condition("a1b2", "near", 0.2),
    ],
)
def test_what_the_pixels_do_not_show_is_left_out_with_its_reason(condition: Condition) -> None:
    told = _carry(Condition("luminance", "<=", 45.0), condition)
    assert told["carried"] is False
    assert told["why"] == f"{condition.format_text()} cannot be told from the model's pixels"


def test_a_condition_that_small_copies_answer_otherwise_is_left_out() -> None:
    frame = _val().frame
    light = float(frame["luminance"].median())
    told = _carry(
        Condition("luminance", "<=", light),
        val=ValidationImages(PHOTOS, frame.assign(luminance=frame["luminance"] + 40)),
    )
    assert told["carried"] is False
    assert isinstance(told["elsewhere"], int)
    assert told["elsewhere"] > 3
    assert "of 60 images of val for its other side" in str(told["why"])


def test_a_remedy_without_counterpart_is_left_out() -> None:
    told = _carry(remedy="blur")
    assert told["carried"] is False
    assert told["why"] == "blur has no counterpart in the graph that does the same"


def test_nothing_to_carry() -> None:
    assert (
        select_portable_corrections(
            [], {}, ValidationImages(PHOTOS, pd.DataFrame(index=range(60)))
        ).descriptions
        == ()
    )
