"""`nightshift export`: a run's model in one of four formats, with its card; the folder appears when it is whole."""

from __future__ import annotations

import os
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
from pipeline.domain.rules import Rule, build_condition_frame
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
from pipeline.storage.artifact_store import RunFolder, read_json


@dataclass(frozen=True)
class ExportInputs:
    """What is exported: a run that came to its report, and the bundle that it promoted."""

    run: RunFolder
    bundle: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The bundle's description."""
        return dict(read_json(self.bundle / "bundle.json"))

    @cached_property
    def portable_corrections(self) -> PortableCorrections:
        """The corrections that a graph can make, judged on the run's images of val."""
        inside = (self.run.load_artifact("splits")["split"] == "val").to_numpy()
        frame = build_condition_frame(
            self.run.load_artifact("images"), self.run.load_artifact("attributes")
        )
        val = ValidationImages(
            np.asarray(self.run.load_artifact("pixels")[inside]),
            frame[inside].reset_index(drop=True),
        )
        rules = {item["slice"]: Rule.parse_json(item["rule"]) for item in self.meta["slices"]}
        return select_portable_corrections(self.meta["policy"]["corrections"], rules, val)

    @cached_property
    def graph_metadata(self) -> dict[str, Any]:
        """What a graph's file says of itself: the bundle, and what of it the graph does."""
        return {
            **self.meta,
            "graph": {
                "outputs": OUTPUT_NAMES,
                "corrections": self.portable_corrections.descriptions,
            },
        }

    @property
    def decision_module(self) -> DecisionModule:
        """The whole decision as one module."""
        network, _ = load_model(self.bundle)
        rule = self.meta["policy"]["decline"]
        return DecisionModule(
            network,
            self.meta,
            self.portable_corrections.corrections,
            rule["threshold"],
            rule.get("light"),
        )

    def _load_correction_gains(self, slice_name: str) -> dict[str, Any]:
        """What correcting a slice brings the model, by split: value, low, high, n."""
        judged = self.run.load_artifact("comparison")["corrections"]
        found = [(split, row) for split, rows in judged.items() for row in rows or []]
        return {
            s: r["gain"]
            for s, r in found
            if (r["slice"], r["arm"]) == (slice_name, self.meta["arm"])
        }

    def build_card(self, is_graph: bool) -> str:
        """The model card. graph: of a format that carries only some corrections."""
        whole = [
            {**item, "carried": True, "elsewhere": None}
            for item in self.meta["policy"]["corrections"]
        ]
        settings = config.read_config(self.run.path / "config.yaml")
        told = [
            {**item, "gains": self._load_correction_gains(item["slice"])}
            for item in (self.portable_corrections.descriptions if is_graph else whole)
        ]
        return render_card(
            self.run.load_artifact("summary"), self.meta, told, str(settings["ingest"]["data"])
        )


def _export_onnx(inputs: ExportInputs, folder: Path) -> str:
    write_onnx_file(
        inputs.decision_module,
        int(inputs.meta["side"]),
        folder / "model.onnx",
        inputs.graph_metadata,
    )
    return "model.onnx"


def _export_torch(inputs: ExportInputs, folder: Path) -> str:
    write_torch_program(
        inputs.decision_module,
        int(inputs.meta["side"]),
        folder / "model.pt2",
        inputs.graph_metadata,
    )
    return "model.pt2"


def _export_safetensors(inputs: ExportInputs, folder: Path) -> str:
    shutil.copytree(inputs.bundle, folder, dirs_exist_ok=True)
    return ""


def _export_mlflow(inputs: ExportInputs, folder: Path) -> str:
    folder.rmdir()  # MLflow makes it
    write_pyfunc_model(inputs.bundle, folder)
    return ""


GRAPH_WRITERS = {"onnx": _export_onnx, "torch": _export_torch}
FORMAT_WRITERS: dict[str, Callable[[ExportInputs, Path], str]] = {
    **GRAPH_WRITERS,
    "safetensors": _export_safetensors,
    "mlflow": _export_mlflow,
}
"""What each format writes into a new folder; returns the file to name, or nothing where it is the folder."""


def open_export_inputs(model_name: str, home: Path) -> ExportInputs:
    """The run of that name, or the one that made the champion. Raises `InputError` where it has no model or report."""
    bundle = find_bundle(model_name, home)
    run = RunFolder.open_existing(bundle.parents[1])
    if not run.get_artifact_path("summary").is_file():
        raise InputError(
            f"{model_name}: has no report to write a card from; nightshift run --resume {run.run_id}"
        )
    return ExportInputs(run, bundle)


def _describe_corrections(portable_corrections: PortableCorrections) -> list[str]:
    lines = []
    for item in portable_corrections.descriptions:
        what = f"{item['words']} where {item['when']}"
        if item["carried"]:
            other = f"{item['elsewhere']} of {item['of']} images of val fall on its other side, as the graph measures"
            lines.append(f"correction inside: {what}; {other} the model's own pixels")
        else:
            lines.append(f"correction left out: {what}: {item['why']}")
    return lines


def export_model(
    model_name: str, home: Path, format_name: str, out: Path | None, force: bool = False
) -> tuple[Path, list[str]]:
    """Write the model of a run, or the champion, with its card; returns the path to use and what is to be said.

    out: a new folder, by default `exports/<run>/<format>`; force: replace it. Raises `InputError`.
    """
    if format_name not in FORMAT_WRITERS:
        raise InputError(f"--format {format_name}: there are {', '.join(FORMAT_WRITERS)}")
    case = open_export_inputs(model_name, home)
    folder = out or Path("exports") / case.run.run_id / format_name
    if folder.exists() and not force:
        raise InputError(f"{folder}: exists already; choose another with -o, or --force")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        aside = Path(scratch) / "whole"
        aside.mkdir()
        file = FORMAT_WRITERS[format_name](case, aside)
        (aside / "README.md").write_text(
            case.build_card(format_name in GRAPH_WRITERS), encoding="utf-8"
        )
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)
    return folder / file, _describe_corrections(
        case.portable_corrections
    ) if format_name in GRAPH_WRITERS else []
