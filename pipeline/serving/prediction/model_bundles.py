"""Locations of the models that `predict` can load."""

from __future__ import annotations

from pathlib import Path

from pipeline.contracts import InputError
from pipeline.storage.bundle_record import RECORD_FILE
from pipeline.storage.champion_registry import find_champion_bundle

EXTERNAL_LOADERS = {"model.pt2": "torch.export.load", "MLmodel": "mlflow.pyfunc.load_model"}
"""Loaders of the exports that `predict` cannot load, by the file that identifies the export."""


def find_bundle(model_name: str, runs_folder: Path) -> Path:
    """Return the folder of a bundle.

    Args:
        model_name: `champion` (if only one config has one), `champion:NAME` (of the config NAME),
            a run, or the path of a bundle's folder.
        runs_folder: the folder of all runs.

    Raises:
        InputError: there is no such bundle, or `champion` fits several configs.
    """
    kind, colon, config_name = model_name.partition(":")
    if kind == "champion":
        return find_champion_bundle(runs_folder, config_name if colon else None)
    candidates = (
        runs_folder / model_name / "promote" / "bundle",
        Path(model_name) / "promote" / "bundle",
        Path(model_name),
    )
    for folder in candidates:
        if (folder / RECORD_FILE).is_file():
            return folder
    raise InputError(
        f"{model_name}: neither champion, nor a run in {runs_folder} that finished its stage "
        "promote, nor the folder of a bundle, nor an .onnx file"
    )


def find_graph_file(path: Path) -> Path | None:
    """Return the ONNX file at `path` or in the folder `path`, None if there is none.

    Raises:
        InputError: `path` is an export for another program.
    """
    is_bundle = (path / RECORD_FILE).is_file()  # a user's own program lies in it too
    for file_name, loader in EXTERNAL_LOADERS.items():
        if is_bundle:
            continue
        if path.name == file_name or (path / file_name).is_file():
            raise InputError(
                f"{path}: is for {loader}; name the run, or an export as safetensors or ONNX"
            )
    if path.suffix == ".onnx":
        return path
    return path / "model.onnx" if (path / "model.onnx").is_file() else None
