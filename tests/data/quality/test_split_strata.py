"""Parts that hold their share of every stratum: pipeline/data/quality/split_strata.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.data.quality.group_splits import hash_group
from pipeline.data.quality.split_strata import draw_stratified_part, list_strata


def _make_images(count: int = 300) -> pd.DataFrame:
    rows = np.arange(count)
    return pd.DataFrame(
        {
            "image_id": [f"i{row}" for row in rows],
            "label": np.where(rows % 2, "badge", "none"),
            "group": [f"g{row // 3}" for row in rows],
            "camera": np.where(rows // 3 % 25 == 0, "north", "south"),
            "note": [f"text {row}" for row in rows],
            "captured_at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rows % 24, "h"),
        }
    )


def test_strata_are_columns_with_few_values() -> None:
    assert set(list_strata(_make_images())) == {"label", "camera", "time of day"}


def test_a_rare_camera_gets_its_share() -> None:
    images = _make_images()
    units = pd.factorize(images["group"])[0].astype(np.int64)
    for salt in "abcdefgh":
        positions = np.array([hash_group(group, salt) for group in images["group"]])
        is_drawn = draw_stratified_part(list_strata(images), units, positions, 0.25)
        assert is_drawn[(images["camera"] == "north").to_numpy()].sum() >= 3
        assert is_drawn[positions < 0.25].all(), "what the hash draws stays drawn"
        assert pd.Series(is_drawn).groupby(units).nunique().max() == 1, "groups stay whole"
        assert 0.15 < is_drawn.mean() < 0.45


def test_without_strata_the_position_decides() -> None:
    positions = np.linspace(0, 0.99, 50)
    strata = pd.DataFrame(index=range(50))
    is_drawn = draw_stratified_part(strata, np.arange(50), positions, 0.2)
    assert (is_drawn == (positions < 0.2)).all()
