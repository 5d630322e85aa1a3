import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contracts import StageContext
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages import monitor
from pipeline.storage.artifact_store import RunFolder
from tests.arrivals import bundle, images

CONFIG = monitor.Config.model_validate({})


def _home(folder: Path, known: pd.DataFrame | None = None) -> Path:
    """A folder of runs whose champion is run1, with the images that its run had."""
    home = folder / "runs"
    bundle(home / "run1" / "promote" / "bundle")
    (home / "champions").mkdir(parents=True, exist_ok=True)
    (home / "champions" / "run.json").write_text(
        json.dumps({"run_id": "run1", "bundle": "runs/run1/promote/bundle"})
    )
    if known is not None:
        run = RunFolder.open_or_create(home / "run1")
        (run.path / "ingest").mkdir()
        known.to_parquet(run.path / "ingest" / "images.parquet")
    return home


def _data(dark: float, seed: int, name: str = "i") -> tuple[pd.DataFrame, pd.DataFrame]:
    table = photos(40, np.random.default_rng(seed), dark)
    ids = [f"{name}{k}" for k in range(len(table))]
    groups = [f"{name}{u}" for u in table["unit"]]
    images = pd.DataFrame({"image_id": ids, "content_hash": ids, "label": "badge", "group": groups})
    return images.assign(captured_at=pd.NaT), table[["luminance", "hour", "sharpness"]].assign(
        image_id=ids
    )


def _run(
    home: Path, images: pd.DataFrame, attributes: pd.DataFrame
) -> tuple[dict[str, Any], list[str]]:
    context = StageContext(run_id="run2", seed=0, scratch_folder=home, runs_folder=home)
    made = monitor.run(CONFIG, context, images=images, attributes=attributes)["drift"]
    ARTIFACT_CONTRACTS["drift"].check_value("drift", made, {})
    return made, context.notes


def test_only_what_the_champions_run_did_not_have_is_compared(tmp_path: Path) -> None:
    old, new = _data(0.2, 1, "old"), _data(0.9, 2, "new")
    home = _home(tmp_path, known=old[0])
    both = [pd.concat(part, ignore_index=True) for part in zip(old, new, strict=True)]
    found, notes = _run(home, *both)
    assert (found["champion"], found["images"], found["why"]) == ("run1", 80, None)
    assert {c["name"] for c in found["conditions"] if not c["passed"]} == {
        "max_psi",
        "max_slice_rise",
    }
    assert any("against the data of champion run1: slices that grew: s1" in note for note in notes)
    assert [row["slice"] for row in found["slices"]] == ["s1"]
    assert _run(home, *old)[0]["why"] == "no image arrived that its run did not have"


def test_a_usual_night_leaves_no_note_and_a_lost_run_folder_no_gap(tmp_path: Path) -> None:
    found, notes = _run(_home(tmp_path), *_data(0.2, 3))
    assert found["images"] == 80
    assert all(c["passed"] for c in found["conditions"])
    assert notes == []


def test_without_a_champion_or_its_data_there_is_nothing_to_compare(tmp_path: Path) -> None:
    home = _home(tmp_path)
    (home / "run1" / "promote" / "bundle" / "reference.parquet").unlink()
    for _ in range(2):
        found, _ = _run(home, *_data(0.9, 3))
        assert (found["champion"], found["conditions"]) == (None, [])
        assert monitor.fingerprint_external_inputs(CONFIG, home / "run2", None) == ""
        (home / "champions" / "run.json").unlink(missing_ok=True)


def test_a_run_takes_the_champion_once(tmp_path: Path) -> None:
    home = _home(tmp_path)
    before = monitor.fingerprint_external_inputs(CONFIG, home / "run2", None)
    assert before
    bundle(home / "run1" / "promote" / "bundle", seed=5)
    assert monitor.fingerprint_external_inputs(CONFIG, home / "run2", None) != before
    assert monitor.fingerprint_external_inputs(CONFIG, home / "run2", before) == before
    assert monitor.fingerprint_external_inputs(CONFIG, home / "run2", "") == "", (
        "what it promotes itself does not start it anew"
    )
