"""A second level of groups: pipeline/data/quality/outer_groups.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError, StageContext
from pipeline.data.quality.outer_groups import nest_groups
from pipeline.domain.rule_columns import build_metadata_frame
from pipeline.stages import ingest, split


def _make_images(groups: list[str], nights: list[Any], source: str = "given") -> pd.DataFrame:
    return pd.DataFrame({"group": groups, "night": nights, "group_source": source})


def test_the_outer_level_counts_and_the_inner_one_is_kept() -> None:
    images = nest_groups(_make_images(["v1", "v1", "v2", "v3"], [1, 1, 1, 2]), "night")
    assert images["group"].tolist() == ["night 1", "night 1", "night 1", "night 2"]
    assert images["inner_group"].tolist() == ["v1", "v1", "v2", "v3"]


def test_an_image_without_an_outer_value_keeps_its_group() -> None:
    images = nest_groups(_make_images(["v1", "v2", "v3"], ["a", None, ""]), "night")
    assert images["group"].tolist() == ["night a", "v2", "v3"]


def test_a_group_in_two_outer_ones_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="'v1' lies in 2 values of 'night' \\(1, 2\\)") as error:
        nest_groups(_make_images(["v1", "v1", "v2"], [1, 2, 2]), "night")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no column 'nigth'"):
        nest_groups(_make_images(["v1"], [1]), "nigth")


def test_an_inferred_group_is_cut_instead() -> None:
    images = nest_groups(_make_images(["v1", "v1", "v2"], [1, 2, 2], "look"), "night")
    assert images["inner_group"].nunique() == 3
    assert images["group"].tolist() == ["night 1", "night 2", "night 2"]


def test_whole_nights_are_split_and_no_rule_names_a_visit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for k in range(120):
        name = f"{k:03d}.png"
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, (32, 32, 3)).astype(np.uint8))
        night, visit = k // 6, k // 2
        rows.append(f"{name},{'badge' if visit % 2 else 'none'},v{visit},n{night}")
    (tmp_path / "images.csv").write_text("file_name,label,visit,night\n" + "\n".join(rows))
    config = ingest.Config(data=tmp_path, group="visit", outer_group="night", side=32)
    notes: list[str] = []
    context = StageContext("r", 0, tmp_path / "scratch", tmp_path, notes=notes)
    context.scratch_folder.mkdir()
    made = ingest.run(config, context)
    images = made["images"]
    assert (images["group"].nunique(), images["inner_group"].nunique()) == (20, 60)
    assert any("60 groups lie within 20" in line for line in notes)
    attributes = images[["image_id"]].assign(luminance=1.0)
    assert "inner_group" not in build_metadata_frame(images, attributes)
    table = split.run(
        split.Config(near_duplicates=-1),
        context,
        images=images,
        attributes=attributes,
        pixels=made["pixels"],
        classes=made["classes"],
    )["splits"]
    assert (table["split"].groupby(images["night"]).nunique() == 1).all()
    assert set(table["split"]) == {"train", "val", "test"}
