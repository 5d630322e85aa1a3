import numpy as np
import pandas as pd

from pipeline.domain.rules import Condition
from pipeline.slices.family.family_conditions import list_family_conditions


def _build_frame(count: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ids = [f"i{row}" for row in range(count)]
    return pd.DataFrame(
        {
            "image_id": ids,
            "label": "a",
            "group": ids,
            "luminance": rng.normal(100, 30, count),
            "hour": rng.uniform(0, 24, count),
            "camera": np.array(["gate-1", "gate-2", "yard-1", "yard-2"])[rng.integers(0, 4, count)],
            "frames": rng.integers(0, 4, count),
        }
    )


def test_every_condition_admits_the_images_of_its_mask() -> None:
    frame = _build_frame()
    listed = list_family_conditions(frame, 10)
    for item in listed:
        assert (item.mask == item.condition.compute_mask(frame, {})).all()
        assert 10 <= item.mask.sum() <= 0.6 * len(frame)
    assert any(item.is_paired for item in listed)
    assert not all(item.is_paired for item in listed)


def test_tails_windows_arcs_values_and_beginnings_are_listed() -> None:
    conditions = [item.condition for item in list_family_conditions(_build_frame(), 8)]
    operators = {(condition.column, condition.op) for condition in conditions}
    assert operators == {
        ("luminance", "<="),
        ("luminance", ">="),
        ("luminance", "between"),
        ("hour", "between"),
        ("camera", "is"),
        ("camera", "starts"),
        ("frames", "is"),
    }
    ranges = [c.value for c in conditions if c.column == "luminance" and c.op == "between"]
    assert any(low > high for low, high in ranges), "both tails together"
    assert any(low < high for low, high in ranges), "a window"
    assert Condition("camera", "starts", "gate-") in conditions
    assert conditions[0].column in ("camera", "frames"), "metadata comes first"


def test_small_tails_are_in_reach() -> None:
    listed = list_family_conditions(_build_frame(1000), 20)
    sizes = [int(item.mask.sum()) for item in listed if item.condition.column == "luminance"]
    assert min(sizes) == 20


def test_unknown_values_are_in_no_condition() -> None:
    frame = _build_frame()
    frame.loc[:99, "luminance"] = np.nan
    listed = list_family_conditions(frame, 10)
    masks = [item.mask[:100] for item in listed if item.condition.column == "luminance"]
    assert masks
    assert not np.any(masks)


def test_of_a_text_of_many_values_the_beginnings_alone_are_conditions() -> None:
    frame = _build_frame()
    rows = np.arange(len(frame))
    frame["file"] = [f"device-{row % 8:04d}/{row}" for row in rows]
    listed = [item for item in list_family_conditions(frame, 10) if item.condition.column == "file"]
    assert {item.condition.op for item in listed} == {"starts"}
    assert Condition("file", "starts", "device-0003/") in [item.condition for item in listed]
    assert all(item.mask.sum() == 50 for item in listed)
    assert not any(item.is_paired for item in listed)
