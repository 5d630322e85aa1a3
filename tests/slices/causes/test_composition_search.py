"""Real photographs: a model that fails on dark and blurred ones, and two single causes beside."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.attributes import measure_images, measure_look
from pipeline.remedies import apply_remedy, list_interventions
from pipeline.slices.causes.cause_search import find_causes
from pipeline.slices.causes.good_images import GoodImages, select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from tests.attributes.images import load_windows
from tests.helpers.validation_sets import make_validation_set

SIDE = 32
COUNT = 160
FEW_INTERVENTIONS = pd.DataFrame(
    [item for item in list_interventions() if item[0] in ("exposure", "blur", "rotation")],
    columns=["remedy", "strength"],
)


@dataclass(frozen=True)
class Scene:
    """Photographs of which the last 60 are treated."""

    good: GoodImages
    is_member: np.ndarray


def _predict_dark_and_blurred(pixels: np.ndarray) -> np.ndarray:
    """Return class 1, which is wrong, for images that are dark and blurred alike."""
    looks = measure_images(pixels)
    return ((looks["luminance"] < 45) & (looks["sharpness"] < 1.2)).to_numpy().astype(np.intp)


def _plant(*steps: tuple[str, float]) -> Scene:
    pixels = np.stack(load_windows(SIDE, COUNT))
    is_member = np.arange(COUNT) >= COUNT - 60
    for remedy, strength in steps:
        pixels[is_member] = apply_remedy(remedy, pixels[is_member], strength, strength, 0)
    predictions = _predict_dark_and_blurred(pixels)
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(COUNT)], "label": "0"})
    frame["group"] = [f"g{k}" for k in range(COUNT)]
    after = []
    for remedy, strength in FEW_INTERVENTIONS.itertuples(index=False):
        treated = apply_remedy(remedy, pixels, strength, strength, 0)
        after.append(_predict_dark_and_blurred(treated) == 0)
    val = make_validation_set(
        frame, np.zeros(COUNT, int), predictions, "01", is_correct_after=np.stack(after, 1)
    )
    tools = InterventionTools(pixels, apply_remedy, measure_look, _predict_dark_and_blurred)
    good = select_good_images(val, ~is_member, is_member, tools, 60, 0)
    return Scene(good, is_member)


def _name(scene: Scene) -> list[set[str]]:
    candidates, _ = find_causes(
        scene.good, scene.is_member, scene.is_member, FEW_INTERVENTIONS, 60, 0.05
    )
    named = []
    for candidate in candidates:
        if candidate.is_named:
            parts = {candidate.remedy}
            if candidate.companion:
                parts.add(candidate.companion.remedy)
            named.append(parts)
    return named


def test_dark_and_blurred_is_named_with_both_parts() -> None:
    assert _name(_plant(("exposure", 0.3), ("blur", 2.5)))[0] == {"exposure", "blur"}


def test_one_step_has_no_companion() -> None:
    named = _name(_plant(("exposure", 0.12)))
    assert named
    assert all(len(parts) == 1 for parts in named)
