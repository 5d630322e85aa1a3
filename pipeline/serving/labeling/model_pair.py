"""The two models between which labels decide: a challenger and the model in force."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.serving.prediction.model_bundles import find_bundle
from pipeline.storage.artifact_store import RunFolder, read_json, write_json
from pipeline.storage.bundle_record import RECORD_FILE, read_bundle_record
from pipeline.storage.champion_registry import (
    DEFAULT_NAME,
    WEIGHTS_FILE,
    find_champion_bundle,
    list_champion_names,
    read_config_name,
)


@dataclass(frozen=True)
class ModelPair:
    """Bundles of two models, and the slices that the challenger was trained for.

    Attributes:
        challenger: folder of the challenger's bundle.
        incumbent: folder of the bundle of the model in force, or of the baseline.
        run_id: run that made the challenger.
        planned_slices: names of its planned slices.
    """

    challenger: Path
    incumbent: Path
    run_id: str
    planned_slices: tuple[str, ...]


def build_model_pair(model_name: str, runs_folder: Path, folder: Path) -> ModelPair:
    """Return the pair of a name.

    The challenger is the first targeted model of the run. It is compared with the model in force
    for its config, or with the run's own baseline if the challenger is in force itself.

    Args:
        model_name: a run, `champion` or `champion:NAME`.
        runs_folder: the folder of all runs.
        folder: an empty folder; bundles that no run has written are written there.

    Raises:
        InputError: there is no such run, or it trained no targeted model.
    """
    bundle = find_bundle(model_name, runs_folder)
    run_path = bundle.parents[1]
    if not (run_path / "run.json").is_file():
        raise InputError(f"{model_name}: name a run or champion; a bundle alone has no challenger")
    run = RunFolder(run_path)
    comparison = run.load_artifact("comparison")
    candidates = run.get_artifact_path("candidates")
    targeted = [
        item for item in read_json(candidates / "candidates.json") if item["arm"] == "targeted"
    ]
    if not targeted:
        raise InputError(f"{run_path}: it trained no targeted model; there is nothing to compare")
    challenger = _write_bundle(
        folder / "challenger", bundle, candidates / targeted[0]["file"], targeted[0]
    )
    incumbent = _find_model_in_force(runs_folder, run_path, bundle)
    if incumbent is None:
        model = run.get_artifact_path("model")
        baseline = read_json(model / "model.json")
        incumbent = _write_bundle(folder / "incumbent", bundle, model / WEIGHTS_FILE, baseline)
    if read_bundle_record(incumbent)["classes"] != read_bundle_record(challenger)["classes"]:
        raise InputError(f"{run_path}: its classes differ from those of the model in force")
    planned = tuple(comparison["primary"]["slices"])
    return ModelPair(challenger, incumbent, run_path.name, planned)


def _find_model_in_force(runs_folder: Path, run_path: Path, bundle: Path) -> Path | None:
    """Return the bundle in force for the run's config, None if it is the run's own or missing."""
    name = read_config_name(run_path) or DEFAULT_NAME
    if name not in list_champion_names(runs_folder):
        return None
    in_force = find_champion_bundle(runs_folder, name)
    return None if in_force.resolve() == bundle.resolve() else in_force


def _write_bundle(folder: Path, bundle: Path, weights: Path, settings: dict[str, Any]) -> Path:
    """Return a copy of a bundle with other weights and temperature that answers every image."""
    shutil.copytree(bundle, folder)
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    record = read_json(folder / RECORD_FILE)
    temperature = settings.get("temperature") or record.get("temperature")
    policy = {**record["policy"], "decline": {"threshold": 0.0}, "corrections": []}
    changes = {"temperature": temperature, "policy": policy}
    write_json(folder / RECORD_FILE, {**record, **changes})
    meta = read_json(folder / "model.json")
    write_json(folder / "model.json", {**meta, "temperature": temperature})
    return folder
