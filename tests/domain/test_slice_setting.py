import numpy as np
import pandas as pd
import pytest

from pipeline.domain.slice_setting import (
    SettingFact,
    dump_setting,
    find_confused_pair,
    find_hours,
    find_setting,
    parse_setting,
)
from tests.helpers.settings_of_slices import draw_setting


@pytest.mark.parametrize(
    ("inside", "outside", "arc"), [(23.0, 12.0, (21, 1)), (12.0, 12.0, None), (3.0, 14.0, (1, 5))]
)
def test_hours_are_reported_where_they_set_the_slice_apart(
    inside: float, outside: float, arc: tuple[int, int] | None
) -> None:
    rng = np.random.default_rng(0)
    draw = [pd.Series((center + rng.uniform(-1.9, 1.9, 200)) % 24) for center in (inside, outside)]
    assert find_hours(*draw) == arc


def test_the_images_for_which_all_facts_hold_are_marked() -> None:
    failing = draw_setting(1, "north", 71)
    failing["hour"] = np.where(np.arange(71) < 66, 21 + np.linspace(0, 7.9, 71), 12.0) % 24
    failing.loc[[0, 1, 2, 3], "camera"] = "south"
    facts, held = find_setting(failing, draw_setting(12, "south"))
    assert facts == [SettingFact("hour", 21, 5), SettingFact("camera", value="north")]
    assert held.sum() == 62
    assert find_setting(failing, failing) == ([], pytest.approx(np.ones(71)))


def test_a_column_that_is_empty_for_every_failing_image_is_passed_over() -> None:
    failing = draw_setting(12, "north").assign(badge=pd.Series([None] * 40, dtype="str"))
    facts, _ = find_setting(failing, draw_setting(12, "north").assign(badge="blue"))
    assert facts == []


def test_a_pair_of_classes_is_reported_where_it_makes_up_most_of_the_failures() -> None:
    assert find_confused_pair(["stop"] * 7 + ["yield"] * 3, ["speed 30"] * 10) == (
        "stop",
        "speed 30",
    )
    assert find_confused_pair(["stop"] * 6 + ["yield"] * 4, ["speed 30"] * 10) is None
    assert find_confused_pair([], []) is None


def test_facts_survive_json() -> None:
    facts = [SettingFact("hour", 21, 5), SettingFact("camera", value="nörth: “a”")]
    assert parse_setting(dump_setting(facts)) == facts
