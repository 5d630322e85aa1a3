import json
import multiprocessing
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.contracts import InputError
from pipeline.serving.prediction.model_bundles import find_bundle
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import SCHEMA_VERSION, RunFolder, write_json
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY


def _run(home: Path, name: str, promoted: bool = True, config: str = "gate") -> RunFolder:
    """Return a run with a finished stage promote."""
    run = champion_registry.begin_run(home / name, config)
    folder = home.parent / f"of-{name}"
    folder.mkdir()
    (folder / champion_registry.WEIGHTS_FILE).write_text(name)
    write_json(folder / "bundle.json", {FORMAT_KEY: BUNDLE_FORMAT})
    run.save_stage("promote", {"verdict": {"promoted": promoted}, "bundle": folder}, {})
    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_each_promotion_can_be_rolled_back_in_turn_and_every_move_is_logged(home: Path) -> None:
    for name in ("a", "b", "c"):
        champion_registry.promote_run(home, _run(home, name, promoted=name != "a"))
    assert (champion_registry.read_pointer(home, "gate") or {})["champion"] == "candidate"
    assert champion_registry.restore_earlier_champion(home, "gate") == ("c", "b")
    assert champion_registry.restore_earlier_champion(home, "gate") == ("b", "a")
    known = champion_registry.read_pointer(home, "gate") or {}
    assert (known["run_id"], known["champion"]) == ("a", "baseline")
    assert [move["run_id"] for move in known["log"]] == ["a", "b", "c", "b", "a"]
    assert known["log"][-1]["how"] == "rolled back from b"
    assert (
        champion_registry.find_champion_bundle(home, "gate")
        .joinpath(champion_registry.WEIGHTS_FILE)
        .read_text()
        == "a"
    )
    with pytest.raises(InputError, match="no earlier champion"):
        champion_registry.restore_earlier_champion(home, "gate")


def test_promoting_the_champion_again_changes_nothing(home: Path) -> None:
    run = _run(home, "a")
    champion_registry.promote_run(home, run)
    before = (home / "champions" / "gate.json").read_bytes()
    champion_registry.promote_run(home, run)
    assert (home / "champions" / "gate.json").read_bytes() == before


@pytest.mark.parametrize(
    "damage_model",
    [
        lambda run: (run.get_artifact_path("bundle") / champion_registry.WEIGHTS_FILE).write_text(
            "x"
        ),
        lambda run: run.get_artifact_path("bundle").rename("gone"),
    ],
)
def test_a_damaged_model_is_not_put_in_force(
    home: Path, damage_model: Callable[[RunFolder], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    champion_registry.promote_run(home, _run(home, "a"))
    before = (home / "champions" / "gate.json").read_bytes()
    run = _run(home, "b")
    damage_model(run)
    with pytest.raises(InputError, match="no intact model"):
        champion_registry.promote_run(home, run)
    assert (home / "champions" / "gate.json").read_bytes() == before


def test_a_rollback_to_a_missing_model_leaves_the_pointer(home: Path) -> None:
    champion_registry.promote_run(home, _run(home, "a"))
    champion_registry.promote_run(home, _run(home, "b"))
    (home / "a" / "promote" / "bundle" / champion_registry.WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match="is gone"):
        champion_registry.restore_earlier_champion(home, "gate")
    assert (champion_registry.read_pointer(home, "gate") or {})["run_id"] == "b"


def test_a_run_keeps_the_champion_that_was_in_force_when_it_began(home: Path) -> None:
    first = champion_registry.begin_run(home / "first", "gate")
    champion_registry.promote_run(home, _run(home, "a"))
    second = champion_registry.create_run(home, "gate")
    champion_registry.promote_run(home, _run(home, "b"))
    assert champion_registry.read_starting_champion(first.path) is None
    assert (champion_registry.read_starting_champion(second.path) or {})["run_id"] == "a"
    assert (
        champion_registry.read_starting_champion(
            champion_registry.begin_run(second.path, "gate").path
        )
        or {}
    )["run_id"] == "a", "a resumed run keeps it"
    older = home / "older"
    older.mkdir()
    (older / "run.json").write_text(json.dumps({"schema": SCHEMA_VERSION}))
    (older / "config.yaml").write_text("name: gate\n")
    assert (champion_registry.read_starting_champion(older) or {})["run_id"] == "b", (
        "it records no champion"
    )


def test_each_config_of_a_folder_has_its_champion(home: Path) -> None:
    for name, config in (("a1", "line_a"), ("b1", "line_b"), ("a2", "line_a")):
        champion_registry.promote_run(home, _run(home, name, config=config))
    assert champion_registry.list_champion_names(home) == ["line_a", "line_b"]
    assert (
        find_bundle("champion:line_a", home).joinpath(champion_registry.WEIGHTS_FILE).read_text()
        == "a2"
    )
    assert (
        find_bundle("champion:line_b", home).joinpath(champion_registry.WEIGHTS_FILE).read_text()
        == "b1"
    )
    with pytest.raises(
        InputError, match=r"several configs have a champion \(line_a, line_b\); write champion:NAME"
    ):
        find_bundle("champion", home)
    with pytest.raises(
        InputError,
        match=r"no run of 'line_c' has promoted a champion yet; configs with a champion: line_a",
    ):
        find_bundle("champion:line_c", home)
    assert (
        champion_registry.read_starting_champion(champion_registry.create_run(home, "line_b").path)
        or {}
    )["run_id"] == "b1"
    assert (
        champion_registry.read_starting_champion(champion_registry.create_run(home, "line_c").path)
        is None
    ), "a new config begins without one"
    call = ["runs", "rollback", "--runs", str(home)]
    assert "several configs" in str(CliRunner().invoke(app, call).exception)
    done = CliRunner().invoke(app, [*call, "line_a"])
    assert done.stdout.splitlines() == ["a1 is in force again; a2 is no longer"]
    assert (champion_registry.read_pointer(home, "line_b") or {})["run_id"] == "b1"


def test_a_pointer_to_a_run_of_another_config_is_refused(home: Path) -> None:
    """The pointer of line_b names a run of line_a, as when two configs shared one champion."""
    champion_registry.promote_run(home, _run(home, "a1", config="line_a"))
    (home / "champions" / "line_b.json").write_bytes(
        (home / "champions" / "line_a.json").read_bytes()
    )
    with pytest.raises(InputError, match="run a1 is of the config 'line_a', not of 'line_b'"):
        champion_registry.read_pointer(home, "line_b")
    with pytest.raises(InputError, match="not of 'line_b'"):
        champion_registry.create_run(home, "line_b")
    old = home / "old"
    old.mkdir()
    pointer = {"run_id": "a1", "bundle": "runs/a1/promote/bundle"}
    (old / "run.json").write_text(json.dumps({"schema": SCHEMA_VERSION, "champion": pointer}))
    (old / "config.yaml").write_text("name: line_b\n")
    with pytest.raises(InputError, match="not of 'line_b'"):
        champion_registry.read_starting_champion(old)


def test_the_single_champion_of_version_0_1_is_moved_with_the_command_of_the_message(
    home: Path,
) -> None:
    champion_registry.promote_run(home, _run(home, "a1", config="line_a"))
    (home / "champions" / "line_a.json").rename(home / "champion.json")
    for read in (
        lambda: champion_registry.read_pointer(home, "line_b"),
        lambda: find_bundle("champion", home),
    ):
        with pytest.raises(
            InputError, match=r"version 0\.1 kept one champion for all configs"
        ) as caught:
            read()
    assert str(caught.value).endswith(
        f"mkdir -p {home}/champions && mv {home}/champion.json {home}/champions/line_a.json"
    )
    (home / "champion.json").rename(home / "champions" / "line_a.json")
    assert (
        find_bundle("champion", home).joinpath(champion_registry.WEIGHTS_FILE).read_text() == "a1"
    )


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "", "a\nb"])
def test_a_name_that_is_not_a_file_name_is_refused(name: str, home: Path) -> None:
    with pytest.raises(InputError, match="a config's name consists of letters"):
        champion_registry.read_pointer(home, name)


def _promote_often(home: Path, run_id: str) -> None:
    for _ in range(20):
        champion_registry.promote_run(home, RunFolder.open_existing(home / run_id))


def test_concurrent_moves_of_a_champion_are_all_logged(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for name in ("a", "b"):
        _run(home, name)
    both = [context.Process(target=_promote_often, args=(home, name)) for name in ("a", "b")]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    known = champion_registry.read_pointer(home, "gate") or {}
    moves = [move["run_id"] for move in known["log"]]
    assert all(one != other for one, other in pairwise(moves)), "each saw the one before it"
    assert [item["run_id"] for item in known["earlier"]] == moves[:-1]
    assert known["run_id"] == moves[-1]
