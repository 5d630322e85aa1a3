"""MLflow's side: one of its runs for each of ours, written so that saying a thing twice records it once."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import champion
from pipeline.export.mlflow_model import write_pyfunc
from pipeline.store import Run, digest, finished
from pipeline.tracking import told
from pipeline.tracking.matrices import write_matrices

FOLDER = "mlflow"
"""In the folder of all runs: MLflow's database and artifacts, where no other place is set."""
ALIAS = "champion"
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_STAGE, _SLICE = "nightshift.stage.", "slice."
_BATCH = 100  # MLflow takes as many parameters or tags at once


@contextmanager
def quiet() -> Iterator[None]:
    """MLflow's warnings, log lines and telemetry are not the user's, and a dead server is not waited for."""
    for key, value in {**_PATIENCE, **_QUIET}.items():
        os.environ.setdefault(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def place(home: Path, uri: str | None) -> str:
    """The tracking URI: as set, else the environment's, else the database beside the runs."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.resolve() / FOLDER / 'mlflow.db'}"


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


@dataclass(frozen=True)
class Book:
    """MLflow at one tracking URI. model: the registered model whose alias follows the champion."""

    client: Any
    home: Path
    uri: str
    model: str

    @classmethod
    def open(cls, home: Path, uri: str | None, model: str) -> Book:
        """Open the book; makes database and folder where they are ours and new."""
        import mlflow

        where = place(home, uri)
        if where.startswith("sqlite:///"):
            Path(where.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        connect: Callable[[str], Any] = mlflow.MlflowClient
        return cls(connect(where), home, where, model)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        beside = Path(self.uri.removeprefix("sqlite:///")).parent / "artifacts" / name
        ours = {"artifact_location": beside.absolute().as_uri()} if self.uri.startswith("sqlite:///") else {}
        return str(self.client.create_experiment(name, **ours))

    def entry(self, run: Run, experiment: str) -> Any:
        """MLflow's run of ours; made where there is none."""
        number, known = self._experiment(experiment), told.identity(run)
        found = self.client.search_runs([number], f"tags.`nightshift.key` = '{known['nightshift.key']}'")
        return found[0] if found else self.client.create_run(number, told.began(run), known, run.run_id)

    def log(self, run: Run, experiment: str, status: str) -> Any:
        """Bring MLflow's run up to date with the folder; a stage that it was told of is not told again.

        status: FINISHED | FAILED | RUNNING. Returns MLflow's run. Raises what MLflow raises.
        """
        entry = self.entry(run, experiment)
        number, known = entry.info.run_id, entry.data.tags
        self._settings(number, entry.data.params, told.settings(run))
        for stage in finished(run):
            key = str((run.record(stage) or {}).get("key", ""))[:16]
            if known.get(_STAGE + stage) != key:
                self._figures(number, told.figures(run, stage), told.ended(run, stage))
                if stage == "report":
                    self._report(number, run)
                self.client.set_tag(number, _STAGE + stage, key)
        self._tags(number, known, told.tags(run))
        if (run.path / "config.yaml").is_file():
            self.client.log_artifact(number, str(run.path / "config.yaml"))
        if status == "RUNNING":
            self.client.update_run(number, status)
        else:
            ends = [told.ended(run, stage) for stage in finished(run)]
            self.client.set_terminated(number, status, max(ends, default=told.began(run)))
        return entry

    def _settings(self, number: str, known: Mapping[str, str], now: Mapping[str, str]) -> None:
        """Parameters stand for ever: one that was changed on a resume is told in a tag."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        short = {key: value[:MAX_PARAM_VAL_LENGTH] for key, value in now.items()}
        new = [Param(key, value) for key, value in short.items() if key not in known]
        for part in _parts(new, _BATCH):
            self.client.log_batch(number, params=part)
        changed = [f"{key}={value}" for key, value in short.items() if known.get(key, value) != value]
        self._tags(number, {}, {"settings.changed": "; ".join(changed)} if changed else {})

    def _figures(self, number: str, figures: Sequence[told.Figure], at: int) -> None:
        """The time of each is when its stage was saved, so that the same ones again are the same."""
        from mlflow.entities import Metric

        for part in _parts([Metric(f.key, f.value, at, f.step) for f in figures], 10 * _BATCH):
            self.client.log_batch(number, metrics=part)

    def _tags(self, number: str, known: Mapping[str, str], now: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        new = [RunTag(k, v[:MAX_TAG_VAL_LENGTH]) for k, v in now.items() if known.get(k) != v[:MAX_TAG_VAL_LENGTH]]
        for part in _parts(new, _BATCH):
            self.client.log_batch(number, tags=part)
        for key in known:
            if key.startswith(_SLICE) and key not in now:
                self.client.delete_tag(number, key)

    def _report(self, number: str, run: Run) -> None:
        """The page with its tables, the summary, and the confusion matrices."""
        self.client.log_artifacts(number, str(run.file("html")), "report")
        self.client.log_artifact(number, str(run.file("summary")))
        with tempfile.TemporaryDirectory() as aside:
            write_matrices(run.load("summary"), Path(aside))
            self.client.log_artifacts(number, aside, "confusion")

    def version(self, run: Run, entry: Any) -> str:
        """The registered version of the run's model, as a pyfunc with its signature; made where there is none."""
        number, mark = entry.info.run_id, digest(run.file("bundle"))[:32]
        if not self.client.search_registered_models(f"name = '{self.model}'"):
            self.client.create_registered_model(self.model)
        for known in self.client.search_model_versions(f"name = '{self.model}' and run_id = '{number}'"):
            if known.tags.get("nightshift.bundle") == mark:
                return str(known.version)
        with tempfile.TemporaryDirectory() as aside:
            write_pyfunc(run.file("bundle"), Path(aside) / "model")
            self.client.log_artifacts(number, str(Path(aside) / "model"), f"model-{mark[:8]}")
        told_of = {"nightshift.run": run.run_id, "nightshift.bundle": mark}
        source = f"{entry.info.artifact_uri}/model-{mark[:8]}"
        return str(self.client.create_model_version(self.model, source, number, tags=told_of).version)

    def point(self, version_of: Callable[[Run], str]) -> None:
        """Move the alias to where the pointer is; version_of: the registered version of a run's model."""
        while known := champion.pointer(self.home):
            version = version_of(Run.open(self.home / str(known["run_id"])))
            self.client.set_registered_model_alias(self.model, ALIAS, version)
            after = champion.pointer(self.home)
            if after and after["run_id"] == known["run_id"]:  # nobody moved it meanwhile
                return
