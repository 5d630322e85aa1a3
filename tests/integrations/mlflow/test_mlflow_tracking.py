"""Logging around a run; a server that is down is a port on which nothing listens."""

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.config import GeneralSettings, TrackingSettings
from pipeline.contracts import InputError
from pipeline.integrations.mlflow.mlflow_client import MlflowRunLog, silence_mlflow
from pipeline.integrations.mlflow.mlflow_tracking import (
    check_tracking,
    log_moved_champion,
    log_run_on_exit,
    log_run_safely,
    track_run,
)
from pipeline.storage import champion_registry
from pipeline.storage.signals import StopSignal
from tests.integrations.conftest import BuildRun
from tests.night import config, draw

RUNNER = CliRunner()
DEAD_SERVER = "http://127.0.0.1:9"


def _build_general(runs_folder: Path, **tracking: object) -> GeneralSettings:
    settings = {"name": "gate", "runs": runs_folder, "tracking": tracking}
    return GeneralSettings.model_validate(settings)


def _open_client(runs_folder: Path, uri: str | None = None) -> Any:
    with silence_mlflow():
        return MlflowRunLog.open_log(runs_folder, TrackingSettings(uri=uri), "gate").client


def _list_entries(runs_folder: Path) -> list[tuple[str, str]]:
    """(run, status) of all runs that MLflow recorded."""
    client = _open_client(runs_folder)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [(e.info.run_name, e.info.status) for e in client.search_runs(experiments)]


def _get_champion(client: Any) -> str:
    return str(client.get_model_version_by_alias("gate", "champion").tags["nightshift.run"])


def test_run_is_logged_later_if_the_server_is_down(
    runs_folder: Path,
    build_run: BuildRun,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = build_run("a")
    champion_registry.promote_run(runs_folder, run)
    with log_run_on_exit(run, _build_general(runs_folder, uri=DEAD_SERVER)):
        pass
    error_output = capsys.readouterr().err
    assert "not logged to MLflow" in error_output
    assert f"nightshift runs track {run.path}" in error_output
    with pytest.raises(InputError, match="not logged to MLflow"):
        track_run(run, _build_general(runs_folder, uri=DEAD_SERVER))
    assert track_run(run, _build_general(runs_folder)).startswith("sqlite:///")
    assert _list_entries(runs_folder) == [("a", "FINISHED")]


def test_server_records_a_run_once_and_quietly(
    runs_folder: Path, build_run: BuildRun, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = build_run("a")
    champion_registry.promote_run(runs_folder, run)
    for _ in range(2):
        with log_run_on_exit(run, _build_general(runs_folder, uri=server)):
            pass
    assert capfd.readouterr() == ("", "")
    client = _open_client(runs_folder, server)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (entry,) = client.search_runs(experiments)
    curve = client.get_metric_history(entry.info.run_id, "retrain.targeted.1000.loss")
    assert len(curve) == 2
    page = client.download_artifacts(entry.info.run_id, "report/index.html", str(runs_folder))
    assert Path(page).read_text() == "the page of a"
    version = client.get_model_version_by_alias("gate", "champion")
    assert (version.version, version.tags["nightshift.run"]) == ("1", "a")
    assert _list_entries(runs_folder) == []  # nothing in the local database


def test_failure_is_logged_and_raised_but_a_stop_does_not_wait(
    runs_folder: Path, build_run: BuildRun
) -> None:
    general = _build_general(runs_folder)
    with (
        pytest.raises(ZeroDivisionError),
        log_run_on_exit(build_run("a", is_finished=False), general),
    ):
        raise ZeroDivisionError
    with pytest.raises(StopSignal), log_run_on_exit(build_run("b", is_finished=False), general):
        raise StopSignal(15)
    assert _list_entries(runs_folder) == [("a", "FAILED")]


def test_alias_follows_promotions_and_rollbacks_by_hand(
    runs_folder: Path, build_run: BuildRun
) -> None:
    """Also to a run that MLflow has not recorded."""
    for name in ("a", "b"):
        champion_registry.promote_run(runs_folder, build_run(name))
    log_moved_champion(runs_folder, "gate")
    client = _open_client(runs_folder)
    assert _get_champion(client) == "b"
    champion_registry.restore_earlier_champion(runs_folder, "gate")
    log_moved_champion(runs_folder, "gate")
    assert _get_champion(client) == "a"


def test_refused_run_registers_no_model_and_leaves_the_alias(
    runs_folder: Path, build_run: BuildRun
) -> None:
    champion_registry.promote_run(runs_folder, build_run("a"))
    log_run_safely(build_run("refused", is_promoted=False), _build_general(runs_folder))
    versions = _open_client(runs_folder).search_model_versions("name = 'gate'")
    assert [version.tags["nightshift.run"] for version in versions] == ["a"]
    assert sorted(_list_entries(runs_folder)) == [("a", "FINISHED"), ("refused", "FINISHED")]


def _call_command(*arguments: str) -> str:
    """Run a command and return its last line."""
    result = RUNNER.invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[-1]


@pytest.fixture
def started_run(runs_folder: Path, tmp_path: Path) -> Path:
    """A run of the command line that stopped after its first stage."""
    draw(tmp_path / "data", visits=20)
    text = config(tmp_path / "data", tmp_path).replace("{mlflow: false}", "{mlflow: true}")
    (tmp_path / "c.yaml").write_text(text)
    return Path(_call_command("run", "-c", "c.yaml", "--to-stage", "ingest"))


def test_commands_log_a_run_in_progress_and_a_failed_stage(
    runs_folder: Path, started_run: Path
) -> None:
    _call_command("run", "--resume", str(started_run), "--to-stage", "measure")
    assert _list_entries(runs_folder) == [(started_run.name, "RUNNING")]
    client = _open_client(runs_folder)
    experiment_id = client.get_experiment_by_name("night").experiment_id
    client.delete_run(client.search_runs([experiment_id])[0].info.run_id)
    assert _call_command("runs", "track", started_run.name).endswith("mlflow.db")
    assert _list_entries(runs_folder) == [(started_run.name, "RUNNING")]
    # The stage train needs splits, which this run does not have.
    stage = ["stage", "train", "--run", started_run.name, "-c", "c.yaml"]
    assert RUNNER.invoke(app, stage).exit_code != 0
    assert (started_run.name, "FAILED") in _list_entries(runs_folder)


def test_commands_that_move_the_champion_move_the_alias(
    runs_folder: Path, build_run: BuildRun
) -> None:
    for name in ("a", "b"):
        _call_command("runs", "promote", build_run(name).run_id)
    client = _open_client(runs_folder)
    assert _get_champion(client) == "b"
    _call_command("runs", "rollback")
    assert _get_champion(client) == "a"


def test_nothing_is_logged_if_tracking_is_off_or_by_a_second_process(
    runs_folder: Path, build_run: BuildRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build_run("a", is_finished=False)
    log_run_safely(run, _build_general(runs_folder, mlflow=False, uri=DEAD_SERVER))
    monkeypatch.setenv("RANK", "1")
    log_run_safely(run, _build_general(runs_folder))
    assert _list_entries(runs_folder) == []
    with pytest.raises(InputError, match=r"add tracking\.mlflow=true"):
        track_run(run, _build_general(runs_folder, mlflow=False))


def test_missing_mlflow_is_a_line_by_default_and_an_error_on_request(
    runs_folder: Path,
    build_run: BuildRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = build_run("a", is_finished=False)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    check_tracking(_build_general(runs_folder))
    log_run_safely(run, _build_general(runs_folder))
    assert capsys.readouterr().err.count("pip install 'nightshift[mlflow]'") == 1
    for request in ({"mlflow": True}, {"uri": DEAD_SERVER}):
        with pytest.raises(InputError, match=r"pip install 'nightshift\[mlflow\]'"):
            check_tracking(_build_general(runs_folder, **request))
    check_tracking(_build_general(runs_folder, uri=DEAD_SERVER, mlflow=False))


def test_password_in_the_uri_is_refused_and_not_repeated(runs_folder: Path) -> None:
    general = _build_general(runs_folder, uri="postgresql://gate:hunter2@db/mlflow")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        check_tracking(general)
    assert "hunter2" not in str(refused.value)
    check_tracking(_build_general(runs_folder, uri="https://mlflow.example/a@b"))


def test_run_in_use_is_left_to_its_own_process(
    runs_folder: Path, build_run: BuildRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = build_run("a", is_finished=False)
    with run.hold_lock():
        log_run_safely(run, _build_general(runs_folder))
    assert "another process" in capsys.readouterr().err
    assert _list_entries(runs_folder) == []
