"""What is said and done around a run; the server that is down is a port where nothing listens."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.config import GeneralSettings, TrackingSettings
from pipeline.contracts import InputError
from pipeline.integrations.mlflow import mlflow_tracking
from pipeline.integrations.mlflow.mlflow_client import MlflowRunLog, silence_mlflow
from pipeline.storage import champion_registry
from pipeline.storage.signals import StopSignal
from tests.integrations.conftest import Made
from tests.night import config, draw

RUNNER = CliRunner()
NOWHERE = "http://127.0.0.1:9"


def _general(home: Path, **tracking: object) -> GeneralSettings:
    return GeneralSettings.model_validate({"name": "gate", "runs": home, "tracking": tracking})


def _known(home: Path) -> list[tuple[str, str]]:
    """(run, status) of all runs that MLflow knows."""
    with silence_mlflow():
        client = MlflowRunLog.open_log(home, TrackingSettings(), "gate").client
    numbers = [e.experiment_id for e in client.search_experiments()]
    return [(r.info.run_name, r.info.status) for r in client.search_runs(numbers)]


def test_a_server_that_is_down_loses_nothing_and_is_told_later(
    home: Path, run_of: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = run_of("a")
    champion_registry.promote_run(home, run)
    with mlflow_tracking.log_run_on_exit(run, _general(home, uri=NOWHERE)):
        pass
    said = capsys.readouterr().err
    assert "not logged to MLflow" in said
    assert f"nightshift runs track {run.path}" in said
    with pytest.raises(InputError, match="not logged to MLflow"):
        mlflow_tracking.track_run(run, _general(home, uri=NOWHERE))
    assert mlflow_tracking.track_run(run, _general(home)).startswith("sqlite:///")
    assert _known(home) == [("a", "FINISHED")]


def test_a_server_is_told_once_however_often_it_is_called(
    home: Path, run_of: Made, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    champion_registry.promote_run(home, run := run_of("a"))
    for _ in range(2):
        with mlflow_tracking.log_run_on_exit(run, _general(home, uri=server)):
            pass
    assert capfd.readouterr() == ("", ""), "the report's path is all that a run prints"
    with silence_mlflow():
        client = MlflowRunLog.open_log(home, TrackingSettings(uri=server), "gate").client
    numbers = [e.experiment_id for e in client.search_experiments()]
    (entry,) = client.search_runs(numbers)
    assert len(client.get_metric_history(entry.info.run_id, "retrain.targeted.1000.loss")) == 2
    page = client.download_artifacts(entry.info.run_id, "report/index.html", str(home))
    assert Path(page).read_text() == "the page of a"
    known = client.get_model_version_by_alias("gate", "champion")
    assert (known.version, known.tags["nightshift.run"]) == ("1", "a")
    assert _known(home) == [], "and no other place is"


def test_a_failure_is_told_and_stays_the_failure_but_a_stop_is_not_kept_waiting(
    home: Path, run_of: Made
) -> None:
    def fails(error: BaseException, name: str) -> None:
        with mlflow_tracking.log_run_on_exit(run_of(name, whole=False), _general(home)):
            raise error

    with pytest.raises(ZeroDivisionError):
        fails(ZeroDivisionError("of ours"), "a")
    with pytest.raises(StopSignal):
        fails(StopSignal(15), "b")
    assert _known(home) == [("a", "FAILED")]


def test_the_alias_follows_promotions_and_rollbacks_by_hand(home: Path, run_of: Made) -> None:
    """Also to a run that MLflow was never told of."""
    for name in ("a", "b"):
        champion_registry.promote_run(home, run_of(name))
    mlflow_tracking.log_moved_champion(home, "gate")
    with silence_mlflow():
        client = MlflowRunLog.open_log(home, TrackingSettings(), "gate").client
    seen = [client.get_model_version_by_alias("gate", "champion").tags["nightshift.run"]]
    champion_registry.restore_earlier_champion(home, "gate")
    mlflow_tracking.log_moved_champion(home, "gate")
    seen.append(client.get_model_version_by_alias("gate", "champion").tags["nightshift.run"])
    assert seen == ["b", "a"]


def test_a_refused_run_has_no_model_of_its_own_and_the_champion_keeps_the_alias(
    home: Path, run_of: Made
) -> None:
    champion_registry.promote_run(home, run_of("a"))
    mlflow_tracking.log_run_safely(run_of("refused", promoted=False), _general(home))
    with silence_mlflow():
        client = MlflowRunLog.open_log(home, TrackingSettings(), "gate").client
    assert [v.tags["nightshift.run"] for v in client.search_model_versions("name = 'gate'")] == [
        "a"
    ]
    assert sorted(_known(home)) == [("a", "FINISHED"), ("refused", "FINISHED")]


def test_the_commands_tell(home: Path, tmp_path: Path, run_of: Made) -> None:
    """A run that stops early and goes on, a stage, and moves of the pointer, each as it is called."""
    draw(tmp_path / "data", visits=20)
    (tmp_path / "c.yaml").write_text(
        config(tmp_path / "data", tmp_path).replace("{mlflow: false}", "{mlflow: true}")
    )

    def call(*line: str) -> str:
        done = RUNNER.invoke(app, list(line))
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()[-1]

    run = Path(call("run", "-c", "c.yaml", "--to-stage", "ingest"))
    call("run", "--resume", str(run), "--to-stage", "measure")
    assert _known(home) == [(run.name, "RUNNING")]
    for name in ("a", "b"):
        call("runs", "promote", run_of(name).run_id)
    call("runs", "rollback")
    with silence_mlflow():
        client = MlflowRunLog.open_log(home, TrackingSettings(), "gate").client
    assert client.get_model_version_by_alias("gate", "champion").tags["nightshift.run"] == "a"
    client.delete_run(
        client.search_runs([client.get_experiment_by_name("night").experiment_id])[0].info.run_id
    )
    assert call("runs", "track", run.name).endswith("mlflow.db")
    assert (run.name, "RUNNING") in _known(home), "what was deleted there is told anew"
    assert (
        RUNNER.invoke(app, ["stage", "train", "--run", run.name, "-c", "c.yaml"]).exit_code != 0
    )
    assert (run.name, "FAILED") in _known(home), "train needs splits, which nobody made"


def test_off_is_off_and_only_the_first_of_several_processes_tells(
    home: Path, run_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("a", whole=False)
    mlflow_tracking.log_run_safely(run, _general(home, mlflow=False, uri=NOWHERE))
    monkeypatch.setenv("RANK", "1")
    mlflow_tracking.log_run_safely(run, _general(home))
    assert _known(home) == []
    with pytest.raises(InputError, match=r"add tracking\.mlflow=true"):
        mlflow_tracking.track_run(run, _general(home, mlflow=False))


def test_without_the_extra_a_default_is_one_line_and_a_wish_is_refused_before_the_run(
    home: Path, run_of: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("a", whole=False)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    mlflow_tracking.check_tracking(_general(home))
    mlflow_tracking.log_run_safely(run, _general(home))
    assert capsys.readouterr().err.count("pip install 'nightshift[mlflow]'") == 1
    for wish in ({"mlflow": True}, {"uri": NOWHERE}):
        with pytest.raises(
            InputError, match=r"mlflow is not installed: pip install 'nightshift\[mlflow\]'"
        ):
            mlflow_tracking.check_tracking(_general(home, **wish))
    mlflow_tracking.check_tracking(_general(home, uri=NOWHERE, mlflow=False))


def test_a_password_in_the_address_is_refused_unread(home: Path) -> None:
    with pytest.raises(InputError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        mlflow_tracking.check_tracking(_general(home, uri="postgresql://gate:hunter2@db/mlflow"))
    assert "hunter2" not in str(refused.value)
    mlflow_tracking.check_tracking(_general(home, uri="https://mlflow.example/a@b"))


def test_a_run_at_work_is_told_of_by_whoever_works(
    home: Path, run_of: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("a", whole=False)
    with run.hold_lock():
        mlflow_tracking.log_run_safely(run, _general(home))
    assert "another process is at work in this run" in capsys.readouterr().err
    assert _known(home) == []
