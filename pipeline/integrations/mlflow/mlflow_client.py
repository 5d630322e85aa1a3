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

from pipeline.config import TrackingSettings
from pipeline.integrations.mlflow import mlflow_payload
from pipeline.integrations.mlflow.confusion_images import write_confusion_matrices
from pipeline.serving.export.mlflow_model import write_pyfunc_model
from pipeline.storage import champion_registry
from pipeline.storage.artifact_store import RunFolder, hash_content, list_finished_stages

MLFLOW_FOLDER_NAME = "mlflow"
"""In the folder of all runs: MLflow's database and artifacts, where no other place is set."""
CHAMPION_ALIAS = "champion"
_RETRY_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_STAGE_TAG_PREFIX, _SLICE_TAG_PREFIX = "nightshift.stage.", "slice."
_MAX_BATCH_ITEMS = 100  # MLflow takes as many parameters or tags at once


@contextmanager
def silence_mlflow() -> Iterator[None]:
    """MLflow's warnings, log lines and telemetry are not the user's, and a dead server is not waited for."""
    for key, value in {**_RETRY_ENVIRONMENT, **_QUIET_ENVIRONMENT}.items():
        os.environ.setdefault(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def resolve_tracking_uri(home: Path, uri: str | None) -> str:
    """The tracking URI: as set, else the environment's, else the database beside the runs."""
    return (
        uri
        or os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{home.resolve() / MLFLOW_FOLDER_NAME / 'mlflow.db'}"
    )


def _split_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


@dataclass(frozen=True)
class MlflowRunLog:
    """MLflow at one tracking URI. model: the registered model whose alias follows the champion of the config `name`."""

    client: Any
    home: Path
    uri: str
    model_name: str
    name: str

    @classmethod
    def open_log(cls, home: Path, tracking: TrackingSettings, name: str) -> MlflowRunLog:
        """Open the book of the config `name`; makes database and folder where they are ours and new."""
        import mlflow

        where = resolve_tracking_uri(home, tracking.uri)
        if where.startswith("sqlite:///"):
            Path(where.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        connect: Callable[[str], Any] = mlflow.MlflowClient
        return cls(connect(where), home, where, tracking.model or name, name)

    def _ensure_experiment(self, experiment_name: str) -> str:
        found = self.client.get_experiment_by_name(experiment_name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        beside = Path(self.uri.removeprefix("sqlite:///")).parent / "artifacts" / experiment_name
        ours = (
            {"artifact_location": beside.absolute().as_uri()}
            if self.uri.startswith("sqlite:///")
            else {}
        )
        return str(self.client.create_experiment(experiment_name, **ours))

    def ensure_entry(self, run: RunFolder, experiment_name: str) -> Any:
        """MLflow's run of ours; made where there is none."""
        number, known = (
            self._ensure_experiment(experiment_name),
            mlflow_payload.build_identity_tags(run),
        )
        found = self.client.search_runs(
            [number], f"tags.`nightshift.key` = '{known['nightshift.key']}'"
        )
        return (
            found[0]
            if found
            else self.client.create_run(
                number, mlflow_payload.read_start_time(run), known, run.run_id
            )
        )

    def log_run(self, run: RunFolder, experiment_name: str, status: str) -> Any:
        """Bring MLflow's run up to date with the folder; a stage that it was told of is not told again.

        status: FINISHED | FAILED | RUNNING. Returns MLflow's run. Raises what MLflow raises.
        """
        entry = self.ensure_entry(run, experiment_name)
        number, known = entry.info.run_id, entry.data.tags
        self._log_settings(number, entry.data.params, mlflow_payload.flatten_settings(run))
        for stage in list_finished_stages(run):
            key = str((run.read_record(stage) or {}).get("key", ""))[:16]
            if known.get(_STAGE_TAG_PREFIX + stage) != key:
                self._log_metrics(
                    number,
                    mlflow_payload.list_stage_metrics(run, stage),
                    mlflow_payload.read_stage_end_time(run, stage),
                )
                if stage == "report":
                    self._log_report(number, run)
                self.client.set_tag(number, _STAGE_TAG_PREFIX + stage, key)
        self._log_tags(number, known, mlflow_payload.build_result_tags(run))
        if (run.path / "config.yaml").is_file():
            self.client.log_artifact(number, str(run.path / "config.yaml"))
        if status == "RUNNING":
            self.client.update_run(number, status)
        else:
            ends = [
                mlflow_payload.read_stage_end_time(run, stage)
                for stage in list_finished_stages(run)
            ]
            self.client.set_terminated(
                number, status, max(ends, default=mlflow_payload.read_start_time(run))
            )
        return entry

    def _log_settings(
        self,
        mlflow_run_id: str,
        logged_settings: Mapping[str, str],
        current_settings: Mapping[str, str],
    ) -> None:
        """Parameters stand for ever: one that was changed on a resume is told in a tag."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        short = {key: value[:MAX_PARAM_VAL_LENGTH] for key, value in current_settings.items()}
        new = [Param(key, value) for key, value in short.items() if key not in logged_settings]
        for part in _split_batches(new, _MAX_BATCH_ITEMS):
            self.client.log_batch(mlflow_run_id, params=part)
        changed = [
            f"{key}={value}"
            for key, value in short.items()
            if logged_settings.get(key, value) != value
        ]
        self._log_tags(
            mlflow_run_id, {}, {"settings.changed": "; ".join(changed)} if changed else {}
        )

    def _log_metrics(
        self, mlflow_run_id: str, metrics: Sequence[mlflow_payload.RunMetric], timestamp: int
    ) -> None:
        """The time of each is when its stage was saved, so that the same ones again are the same."""
        from mlflow.entities import Metric

        for part in _split_batches(
            [Metric(f.key, f.value, timestamp, f.step) for f in metrics], 10 * _MAX_BATCH_ITEMS
        ):
            self.client.log_batch(mlflow_run_id, metrics=part)

    def _log_tags(
        self, mlflow_run_id: str, logged_tags: Mapping[str, str], current_tags: Mapping[str, str]
    ) -> None:
        from mlflow.entities import RunTag
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        new = [
            RunTag(k, v[:MAX_TAG_VAL_LENGTH])
            for k, v in current_tags.items()
            if logged_tags.get(k) != v[:MAX_TAG_VAL_LENGTH]
        ]
        for part in _split_batches(new, _MAX_BATCH_ITEMS):
            self.client.log_batch(mlflow_run_id, tags=part)
        for key in logged_tags:
            if key.startswith(_SLICE_TAG_PREFIX) and key not in current_tags:
                self.client.delete_tag(mlflow_run_id, key)

    def _log_report(self, mlflow_run_id: str, run: RunFolder) -> None:
        """The page with its tables, the summary, and the confusion matrices."""
        self.client.log_artifacts(mlflow_run_id, str(run.get_artifact_path("html")), "report")
        self.client.log_artifact(mlflow_run_id, str(run.get_artifact_path("summary")))
        with tempfile.TemporaryDirectory() as aside:
            write_confusion_matrices(run.load_artifact("summary"), Path(aside))
            self.client.log_artifacts(mlflow_run_id, aside, "confusion")

    def register_version(self, run: RunFolder, entry: Any) -> str:
        """The registered version of the run's model, as a pyfunc with its signature; made where there is none."""
        number, mark = entry.info.run_id, hash_content(run.get_artifact_path("bundle"))[:32]
        if not self.client.search_registered_models(f"name = '{self.model_name}'"):
            self.client.create_registered_model(self.model_name)
        for known in self.client.search_model_versions(
            f"name = '{self.model_name}' and run_id = '{number}'"
        ):
            if known.tags.get("nightshift.bundle") == mark:
                return str(known.version)
        with tempfile.TemporaryDirectory() as aside:
            write_pyfunc_model(run.get_artifact_path("bundle"), Path(aside) / "model")
            self.client.log_artifacts(number, str(Path(aside) / "model"), f"model-{mark[:8]}")
        told_of = {"nightshift.run": run.run_id, "nightshift.bundle": mark}
        source = f"{entry.info.artifact_uri}/model-{mark[:8]}"
        return str(
            self.client.create_model_version(self.model_name, source, number, tags=told_of).version
        )

    def move_alias(self, get_version: Callable[[RunFolder], str]) -> None:
        """Move the alias to where the pointer is; version_of: the registered version of a run's model."""
        while known := champion_registry.read_pointer(self.home, self.name):
            version = get_version(RunFolder.open_existing(self.home / str(known["run_id"])))
            self.client.set_registered_model_alias(self.model_name, CHAMPION_ALIAS, version)
            after = champion_registry.read_pointer(self.home, self.name)
            if after and after["run_id"] == known["run_id"]:  # nobody moved it meanwhile
                return
