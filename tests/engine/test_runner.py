"""The runner and the whole loop, on images with a planted night (tests/night.py)."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.domain.statuses import DriftObstacle
from pipeline.engine import run_publishing, runner
from pipeline.graph import STAGES
from pipeline.report.sentences.slice_sentences import describe_slice
from pipeline.storage import artifact_store
from pipeline.storage.artifact_store import RunFolder
from tests.kills import kill_and_compare, run_undisturbed
from tests.night import config, draw


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("night")


@pytest.fixture(scope="module")
def settings(home: Path) -> Path:
    draw(home / "data", visits=500)
    path = home / "config.yaml"
    path.write_text(config(home / "data", home))
    return path


@pytest.fixture(scope="module")
def finished(settings: Path) -> RunFolder:
    resolved = runner.load_config(settings)
    return runner.execute_run(runner.create_run_folder(resolved), resolved).run


def test_the_planted_night_is_found_named_and_repaired(finished: RunFolder) -> None:
    """The finder gets no hint about light; its first slice, cause and remedy must be about it."""
    explanations = finished.load_artifact("explanations")
    first = explanations[explanations["status"] == "confirmed"].sort_values("rank").iloc[0]
    sentence = describe_slice(first).sentence
    assert sentence.startswith("Too dark"), sentence
    assert first["cause"] in ("exposure", "gamma")
    assert any(f"failures were taken from {hour}:00 to" in sentence for hour in (21, 22))
    plan = finished.load_artifact("plan")
    assert set(plan["remedy"]) <= {"low_light", "exposure", "gamma"}
    assert (plan["strength_high"] < 1).all() or (plan["remedy"] == "gamma").all()
    summary = finished.load_artifact("summary")
    assert summary["verdict"]["promoted"], summary["verdict"]["headline"]
    arms = finished.load_artifact("comparison")["test"]["primary"]
    assert arms["gain"]["mean"] > 0.1


def test_a_misspelt_class_is_refused_before_the_training(
    finished: RunFolder, settings: Path
) -> None:
    resolved = runner.load_config(settings, ["evaluate.costs={nihgt: {day: 0.1}}"])
    run = runner.create_run_folder(resolved)
    with pytest.raises(InputError, match=r"evaluate\.costs: .*'nihgt'"):
        runner.execute_run(run, resolved)
    assert artifact_store.list_finished_stages(run) == ["ingest"]


def test_the_plan_touches_training_images_only(finished: RunFolder) -> None:
    splits = finished.load_artifact("splits").set_index("image_id")["split"]
    assert set(splits[finished.load_artifact("plan")["image_id"]]) == {"train"}


def test_no_stage_before_compare_has_outputs_on_the_test_set(finished: RunFolder) -> None:
    test = set(finished.load_artifact("splits").query("split == 'test'")["image_id"])
    for artifact in ("predictions", "membership", "flips", "label_issues"):
        assert not test & set(finished.load_artifact(artifact)["image_id"]), artifact
    assert not test & set(finished.load_artifact("validation_set").image_ids)


def test_an_equal_second_run_links_the_stages_without_side_effects(
    finished: RunFolder, settings: Path
) -> None:
    resolved = runner.load_config(settings)
    again = runner.execute_run(runner.create_run_folder(resolved), resolved).run
    linked = [s.name for s in STAGES if (again.read_record(s.name) or {}).get("linked_from")]
    run_again = {s.name for s in STAGES if s.has_side_effects or s.is_run_specific}
    run_again |= {"monitor", "follow"}  # they compare with the first run
    assert linked == [s.name for s in STAGES if s.name not in run_again]
    assert again.load_artifact("drift")["champion"] == finished.run_id
    assert again.load_artifact("drift")["reason"] == DriftObstacle.NO_NEW_IMAGE


def test_current_stages_are_skipped_and_a_changed_setting_reruns_its_stage(
    finished: RunFolder, settings: Path
) -> None:
    resolved = runner.load_config(settings)
    assert {runner.run_stage(finished, resolved, s.name) for s in STAGES} == {"skipped"}
    changed = runner.load_config(settings, ["prescribe.target_error=0.1"])
    names = [stage.name for stage in STAGES]
    results = {
        name: runner.run_stage(finished, changed, name) for name in names[: names.index("retrain")]
    }
    assert [name for name, result in results.items() if result != "skipped"] == ["prescribe"]
    assert runner.run_stage(finished, resolved, "prescribe") in ("done", "linked")


def test_a_run_keeps_its_starting_champion_after_its_own_promotion(
    finished: RunFolder, settings: Path
) -> None:
    assert finished.load_artifact("verdict")["promoted"], (
        "else the pointer did not move, and the test is void"
    )
    champion_config = runner.load_config(settings, ["train.model=champion"])
    run = runner.create_run_folder(champion_config)
    for name in ("ingest", "measure", "split", "train"):
        runner.run_stage(run, champion_config, name)
    pointer = run.path.parent / "champions" / f"{champion_config.general.name}.json"
    before = pointer.read_text()
    try:
        pointer.unlink()
        assert runner.run_stage(run, champion_config, "train") == "skipped"
        assert runner.run_stage(run, champion_config, "train", force=True) == "done", (
            "a forced stage reads the champion again"
        )
    finally:
        pointer.write_text(before)


def test_a_run_keeps_its_first_name(finished: RunFolder, settings: Path) -> None:
    """Its champion and its followed slices belong to that name."""
    other = runner.load_config(settings, ["name=other"])
    with pytest.raises(
        InputError, match=r"name: the run .* was begun as 'night'; begin a new run for 'other'"
    ):
        runner.execute_run(finished, other)


def test_the_report_shows_the_present_config_though_every_artifact_is_equal(
    finished: RunFolder, settings: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(finished.path, finished.path.with_name("copy"))))
    changed = runner.load_config(settings, ["train.patience=70"])
    results = {s.name: runner.run_stage(run, changed, s.name) for s in STAGES}
    assert [name for name, result in results.items() if result == "done"] == ["train", "report"]
    assert "patience: 70" in (run.get_artifact_path("html") / "index.html").read_text()
    assert runner.run_stage(run, changed, "report") == "skipped"


def test_a_stage_without_its_needs_names_the_stage_to_run_first(settings: Path, home: Path) -> None:
    resolved = runner.load_config(settings)
    with pytest.raises(InputError, match="needs images; run the stage ingest first"):
        runner.run_stage(RunFolder.open_or_create(home / "runs" / "empty"), resolved, "measure")


def test_the_report_and_the_list_of_runs_are_published(finished: RunFolder, home: Path) -> None:
    page = (home / "reports" / finished.run_id / "index.html").read_text()
    assert "Too dark" in page
    assert finished.run_id in (home / "reports" / "index.html").read_text()
    assert json.loads((finished.path / "summary.json").read_text())["run_id"] == finished.run_id


def test_a_run_killed_in_several_stages_ends_with_the_same_outputs(
    finished: RunFolder, tmp_path: Path
) -> None:
    """tests/bench/bench_kills.py does this a hundred times, in every stage."""
    data = Path(finished.load_artifact("images")["source"].iloc[0]).parent
    text = config(data, tmp_path, epochs=2).replace("epochs: 6", "epochs: 1")
    (tmp_path / "config.yaml").write_text(text)
    config_path = tmp_path / "config.yaml"
    other = run_undisturbed(config_path, tmp_path / "undisturbed")
    stages = ["train", "explain"]
    kill_counts = kill_and_compare(config_path, tmp_path / "killed", other, stages, 0)
    assert kill_counts.total() >= 1


DISK = """
set -eu
home=$1; shift
mount -t tmpfs -o size=800k tmpfs $home
mkdir $home/runs $home/runs/r; echo '{"schema": SCHEMA, "created": ""}' > $home/runs/r/run.json
code=0; "$@" || code=$?; echo "full $code"
mount -o remount,size=2500k $home
code=0; "$@" || code=$?; echo "full again $code"
mount -o remount,ro $home
code=0; "$@" || code=$?; echo "read-only $code"
mount -o remount,rw,size=300m $home
code=0; "$@" || code=$?; echo "roomy $code"
sha256sum $home/runs/r/train/model/model.safetensors
""".replace("SCHEMA", str(artifact_store.SCHEMA_VERSION))


@pytest.mark.mount
def test_after_a_full_or_read_only_disk_the_run_can_be_resumed(
    unshared: list[str], tmp_path: Path
) -> None:
    """The disk is full in ingest, and again at a checkpoint of train."""
    (tmp_path / "disk").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(config(draw(tmp_path / "data", visits=60), tmp_path / "disk", epochs=1))
    run = [
        "run",
        "-c",
        str(path),
        "--resume",
        str(tmp_path / "disk" / "runs" / "r"),
        "--to-stage",
        "train",
    ]
    line = [
        "bash",
        "-c",
        DISK,
        "disk",
        str(tmp_path / "disk"),
        sys.executable,
        "-m",
        "pipeline.cli.app",
        *run,
    ]
    done = subprocess.run([*unshared, *line], capture_output=True, text=True, check=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("nightshift: ")]
    assert "Traceback" not in done.stderr
    assert [error.rpartition(": ")[2] for error in errors] == ["No space left on device"] * 2 + [
        "Read-only file system"
    ]
    assert "last.pt: No space" in errors[1]
    assert done.stderr.count("stopped; resume with: nightshift run --resume") == 3
    ends = [
        line for line in done.stdout.splitlines() if line.startswith(("full", "read-only", "roomy"))
    ]
    assert ends == ["full 2", "full again 2", "read-only 2", "roomy 0"]
    resolved = runner.load_config(path, [f"runs={tmp_path / 'runs'}"])
    straight = runner.execute_run(
        runner.create_run_folder(resolved), resolved, to_stage="train"
    ).run
    assert done.stdout.split()[-2] == artifact_store.hash_content(
        straight.get_artifact_path("model") / "model.safetensors"
    )


def test_a_damaged_stage_is_run_again_and_refused_as_input_of_a_later_stage(
    finished: RunFolder, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resolved = runner.load_config(settings)
    run = RunFolder(Path(shutil.copytree(finished.path, finished.path.with_name("altered"))))
    before = {
        name: (run.read_record(name) or {})["artifacts"]
        for name in artifact_store.list_finished_stages(run)
    }
    weights = run.get_artifact_path("model") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    damage = "model: cut short or altered since it was written (hash mismatch)"
    with pytest.raises(
        InputError, match=rf"{re.escape(damage)}; make it again with: nightshift run --resume"
    ):
        runner.run_stage(run, resolved, "evaluate", force=True)
    results = {
        name: runner.run_stage(run, resolved, name)
        for name in ("ingest", "measure", "split", "train", "evaluate")
    }
    assert results["train"] == "linked", "another run has it intact"
    assert results["evaluate"] == results["ingest"] == "skipped"
    assert f"{damage}; running the stage again" in capsys.readouterr().err
    assert {name: (run.read_record(name) or {})["artifacts"] for name in before} == before
    shutil.rmtree(run.path)


def test_a_model_without_failures_ends_with_nothing_to_promote(tmp_path: Path) -> None:
    data = draw(tmp_path / "data", visits=120, night=False)
    (tmp_path / "config.yaml").write_text(config(data, tmp_path, epochs=16))
    resolved = runner.load_config(tmp_path / "config.yaml")
    result = runner.execute_run(runner.create_run_folder(resolved), resolved)
    verdict = result.run.load_artifact("verdict")
    assert not verdict["promoted"]
    assert run_publishing.summarize_run(result.run)["state"] == "nothing to promote"
    assert result.report_path is not None
    assert (
        result.run.load_artifact("candidates").joinpath("candidates.json").read_text().strip()
        == "[]"
    )
    assert not (tmp_path / "runs" / "ledger.jsonl").exists()
    assert isinstance(result.run.load_artifact("plan"), pd.DataFrame)


def test_a_damaged_run_is_skipped_as_a_source(
    settings: Path, home: Path, finished: RunFolder
) -> None:
    resolved = runner.load_config(settings, ["ingest.side=40"])
    other = runner.create_run_folder(resolved)
    assert runner.run_stage(other, resolved, "ingest") == "done"
    other.get_artifact_path("pixels").unlink()
    changed = runner.load_config(settings, ["ingest.side=40", "seed=5"])
    assert runner.run_stage(runner.create_run_folder(changed), changed, "ingest") == "done"
    assert runner.run_stage(other, resolved, "ingest") == "done"  # the missing file is made again
    shutil.rmtree(other.path)


def test_a_stage_with_outdated_needs_is_refused(finished: RunFolder, settings: Path) -> None:
    changed = runner.load_config(settings, ["split.folds=4"])
    with pytest.raises(InputError, match="settings of stage split changed since it ran"):
        runner.run_stage(finished, changed, "train")


def test_a_refused_resume_leaves_the_config_of_the_run_at_work(
    finished: RunFolder, settings: Path
) -> None:
    before = (finished.path / "config.yaml").read_text()
    changed = runner.load_config(settings, ["train.epochs=1"])
    with finished.hold_lock(), pytest.raises(InputError, match="another process"):
        runner.execute_run(finished, changed)
    assert (finished.path / "config.yaml").read_text() == before


def test_a_run_to_an_earlier_stage_publishes_nothing(finished: RunFolder, settings: Path) -> None:
    resolved = runner.load_config(settings)
    result = runner.execute_run(finished, resolved, to_stage="measure")
    assert (result.report_path, result.has_passed) == (None, True)


def test_a_slice_recedes_under_a_repaired_champion_and_is_back_under_a_new_model(
    finished: RunFolder, home: Path
) -> None:
    """The first run promoted a repaired model. Later its slice is smaller; a new model has it."""
    data = Path(shutil.copytree(home / "data", home / "later"))
    draw(data, first=500, visits=330, share=0.6, seed=2)  # newer images, more of them by night
    path = home / "later.yaml"
    path.write_text(config(data, home))
    champion_config = runner.load_config(path, ["train.model=champion"])
    second = runner.execute_run(runner.create_run_folder(champion_config), champion_config).run
    track = _find_track(second, finished.run_id)
    first_error = finished.load_artifact("followed")["slices"][0]["now"]["error"]
    assert track["state"] in ("closed", "shrinking"), track["reason"]
    assert track["now"]["error"]["high"] < 0.2 < first_error["low"]
    assert track["state"] in run_publishing.summarize_run(second)["followed"]
    page = (home / "reports" / second.run_id / "index.html").read_text()
    assert 'id="slice_trends"' in page
    new_model = runner.load_config(path, ["explain.matched_images=30"])
    third = runner.create_run_folder(new_model)
    runner.execute_run(third, new_model, to_stage="follow")
    later = _find_track(third, finished.run_id)
    assert later["state"] in ("back", "open", "growing"), later["reason"]
    assert later["now"]["error"]["low"] > track["now"]["error"]["high"]


def _find_track(run: RunFolder, since: str) -> dict[str, Any]:
    """Return the followed slice that was first seen in the run `since`."""
    (track,) = [row for row in run.load_artifact("followed")["slices"] if row["since"] == since]
    return dict(track)
