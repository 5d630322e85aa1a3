import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.sections.summary import summarise
from pipeline.store import Run, write_json
from pipeline.tracking.book import FOLDER, Book, quiet
from tests.factory import planted
from tests.predict.conftest import bundle as bundle
from tests.sections.conftest import build_page

CONFIG = """
name: gate
tracking: {mlflow: true}
train: {epochs: 4, model: new}
evaluate: {costs: {badge: {no_badge: 0.1}}}
"""
ENTRIES = [
    {"arm": arm, "seed": 1000, "history": [{"step": s, "loss": 1 / s, "accuracy": 0.5, "rate": 0.1} for s in (7, 14)]}
    for arm in ("control", "targeted")
]

Made = Callable[..., Run]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow: to make its tables takes seconds."""
    home = tmp_path_factory.mktemp("empty")
    with quiet():
        Book.open(home, None, "nightshift")
    return home / FOLDER / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for runs, whose MLflow knows nothing yet."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    (tmp_path / "runs" / FOLDER).mkdir(parents=True)
    shutil.copy(database, tmp_path / "runs" / FOLDER / "mlflow.db")
    return tmp_path / "runs"


@pytest.fixture
def run_of(home: Path, bundle: Path, tmp_path: Path) -> Made:
    """`run_of(name, promoted=True)`: a run that came to its report, of drawn photos and an untrained network."""
    made = planted()

    def save(run: Run, stage: str, key: str, **artifacts: Any) -> None:
        run.save(stage, artifacts, {"key": key, "went_in": {}, "notes": [], "seconds": 1.5})

    def begin(name: str, promoted: bool = True, whole: bool = True) -> Run:
        run = Run.begin(home / name)
        (run.path / "config.yaml").write_text(CONFIG)
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "candidates.json", ENTRIES)
        save(run, "train", "t1", history=made["history"])
        save(run, "evaluate", "e1", metrics=made["metrics"])
        save(run, "retrain", "r1", candidates=tmp_path / name)
        if whole:
            model = Path(shutil.copytree(bundle, tmp_path / f"bundle-{name}"))
            (model / "of").write_text(name)
            verdict = {"promoted": promoted, "headline": "", "conditions": [], "champion": "candidate"}
            save(run, "promote", "p1", verdict=verdict if promoted else verdict | {"champion": "kept"}, bundle=model)
            (tmp_path / f"page-{name}").mkdir()
            (tmp_path / f"page-{name}" / "index.html").write_text(f"the page of {name}")
            summary = summarise(build_page(made))
            save(run, "report", "h1", html=tmp_path / f"page-{name}", summary=summary)
        return run

    return begin
