import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import TrackingSettings
from pipeline.integrations.mlflow.mlflow_client import CHAMPION_ALIAS, MlflowRunLog, silence_mlflow
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder
from tests.integrations.conftest import CONFIG, BuildRun

PREDICT_CODE = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/gate@champion")
rows = model.predict(pd.DataFrame({"image": [b"no image"]}))
print([column.name for column in model.metadata.signature.inputs], len(rows))
"""


@pytest.fixture
def run_log(runs_folder: Path) -> MlflowRunLog:
    with silence_mlflow():
        return MlflowRunLog.open_log(runs_folder, TrackingSettings(), "gate")


def _log_run(run_log: MlflowRunLog, run: RunFolder, status: str = "FINISHED") -> str:
    return str(run_log.log_run(run, "gate", status).info.run_id)


def test_run_that_is_logged_twice_is_recorded_once(
    run_log: MlflowRunLog, build_run: BuildRun
) -> None:
    run = build_run("a")
    run_id = _log_run(run_log, run)
    assert _log_run(run_log, run) == run_id
    before = run_log.client.get_run(run_id)
    for stage in ("train", "retrain"):  # as after a kill between the metrics and the mark
        run_log.client.delete_tag(run_id, f"nightshift.stage.{stage}")
    _log_run(run_log, run)
    after = run_log.client.get_run(run_id)
    assert len(run_log.client.search_runs([before.info.experiment_id])) == 1
    assert after.data.metrics == before.data.metrics
    curve = run_log.client.get_metric_history(run_id, "retrain.targeted.1000.loss")
    assert [(point.step, point.value) for point in curve] == [(7, 1 / 7), (14, 1 / 14)]


def test_entry_holds_status_parameters_and_files(
    run_log: MlflowRunLog, build_run: BuildRun
) -> None:
    run_id = _log_run(run_log, build_run("a"))
    entry = run_log.client.get_run(run_id)
    assert (entry.info.status, entry.info.run_name) == ("FINISHED", "a")
    assert entry.data.params["train.epochs"] == "4"
    paths = set()
    for folder in ("", "report", "confusion"):
        paths.update(item.path for item in run_log.client.list_artifacts(run_id, folder))
    assert {"config.yaml", "summary.json", "report/index.html", "confusion/before.png"} <= paths


def test_resumed_run_continues_its_entry(run_log: MlflowRunLog, build_run: BuildRun) -> None:
    """A stage that was made again is recorded again; a changed setting becomes a tag."""
    run = build_run("a", is_finished=False)
    run_id = _log_run(run_log, run, "RUNNING")
    assert run_log.client.get_run(run_id).info.status == "RUNNING"
    (run.path / "config.yaml").write_text(CONFIG.replace("epochs: 4", "epochs: 5"))
    history = run.load_artifact("history").head(2)
    run.save_stage("train", {"history": history}, {"key": "t2", "seconds": 9.0})
    assert _log_run(run_log, run, "FAILED") == run_id
    entry = run_log.client.get_run(run_id)
    assert (entry.info.status, entry.data.metrics["seconds.train"]) == ("FAILED", 9.0)
    assert entry.data.tags["settings.changed"] == "train.epochs=5"
    assert entry.data.params["train.epochs"] == "4"
    unchanged = run_log.client.get_metric_history(run_id, "seconds.evaluate")
    assert [point.value for point in unchanged] == [1.5]


def test_settings_beyond_mlflows_limits_are_split_and_cut(
    run_log: MlflowRunLog, build_run: BuildRun
) -> None:
    run = build_run("a", is_finished=False)
    settings = {f"key{k}": k for k in range(230)} | {"long": "x" * 9000}
    (run.path / "config.yaml").write_text(json.dumps({"name": "gate", "train": settings}))
    run_id = _log_run(run_log, run)
    parameters = run_log.client.get_run(run_id).data.params
    assert len(parameters) == 232
    assert set(parameters["train.long"]) == {"x"}
    assert 1000 < len(parameters["train.long"]) < 9000
    _log_run(run_log, run)
    assert "settings.changed" not in run_log.client.get_run(run_id).data.tags


def test_tag_of_a_slice_that_is_gone_is_deleted(run_log: MlflowRunLog, build_run: BuildRun) -> None:
    run = build_run("a")
    run_id = _log_run(run_log, run)
    summary = run.load_artifact("summary")
    assert len(summary["slices"]) > 1
    summary["slices"] = summary["slices"][:1]
    page = run.get_artifact_path("html").rename(run.path / "page")
    run.save_stage("report", {"html": page, "summary": summary}, {"key": "h2"})
    _log_run(run_log, run)
    tags = run_log.client.get_run(run_id).data.tags
    assert [key for key in tags if key.startswith("slice.")] == ["slice.s1"]


def test_alias_follows_the_champion_and_its_model_predicts(
    run_log: MlflowRunLog, build_run: BuildRun
) -> None:
    entries: dict[str, Any] = {}
    for name in ("a", "b"):
        run = build_run(name)
        entries[name] = run_log.log_run(run, "gate", "FINISHED")
        champion_registry.promote_run(run_log.runs_folder, run)

    def register_run(run: RunFolder) -> str:
        return run_log.register_version(run, entries[run.run_id])

    with silence_mlflow():
        run_log.move_alias(register_run)
        champion_registry.restore_earlier_champion(run_log.runs_folder, "gate")
        for _ in range(2):
            run_log.move_alias(register_run)
    version = run_log.client.get_model_version_by_alias("gate", CHAMPION_ALIAS)
    assert version.tags["nightshift.run"] == "a"
    assert len(run_log.client.search_model_versions("name = 'gate'")) == 2
    command = [sys.executable, "-W", "ignore", "-c", PREDICT_CODE, run_log.uri]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['image'] 1"
