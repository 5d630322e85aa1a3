import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import TrackingSettings
from pipeline.integrations.mlflow.mlflow_client import CHAMPION_ALIAS, MlflowRunLog, silence_mlflow
from pipeline.storage import champion_registry
from tests.integrations.conftest import CONFIG, Made

ASK = """
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/gate@champion")
print([c.name for c in model.metadata.signature.inputs], len(model.predict(pd.DataFrame({"image": [b"no image"]}))))
"""


@pytest.fixture
def book(home: Path) -> MlflowRunLog:
    with silence_mlflow():
        return MlflowRunLog.open_log(home, TrackingSettings(), "gate")


def test_a_run_that_is_told_twice_is_recorded_once(book: MlflowRunLog, run_of: Made) -> None:
    run = run_of("a")
    first = book.log_run(run, "gate", "FINISHED").info.run_id
    assert book.log_run(run, "gate", "FINISHED").info.run_id == first
    known = book.client.get_run(first)
    for stage in ("train", "retrain"):  # as after a kill between the figures and the mark
        book.client.delete_tag(first, f"nightshift.stage.{stage}")
    book.log_run(run, "gate", "FINISHED")
    again = book.client.get_run(first)
    assert len(book.client.search_runs([known.info.experiment_id])) == 1
    assert again.data.metrics == known.data.metrics
    course = book.client.get_metric_history(first, "retrain.targeted.1000.loss")
    assert [(m.step, m.value) for m in course] == [(7, 1 / 7), (14, 1 / 14)]
    assert (again.info.status, again.info.run_name) == ("FINISHED", "a")
    assert again.data.params["train.epochs"] == "4"
    files = {
        f.path for d in ("", "report", "confusion") for f in book.client.list_artifacts(first, d)
    }
    assert {"config.yaml", "summary.json", "report/index.html", "confusion/before.png"} <= files


def test_a_resumed_run_goes_on_in_the_same_entry(book: MlflowRunLog, run_of: Made) -> None:
    """A stage that was made anew is told anew; a setting that changed cannot be, and a tag says so."""
    run = run_of("a", whole=False)
    number = book.log_run(run, "gate", "RUNNING").info.run_id
    assert book.client.get_run(number).info.status == "RUNNING"
    (run.path / "config.yaml").write_text(CONFIG.replace("epochs: 4", "epochs: 5"))
    run.save_stage(
        "train", {"history": run.load_artifact("history").head(2)}, {"key": "t2", "seconds": 9.0}
    )
    assert book.log_run(run, "gate", "FAILED").info.run_id == number
    entry = book.client.get_run(number)
    assert (entry.info.status, entry.data.metrics["seconds.train"]) == ("FAILED", 9.0)
    assert entry.data.tags["settings.changed"] == "train.epochs=5"
    assert entry.data.params["train.epochs"] == "4"
    assert [m.value for m in book.client.get_metric_history(number, "seconds.evaluate")] == [1.5]


def test_more_settings_and_longer_ones_than_mlflow_takes_at_once(
    book: MlflowRunLog, run_of: Made
) -> None:
    run = run_of("a", whole=False)
    many = {f"key{k}": k for k in range(230)} | {"long": "x" * 9000}
    (run.path / "config.yaml").write_text(json.dumps({"name": "gate", "train": many}))
    number = book.log_run(run, "gate", "FINISHED").info.run_id
    params = book.client.get_run(number).data.params
    assert len(params) == 232
    assert params["train.long"] == "x" * len(params["train.long"])
    assert 1000 < len(params["train.long"]) < 9000
    book.log_run(run, "gate", "FINISHED")
    assert "settings.changed" not in book.client.get_run(number).data.tags


def test_a_slice_that_is_gone_is_no_tag_any_more(book: MlflowRunLog, run_of: Made) -> None:
    run = run_of("a")
    number = book.log_run(run, "gate", "FINISHED").info.run_id
    summary = run.load_artifact("summary")
    summary["slices"] = summary["slices"][:1]
    run.save_stage(
        "report",
        {"html": run.get_artifact_path("html").rename(run.path / "page"), "summary": summary},
        {"key": "h2"},
    )
    book.log_run(run, "gate", "FINISHED")
    tags = book.client.get_run(number).data.tags
    assert [key for key in tags if key.startswith("slice.")] == ["slice.s1"]


def test_the_alias_is_a_model_that_mlflow_loads_and_follows_the_pointer_back(
    book: MlflowRunLog, run_of: Made
) -> None:
    entries = {}
    for name in ("a", "b"):
        run = run_of(name)
        entries[name] = book.log_run(run, "gate", "FINISHED")
        champion_registry.promote_run(book.home, run)
    with silence_mlflow():
        book.move_alias(lambda run: book.register_version(run, entries[run.run_id]))
        champion_registry.restore_earlier_champion(book.home, "gate")
        for _ in range(2):
            book.move_alias(lambda run: book.register_version(run, entries[run.run_id]))
    known = book.client.get_model_version_by_alias("gate", CHAMPION_ALIAS)
    assert known.tags["nightshift.run"] == "a"
    assert len(book.client.search_model_versions("name = 'gate'")) == 2
    line = [sys.executable, "-W", "ignore", "-c", ASK, book.uri]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['image'] 1"
