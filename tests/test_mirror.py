"""Two machines (working copies of their own) and one bucket, with the real first stages on drawn photos."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import champion, cli, mirror, remote, runner
from pipeline.contracts import Busy, InputError
from pipeline.graph import STAGES
from pipeline.remote import Remote
from pipeline.store import Run
from tests.night import config, draw

PLACE = "s3://gate/runs"
FIRST = ("ingest", "measure", "split")
CUT = """
import os, signal, sys
from pathlib import Path
from pipeline import mirror, runner
from pipeline.remote import Remote
def die(self, name, value, write=Remote.write):
    if name.endswith("measure/stage.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, name, value)
Remote.write = die
settings = runner.configure(Path(sys.argv[1]))
runner.execute(mirror.begin(settings.general.runs / sys.argv[2]), settings, to_stage="split")
"""

Machine = Callable[[str], Path]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("photos"), visits=40)


@pytest.fixture
def machine(bucket: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """`machine(name)`: from now on this is the machine of that name; its config."""
    path = tmp_path / "c.yaml"
    text = config(photos, tmp_path)
    path.write_text(text.replace(f"runs: {tmp_path / 'runs'}", f"runs: {PLACE}"))

    def change(name: str) -> Path:
        monkeypatch.setenv("NIGHTSHIFT_CACHE", str(tmp_path / name))
        monkeypatch.setattr(remote, "HOLDER", f"process 1 on {name}")
        return path

    return change


def _objects(client: Any) -> set[str]:
    return {item["Key"] for item in client.list_objects_v2(Bucket="gate").get("Contents", [])}


def _call(*line: str) -> str:
    done = CliRunner().invoke(cli.app, list(line))
    assert done.exit_code == 0, done.output
    return done.output


def _run(path: Path, to_stage: str = "split") -> Run:
    settings = runner.configure(path)
    return runner.execute(runner.start(settings), settings, to_stage=to_stage).run


def test_what_one_machine_finished_another_goes_on_with(bucket: Any, machine: Machine) -> None:
    run = _run(machine("a"))
    records = {name: run.record(name) for name in FIRST}
    config_here = (run.path / "config.yaml").read_text()
    assert f"runs: {PLACE}" in config_here, "no path of one machine goes to another"
    machine("b")
    said = _call("run", "--resume", f"{PLACE}/{run.run_id}", "--to-stage", "split")
    assert [line.split()[1] for line in said.splitlines() if line.split()[0] in FIRST] == ["skipped"] * 3
    other = Run(remote.working_copy(PLACE) / run.run_id)
    assert other.path != run.path
    for name in FIRST:
        mine, theirs = records[name] or {}, other.record(name) or {}
        assert mine["artifacts"] == theirs["artifacts"]
        assert other.intact(name)
    assert (other.load("pixels") == run.load("pixels")).all()
    assert not [key for key in _objects(bucket[0]) if "lock" in key]


def test_a_kill_before_the_manifest_leaves_no_half_stage(bucket: Any, machine: Machine) -> None:
    path = machine("a")
    done = subprocess.run([sys.executable, "-c", CUT, str(path), "r"], env=os.environ | {}, check=False)
    assert done.returncode == -9
    half = {key for key in _objects(bucket[0]) if key.startswith("runs/r/measure/")}
    assert len(half) == 1, "the file is there, and nothing names it"
    machine("b")
    mirror.fetch(remote.working_copy(PLACE) / "r")
    other = Run.open(remote.working_copy(PLACE) / "r")
    assert other.record("ingest")
    assert other.record("measure") is None
    settings = runner.configure(machine("a"))
    with pytest.raises(Busy, match="is at work in this run"):  # its lease has not run out
        runner.execute(other, settings, to_stage="split")
    bucket[0].delete_object(Bucket="gate", Key="runs/r/lock.json")
    runner.execute(mirror.begin(settings.general.runs / "r"), settings, to_stage="split")
    now = {key for key in _objects(bucket[0]) if key.startswith("runs/r/measure/")}
    assert len(now) == 2
    assert not half & now, "what was cut short is gone"


def test_a_damaged_object_is_named_and_its_stage_made_anew(bucket: Any, machine: Machine) -> None:
    run = _run(machine("a"))
    (key,) = (key for key in _objects(bucket[0]) if key.endswith("attributes.parquet"))
    bucket[0].put_object(Bucket="gate", Key=key, Body=b"PAR1 no more")
    path = machine("b")
    folder = remote.working_copy(PLACE) / run.run_id
    with pytest.raises(InputError, match=rf"s3://gate/{key}: cut short or altered since it was put"):
        mirror.fetch(folder)
    said = _call("run", "-c", str(path), "--resume", f"{PLACE}/{run.run_id}", "--to-stage", "split")
    assert f"measure: s3://gate/{key}: cut short or altered since it was put (hash mismatch); made anew" in said
    assert Run(folder).record("measure") is not None
    machine("c")
    mirror.fetch(remote.working_copy(PLACE) / run.run_id)
    again = Run(remote.working_copy(PLACE) / run.run_id)
    assert (again.load("attributes")["image_id"] == again.load("images")["image_id"]).all()


def test_who_reads_a_stage_that_is_made_anew_meanwhile_gets_the_new_one(
    bucket: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = machine("a")
    run, smaller = _run(path, "ingest"), runner.configure(path, ["ingest.side=40"])
    old, fetch = _objects(bucket[0]), Remote.fetch

    def late(store: Remote, name: str, to: Path) -> None:
        monkeypatch.setattr(Remote, "fetch", fetch)
        runner.execute(run, smaller, to_stage="ingest")
        fetch(store, name, to)

    machine("b")
    monkeypatch.setattr(Remote, "fetch", late)
    mirror.fetch(remote.working_copy(PLACE) / run.run_id)
    assert Run(remote.working_copy(PLACE) / run.run_id).load("pixels").shape[1] == 40
    assert len(_objects(bucket[0])) == len(old)


def test_a_machine_whose_run_was_taken_over_puts_nothing_more(bucket: Any, machine: Machine) -> None:
    settings = runner.configure(machine("a"))
    run = runner.start(settings)
    with runner.at_work(run):
        runner.run_stage(run, settings, "ingest")
        machine("b")
        with pytest.raises(InputError, match="another machine took this run over"):
            runner.run_stage(run, settings, "measure")
    assert run.record("measure"), "it stands here"
    assert not [key for key in _objects(bucket[0]) if key.endswith("measure/stage.json")]


def _promotable(home: Path, name: str) -> Run:
    run = mirror.begin(home / name)
    folder = home / f"of-{name}"
    folder.mkdir(parents=True)
    (folder / champion.WEIGHTS).write_text(name)
    with mirror.at_work(run, print):
        run.save("promote", {"verdict": {"promoted": True}, "bundle": folder}, {"key": name})
        mirror.publish(run, "promote")
    return run


def test_of_two_promotions_at_once_one_wins_and_all_machines_see_it(machine: Machine) -> None:
    machine("a")
    here = remote.working_copy(PLACE)
    first, second = _promotable(here, "one"), _promotable(here, "two")
    machine("b")
    there = remote.working_copy(PLACE)
    mirror.fetch(there / "two")

    def both() -> None:
        with champion.moving(here) as known:
            champion.point(here, known, first.run_id, "candidate", "promoted by hand")
            champion.promote(there, Run(there / second.run_id))

    with pytest.raises(InputError, match=r"s3://gate/runs/champion\.json: another machine changed it at this moment"):
        both()
    assert [(champion.pointer(home) or {})["run_id"] for home in (here, there)] == ["two", "two"]
    champion.promote(here, first)
    assert champion.rollback(there) == ("one", "two")
    machine("c")
    anew = remote.working_copy(PLACE)
    assert (champion.in_force(anew) or anew).joinpath(champion.WEIGHTS).read_text() == "two"


def test_runs_are_listed_shown_pinned_and_pruned_by_any_machine(bucket: Any, machine: Machine) -> None:
    names = [_run(machine("a"), "ingest").run_id for _ in range(3)]
    machine("b")
    listed = json.loads(_call("runs", "list", "--json", "--runs", PLACE))
    assert {row["run"] for row in listed} == set(names)
    shown = json.loads(_call("runs", "show", names[0], "--json", "--runs", PLACE))
    assert [row["stage"] for row in shown["stages"]] == ["ingest"]
    oldest = listed[-1]["run"]
    _call("runs", "pin", oldest, "--runs", PLACE)
    machine("c")
    _call("runs", "prune", "--keep", "1", "--runs", PLACE)
    left = {key.split("/")[1] for key in _objects(bucket[0])}
    assert left == {oldest, listed[0]["run"]}
    machine("a")
    assert {row["run"] for row in json.loads(_call("runs", "list", "--json", "--runs", PLACE))} == left


def test_a_photo_is_forgotten_in_the_store_too(bucket: Any, machine: Machine) -> None:
    run = _run(machine("a"))
    gone, before = run.load("images")["image_id"].iloc[3], _objects(bucket[0])
    machine("b")
    assert f"{run.run_id}: 1 removed" in _call("runs", "forget", gone, "--runs", PLACE)
    left = _objects(bucket[0])
    assert not {k for k in before & left if k.endswith((".npy", ".parquet")) and "rejected" not in k}, "put anew"
    machine("c")
    mirror.fetch(remote.working_copy(PLACE) / run.run_id)
    other = Run(remote.working_copy(PLACE) / run.run_id)
    assert gone not in set(other.load("images")["image_id"])
    assert len(other.load("pixels")) == len(run.load("images")) - 1


def test_a_store_that_does_not_answer_is_one_line_and_may_be_tried_again(
    bucket: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine("a")
    bucket[1]()
    monkeypatch.setattr(sys, "argv", ["nightshift", "run", "-c", str(path), "--to-stage", "ingest"])
    assert cli._called() == 75
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nightshift: s3://gate/runs/")


def test_a_folder_is_as_ever(tmp_path: Path) -> None:
    run = mirror.begin(tmp_path / "runs" / "r")
    with mirror.at_work(run, print):
        assert mirror.pull(run) == {}
    assert len(STAGES) == len(mirror.STAGE_NAMES)
    assert sorted(p.name for p in run.path.iterdir()) == ["run.json"]
