"""The planted dark slice over several runs: pipeline/stages/follow.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import StageContext
from pipeline.domain.rules import Rule
from pipeline.domain.statuses import AssessmentObstacle, FollowObstacle
from pipeline.engine.run_pruning import prune_runs
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.slices.causes.slice_explanations import CAUSE_DTYPES, EXPLANATION_DTYPES
from pipeline.slices.tracking.slice_matching import hash_groups
from pipeline.stages import cluster, follow
from pipeline.storage.artifact_store import SCHEMA_VERSION, RunFolder, write_json
from tests.helpers.explanations import EXPOSURE, make_text_columns
from tests.helpers.validation_sets import collect_needs
from tests.stages.finder_artifacts import make_finder_artifacts

CONFIG = follow.Config()


@pytest.fixture(scope="module")
def artifacts() -> dict[str, Any]:
    """Return proposed slices, of which the dark one is confirmed without running a model."""
    artifacts = make_finder_artifacts(groups=500, frames=2)
    context = StageContext("r", 0, Path("nowhere"), Path("nowhere"))
    artifacts |= cluster.run(cluster.Config(), context, **collect_needs("cluster", artifacts))
    frozen = artifacts["slices"]["rule"].iloc[0]
    row: dict[str, Any] = dict.fromkeys(EXPLANATION_DTYPES)
    row |= {name: 0 for name, dtype in EXPLANATION_DTYPES.items() if dtype == "int64"}
    row |= {"slice": "s1", "rank": 1, "status": "confirmed"}
    row |= {"frozen": frozen, "rule": Rule.parse_json(frozen).format_text()}
    row |= make_text_columns(EXPOSURE, failures=4, n=9)
    explanations = pd.DataFrame([row], columns=list(EXPLANATION_DTYPES))
    return artifacts | {
        "explanations": explanations.astype(EXPLANATION_DTYPES),
        "causes": pd.DataFrame(columns=list(CAUSE_DTYPES)),
    }


def _begin_run(home: Path, day: int, name: str = "gate") -> RunFolder:
    run = RunFolder.open_or_create(home / f"{name}-{day}")
    created = f"2026-01-{day:02d} 00:00:00"
    record = {"schema": SCHEMA_VERSION, "created": created, "champion": None}
    write_json(run.path / "run.json", record)
    (run.path / "config.yaml").write_text(f"name: {name}\n")
    return run


def _run_follow(
    run: RunFolder, artifacts: dict[str, Any], *, is_finished: bool = True, **changed: Any
) -> tuple[dict[str, Any], list[str]]:
    """Run the stage, save its outputs, and return `followed` and the notes."""
    context = StageContext(run.run_id, 0, run.path, run.path.parent)
    made = follow.run(CONFIG, context, **collect_needs("follow", {**artifacts, **changed}))
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    run.save_stage("follow", made, {"key": run.run_id, "went_in": {}, "notes": [], "seconds": 0.0})
    if is_finished:
        (run.path / "report").mkdir()
        write_json(run.path / "report" / "stage.json", {})
    return made["followed"], context.notes


def _list_states(followed: dict[str, Any]) -> list[str]:
    return [track["state"] for track in followed["slices"]]


def _select_no_slice(artifacts: dict[str, Any]) -> pd.DataFrame:
    table: pd.DataFrame = artifacts["explanations"]
    return table.iloc[:0]


def _predict_labels(artifacts: dict[str, Any]) -> pd.DataFrame:
    """Return the predictions of a model without errors."""
    table: pd.DataFrame = artifacts["predictions"]
    return table.assign(predicted=table["label"], correct=True)


def test_a_first_run_measures_new_slices_on_the_half_that_did_not_propose_them(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    run = _begin_run(tmp_path, 1)
    followed, notes = _run_follow(run, artifacts)
    assert (followed["previous"], notes) == (None, [])
    assert followed["reason"] == FollowObstacle.NO_EARLIER_RUN
    (track,) = followed["slices"]
    assert (track["state"], track["slice"], track["since"]) == ("new", "s1", "gate-1")
    folds = artifacts["splits"].set_index("image_id")["fold"]
    rows = artifacts["slices"].query("slice == 's1' and is_frozen")
    applied_folds = set(rows["fold"])
    members = artifacts["membership"].query("slice == 's1' and fold in @applied_folds")
    assert track["now"]["n"] == len(members), "as explain counts them"
    hashed = run.load_artifact("proposers")["group"]
    proposing_ids = folds[(folds >= 0) & ~folds.isin(applied_folds)].index
    groups = artifacts["images"].set_index("image_id").loc[proposing_ids, "group"]
    assert set(hashed) == set(hash_groups(groups).tolist())
    assert not hashed.str.contains("g").any(), "no group is recorded by its name"


def test_a_slice_is_traced_over_runs_of_which_old_ones_are_pruned(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    _run_follow(_begin_run(tmp_path, 1), artifacts)
    again, notes = _run_follow(_begin_run(tmp_path, 2), artifacts)
    assert (again["previous"], _list_states(again), notes) == ("gate-1", ["open"], [])
    before, now = again["slices"][0]["history"]
    names = {"run": "", "state": ""}
    assert now | names == before | names, "nothing changed, so no figure did"
    closed, _ = _run_follow(
        _begin_run(tmp_path, 3),
        artifacts,
        predictions=_predict_labels(artifacts),
        explanations=_select_no_slice(artifacts),
    )
    assert _list_states(closed) == ["closed"]
    assert sorted(prune_runs(tmp_path, 1)) == ["gate-1", "gate-2"]
    back, notes = _run_follow(_begin_run(tmp_path, 4), artifacts)
    assert _list_states(back) == ["back"]
    assert len(notes) == 1
    assert notes[0].startswith("back since run gate-3: Too dark: 4 of 9 images are ")
    history = [(point["run"], point["state"]) for point in back["slices"][0]["history"]]
    assert history == [
        ("gate-1", "new"),
        ("gate-2", "open"),
        ("gate-3", "closed"),
        ("gate-4", "back"),
    ]
    assert set(RunFolder(tmp_path / "gate-4").load_artifact("proposers")["since"]) == {"gate-1"}


def test_unfinished_and_damaged_runs_are_not_followed(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    _run_follow(_begin_run(tmp_path, 1), artifacts)
    _run_follow(_begin_run(tmp_path, 2), artifacts, is_finished=False)
    damaged = _begin_run(tmp_path, 4)
    _run_follow(damaged, artifacts)
    damaged.get_artifact_path("followed").write_text("{}")
    followed, _ = _run_follow(_begin_run(tmp_path, 5), artifacts)
    assert followed["previous"] == "gate-1"


def test_a_run_chooses_its_previous_run_once(artifacts: dict[str, Any], tmp_path: Path) -> None:
    earlier = _begin_run(tmp_path, 1)
    run = _begin_run(tmp_path, 3)
    alone = follow.fingerprint_external_inputs(CONFIG, run.path, None)
    _run_follow(earlier, artifacts)
    before = follow.fingerprint_external_inputs(CONFIG, run.path, None)
    assert before != alone
    shutil.rmtree(tmp_path / "gate-1")
    after_pruning = follow.fingerprint_external_inputs(CONFIG, run.path, before)
    assert after_pruning == before
    other = _begin_run(tmp_path, 4)
    assert follow.fingerprint_external_inputs(CONFIG, other.path, None) != alone, (
        "no other run may reuse the outputs"
    )


def test_an_unreadable_previous_run_is_noted(artifacts: dict[str, Any], tmp_path: Path) -> None:
    first = _begin_run(tmp_path, 1)
    _run_follow(first, artifacts)
    followed = first.load_artifact("followed") | {"slices": [{"since": "gate-1"}]}
    proposers = first.load_artifact("proposers")
    record = {"key": "", "went_in": {}}
    first.save_stage("follow", {"followed": followed, "proposers": proposers}, record)
    second, notes = _run_follow(_begin_run(tmp_path, 2), artifacts)
    assert _list_states(second) == ["new"]
    assert second["previous"] is None
    assert notes[0].startswith("the previous run cannot be read")


def test_a_missing_column_makes_a_slice_not_assessable(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    _run_follow(_begin_run(tmp_path, 1), artifacts)
    rule = Rule.parse_json(artifacts["slices"]["rule"].iloc[0])
    columns = {condition.column for condition in rule.conditions}
    attributes = artifacts["attributes"]
    without = attributes.drop(columns=list(columns & set(attributes)))
    followed, _ = _run_follow(
        _begin_run(tmp_path, 2),
        artifacts,
        attributes=without,
        explanations=_select_no_slice(artifacts),
    )
    assert _list_states(followed) == ["not assessable"]
    obstacle = followed["slices"][0]["now"]["obstacle"]
    assert obstacle["kind"] == AssessmentObstacle.MISSING_COLUMN
    assert obstacle["name"] in columns
    again, _ = _run_follow(_begin_run(tmp_path, 3), artifacts)
    assert _list_states(again) == ["open"], "it was never shown to be closed"
    more_classes = {"names": ["a", "b", "c", "new"]}
    followed, _ = _run_follow(_begin_run(tmp_path, 4), artifacts, classes=more_classes)
    assert _list_states(followed) == ["open"]


def test_a_rule_may_measure_the_distance_from_an_image(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    none, _ = _run_follow(
        _begin_run(tmp_path, 1), artifacts, explanations=_select_no_slice(artifacts)
    )
    assert none["slices"] == []
    condition = {"column": "i0", "op": "near", "value": 0.9}
    near = json.dumps({"conditions": [condition], "label": None, "source": "x"})
    slices = artifacts["slices"]
    near_slices = slices.assign(rule=slices["rule"].mask(slices["slice"] == "s1", near))
    explanations = artifacts["explanations"].assign(frozen=near)
    followed, _ = _run_follow(
        _begin_run(tmp_path, 2), artifacts, slices=near_slices, explanations=explanations
    )
    assert (followed["previous"], followed["slices"][0]["state"]) == ("gate-1", "new")
    assert followed["slices"][0]["now"]["n"] > 0
    is_reference = (artifacts["images"]["image_id"] == "i0").to_numpy()
    sealed = np.where(is_reference[:, None], np.nan, artifacts["embeddings"])
    later, _ = _run_follow(
        _begin_run(tmp_path, 3),
        artifacts,
        embeddings=sealed,
        explanations=_select_no_slice(artifacts),
    )
    assert later["slices"][0]["state"] == "not assessable"
    obstacle = later["slices"][0]["now"]["obstacle"]
    assert (obstacle["kind"], obstacle["name"]) == (AssessmentObstacle.SEALED_IMAGE, "i0")
