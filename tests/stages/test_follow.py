"""The planted dark slice (see `tests.stages.finder_artifacts`) over several runs, with the artifacts of the finder itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import StageContext
from pipeline.domain.rules import Rule
from pipeline.engine.run_pruning import prune_runs
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.slices.tracking.slice_matching import hash_groups
from pipeline.stages import cluster, explain, follow
from pipeline.stages.explain import EXPLANATION_COLUMNS
from pipeline.storage.artifact_store import RunFolder, write_json
from tests.helpers.explanations import EXPOSURE, make_text_columns
from tests.helpers.validation_sets import collect_needs
from tests.stages.finder_artifacts import make_finder_artifacts

CONFIG = follow.Config()


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What `follow` needs: the rules that the finder proposed, the dark one confirmed without asking a model."""
    made = make_finder_artifacts(groups=500, frames=2)
    context = StageContext("r", 0, Path("nowhere"), Path("nowhere"))
    made |= cluster.run(cluster.Config(), context, **collect_needs("cluster", made))
    first = made["slices"].iloc[0]
    row = dict.fromkeys(EXPLANATION_COLUMNS) | {"slice": "s1", "rank": 1, "status": "confirmed"}
    row |= {name: 0 for name, kind in EXPLANATION_COLUMNS.items() if kind == "int64"}
    row |= {"frozen": first["rule"], "rule": Rule.parse_json(first["rule"]).format_text()}
    row |= make_text_columns(EXPOSURE, failures=4, n=9)
    explanations = pd.DataFrame([row], columns=list(EXPLANATION_COLUMNS)).astype(
        EXPLANATION_COLUMNS
    )
    return made | {
        "explanations": explanations,
        "causes": pd.DataFrame(columns=list(explain.CAUSE_COLUMNS)),
    }


def _begin(home: Path, day: int, name: str = "gate") -> RunFolder:
    run = RunFolder.open_or_create(home / f"{name}-{day}")
    write_json(
        run.path / "run.json",
        {"schema": 1, "created": f"2026-01-{day:02d} 00:00:00", "champion": None},
    )
    (run.path / "config.yaml").write_text(f"name: {name}\n")
    return run


def _follow(
    run: RunFolder, given: dict[str, Any], *, end: bool = True, **changed: Any
) -> tuple[dict[str, Any], list[str]]:
    """What the run made of it, saved as finished; and its notes."""
    context = StageContext(run.run_id, 0, run.path, run.path.parent)
    needs = collect_needs("follow", {**given, **changed})
    made = follow.run(CONFIG, context, **needs)
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    run.save_stage("follow", made, {"key": run.run_id, "went_in": {}, "notes": [], "seconds": 0.0})
    if end:
        (run.path / "report").mkdir()
        write_json(run.path / "report" / "stage.json", {})
    return made["followed"], context.notes


def _states(followed: dict[str, Any]) -> list[str]:
    return [track["state"] for track in followed["slices"]]


def _nothing(given: dict[str, Any]) -> pd.DataFrame:
    return given["explanations"].iloc[:0]


def _well(given: dict[str, Any]) -> pd.DataFrame:
    """A model that makes no mistake."""
    table = given["predictions"]
    return table.assign(predicted=table["label"], correct=True)


def test_a_first_run_has_new_slices_of_images_that_did_not_propose_them(
    given: dict[str, Any], tmp_path: Path
) -> None:
    run = _begin(tmp_path, 1)
    followed, notes = _follow(run, given)
    assert (followed["previous"], notes) == (None, [])
    assert followed["why"] == "no earlier run of this name followed its slices"
    (track,) = followed["slices"]
    assert (track["state"], track["slice"], track["since"]) == ("new", "s1", "gate-1")
    fold = given["splits"].set_index("image_id")["fold"]
    applied = set(given["slices"].query("slice == 's1' and rule == @track['frozen']")["fold"])
    members = given["membership"].query("slice == 's1' and fold in @applied")
    assert track["now"]["n"] == len(members), (
        "as `explain` counts them: on the half that did not propose the rule"
    )
    seen = run.load_artifact("proposers")["group"]
    proposing = (
        given["images"]
        .set_index("image_id")
        .loc[fold[(fold >= 0) & ~fold.isin(applied)].index, "group"]
    )
    assert set(seen) == set(hash_groups(proposing).tolist())
    assert not seen.str.contains("g").any(), "no group is told by its name"


def test_a_slice_goes_its_way_over_runs_though_old_ones_are_pruned(
    given: dict[str, Any], tmp_path: Path
) -> None:
    _follow(_begin(tmp_path, 1), given)
    again, notes = _follow(_begin(tmp_path, 2), given)
    assert (again["previous"], _states(again), notes) == ("gate-1", ["open"], [])
    before, now = again["slices"][0]["history"]
    assert {**now, "run": "", "state": ""} == {**before, "run": "", "state": ""}, (
        "nothing changed, so no figure did"
    )
    closed, _ = _follow(
        _begin(tmp_path, 3), given, predictions=_well(given), explanations=_nothing(given)
    )
    assert _states(closed) == ["closed"]
    assert sorted(prune_runs(tmp_path, 1)) == ["gate-1", "gate-2"]
    back, notes = _follow(_begin(tmp_path, 4), given)
    assert _states(back) == ["back"]
    assert notes == ["back since run gate-3: Too dark: 4 of 9 images are misread."]
    assert [(p["run"], p["state"]) for p in back["slices"][0]["history"]] == [
        ("gate-1", "new"), ("gate-2", "open"), ("gate-3", "closed"), ("gate-4", "back"),
    ]  # fmt: skip
    assert set(RunFolder(tmp_path / "gate-4").load_artifact("proposers")["since"]) == {"gate-1"}


def test_only_a_finished_whole_earlier_run_of_the_same_name_counts(
    given: dict[str, Any], tmp_path: Path
) -> None:
    _follow(_begin(tmp_path, 1), given)
    _follow(_begin(tmp_path, 2), given, end=False)
    _follow(_begin(tmp_path, 3, "door"), given)
    altered = _begin(tmp_path, 4)
    _follow(altered, given)
    altered.get_artifact_path("followed").write_text("{}")
    _follow(_begin(tmp_path, 9), given)
    last = follow.find_previous_run(_begin(tmp_path, 5).path)
    assert last == RunFolder(tmp_path / "gate-1")
    assert follow.find_previous_run(tmp_path / "gate-1") is None
    (tmp_path / "gate-5" / "config.yaml").unlink()
    assert follow.find_previous_run(tmp_path / "gate-5") is None, (
        "without a name it has no earlier run"
    )


def test_a_run_takes_the_run_before_it_once(given: dict[str, Any], tmp_path: Path) -> None:
    run = _begin(tmp_path, 3)
    alone = follow.fingerprint_external_inputs(CONFIG, run.path, None)
    _follow(_begin(tmp_path, 1), given)
    before = follow.fingerprint_external_inputs(CONFIG, run.path, None)
    assert before != alone
    shutil.rmtree(tmp_path / "gate-1")
    assert follow.fingerprint_external_inputs(CONFIG, run.path, before) == before, (
        "that it was pruned since starts nothing anew"
    )
    other = _begin(tmp_path, 4)
    assert follow.fingerprint_external_inputs(CONFIG, other.path, None) != alone, (
        "nothing is taken over from another run"
    )


def test_a_run_before_that_cannot_be_read_is_said_and_stops_nothing(
    given: dict[str, Any], tmp_path: Path
) -> None:
    first = _begin(tmp_path, 1)
    _follow(first, given)
    followed = first.load_artifact("followed") | {
        "slices": [{"since": "gate-1"}]
    }  # of another version, say
    table = first.load_artifact("proposers")
    first.save_stage(
        "follow", {"followed": followed, "proposers": table}, {"key": "", "went_in": {}}
    )
    found, notes = _follow(_begin(tmp_path, 2), given)
    assert _states(found) == ["new"]
    assert found["previous"] is None
    assert notes[0].startswith("the run before cannot be read")


def test_changed_attributes_and_classes_are_not_assessable_and_say_why(
    given: dict[str, Any], tmp_path: Path
) -> None:
    _follow(_begin(tmp_path, 1), given)
    rule = json.loads(given["slices"].iloc[0]["rule"])
    asked = {c["column"] for c in rule["conditions"]}
    gone = given["attributes"].drop(columns=list(asked & set(given["attributes"])))
    found, _ = _follow(_begin(tmp_path, 2), given, attributes=gone, explanations=_nothing(given))
    assert _states(found) == ["not assessable"]
    assert "the data no longer has the column" in found["slices"][0]["why"]
    back, _ = _follow(_begin(tmp_path, 3), given)
    assert _states(back) == ["open"], "it was never shown to be gone"
    wider = {"names": ["a", "b", "c", "new"]}
    assert _states(_follow(_begin(tmp_path, 4), given, classes=wider)[0]) == ["open"]


def test_a_rule_that_measures_from_a_image_and_runs_without_slices(
    given: dict[str, Any], tmp_path: Path
) -> None:
    none, _ = _follow(_begin(tmp_path, 1), given, explanations=_nothing(given))
    assert none["slices"] == []
    near = json.dumps(
        {"conditions": [{"column": "i0", "op": "near", "value": 0.9}], "label": None, "source": "x"}
    )
    rules = given["slices"].assign(
        rule=given["slices"]["rule"].mask(given["slices"]["slice"] == "s1", near)
    )
    told = given["explanations"].assign(frozen=near)
    found, _ = _follow(_begin(tmp_path, 2), given, slices=rules, explanations=told)
    assert (found["previous"], found["slices"][0]["state"]) == ("gate-1", "new")
    assert found["slices"][0]["now"]["n"] > 0
    sealed = np.where(
        (given["images"]["image_id"] == "i0").to_numpy()[:, None], np.nan, given["embeddings"]
    )
    later, _ = _follow(_begin(tmp_path, 3), given, embeddings=sealed, explanations=_nothing(given))
    assert later["slices"][0]["state"] == "not assessable"
    assert "sealed test" in later["slices"][0]["why"]
