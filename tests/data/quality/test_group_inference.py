"""Inferred groups: pipeline/data/quality/group_inference.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.contracts import StageContext
from pipeline.data.quality.group_inference import count_inferred_groups, infer_groups
from pipeline.domain.group_source import GroupSource
from pipeline.stages import ingest


def _make_images(paths: list[str], times: list[str | None] | None = None, **more: Any) -> Any:
    contents = [f"h{row}" for row in range(len(paths))]
    table = {"path": paths, "label": "a", "content_hash": contents, "group": contents}
    captured_at = pd.Series(times or [None] * len(paths), dtype="datetime64[us]")
    return pd.DataFrame({**table, "group_source": "bytes", "captured_at": captured_at, **more})


def _draw_features(bursts: list[int], seed: int = 0) -> NDArray[np.float64]:
    """Return features of which those of one burst resemble each other."""
    rng = np.random.default_rng(seed)
    codes = np.array(bursts)
    centers = rng.normal(0, 1, (codes.max() + 1, 300))
    return centers[codes] + rng.normal(0, 0.3, (len(codes), 300))


def _no_features(rows: NDArray[np.intp]) -> NDArray[np.float64]:
    raise AssertionError("no image needs features")


def _infer(images: pd.DataFrame, features: NDArray[np.float64] | None = None) -> pd.DataFrame:
    if features is None:
        return infer_groups(images, _no_features)
    return infer_groups(images, lambda rows: features[rows])


def test_a_pause_and_another_camera_begin_a_visit() -> None:
    times = ["10:00:00", "10:00:50", "10:03:00", "10:00:20", None]
    stamps = [time and f"2026-03-01 {time}" for time in times]
    cameras = ["north", "north", "north", "south", "north"]
    images = _infer(_make_images(list("abcde"), stamps, camera=cameras))
    assert images["group"].tolist() == ["h0", "h0", "h2", "h3", "h4"]
    assert images["group_source"].tolist() == ["time", "time", "bytes", "bytes", "bytes"]
    counts = count_inferred_groups(images)
    assert (counts["before"], counts["after"], counts["time"]) == (5, 4, 2)


def test_a_camera_that_never_pauses_is_cut_into_visits() -> None:
    stamps = list(pd.date_range("2026-03-01", periods=100, freq="30s").astype(str))
    images = _infer(_make_images([f"{row:03d}.jpg" for row in range(100)], stamps))
    assert images["group"].nunique() == 5


def test_dates_without_a_time_of_the_day_tell_nothing() -> None:
    images = _infer(_make_images(list("abcd"), ["2026-03-01"] * 4))
    assert images["group"].nunique() == 4


@pytest.mark.parametrize(
    "name",
    [
        "{burst:05d}_{frame:05d}.jpg",
        "2026030{burst}_120000-{frame}.png",
        "visit{burst} f{frame}.png",
    ],
)
def test_frames_of_a_burst_are_grouped_by_name(name: str) -> None:
    paths = [name.format(burst=row // 10, frame=row % 10) for row in range(60)]
    images = _infer(_make_images(paths))
    assert images["group"].nunique() == 6  # too few images to see whether frames look alike
    paths = [name.format(burst=row // 10, frame=row % 10) for row in range(120)]
    alike = _infer(_make_images(paths), _draw_features([row // 10 for row in range(120)]))
    assert alike["group"].tolist() == [f"h{row // 10 * 10}" for row in range(120)]
    assert set(alike["group_source"]) == {GroupSource.NAME}


def test_names_whose_images_differ_are_no_bursts() -> None:
    paths = [f"2026_{row // 10}_{row % 10}.jpg" for row in range(200)]
    images = _infer(_make_images(paths), _draw_features(list(range(200))))
    assert images["group"].nunique() == 200


def test_names_that_number_the_images_of_a_class_are_no_bursts() -> None:
    paths = [f"class{row // 100}_{row % 100:03d}.jpg" for row in range(200)]
    labels = [f"class{row // 100}" for row in range(200)]
    images = _make_images(paths, label=labels)
    inferred = _infer(images, _draw_features([row // 100 for row in range(200)]))
    assert (inferred["group_source"] != GroupSource.NAME).all()


def test_images_that_look_alike_are_grouped() -> None:
    bursts = [row // 4 if row < 160 else row for row in range(300)]
    images = _infer(_make_images([f"{row}.jpg" for row in range(300)]), _draw_features(bursts))
    found = pd.DataFrame({"found": images["group"], "burst": bursts})
    assert (found.groupby("found")["burst"].nunique() == 1).all()
    assert (found.groupby("burst")["found"].nunique() == 1).all()


def test_copies_stay_together_and_the_first_image_names_the_group() -> None:
    images = _make_images(["c", "b", "a"])
    images["content_hash"] = ["h", "h", "other"]
    assert _infer(images)["group"].tolist() == ["h", "h", "other"]
    stamps = ["2026-03-01 10:00:20", "2026-03-01 10:00:00"]
    assert set(_infer(_make_images(["a", "b"], stamps))["group"]) == {"h1"}


def test_a_later_image_does_not_rename_a_group() -> None:
    stamps = [f"2026-03-01 10:00:{second:02d}" for second in (0, 20, 40)]
    early = _infer(_make_images(list("bca")[:2], stamps[:2]))
    late = _infer(_make_images(list("bca"), stamps))
    assert set(early["group"]) == set(late["group"])


@pytest.mark.data
def test_tracks_of_traffic_signs_are_found_again(gtsrb: Path, tmp_path: Path) -> None:
    table = pd.read_csv(gtsrb / "metadata.csv", dtype=str)
    table = table[table["label"].isin(["00", "19", "37"])]
    table["file_name"] = [str(gtsrb / name) for name in table["file_name"]]
    table[["file_name", "label"]].to_csv(tmp_path / "metadata.csv", index=False)
    context = StageContext("run", 0, tmp_path, tmp_path)
    images = ingest.run(ingest.Config(data=tmp_path / "metadata.csv", side=64), context)["images"]
    tracks = images["path"].str.rpartition("_")[0]
    assert (images.groupby("group")["path"].count() >= 29).all()
    assert images["group"].nunique() == tracks.nunique()
    assert any("groups were inferred" in note for note in context.notes)
