"""Export of a run's model as ONNX, a torch program, safetensors or MLflow, with a model card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import config
from pipeline.contracts import InputError
from pipeline.domain.rule_columns import build_condition_frame
from pipeline.domain.rules import Rule
from pipeline.learning.models.backbone import load_model
from pipeline.learning.models.decision_module import OUTPUT_NAMES, DecisionModule
from pipeline.learning.models.program_export import write_onnx_file, write_torch_program
from pipeline.serving.export.mlflow_model import write_pyfunc_model
from pipeline.serving.export.model_card import render_card
from pipeline.serving.export.portable_corrections import (
    PortableCorrections,
    ValidationImages,
    select_portable_corrections,
)
from pipeline.serving.prediction.model_bundles import find_bundle
from pipeline.storage.artifact_store import RunFolder
from pipeline.storage.bundle_record import read_bundle_record
from pipeline.storage.stage_swaps import replace_folder


@dataclass(frozen=True)
class ExportInputs:
    """The run and the bundle to export.

    Attributes:
        run: a run with a report.
        bundle: folder of the bundle that it promoted.
    """

    run: RunFolder
    bundle: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Return the record of the bundle."""
        return read_bundle_record(self.bundle)

    @cached_property
    def portable_corrections(self) -> PortableCorrections:
        """Return the corrections that a graph can apply, checked on the validation images."""
        is_val = (self.run.load_artifact("splits")["split"] == "val").to_numpy()
        frame = build_condition_frame(
            self.run.load_artifact("images"), self.run.load_artifact("attributes")
        )
        validation_images = ValidationImages(
            np.asarray(self.run.load_artifact("pixels")[is_val]),
            frame[is_val].reset_index(drop=True),
        )
        rules = {item["slice"]: Rule.parse_json(item["rule"]) for item in self.meta["slices"]}
        corrections = self.meta["policy"]["corrections"]
        return select_portable_corrections(corrections, rules, validation_images)

    @cached_property
    def graph_metadata(self) -> dict[str, Any]:
        """Return the metadata of a graph's file: the bundle's record, outputs and corrections."""
        descriptions = self.portable_corrections.descriptions
        return {**self.meta, "graph": {"outputs": OUTPUT_NAMES, "corrections": descriptions}}

    @property
    def decision_module(self) -> DecisionModule:
        """Return the whole decision as one module."""
        network, _ = load_model(self.bundle)
        decline = self.meta["policy"]["decline"]
        corrections = self.portable_corrections.corrections
        return DecisionModule(
            network, self.meta, corrections, decline["threshold"], decline.get("light")
        )

    def _load_correction_gains(self, slice_name: str) -> dict[str, Any]:
        """Return the gain of correcting a slice by split: value, low, high and n."""
        gains = {}
        for split, rows in self.run.load_artifact("comparison")["corrections"].items():
            for row in rows or []:
                if row["slice"] == slice_name and row["arm"] == self.meta["arm"]:
                    gains[split] = row["gain"]
        return gains

    def build_card(self, graph_file: str | None) -> str:
        """Return the model card.

        Args:
            graph_file: name of the exported graph, which may omit corrections; None for an export
                that is no graph.
        """
        is_graph = graph_file is not None
        descriptions = self.portable_corrections.descriptions if is_graph else []
        if not is_graph:
            complete = {"is_carried": True, "mismatch_count": None}
            descriptions = [
                {**correction, **complete} for correction in self.meta["policy"]["corrections"]
            ]
        corrections = []
        for description in descriptions:
            gains = self._load_correction_gains(description["slice"])
            corrections.append({**description, "gains": gains})
        settings = config.read_config(self.run.path / "config.yaml")
        data_source = str(settings["ingest"]["data"])
        summary = self.run.load_artifact("summary")
        return render_card(summary, self.meta, corrections, data_source, graph_file)


def _export_onnx(inputs: ExportInputs, folder: Path) -> str:
    side = int(inputs.meta["side"])
    path = folder / "model.onnx"
    write_onnx_file(inputs.decision_module, side, path, inputs.graph_metadata)
    return path.name


def _export_torch(inputs: ExportInputs, folder: Path) -> str:
    side = int(inputs.meta["side"])
    path = folder / "model.pt2"
    write_torch_program(inputs.decision_module, side, path, inputs.graph_metadata)
    return path.name


def _export_safetensors(inputs: ExportInputs, folder: Path) -> str:
    shutil.copytree(inputs.bundle, folder, dirs_exist_ok=True)
    return ""


def _export_mlflow(inputs: ExportInputs, folder: Path) -> str:
    folder.rmdir()  # MLflow creates it
    write_pyfunc_model(inputs.bundle, folder)
    return ""


GRAPH_WRITERS = {"onnx": _export_onnx, "torch": _export_torch}
FORMAT_WRITERS: dict[str, Callable[[ExportInputs, Path], str]] = {
    **GRAPH_WRITERS,
    "safetensors": _export_safetensors,
    "mlflow": _export_mlflow,
}
"""Writers by format. Each writes into a new folder and returns the name of the file to use, "" for
the folder itself."""


EXPORTED_FILES = {"model.onnx", "model.pt2", "model.safetensors", "MLmodel"}
"""Files of which each export has one."""


def open_export_inputs(model_name: str, runs_folder: Path) -> ExportInputs:
    """Return the run of that name, or the run that made the champion.

    Raises:
        InputError: the run has no model or no report.
    """
    bundle = find_bundle(model_name, runs_folder)
    run = RunFolder.open_existing(bundle.parents[1])
    if not run.get_artifact_path("summary").is_file():
        raise InputError(
            f"{model_name}: has no report to write a card from; "
            f"nightshift run --resume {run.run_id}"
        )
    return ExportInputs(run, bundle)


def _describe_corrections(portable_corrections: PortableCorrections) -> list[str]:
    lines = []
    for item in portable_corrections.descriptions:
        correction = f"{item['words']} if {item['when']}"
        if item["is_carried"]:
            lines.append(
                f"correction inside: {correction}; measured on the model's pixels, the condition "
                f"has another result for {item['mismatch_count']} of {item['image_count']} "
                "validation images"
            )
        else:
            lines.append(f"correction omitted: {correction}: {item['omission_reason']}")
    return lines


def _can_replace(folder: Path) -> bool:
    """Return whether a folder is empty or an earlier export."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or ("README.md" in names and bool(names & EXPORTED_FILES))


def export_model(
    model_name: str,
    runs_folder: Path,
    format_name: str,
    out: Path | None,
    should_replace: bool = False,
) -> tuple[Path, list[str]]:
    """Write the model of a run with its card; the folder appears when it is complete.

    Args:
        model_name: `champion`, `champion:NAME` or a run.
        runs_folder: the folder of all runs.
        format_name: a key of `FORMAT_WRITERS`.
        out: a new folder; None for `exports/<run>/<format>`.
        should_replace: whether an existing folder is replaced.

    Returns:
        The file or folder to use, and lines on the corrections of a graph.

    Raises:
        InputError: the model, the format or the folder cannot be used.
    """
    if format_name not in FORMAT_WRITERS:
        raise InputError(f"--format {format_name}: there are {', '.join(FORMAT_WRITERS)}")
    inputs = open_export_inputs(model_name, runs_folder)
    folder = out or Path("exports") / inputs.run.run_id / format_name
    if folder.exists() and not should_replace:
        raise InputError(f"{folder}: exists already; choose another with -o, or --force")
    if folder.exists() and not _can_replace(folder):
        raise InputError(f"{folder}: holds something else than an export; choose another with -o")
    folder.parent.mkdir(parents=True, exist_ok=True)
    is_graph = format_name in GRAPH_WRITERS
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        unfinished = Path(scratch) / "model"
        unfinished.mkdir()
        file_name = FORMAT_WRITERS[format_name](inputs, unfinished)
        card = inputs.build_card(file_name if is_graph else None)
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        replace_folder(unfinished, folder)
    lines = _describe_corrections(inputs.portable_corrections) if is_graph else []
    return folder / file_name, lines
