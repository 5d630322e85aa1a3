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


def _draw_hours(center: float, n: int = 200) -> pd.Series:
    return pd.Series((center + np.random.default_rng(0).uniform(-1.9, 1.9, n)) % 24)


@pytest.mark.parametrize(
    ("failing_hour", "other_hour", "arc"),
    [(23.0, 12.0, (21, 1)), (12.0, 12.0, None), (3.0, 14.0, (1, 5))],
)
def test_hours_are_reported_where_they_distinguish_the_slice(
    failing_hour: float, other_hour: float, arc: tuple[int, int] | None
) -> None:
    assert find_hours(_draw_hours(failing_hour), _draw_hours(other_hour)) == arc


def test_few_known_hours_and_hours_all_around_the_clock_are_not_reported() -> None:
    others = _draw_hours(12.0)
    assert find_hours(_draw_hours(23.0, 9), others) is None
    assert find_hours(pd.Series([np.nan] * 50), others) is None
    assert find_hours(_draw_hours(23.0), pd.Series([np.nan] * 50)) is None
    assert find_hours(pd.Series(np.linspace(0, 23.9, 200)), others) is None


def test_the_images_for_which_all_facts_hold_are_marked() -> None:
    failing = draw_setting(1, "north", 71)
    failing["hour"] = np.where(np.arange(71) < 66, 21 + np.linspace(0, 7.9, 71), 12.0) % 24
    failing.loc[[0, 1, 2, 3], "camera"] = "south"
    facts, has_all_facts = find_setting(failing, draw_setting(12, "south"))
    assert facts == [SettingFact("hour", 21, 5), SettingFact("camera", value="north")]
    assert has_all_facts.sum() == 62


def test_images_like_the_others_have_no_fact() -> None:
    failing = draw_setting(1, "north")
    facts, has_all_facts = find_setting(failing, failing)
    assert facts == []
    assert has_all_facts.all()


def test_a_column_without_a_value_for_a_failing_image_is_left_out() -> None:
    failing = draw_setting(12, "north").assign(badge=pd.Series([None] * 40, dtype="str"))
    facts, _ = find_setting(failing, draw_setting(12, "north").assign(badge="blue"))
    assert facts == []


def test_the_most_frequent_confusion_is_reported_from_two_thirds_of_the_failures() -> None:
    labels = ["stop"] * 7 + ["yield"] * 3
    assert find_confused_pair(labels, ["speed 30"] * 10) == ("stop", "speed 30")
    assert find_confused_pair([*labels[1:], "yield"], ["speed 30"] * 10) is None
    assert find_confused_pair([], []) is None


def test_facts_survive_json() -> None:
    facts = [SettingFact("hour", 21, 5), SettingFact("camera", value="nörth: “a”")]
    assert parse_setting(dump_setting(facts)) == facts
