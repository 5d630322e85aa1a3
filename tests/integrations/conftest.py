import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import TrackingSettings
from pipeline.integrations.mlflow.mlflow_client import (
    MLFLOW_FOLDER_NAME,
    MlflowRunLog,
    silence_mlflow,
)
from pipeline.report.run_summary import build_summary
from pipeline.storage.artifact_store import RunFolder, write_json
from tests.conftest import Require
from tests.factory import planted
from tests.report.conftest import build_page
from tests.serving.prediction.conftest import bundle as bundle

CONFIG = """
name: gate
tracking: {mlflow: true}
train: {epochs: 4, model: new}
evaluate: {costs: {badge: {no_badge: 0.1}}}
"""
ENTRIES = []
for _arm in ("control", "targeted"):
    _history = [{"step": step, "loss": 1 / step, "accuracy": 0.5, "rate": 0.1} for step in (7, 14)]
    ENTRIES.append({"arm": _arm, "seed": 1000, "history": _history})
"""Training curves of the stage `retrain`."""

BuildRun = Callable[..., RunFolder]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow, whose tables take seconds to create."""
    runs_folder = tmp_path_factory.mktemp("empty")
    with silence_mlflow():
        MlflowRunLog.open_log(runs_folder, TrackingSettings(), "gate")
    return runs_folder / MLFLOW_FOLDER_NAME / "mlflow.db"


@pytest.fixture
def runs_folder(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for runs with an empty database of MLflow."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "runs"
    (folder / MLFLOW_FOLDER_NAME).mkdir(parents=True)
    shutil.copy(database, folder / MLFLOW_FOLDER_NAME / "mlflow.db")
    return folder


@pytest.fixture
def server(runs_folder: Path, database: Path, tmp_path: Path, require: Require) -> Iterator[str]:
    """The address of an MLflow server on this machine."""
    require(
        find_spec("flask") and find_spec("uvicorn"),
        "MLflow's server is not installed: pip install -e .[dev]",
    )
    shutil.copy(database, tmp_path / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path)]
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (
        (tmp_path / "server.log").open("wb") as log,
        subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            _wait_for_server(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for_server(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not respond")


@pytest.fixture
def build_run(runs_folder: Path, bundle: Path, tmp_path: Path) -> BuildRun:
    """`build_run(name, is_promoted=True, is_finished=True)` makes a run with planted artifacts."""
    planted_artifacts = planted()

    def save_stage(run: RunFolder, stage: str, key: str, **artifacts: Any) -> None:
        run.save_stage(stage, artifacts, {"key": key, "went_in": {}, "notes": [], "seconds": 1.5})

    def build(name: str, is_promoted: bool = True, is_finished: bool = True) -> RunFolder:
        run = RunFolder.open_or_create(runs_folder / name)
        (run.path / "config.yaml").write_text(CONFIG)
        candidates = tmp_path / f"candidates-{name}"
        candidates.mkdir()
        write_json(candidates / "candidates.json", ENTRIES)
        save_stage(run, "train", "t1", history=planted_artifacts["history"])
        save_stage(run, "evaluate", "e1", metrics=planted_artifacts["metrics"])
        save_stage(run, "retrain", "r1", candidates=candidates)
        if not is_finished:
            return run
        model = Path(shutil.copytree(bundle, tmp_path / f"bundle-{name}"))
        (model / "origin").write_text(name)  # so that no two models are equal
        verdict = {"promoted": is_promoted, "headline": "", "conditions": []}
        verdict["champion"] = "candidate" if is_promoted else "kept"
        save_stage(run, "promote", "p1", verdict=verdict, bundle=model)
        page = tmp_path / f"page-{name}"
        page.mkdir()
        (page / "index.html").write_text(f"the page of {name}")
        summary = build_summary(build_page(planted_artifacts))
        save_stage(run, "report", "h1", html=page, summary=summary)
        return run

    return build
