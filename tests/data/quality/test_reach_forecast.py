"""What the test holds of each kind of image: pipeline/data/quality/reach_forecast.py."""

from __future__ import annotations

import pandas as pd

from pipeline.data.quality.reach_forecast import forecast_reach

COUNT = 240


def _make_images() -> pd.DataFrame:
    """Return images in groups of two; camera west takes the last third, after 18 h."""
    rows = pd.Series(range(COUNT))
    is_west = rows >= COUNT * 2 // 3
    return pd.DataFrame(
        {
            "image_id": rows.astype(str),
            "label": (rows // 2 % 2).map({0: "badge", 1: "none"}),
            "group": (rows // 2).map("g{}".format),
            "captured_at": pd.Timestamp("2026-01-01T09:00") + pd.to_timedelta(is_west * 11, "h"),
            "given_split": None,
            "camera": is_west.map({False: "east", True: "west"}),
        }
    )


def test_a_camera_that_the_test_lacks_is_foreseen_before_anything_is_trained() -> None:
    images = _make_images()
    splits = pd.Series("train", images.index)
    splits[:100] = "test"
    by_name = {item.name: item for item in forecast_reach(images, splits)}
    assert list(by_name)[:2] == ["label = badge", "label = none"]
    west = by_name["camera = west"]
    assert (west.images, west.groups, west.known_groups) == (0, 0, 40)
    assert west.detectable is None
    assert by_name["time of day = 18 to 24 h"].images == 0
    east = by_name["camera = east"]
    assert east.groups == 50
    assert east.detectable is not None


def test_more_groups_of_a_kind_show_smaller_gains() -> None:
    images = _make_images()
    few, many = pd.Series("train", images.index), pd.Series("train", images.index)
    few[:40] = "test"
    many[:160] = "test"
    badge = [forecast_reach(images, splits)[0] for splits in (few, many)]
    assert badge[0].detectable is not None
    assert badge[1].detectable is not None
    assert badge[0].detectable > badge[1].detectable


def test_classes_are_listed_however_many_there_are() -> None:
    images = _make_images().assign(label=[f"c{row // 4:02d}" for row in range(COUNT)])
    names = [item.name for item in forecast_reach(images, pd.Series("test", images.index))]
    assert names[:2] == ["label = c00", "label = c01"]
    assert sum(name.startswith("label") for name in names) == 60
