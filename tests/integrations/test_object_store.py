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
from pipeline.integrations.object_store import pull_run, push_champion, push_run
from pipeline.integrations.push_manifest import MANIFEST
from pipeline.integrations.remote_folder import RemoteFolder
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY, RECORD_FILE

WEIGHTS_NAME = f"promote/bundle/{champion_registry.WEIGHTS_FILE}"


def build_run(
    runs_folder: Path, name: str = "one", config: str = "gate", weights: str = "weights"
) -> RunFolder:
    """A run with all stages finished and a model of its own."""
    run = champion_registry.begin_run(runs_folder / name, config)
    bundle = runs_folder.parent / f"bundle-{uuid4().hex}"
    bundle.mkdir()
    (bundle / champion_registry.WEIGHTS_FILE).write_text(weights)
    (bundle / RECORD_FILE).write_text(json.dumps({FORMAT_KEY: BUNDLE_FORMAT}))
    promoted = {"verdict": {"promoted": True}, "bundle": bundle}
    for stage in STAGES:
        outputs = promoted if stage.name == "promote" else {}
        run.save_stage(stage.name, outputs, {"key": stage.name})
    (run.path / "config.yaml").write_text(f"name: {config}\n")
    with run.hold_lock():
        (run.path / ".notified.json").write_text("{}")
    return run


def read_files(run: Path) -> dict[str, bytes]:
    """The content of every file that is not hidden."""
    content = {}
    for path in run.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            content[str(path.relative_to(run))] = path.read_bytes()
    return content


@pytest.fixture(params=["memory", "folder", "s3"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("bucket")
        return "s3://gate/all runs/night"
    if request.param == "memory":
        return f"memory://{uuid4().hex}/runs"
    return str(tmp_path / "mounted" / "runs")


def test_pulled_run_equals_the_pushed_one_and_repetitions_change_nothing(
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
    assert read_files(pulled.path) == read_files(run.path)
    assert not (pulled.path / ".notified.json").exists()
    assert all(pulled.is_intact(stage.name) for stage in STAGES)
    assert pull_run(address, tmp_path / "elsewhere") == pulled
    assert push_run(pulled, destination) == address
    assert [path.name for path in (tmp_path / "elsewhere").glob("[!.]*")] == ["one"]


def test_other_content_of_the_same_id_is_refused_both_ways(
    destination: str, tmp_path: Path
) -> None:
    address = push_run(build_run(tmp_path / "a" / "runs"), destination)
    other = build_run(tmp_path / "b" / "runs", weights="other weights")
    with pytest.raises(InputError, match="with other content; a pushed run is never changed"):
        push_run(other, destination)
    with pytest.raises(InputError, match="of this id with other content is here"):
        pull_run(address, tmp_path / "b" / "runs")
    assert (other.path / WEIGHTS_NAME).read_text() == "other weights"


def test_run_without_a_whole_manifest_is_not_pulled_and_its_push_can_be_finished(
    destination: str, tmp_path: Path
) -> None:
    run = build_run(tmp_path / "runs")
    address = push_run(run, destination)
    store = RemoteFolder.open(address)
    store.files.pipe_file(f"{store.root}/{MANIFEST}", b'{"push": 1, "run_')
    for missing in (address, f"{destination}/two"):
        with pytest.raises(InputError, match=r"not a pushed run \(push\.json"):
            pull_run(missing, tmp_path / "elsewhere")
    assert pull_run(push_run(run, destination), tmp_path / "elsewhere").run_id == "one"


def test_unfinished_or_damaged_run_is_not_pushed(tmp_path: Path) -> None:
    run = build_run(tmp_path / "runs")
    (run.path / WEIGHTS_NAME).write_text("cut")
    with pytest.raises(InputError, match="hash mismatch"):
        push_run(run, str(tmp_path / "mounted"))
    shutil.rmtree(run.path / "report")
    with pytest.raises(InputError, match="not finished, report is missing"):
        push_run(run, str(tmp_path / "mounted"))
    assert not (tmp_path / "mounted").exists()


@pytest.mark.parametrize("content", [b"weighty", b"weights and more", None])  # None: removed
def test_damaged_object_is_an_error_and_leaves_nothing_behind(
    content: bytes | None, destination: str, tmp_path: Path
) -> None:
    address = push_run(build_run(tmp_path / "runs"), destination)
    store = RemoteFolder.open(address)
    if content is None:
        store.files.rm_file(f"{store.root}/{WEIGHTS_NAME}")
        message = "not found"
    else:
        store.files.pipe_file(f"{store.root}/{WEIGHTS_NAME}", content)
        message = "size or hash mismatch"
    with pytest.raises(InputError, match=message):
        pull_run(address, tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def plant_manifest(folder: Path, run_id: str, names: list[str]) -> Path:
    """A folder that claims to be a pushed run, and a file outside it."""
    run = folder / run_id
    run.mkdir(parents=True)
    (folder / "evil").write_text("evil")
    (run / "run.json").write_text("evil")
    entry = {"size": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    files = [{"name": name, **entry} for name in names]
    (run / MANIFEST).write_text(json.dumps({"push": 1, "run_id": run_id, "files": files}))
    return run


def change_manifest(run: Path, **changes: Any) -> None:
    manifest = json.loads((run / MANIFEST).read_text())
    (run / MANIFEST).write_text(json.dumps(manifest | changes))


def test_file_name_that_leads_elsewhere_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    source = plant_manifest(tmp_path / "there", "r", ["run.json", "../evil"])
    with pytest.raises(InputError, match=r"is not the name of a file below the run's folder"):
        pull_run(str(source), tmp_path / "here" / "runs")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    "change", [{"push": 2}, {"extra": 1}, {"files": [{"name": "a", "size": -1, "sha256": "0"}]}]
)
def test_manifest_of_another_format_is_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    source = plant_manifest(tmp_path / "there", "r", [])
    change_manifest(source, **change)
    with pytest.raises(InputError, match=r"there/r.*push\.json: "):
        pull_run(str(source), tmp_path / "runs")


def test_run_of_another_version_is_not_pulled(tmp_path: Path) -> None:
    source = plant_manifest(tmp_path / "there", "r", ["run.json"])
    with pytest.raises(InputError, match=r"run\.json"):
        pull_run(str(source), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def read_pointer(client: Any) -> dict[str, Any]:
    return dict(json.load(client.get_object(Bucket="gate", Key="runs/champions/gate.json")["Body"]))


def test_champion_of_a_bucket_keeps_its_history(bucket: Any, tmp_path: Path) -> None:
    client, _ = bucket
    for name in ("one", "two", "two"):
        run = build_run(tmp_path / name / uuid4().hex / "runs", name)
        assert push_champion(run, "s3://gate/runs") == "s3://gate/runs/champions/gate.json"
    pointer = read_pointer(client)
    assert pointer["run_id"] == "two"
    assert pointer["bundle"] == "runs/two/promote/bundle"
    assert pointer["champion"] == "candidate"
    assert [model["run_id"] for model in pointer["earlier"]] == ["one"]
    assert [move["run_id"] for move in pointer["log"]] == ["one", "two"]


def test_every_config_has_a_champion_of_its_own(bucket: Any, tmp_path: Path) -> None:
    push_champion(build_run(tmp_path / "a" / "runs", "one"), "s3://gate/runs")
    push_champion(build_run(tmp_path / "b" / "runs", "two", config="door"), "s3://gate/runs")
    assert read_pointer(bucket[0])["run_id"] == "one"


def overtake(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let another machine act between the read and the conditional put of the next move."""
    swap = RemoteFolder.swap

    def swap_late(store: RemoteFolder, name: str, value: bytes, tag: str | None) -> None:
        monkeypatch.setattr(RemoteFolder, "swap", swap)
        act()
        swap(store, name, value, tag)

    monkeypatch.setattr(RemoteFolder, "swap", swap_late)


@pytest.mark.parametrize("has_champion", [True, False])
def test_one_of_two_simultaneous_moves_wins_and_the_other_is_an_error(
    has_champion: bool, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {name: build_run(tmp_path / name / "runs", name) for name in ("first", "soon", "late")}
    if has_champion:
        push_champion(runs["first"], "s3://gate/runs")
    overtake(monkeypatch, lambda: push_champion(runs["soon"], "s3://gate/runs"))
    with pytest.raises(RunBusyError) as refused:
        push_champion(runs["late"], "s3://gate/runs")
    assert refused.value.exit_code == 75
    assert read_pointer(bucket[0])["run_id"] == "soon"


def test_champion_that_is_removed_during_a_move_is_an_error(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = bucket
    push_champion(build_run(tmp_path / "a" / "runs"), "s3://gate/runs")
    key = "runs/champions/gate.json"
    overtake(monkeypatch, lambda: client.delete_object(Bucket="gate", Key=key))
    with pytest.raises(RunBusyError):
        push_champion(build_run(tmp_path / "b" / "runs", "two"), "s3://gate/runs")


def test_champion_needs_a_mounted_folder_or_a_conditional_put(tmp_path: Path) -> None:
    run = build_run(tmp_path / "runs")
    mounted = tmp_path / "mounted" / "runs"
    push_run(run, str(mounted))
    push_champion(run, f"file://{mounted}")
    assert (champion_registry.read_pointer(mounted, "gate") or {})["run_id"] == "one"
    bundle = champion_registry.find_champion_bundle(mounted)
    assert (bundle / champion_registry.WEIGHTS_FILE).read_text() == "weights"
    with pytest.raises(InputError, match="MLflow's registry or a mounted folder"):
        push_champion(run, "memory://runs")


def test_commands_push_a_champion_and_pull_it(bucket: Any, tmp_path: Path) -> None:
    build_run(tmp_path / "runs")
    here = ["--runs", str(tmp_path / "runs")]
    there = ["--runs", str(tmp_path / "elsewhere")]
    push = ["runs", "push", "one", "s3://gate/runs", "--champion", *here]
    pushed = CliRunner().invoke(app, push)
    assert pushed.stdout.splitlines() == [
        "s3://gate/runs/one",
        "s3://gate/runs/champions/gate.json",
    ]
    pulled = CliRunner().invoke(app, ["runs", "pull", "s3://gate/runs/one", *there])
    assert pulled.stdout.splitlines() == [str(tmp_path / "elsewhere" / "one")]
    shown = CliRunner().invoke(app, ["runs", "show", "s3://gate/runs/one"])
    assert "nightshift runs pull s3://gate/runs/one" in str(shown.exception)
