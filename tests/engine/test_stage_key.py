from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.engine import runner
from pipeline.engine.stage_key import collect_key_parts, collect_run_facts
from pipeline.graph import get_stage
from pipeline.storage.artifact_store import RunFolder
from tests.storage.test_artifact_store import OUTPUTS


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with the stage ingest, whose data set is a file."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_text("a")
    run = RunFolder.open_or_create(tmp_path / "runs" / "r")
    config = runner.load_config(None, [f"ingest.data={data}"])
    parts = collect_key_parts(run, config, get_stage("ingest"), force=False)
    record = {"key": "k", "went_in": parts, "notes": ["a note"], "seconds": 1.5}
    run.save_stage("ingest", OUTPUTS, record)
    return run


def _load(run: RunFolder, *overrides: str) -> runner.ResolvedConfig:
    data = run.path.parents[1] / "data"
    return runner.load_config(None, [f"ingest.data={data}", *overrides])


def test_settings_seed_and_inputs_are_parts_of_the_key(run: RunFolder) -> None:
    stage = get_stage("measure")
    first = collect_key_parts(run, _load(run), stage, force=False)
    assert set(first["inputs"]) == {"images"}
    other = collect_key_parts(run, _load(run, "measure.max_side=64"), stage, force=False)
    assert {part for part in first if first[part] != other[part]} == {"settings"}


def test_a_changed_setting_of_an_earlier_stage_is_refused(run: RunFolder) -> None:
    for overrides, parts in ((["ingest.side=32"], "settings"), (["seed=1"], "seed")):
        with pytest.raises(InputError, match=f"the {parts} of stage ingest changed since it ran"):
            collect_key_parts(run, _load(run, *overrides), get_stage("measure"), force=False)


def test_a_missing_stage_is_named(run: RunFolder) -> None:
    with pytest.raises(
        InputError, match="stage split needs attributes; run the stage measure first"
    ):
        collect_key_parts(run, _load(run), get_stage("split"), force=False)


def test_a_changed_data_set_changes_the_key_of_ingest(run: RunFolder) -> None:
    stage = get_stage("ingest")
    before = collect_key_parts(run, _load(run), stage, force=False)
    assert collect_key_parts(run, _load(run), stage, force=False) == before
    (run.path.parents[1] / "data" / "b.png").write_text("b")
    after = collect_key_parts(run, _load(run), stage, force=False)
    assert {part for part in before if before[part] != after[part]} == {"outside"}


def test_an_automatic_side_follows_the_settings_of_the_training(run: RunFolder) -> None:
    stage = get_stage("ingest")

    def collect_settings(*overrides: str) -> object:
        return collect_key_parts(run, _load(run, *overrides), stage, force=False)["settings"]

    assert collect_settings() != collect_settings("train.minutes=3")
    assert collect_settings() == collect_settings("train.batch_size=8")
    fixed = "ingest.side=64"
    assert collect_settings(fixed) == collect_settings(fixed, "train.minutes=3")


def test_the_facts_of_a_run_leave_out_the_stage_itself(run: RunFolder) -> None:
    run.save_stage(
        "measure",
        {"attributes": pd.DataFrame({"image_id": ["a"], "luminance": np.ones(1)})},
        {"notes": [], "seconds": 0.5},
    )
    facts = collect_run_facts(run, _load(run), get_stage("measure"))
    assert facts["stages"] == [{"name": "ingest", "seconds": 1.5, "notes": ["a note"]}]
    assert "side: auto" in facts["config"]
    assert facts["versions"]["nightshift"]
