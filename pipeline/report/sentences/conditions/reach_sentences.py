"""Sentences about what the sealed test set holds and what it can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.data.quality.reach_forecast import ReachForecast

LISTED_KINDS = 5
"""Kinds of image that one sentence lists; the table of the page holds all."""


def describe_test_reach(
    name: str, image_count: int, group_count: int, detectable_gain: float | None
) -> str:
    """Return what the sealed test set holds of a slice or a kind of image, and what it can show.

    Args:
        name: name of the slice or the kind.
        image_count: test images of it.
        group_count: their groups.
        detectable_gain: smallest gain that they show with a power of 80 %; None if none.

    >>> describe_test_reach("s1", 0, 0, None)
    'the test holds no image of s1: no gain can be shown there; add test images of this kind'
    """
    if not image_count:
        return (
            f"the test holds no image of {name}: no gain can be shown there; "
            "add test images of this kind"
        )
    return (
        f"the test holds {image_count:,} images of {name}, of {group_count:,} groups: "
        f"{describe_detectable_gain(detectable_gain)}"
    )


def describe_detectable_gain(detectable_gain: float | None) -> str:
    """Return which gain a number of groups can show.

    >>> describe_detectable_gain(0.22), describe_detectable_gain(None)
    ('enough to show gains from about 22 points', 'too few to show any gain')
    """
    if detectable_gain is None:
        return "too few to show any gain"
    return f"enough to show gains from about {100 * detectable_gain:.0f} points"


def describe_reach_forecasts(forecasts: Sequence[ReachForecast]) -> list[str]:
    """Return what the test can show of every kind of image, the kinds it cannot judge first.

    Args:
        forecasts: see `forecast_reach`.
    """
    missing = [item.name for item in forecasts if not item.images]
    few = [item for item in forecasts if item.images and item.detectable is None]
    judged = [item for item in forecasts if item.detectable is not None]
    lines = []
    if missing:
        lines.append(
            f"the test holds no image of {_list_names(missing)}: whatever is mended there, the "
            "test cannot show it; add test images of this kind"
        )
    if few:
        names = [f"{item.name} ({item.groups} groups)" for item in few]
        lines.append(f"the test holds too few groups to show any gain for {_list_names(names)}")
    if judged:
        worst = max(judged, key=lambda item: item.detectable or 0.0)
        best = min(judged, key=lambda item: item.detectable or 0.0)
        lines.append(
            f"of a single kind of image the test shows gains from {_describe_kind(best)}"
            + (f" to {_describe_kind(worst)}" if worst is not best else "")
        )
    return lines


def _list_names(names: Sequence[str]) -> str:
    text = ", ".join(names[:LISTED_KINDS])
    more = len(names) - LISTED_KINDS
    return f"{text} and {more} more kinds" if more > 0 else text


def _describe_kind(item: ReachForecast) -> str:
    return f"{100 * (item.detectable or 0.0):.0f} points ({item.name}, {item.groups:,} groups)"


def build_reach_rows(
    forecasts: Sequence[ReachForecast], planned: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return table rows (name, images, groups, reach): planned slices, then kinds of image.

    Args:
        forecasts: see `forecast_reach`.
        planned: the planned slices, see `test_reach` in the artifact `policy`.
    """
    rows = []
    for record in planned:
        rows.append({"name": record["slice"], **record})
    rows += [{"name": item.name, **item.build_record()} for item in forecasts]
    return [{**row, "reach": describe_detectable_gain(row["detectable"])} for row in rows]
