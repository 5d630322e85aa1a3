"""Arrived images against the champion's data: pipeline/stages/monitor.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contracts import StageContext
from pipeline.domain.statuses import DriftObstacle
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages import monitor
from pipeline.storage.artifact_store import RunFolder
from tests.arrivals import bundle as write_bundle
from tests.arrivals import images as draw_visits

CONFIG = monitor.Config.model_validate({})


def _make_home(folder: Path, known_images: pd.DataFrame | None = None) -> Path:
    """Return a folder of runs whose champion is run1, with the images of its run."""
    home = folder / "runs"
    write_bundle(home / "run1" / "promote" / "bundle")
    (home / "champions").mkdir(parents=True, exist_ok=True)
    pointer = {"run_id": "run1", "bundle": "runs/run1/promote/bundle"}
    (home / "champions" / "run.json").write_text(json.dumps(pointer))
    if known_images is not None:
        run = RunFolder.open_or_create(home / "run1")
        (run.path / "ingest").mkdir()
        known_images.to_parquet(run.path / "ingest" / "images.parquet")
    return home


def _draw_data(dark: float, seed: int, prefix: str = "i") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return images and attributes of 40 visits, a share of them dark."""
    table = draw_visits(40, np.random.default_rng(seed), dark)
    ids = [f"{prefix}{row}" for row in range(len(table))]
    groups = [f"{prefix}{unit}" for unit in table["unit"]]
    images = pd.DataFrame({"image_id": ids, "content_hash": ids, "label": "badge", "group": groups})
    attributes = table[["luminance", "hour", "sharpness"]].assign(image_id=ids)
    return images.assign(captured_at=pd.NaT), attributes


def _run_monitor(
    home: Path, images: pd.DataFrame, attributes: pd.DataFrame
) -> tuple[dict[str, Any], list[str]]:
    context = StageContext(run_id="run2", seed=0, scratch_folder=home, runs_folder=home)
    drift = monitor.run(CONFIG, context, images=images, attributes=attributes)["drift"]
    ARTIFACT_CONTRACTS["drift"].check_value("drift", drift, {})
    return drift, context.notes


def test_only_images_that_are_new_to_the_champions_run_are_compared(tmp_path: Path) -> None:
    old_images, old_attributes = _draw_data(0.2, 1, "old")
    new_images, new_attributes = _draw_data(0.9, 2, "new")
    home = _make_home(tmp_path, known_images=old_images)
    images = pd.concat([old_images, new_images], ignore_index=True)
    attributes = pd.concat([old_attributes, new_attributes], ignore_index=True)
    drift, notes = _run_monitor(home, images, attributes)
    assert (drift["champion"], drift["images"], drift["reason"]) == ("run1", 80, None)
    failed = {item["name"] for item in drift["conditions"] if not item["passed"]}
    assert failed == {"max_psi", "max_slice_rise"}
    start = "against the data of champion run1: slices that grew: s1"
    assert any(note.startswith(start) for note in notes)
    assert [row["slice"] for row in drift["slices"]] == ["s1"]
    drift, _ = _run_monitor(home, old_images, old_attributes)
    assert drift["reason"] == DriftObstacle.NO_NEW_IMAGE
    assert drift["champion"] == "run1"


def test_a_usual_night_leaves_no_note(tmp_path: Path) -> None:
    """The run of the champion is gone, so that every image counts as new."""
    drift, notes = _run_monitor(_make_home(tmp_path), *_draw_data(0.2, 3))
    assert drift["images"] == 80
    assert all(item["passed"] for item in drift["conditions"])
    assert notes == []


def test_without_a_champion_or_its_data_nothing_is_compared(tmp_path: Path) -> None:
    home = _make_home(tmp_path)
    (home / "run1" / "promote" / "bundle" / "reference.parquet").unlink()
    for _ in range(2):
        drift, _ = _run_monitor(home, *_draw_data(0.9, 3))
        assert (drift["champion"], drift["conditions"]) == (None, [])
        assert drift["reason"] == DriftObstacle.NO_CHAMPION
        assert monitor.fingerprint_external_inputs(CONFIG, home / "run2", None) == ""
        (home / "champions" / "run.json").unlink(missing_ok=True)


def test_a_run_chooses_the_champion_once(tmp_path: Path) -> None:
    home = _make_home(tmp_path)
    run_path = home / "run2"
    before = monitor.fingerprint_external_inputs(CONFIG, run_path, None)
    assert before
    write_bundle(home / "run1" / "promote" / "bundle", seed=5)
    assert monitor.fingerprint_external_inputs(CONFIG, run_path, None) != before
    assert monitor.fingerprint_external_inputs(CONFIG, run_path, before) == before
    assert monitor.fingerprint_external_inputs(CONFIG, run_path, "") == ""
