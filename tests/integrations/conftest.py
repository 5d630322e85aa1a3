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
ENTRIES = [
    {
        "arm": arm,
        "seed": 1000,
        "history": [{"step": s, "loss": 1 / s, "accuracy": 0.5, "rate": 0.1} for s in (7, 14)],
    }
    for arm in ("control", "targeted")
]

Made = Callable[..., RunFolder]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow: to make its tables takes seconds."""
    home = tmp_path_factory.mktemp("empty")
    with silence_mlflow():
        MlflowRunLog.open_log(home, TrackingSettings(), "gate")
    return home / MLFLOW_FOLDER_NAME / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for runs, whose MLflow knows nothing yet."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    (tmp_path / "runs" / MLFLOW_FOLDER_NAME).mkdir(parents=True)
    shutil.copy(database, tmp_path / "runs" / MLFLOW_FOLDER_NAME / "mlflow.db")
    return tmp_path / "runs"


@pytest.fixture
def server(home: Path, database: Path, tmp_path: Path, require: Require) -> Iterator[str]:
    """The address of an MLflow server of this machine."""
    require(
        find_spec("flask") and find_spec("uvicorn"),
        "MLflow's server is absent: pip install -e .[dev]",
    )
    shutil.copy(database, tmp_path / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path / 'server.db'}",
        "--artifacts-destination",
        str(tmp_path),
    ]
    line = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        *places,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    quietly = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (
        (tmp_path / "server.log").open("wb") as log,
        subprocess.Popen(
            line, env=quietly, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


@pytest.fixture
def run_of(home: Path, bundle: Path, tmp_path: Path) -> Made:
    """`run_of(name, promoted=True)`: a run that came to its report, of drawn images and an untrained network."""
    made = planted()

    def save(run: RunFolder, stage: str, key: str, **artifacts: Any) -> None:
        run.save_stage(stage, artifacts, {"key": key, "went_in": {}, "notes": [], "seconds": 1.5})

    def begin(name: str, promoted: bool = True, whole: bool = True) -> RunFolder:
        run = RunFolder.open_or_create(home / name)
        (run.path / "config.yaml").write_text(CONFIG)
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "candidates.json", ENTRIES)
        save(run, "train", "t1", history=made["history"])
        save(run, "evaluate", "e1", metrics=made["metrics"])
        save(run, "retrain", "r1", candidates=tmp_path / name)
        if whole:
            model = Path(shutil.copytree(bundle, tmp_path / f"bundle-{name}"))
            (model / "of").write_text(name)
            verdict = {
                "promoted": promoted,
                "headline": "",
                "conditions": [],
                "champion": "candidate",
            }
            save(
                run,
                "promote",
                "p1",
                verdict=verdict if promoted else verdict | {"champion": "kept"},
                bundle=model,
            )
            (tmp_path / f"page-{name}").mkdir()
            (tmp_path / f"page-{name}" / "index.html").write_text(f"the page of {name}")
            summary = build_summary(build_page(made))
            save(run, "report", "h1", html=tmp_path / f"page-{name}", summary=summary)
        return run

    return begin
