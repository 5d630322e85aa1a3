"""One run of MLflow for each run folder; repeated calls record everything once."""

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
"""Folder of MLflow's database and artifacts in the folder of all runs, unless a URI is set."""
CHAMPION_ALIAS = "champion"
DATABASE_PREFIX = "sqlite:///"
# A server that is down delays a run by seconds, not by MLflow's default of minutes.
_RETRY_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_STAGE_TAG_PREFIX = "nightshift.stage."
_SLICE_TAG_PREFIX = "slice."
# MLflow's limits for one request.
_MAX_BATCH_ITEMS = 100
_MAX_BATCH_METRICS = 1000
# Characters of a key in a tag: enough to notice a change.
_STAGE_KEY_LENGTH = 16
_BUNDLE_KEY_LENGTH = 32


@contextmanager
def silence_mlflow() -> Iterator[None]:
    """Suppress MLflow's warnings, log lines and telemetry, and limit the wait for a dead server."""
    for key, value in {**_RETRY_ENVIRONMENT, **_QUIET_ENVIRONMENT}.items():
        os.environ.setdefault(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def resolve_tracking_uri(runs_folder: Path, uri: str | None) -> str:
    """Return the tracking URI: the setting, else the environment's, else a database by the runs."""
    database = runs_folder.resolve() / MLFLOW_FOLDER_NAME / "mlflow.db"
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{DATABASE_PREFIX}{database}"


def _split_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


@dataclass(frozen=True)
class MlflowRunLog:
    """MLflow at one tracking URI.

    Attributes:
        client: MLflow's client.
        runs_folder: the folder of all runs.
        uri: the tracking URI.
        model_name: the registered model whose alias follows the champion.
        config_name: the config of that champion.
    """

    client: Any
    runs_folder: Path
    uri: str
    model_name: str
    config_name: str

    @classmethod
    def open_log(
        cls, runs_folder: Path, tracking: TrackingSettings, config_name: str
    ) -> MlflowRunLog:
        """Return the log of a config; a database by the runs is created if it is new.

        Args:
            runs_folder: the folder of all runs.
            tracking: the tracking settings.
            config_name: name of the config.
        """
        import mlflow

        uri = resolve_tracking_uri(runs_folder, tracking.uri)
        if uri.startswith(DATABASE_PREFIX):
            Path(uri.removeprefix(DATABASE_PREFIX)).parent.mkdir(parents=True, exist_ok=True)
        create_client: Callable[[str], Any] = mlflow.MlflowClient
        model_name = tracking.model or config_name
        return cls(create_client(uri), runs_folder, uri, model_name, config_name)

    def _ensure_experiment(self, experiment_name: str) -> str:
        """Return the id of an experiment, which is created or restored if needed."""
        experiment = self.client.get_experiment_by_name(experiment_name)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                self.client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)
        options = {}
        if self.uri.startswith(DATABASE_PREFIX):
            folder = Path(self.uri.removeprefix(DATABASE_PREFIX)).parent
            artifacts = folder / "artifacts" / experiment_name
            options["artifact_location"] = artifacts.absolute().as_uri()
        return str(self.client.create_experiment(experiment_name, **options))

    def ensure_entry(self, run: RunFolder, experiment_name: str) -> Any:
        """Return MLflow's run for a run folder, which is created if needed."""
        experiment_id = self._ensure_experiment(experiment_name)
        tags = mlflow_payload.build_identity_tags(run)
        query = f"tags.`nightshift.key` = '{tags['nightshift.key']}'"
        entries = self.client.search_runs([experiment_id], query)
        if entries:
            return entries[0]
        start_time = mlflow_payload.read_start_time(run)
        return self.client.create_run(experiment_id, start_time, tags, run.run_id)

    def log_run(self, run: RunFolder, experiment_name: str, status: str) -> Any:
        """Update MLflow's run from the run folder and return it.

        A stage that was recorded before is not recorded again.

        Args:
            run: the run folder.
            experiment_name: the experiment.
            status: FINISHED, FAILED or RUNNING.
        """
        entry = self.ensure_entry(run, experiment_name)
        mlflow_run_id, logged_tags = entry.info.run_id, entry.data.tags
        settings = mlflow_payload.flatten_settings(run)
        self._log_settings(mlflow_run_id, entry.data.params, settings)
        finished_stages = list_finished_stages(run)
        for stage in finished_stages:
            key = str((run.read_record(stage) or {}).get("key", ""))[:_STAGE_KEY_LENGTH]
            if logged_tags.get(_STAGE_TAG_PREFIX + stage) != key:
                self._log_stage(mlflow_run_id, run, stage)
                self.client.set_tag(mlflow_run_id, _STAGE_TAG_PREFIX + stage, key)
        self._log_tags(mlflow_run_id, logged_tags, mlflow_payload.build_result_tags(run))
        if (run.path / "config.yaml").is_file():
            self.client.log_artifact(mlflow_run_id, str(run.path / "config.yaml"))
        if status == "RUNNING":
            self.client.update_run(mlflow_run_id, status)
            return entry
        times = [mlflow_payload.read_stage_end_time(run, stage) for stage in finished_stages]
        end_time = max(times, default=mlflow_payload.read_start_time(run))
        self.client.set_terminated(mlflow_run_id, status, end_time)
        return entry

    def _log_stage(self, mlflow_run_id: str, run: RunFolder, stage: str) -> None:
        self._log_metrics(
            mlflow_run_id,
            mlflow_payload.list_stage_metrics(run, stage),
            mlflow_payload.read_stage_end_time(run, stage),
        )
        if stage == "report":
            self._log_report(mlflow_run_id, run)

    def _log_settings(
        self,
        mlflow_run_id: str,
        logged_settings: Mapping[str, str],
        current_settings: Mapping[str, str],
    ) -> None:
        """Record the settings as parameters.

        MLflow cannot change a parameter, so a setting that a resumed run changed becomes a tag.

        Args:
            mlflow_run_id: MLflow's run.
            logged_settings: its parameters.
            current_settings: the run's settings.
        """
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        new = []
        changed = []
        for key, text in current_settings.items():
            value = text[:MAX_PARAM_VAL_LENGTH]
            if key not in logged_settings:
                new.append(Param(key, value))
            elif logged_settings[key] != value:
                changed.append(f"{key}={value}")
        for batch in _split_batches(new, _MAX_BATCH_ITEMS):
            self.client.log_batch(mlflow_run_id, params=batch)
        if changed:
            self._log_tags(mlflow_run_id, {}, {"settings.changed": "; ".join(changed)})

    def _log_metrics(
        self, mlflow_run_id: str, metrics: Sequence[mlflow_payload.RunMetric], timestamp: int
    ) -> None:
        """Record metrics at the time when their stage was saved, so that a repetition is equal.

        Args:
            mlflow_run_id: MLflow's run.
            metrics: the metrics.
            timestamp: milliseconds since 1970.
        """
        from mlflow.entities import Metric

        entities = [Metric(m.key, m.value, timestamp, m.step) for m in metrics]
        for batch in _split_batches(entities, _MAX_BATCH_METRICS):
            self.client.log_batch(mlflow_run_id, metrics=batch)

    def _log_tags(
        self, mlflow_run_id: str, logged_tags: Mapping[str, str], current_tags: Mapping[str, str]
    ) -> None:
        """Record changed tags, and delete the tags of slices that are gone."""
        from mlflow.entities import RunTag
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        changed = []
        for key, text in current_tags.items():
            value = text[:MAX_TAG_VAL_LENGTH]
            if logged_tags.get(key) != value:
                changed.append(RunTag(key, value))
        for batch in _split_batches(changed, _MAX_BATCH_ITEMS):
            self.client.log_batch(mlflow_run_id, tags=batch)
        for key in logged_tags:
            if key.startswith(_SLICE_TAG_PREFIX) and key not in current_tags:
                self.client.delete_tag(mlflow_run_id, key)

    def _log_report(self, mlflow_run_id: str, run: RunFolder) -> None:
        """Record the page with its tables, the summary, and the confusion matrices."""
        self.client.log_artifacts(mlflow_run_id, str(run.get_artifact_path("html")), "report")
        self.client.log_artifact(mlflow_run_id, str(run.get_artifact_path("summary")))
        with tempfile.TemporaryDirectory() as scratch:
            write_confusion_matrices(run.load_artifact("summary"), Path(scratch))
            self.client.log_artifacts(mlflow_run_id, scratch, "confusion")

    def register_version(self, run: RunFolder, entry: Any) -> str:
        """Return the registered version of the run's model, which is created if needed.

        Args:
            run: the run folder.
            entry: MLflow's run for it.
        """
        bundle = run.get_artifact_path("bundle")
        mlflow_run_id = entry.info.run_id
        bundle_key = hash_content(bundle)[:_BUNDLE_KEY_LENGTH]
        if not self.client.search_registered_models(f"name = '{self.model_name}'"):
            self.client.create_registered_model(self.model_name)
        query = f"name = '{self.model_name}' and run_id = '{mlflow_run_id}'"
        for version in self.client.search_model_versions(query):
            if version.tags.get("nightshift.bundle") == bundle_key:
                return str(version.version)
        artifact_name = f"model-{bundle_key[:8]}"
        with tempfile.TemporaryDirectory() as scratch:
            model_folder = Path(scratch) / "model"
            write_pyfunc_model(bundle, model_folder)
            self.client.log_artifacts(mlflow_run_id, str(model_folder), artifact_name)
        tags = {"nightshift.run": run.run_id, "nightshift.bundle": bundle_key}
        source = f"{entry.info.artifact_uri}/{artifact_name}"
        version = self.client.create_model_version(
            self.model_name, source, mlflow_run_id, tags=tags
        )
        return str(version.version)

    def move_alias(self, get_version: Callable[[RunFolder], str]) -> None:
        """Move the alias to the champion.

        Args:
            get_version: returns the registered version of a run's model.
        """
        while pointer := champion_registry.read_pointer(self.runs_folder, self.config_name):
            run = RunFolder.open_existing(self.runs_folder / str(pointer["run_id"]))
            self.client.set_registered_model_alias(
                self.model_name, CHAMPION_ALIAS, get_version(run)
            )
            current = champion_registry.read_pointer(self.runs_folder, self.config_name)
            if current and current["run_id"] == pointer["run_id"]:  # unmoved in the meantime
                return
