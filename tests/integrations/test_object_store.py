import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError, RunBusyError
from pipeline.graph import STAGES
from pipeline.integrations.object_store import MANIFEST, pull_run, push_champion, push_run
from pipeline.integrations.remote_folder import RemoteFolder
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder


def build_run(
    home: Path, name: str = "one", config: str = "gate", weights: str = "weights"
) -> RunFolder:
    """A run of which every stage is finished, with a model of its own."""
    run = champion_registry.begin_run(home / name, config)
    folder = home.parent / f"bundle-{uuid4().hex}"
    folder.mkdir()
    (folder / champion_registry.WEIGHTS_FILE).write_text(weights)
    for stage in STAGES:
        made = {"verdict": {"promoted": True}, "bundle": folder} if stage.name == "promote" else {}
        run.save_stage(stage.name, made, {"key": stage.name})
    (run.path / "config.yaml").write_text(f"name: {config}\n")
    with run.hold_lock():
        (run.path / ".notified.json").write_text("{}")
    return run


def list_content(run: Path) -> dict[str, bytes]:
    files = [path for path in run.rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


@pytest.fixture(params=["memory", "folder", "s3"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("bucket")
        return "s3://gate/all runs/night"
    return {"memory": f"memory://{uuid4().hex}/runs", "folder": str(tmp_path / "mounted" / "runs")}[
        request.param
    ]


def test_a_pushed_run_is_pulled_as_it_was_and_twice_is_once(
    destination: str, tmp_path: Path
) -> None:
    run = build_run(tmp_path / "runs")
    address = push_run(run, destination + "/")
    assert address == f"{destination}/one"
    files = fsspec.core.url_to_fs(address)[0]
    before = files.info(f"{address}/{MANIFEST}")
    assert push_run(run, destination) == address
    assert files.info(f"{address}/{MANIFEST}") == before
    pulled = pull_run(address, tmp_path / "elsewhere")
    expected = {
        name: value for name, value in list_content(run.path).items() if not name.startswith(".")
    }
    assert list_content(pulled.path) == expected
    assert all(pulled.is_intact(stage.name) for stage in STAGES)
    assert pull_run(address, tmp_path / "elsewhere") == pulled
    assert push_run(pulled, destination) == address, "what was pulled is what was pushed"
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["one"]


def test_other_content_under_one_id_is_refused_both_ways(destination: str, tmp_path: Path) -> None:
    address = push_run(build_run(tmp_path / "a" / "runs"), destination)
    other = build_run(tmp_path / "b" / "runs", weights="other weights")
    with pytest.raises(InputError, match="with other content; a pushed run is never changed"):
        push_run(other, destination)
    with pytest.raises(InputError, match="of this id with other content is here"):
        pull_run(address, tmp_path / "b" / "runs")
    assert (
        other.get_artifact_path("bundle") / champion_registry.WEIGHTS_FILE
    ).read_text() == "other weights"


def test_a_run_without_a_manifest_is_not_there_and_an_upload_that_was_cut_short_is_finished(
    destination: str, tmp_path: Path
) -> None:
    run = build_run(tmp_path / "runs")
    address = push_run(run, destination)
    store = RemoteFolder.open(address)
    store.files.pipe_file(f"{store.root}/{MANIFEST}", b'{"push": 1, "run_')
    with pytest.raises(InputError, match=r"push\.json is absent or cut short"):
        pull_run(address, tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"push\.json is absent or cut short"):
        pull_run(f"{destination}/two", tmp_path / "elsewhere")
    assert pull_run(push_run(run, destination), tmp_path / "elsewhere").run_id == "one"


def test_a_run_that_is_not_finished_or_damaged_is_not_pushed(tmp_path: Path) -> None:
    run = build_run(tmp_path / "runs")
    (run.get_artifact_path("bundle") / champion_registry.WEIGHTS_FILE).write_text("cut")
    with pytest.raises(InputError, match="hash mismatch"):
        push_run(run, str(tmp_path / "mounted"))
    shutil.rmtree(run.path / "report")
    with pytest.raises(InputError, match="not finished, report is missing"):
        push_run(run, str(tmp_path / "mounted"))
    assert not (tmp_path / "mounted").exists()


@pytest.mark.parametrize("how", ["altered", "longer", "missing"])
def test_a_damaged_object_is_named_and_leaves_nothing_behind(
    how: str, destination: str, tmp_path: Path
) -> None:
    address = push_run(build_run(tmp_path / "runs"), destination)
    store, name = RemoteFolder.open(address), f"promote/bundle/{champion_registry.WEIGHTS_FILE}"
    if how == "missing":
        store.files.rm_file(f"{store.root}/{name}")
    else:
        store.files.pipe_file(
            f"{store.root}/{name}", {"altered": b"weighty", "longer": b"weights and more"}[how]
        )
    with pytest.raises(
        InputError, match="not found" if how == "missing" else "size or hash mismatch"
    ):
        pull_run(address, tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []


HOSTILE_NAMES = [
    "../evil", "a/../../evil", "/tmp/evil", "..", ".", "", "a\\..\\evil", "a//b", "./a", "a/", ".lock", "a/.work-x/b",
    "a\n", "x" * 300, "a\0b", "run.json/evil",
]  # fmt: skip


def plant_manifest(folder: Path, run_id: str, names: list[str]) -> Path:
    """A folder that claims to be a pushed run, and a file outside it."""
    (folder / run_id).mkdir(parents=True)
    (folder / "evil").write_text("evil")
    (folder / run_id / "run.json").write_text("evil")
    entry = {"size": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    manifest = {"push": 1, "run_id": run_id, "files": [{"name": name, **entry} for name in names]}
    (folder / run_id / MANIFEST).write_text(json.dumps(manifest))
    return folder / run_id


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(
    name: str, tmp_path: Path
) -> None:
    source = plant_manifest(tmp_path / "there", "r", ["run.json", name])
    with pytest.raises(InputError, match=r"is not the name of a file below the run's folder"):
        pull_run(str(source), tmp_path / "here" / "runs")
    assert not (tmp_path / "here").exists()


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    source = plant_manifest(tmp_path / "there", "r", ["run.json", "run.json"])
    with pytest.raises(InputError, match=r"'run\.json' is not the name of a file"):
        pull_run(str(source), tmp_path / "runs")


@pytest.mark.parametrize("run_id", ["..", ".hidden", "/tmp/r", "a/b", "", "other"])
def test_a_run_id_that_is_not_the_name_of_its_folder_is_refused(
    run_id: str, tmp_path: Path
) -> None:
    source = plant_manifest(tmp_path / "there", "r", [])
    manifest = json.loads((source / MANIFEST).read_text()) | {"run_id": run_id}
    (source / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="is not the plain name of this folder"):
        pull_run(str(source), tmp_path / "runs")


@pytest.mark.parametrize(
    "change", [{"push": 2}, {"extra": 1}, {"files": [{"name": "a", "size": -1, "sha256": "0"}]}]
)
def test_a_manifest_of_another_form_is_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    source = plant_manifest(tmp_path / "there", "r", [])
    (source / MANIFEST).write_text(json.dumps(json.loads((source / MANIFEST).read_text()) | change))
    with pytest.raises(InputError, match=r"there/r.*push\.json: "):
        pull_run(str(source), tmp_path / "runs")


def test_what_is_no_run_of_this_version_is_not_taken_in(tmp_path: Path) -> None:
    source = plant_manifest(tmp_path / "there", "r", ["run.json"])
    with pytest.raises(InputError, match=r"run\.json: cannot be read"):
        pull_run(str(source), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def read_pointer(client: Any) -> dict[str, Any]:
    return dict(json.load(client.get_object(Bucket="gate", Key="runs/champions/gate.json")["Body"]))


def test_the_champion_of_a_bucket_keeps_its_history(bucket: Any, tmp_path: Path) -> None:
    client, _ = bucket
    for name in ("one", "two", "two"):
        run = build_run(tmp_path / name / uuid4().hex / "runs", name)
        assert push_champion(run, "s3://gate/runs") == "s3://gate/runs/champions/gate.json"
    known = read_pointer(client)
    assert (known["run_id"], known["bundle"], known["champion"]) == (
        "two",
        "runs/two/promote/bundle",
        "candidate",
    )
    assert [item["run_id"] for item in known["earlier"]] == ["one"]
    assert [move["run_id"] for move in known["log"]] == ["one", "two"]
    push_champion(build_run(tmp_path / "b" / "runs", "three", config="door"), "s3://gate/runs")
    assert read_pointer(client)["run_id"] == "two", "each config has its own"


def overtake(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let another machine act between the read and the conditional put of the next move."""
    swap = RemoteFolder.swap

    def late(store: RemoteFolder, name: str, value: bytes, tag: str | None) -> None:
        monkeypatch.setattr(RemoteFolder, "swap", swap)
        act()
        swap(store, name, value, tag)

    monkeypatch.setattr(RemoteFolder, "swap", late)


@pytest.mark.parametrize("before", [True, False])
def test_of_two_that_move_a_champion_at_once_one_wins_and_the_other_is_told(
    before: bool, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {name: build_run(tmp_path / name / "runs", name) for name in ("first", "soon", "late")}
    if before:
        push_champion(runs["first"], "s3://gate/runs")
    overtake(monkeypatch, lambda: push_champion(runs["soon"], "s3://gate/runs"))
    with pytest.raises(
        RunBusyError, match="another machine moved it at this moment; call again"
    ) as refused:
        push_champion(runs["late"], "s3://gate/runs")
    assert refused.value.exit_code == 75
    assert read_pointer(bucket[0])["run_id"] == "soon"


def test_a_champion_that_is_removed_meanwhile_is_a_lost_race(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = bucket
    push_champion(build_run(tmp_path / "a" / "runs"), "s3://gate/runs")
    overtake(
        monkeypatch, lambda: client.delete_object(Bucket="gate", Key="runs/champions/gate.json")
    )
    with pytest.raises(RunBusyError):
        push_champion(build_run(tmp_path / "b" / "runs", "two"), "s3://gate/runs")


def test_a_mounted_folder_has_a_champion_and_a_store_without_conditions_none(
    tmp_path: Path,
) -> None:
    run = build_run(tmp_path / "runs")
    mounted = tmp_path / "mounted" / "runs"
    push_run(run, str(mounted))
    push_champion(run, f"file://{mounted}")
    assert (champion_registry.read_pointer(mounted, "gate") or {})["run_id"] == "one"
    assert (
        champion_registry.find_champion_bundle(mounted)
        .joinpath(champion_registry.WEIGHTS_FILE)
        .read_text()
        == "weights"
    )
    with pytest.raises(InputError, match="MLflow's registry or a mounted folder"):
        push_champion(run, "memory://runs")


def test_the_commands_push_a_champion_and_pull_it(bucket: Any, tmp_path: Path) -> None:
    build_run(tmp_path / "runs")
    here, there = ["--runs", str(tmp_path / "runs")], ["--runs", str(tmp_path / "elsewhere")]
    pushed = CliRunner().invoke(
        app, ["runs", "push", "one", "s3://gate/runs", "--champion", *here]
    )
    assert pushed.stdout.splitlines() == [
        "s3://gate/runs/one",
        "s3://gate/runs/champions/gate.json",
    ]
    pulled = CliRunner().invoke(app, ["runs", "pull", "s3://gate/runs/one", *there])
    assert pulled.stdout.splitlines() == [str(tmp_path / "elsewhere" / "one")]
    shown = CliRunner().invoke(app, ["runs", "show", "s3://gate/runs/one"])
    assert "nightshift runs pull s3://gate/runs/one" in str(shown.exception)
