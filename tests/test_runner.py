"""The runner and the whole loop, on photos with a planted night (tests/night.py)."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline import runner, store
from pipeline.contracts import InputError
from pipeline.graph import STAGES
from pipeline.store import Run
from tests.kills import straight, survived
from tests.night import config, draw


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("night")


@pytest.fixture(scope="module")
def settings(home: Path) -> Path:
    draw(home / "data")
    path = home / "config.yaml"
    path.write_text(config(home / "data", home))
    return path


@pytest.fixture(scope="module")
def finished(settings: Path) -> Run:
    resolved = runner.configure(settings)
    return runner.execute(runner.start(resolved), resolved).run


def test_the_planted_night_is_found_named_repaired_and_proved(finished: Run) -> None:
    """Nobody tells the finder about darkness: its first words, its cause and its remedy must say so."""
    found = finished.load("explanations")
    first = found[found["status"] == "confirmed"].sort_values("rank").iloc[0]
    assert first["words"].startswith("Too dark"), first["words"]
    assert first["cause"] in ("exposure", "gamma")
    assert any(f"failures were taken from {hour}:00 to" in first["words"] for hour in (21, 22))
    plan = finished.load("plan")
    assert set(plan["remedy"]) <= {"low_light", "exposure", "gamma"}
    assert (plan["dose_high"] < 1).all() or (plan["remedy"] == "gamma").all()
    summary = finished.load("summary")
    assert summary["verdict"]["promoted"], summary["verdict"]["headline"]
    arms = finished.load("comparison")["test"]["primary"]
    assert arms["gain"]["mean"] > 0.1


def test_a_misspelt_class_is_told_before_anything_is_trained(finished: Run, settings: Path) -> None:
    resolved = runner.configure(settings, ["evaluate.costs={nihgt: {day: 0.1}}"])
    run = runner.start(resolved)
    with pytest.raises(InputError, match=r"evaluate\.costs: there is no class 'nihgt'"):
        runner.execute(run, resolved)
    assert store.finished(run) == ["ingest"]


def test_the_plan_touches_training_photos_only(finished: Run) -> None:
    splits = finished.load("splits").set_index("image_id")["split"]
    assert set(splits[finished.load("plan")["image_id"]]) == {"train"}


def test_no_stage_before_compare_knows_anything_of_test(finished: Run) -> None:
    test = set(finished.load("splits").query("split == 'test'")["image_id"])
    for artifact in ("predictions", "probed", "membership", "flips", "label_issues"):
        assert not test & set(finished.load(artifact)["image_id"]), artifact


def test_a_second_run_of_the_same_links_what_has_no_effects_and_spends_no_further_opening(
    finished: Run, settings: Path
) -> None:
    resolved = runner.configure(settings)
    again = runner.execute(runner.start(resolved), resolved).run
    linked = [s.name for s in STAGES if (again.record(s.name) or {}).get("linked_from")]
    anew = {s.name for s in STAGES if s.effects or s.identity} | {"monitor", "follow"}  # the first run is news
    assert linked == [s.name for s in STAGES if s.name not in anew]
    assert again.load("drift")["champion"] == finished.run_id
    assert again.load("drift")["why"] == "no photo arrived that its run did not have"


def test_what_is_up_to_date_is_skipped_and_a_changed_setting_reruns_only_what_depends_on_it(
    finished: Run, settings: Path
) -> None:
    resolved = runner.configure(settings)
    assert {runner.run_stage(finished, resolved, s.name) for s in STAGES} == {"skipped"}
    changed = runner.configure(settings, ["prescribe.target_error=0.1"])
    how = {
        s.name: runner.run_stage(finished, changed, s.name) for s in STAGES[: [s.name for s in STAGES].index("retrain")]
    }
    assert [name for name, what in how.items() if what != "skipped"] == ["prescribe"]
    assert runner.run_stage(finished, resolved, "prescribe") in ("done", "linked")


def test_a_run_takes_the_champion_once_and_is_not_started_anew_by_its_own_promotion(
    finished: Run, settings: Path
) -> None:
    assert finished.load("verdict")["promoted"], "else the pointer did not move and nothing is tested"
    asks = runner.configure(settings, ["train.model=champion"])
    run = runner.start(asks)
    for name in ("ingest", "measure", "split", "train"):
        runner.run_stage(run, asks, name)
    pointer = run.path.parent / "champion.json"
    before = pointer.read_text()
    try:
        pointer.unlink()
        assert runner.run_stage(run, asks, "train") == "skipped"
        assert runner.run_stage(run, asks, "train", force=True) == "done", "asked for by name, it looks again"
    finally:
        pointer.write_text(before)


def test_the_report_shows_the_config_in_force_though_every_artifact_came_out_equal(
    finished: Run, settings: Path
) -> None:
    run = Run(Path(shutil.copytree(finished.path, finished.path.with_name("copy"))))
    changed = runner.configure(settings, ["train.patience=70"])
    how = {s.name: runner.run_stage(run, changed, s.name) for s in STAGES}
    assert [name for name, what in how.items() if what == "done"] == ["train", "report"]
    assert "patience: 70" in (run.file("html") / "index.html").read_text()
    assert runner.run_stage(run, changed, "report") == "skipped"


def test_a_stage_without_its_needs_says_which_comes_first(settings: Path, home: Path) -> None:
    resolved = runner.configure(settings)
    with pytest.raises(InputError, match="needs images; run the stage ingest first"):
        runner.run_stage(Run.begin(home / "runs" / "empty"), resolved, "measure")


def test_the_report_and_the_list_of_runs_are_published(finished: Run, home: Path) -> None:
    page = (home / "reports" / finished.run_id / "index.html").read_text()
    assert "Too dark" in page
    assert finished.run_id in (home / "reports" / "index.html").read_text()
    assert json.loads((finished.path / "summary.json").read_text())["run_id"] == finished.run_id


def test_killed_in_several_stages_it_ends_as_if_nothing_had_happened(finished: Run, tmp_path: Path) -> None:
    """tests/bench/bench_kills.py does it a hundred times, in every stage."""
    data = Path(finished.load("images")["source"].iloc[0]).parent
    text = config(data, tmp_path, epochs=2).replace("epochs: 6", "epochs: 1")
    (tmp_path / "config.yaml").write_text(text)
    other = straight(tmp_path / "config.yaml", tmp_path / "straight")
    killed = survived(tmp_path / "config.yaml", tmp_path / "victim", other, ["train", "explain"], 0)
    assert killed.total() >= 1


DISK = """
set -eu
home=$1; shift
mount -t tmpfs -o size=800k tmpfs $home
mkdir $home/runs $home/runs/r; echo '{"schema": 1, "created": ""}' > $home/runs/r/run.json
code=0; "$@" || code=$?; echo "full $code"
mount -o remount,size=2500k $home
code=0; "$@" || code=$?; echo "full again $code"
mount -o remount,ro $home
code=0; "$@" || code=$?; echo "read-only $code"
mount -o remount,rw,size=300m $home
code=0; "$@" || code=$?; echo "roomy $code"
sha256sum $home/runs/r/train/model/model.safetensors
"""


@pytest.mark.mount
def test_a_full_and_a_read_only_disk_are_said_in_one_line_and_gone_on_with(
    unshared: list[str], tmp_path: Path
) -> None:
    """Full in ingest, full again at a checkpoint of train."""
    (tmp_path / "disk").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(config(draw(tmp_path / "data", visits=60), tmp_path / "disk", epochs=1))
    run = ["run", "-c", str(path), "--resume", str(tmp_path / "disk" / "runs" / "r"), "--to-stage", "train"]
    line = ["bash", "-c", DISK, "disk", str(tmp_path / "disk"), sys.executable, "-m", "pipeline.cli", *run]
    done = subprocess.run([*unshared, *line], capture_output=True, text=True, check=True)
    told = [said for said in done.stderr.splitlines() if said.startswith("nightshift: ")]
    assert "Traceback" not in done.stderr
    assert [said.rpartition(": ")[2] for said in told] == ["No space left on device"] * 2 + ["Read-only file system"]
    assert "last.pt: No space" in told[1]
    assert done.stderr.count("stopped; go on with: nightshift run --resume") == 3
    ends = [said for said in done.stdout.splitlines() if said.startswith(("full", "read-only", "roomy"))]
    assert ends == ["full 2", "full again 2", "read-only 2", "roomy 0"]
    resolved = runner.configure(path, [f"runs={tmp_path / 'runs'}"])
    straight = runner.execute(runner.start(resolved), resolved, to_stage="train").run
    assert done.stdout.split()[-2] == store.digest(straight.file("model") / "model.safetensors")


def test_what_was_altered_is_named_and_made_anew_and_refused_by_a_later_stage(
    finished: Run, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resolved = runner.configure(settings)
    run = Run(Path(shutil.copytree(finished.path, finished.path.with_name("altered"))))
    before = {name: (run.record(name) or {})["artifacts"] for name in store.finished(run)}
    weights = run.file("model") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    damage = "model: cut short or altered since it was written (hash mismatch)"
    with pytest.raises(InputError, match=rf"{re.escape(damage)}; make it anew with: nightshift run --resume"):
        runner.run_stage(run, resolved, "evaluate", force=True)
    how = {name: runner.run_stage(run, resolved, name) for name in ("ingest", "measure", "split", "train", "evaluate")}
    assert how["train"] == "linked", "another run has it whole"
    assert how["evaluate"] == how["ingest"] == "skipped"
    assert f"{damage}; made anew" in capsys.readouterr().err
    assert {name: (run.record(name) or {})["artifacts"] for name in before} == before
    shutil.rmtree(run.path)


def test_no_failures_end_well(tmp_path: Path) -> None:
    data = draw(tmp_path / "data", visits=120, night=False)
    (tmp_path / "config.yaml").write_text(config(data, tmp_path, epochs=16))
    resolved = runner.configure(tmp_path / "config.yaml")
    result = runner.execute(runner.start(resolved), resolved)
    verdict = result.run.load("verdict")
    assert not verdict["promoted"]
    assert runner.brief(result.run)["state"] == "nothing to promote"
    assert result.report is not None
    assert result.run.load("candidates").joinpath("candidates.json").read_text().strip() == "[]"
    assert not (tmp_path / "runs" / "ledger.jsonl").exists()
    assert isinstance(result.run.load("plan"), pd.DataFrame)


def test_a_damaged_neighbour_is_no_reason_to_stop(settings: Path, home: Path, finished: Run) -> None:
    resolved = runner.configure(settings, ["ingest.side=40"])
    other = runner.start(resolved)
    assert runner.run_stage(other, resolved, "ingest") == "done"
    other.file("pixels").unlink()
    changed = runner.configure(settings, ["ingest.side=40", "seed=5"])
    assert runner.run_stage(runner.start(changed), changed, "ingest") == "done"
    assert runner.run_stage(other, resolved, "ingest") == "done"  # what is missing is made again
    shutil.rmtree(other.path)


def test_a_stage_whose_needs_are_out_of_date_is_refused_by_name(finished: Run, settings: Path) -> None:
    changed = runner.configure(settings, ["split.folds=4"])
    with pytest.raises(InputError, match="settings of stage split changed since it ran"):
        runner.run_stage(finished, changed, "train")


def test_a_refused_resume_leaves_the_config_of_the_running_one(finished: Run, settings: Path) -> None:
    before = (finished.path / "config.yaml").read_text()
    changed = runner.configure(settings, ["train.epochs=1"])
    with finished.lock(), pytest.raises(InputError, match="another process"):
        runner.execute(finished, changed)
    assert (finished.path / "config.yaml").read_text() == before


def test_what_is_no_report_publishes_nothing(finished: Run, settings: Path) -> None:
    resolved = runner.configure(settings)
    result = runner.execute(finished, resolved, to_stage="measure")
    assert (result.report, result.passed) == (None, True)


def test_a_slice_is_closed_by_the_champion_that_repairs_it_and_back_with_a_model_that_does_not(
    finished: Run, home: Path
) -> None:
    """The first run repaired the dark photos and promoted. Its model finds none the next day; one trained anew does."""
    data = Path(shutil.copytree(home / "data", home / "later"))
    draw(data, first=330, visits=330, share=0.6, seed=2)  # newer photos, more of them by night
    path = home / "later.yaml"
    path.write_text(config(data, home))
    asks = runner.configure(path, ["train.model=champion"])
    second = runner.execute(runner.start(asks), asks).run
    (track,) = second.load("summary")["followed"]
    assert (track["state"], track["since"], track["slice"]) == ("closed", finished.run_id, None), track["why"]
    assert track["now"]["error"]["high"] < 0.2 < finished.load("followed")["slices"][0]["now"]["error"]["low"]
    assert runner.brief(second)["followed"] == "1 closed"
    page = (home / "reports" / second.run_id / "index.html").read_text()
    assert "No longer in excess" in page
    anew = runner.configure(path, ["explain.photos=30"])
    third = runner.start(anew)
    runner.execute(third, anew, to_stage="follow")
    (track,) = third.load("followed")["slices"]
    assert (track["state"], track["since"]) == ("back", finished.run_id), track["why"]
    assert [point["state"] for point in track["history"]][-2:] == ["closed", "back"]
