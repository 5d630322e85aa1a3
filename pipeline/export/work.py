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

from pipeline import config, mirror
from pipeline.contracts import InputError
from pipeline.export.card import write_card
from pipeline.export.carried import Carried, Val, carry
from pipeline.export.mlflow_model import write_pyfunc
from pipeline.learning.backbone import load_model
from pipeline.learning.program import write_onnx, write_program
from pipeline.learning.served import OUTPUTS, Served
from pipeline.predict.bundles import bundle_of
from pipeline.slicing.rules import Rule, conditions_frame
from pipeline.store import Run, read_json


@dataclass(frozen=True)
class Case:
    """What is exported: a run that came to its report, and the bundle that it promoted."""

    run: Run
    bundle: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The bundle's description."""
        return dict(read_json(self.bundle / "bundle.json"))

    @cached_property
    def carried(self) -> Carried:
        """The corrections that a graph can make, judged on the run's photos of val."""
        inside = (self.run.load("splits")["split"] == "val").to_numpy()
        frame = conditions_frame(self.run.load("images"), self.run.load("attributes"))
        val = Val(np.asarray(self.run.load("pixels")[inside]), frame[inside].reset_index(drop=True))
        rules = {item["slice"]: Rule.parse(item["rule"]) for item in self.meta["slices"]}
        return carry(self.meta["policy"]["corrections"], rules, val)

    @cached_property
    def about(self) -> dict[str, Any]:
        """What a graph's file says of itself: the bundle, and what of it the graph does."""
        return {**self.meta, "graph": {"outputs": OUTPUTS, "corrections": self.carried.told}}

    @property
    def served(self) -> Served:
        """The whole decision as one module."""
        network, _ = load_model(self.bundle)
        rule = self.meta["policy"]["decline"]
        return Served(network, self.meta, self.carried.corrections, rule["threshold"], rule.get("light"))

    def _gains(self, name: str) -> dict[str, Any]:
        """What correcting a slice brings the model, by split: value, low, high, n."""
        judged = self.run.load("comparison")["corrections"]
        found = [(split, row) for split, rows in judged.items() for row in rows or []]
        return {s: r["gain"] for s, r in found if (r["slice"], r["arm"]) == (name, self.meta["arm"])}

    def card(self, graph: bool) -> str:
        """The model card. graph: of a format that carries only some corrections."""
        whole = [{**item, "carried": True, "elsewhere": None} for item in self.meta["policy"]["corrections"]]
        settings = config.read(self.run.path / "config.yaml")
        told = [{**item, "gains": self._gains(item["slice"])} for item in (self.carried.told if graph else whole)]
        return write_card(self.run.load("summary"), self.meta, told, str(settings["ingest"]["data"]))


def _onnx(case: Case, folder: Path) -> str:
    write_onnx(case.served, int(case.meta["side"]), folder / "model.onnx", case.about)
    return "model.onnx"


def _torch(case: Case, folder: Path) -> str:
    write_program(case.served, int(case.meta["side"]), folder / "model.pt2", case.about)
    return "model.pt2"


def _safetensors(case: Case, folder: Path) -> str:
    shutil.copytree(case.bundle, folder, dirs_exist_ok=True)
    return ""


def _mlflow(case: Case, folder: Path) -> str:
    folder.rmdir()  # MLflow makes it
    write_pyfunc(case.bundle, folder)
    return ""


GRAPHS = {"onnx": _onnx, "torch": _torch}
FORMATS: dict[str, Callable[[Case, Path], str]] = {**GRAPHS, "safetensors": _safetensors, "mlflow": _mlflow}
"""What each format writes into a new folder; returns the file to name, or nothing where it is the folder."""


def case_of(name: str, home: Path) -> Case:
    """The run of that name, or the one that made the champion. Raises `InputError` where it has no model or report."""
    bundle = bundle_of(name, home)
    mirror.fetch(bundle.parents[1])
    run = Run.open(bundle.parents[1])
    if not run.file("summary").is_file():
        raise InputError(f"{name}: has no report to write a card from; nightshift run --resume {run.run_id}")
    return Case(run, bundle)


def _lines(carried: Carried) -> list[str]:
    lines = []
    for item in carried.told:
        what = f"{item['words']} where {item['when']}"
        if item["carried"]:
            other = f"{item['elsewhere']} of {item['of']} photos of val fall on its other side, as the graph measures"
            lines.append(f"correction inside: {what}; {other} the model's own pixels")
        else:
            lines.append(f"correction left out: {what}: {item['why']}")
    return lines


def export(name: str, home: Path, form: str, out: Path | None, force: bool = False) -> tuple[Path, list[str]]:
    """Write the model of a run, or the champion, with its card; returns the path to use and what is to be said.

    out: a new folder, by default `exports/<run>/<format>`; force: replace it. Raises `InputError`.
    """
    if form not in FORMATS:
        raise InputError(f"--format {form}: there are {', '.join(FORMATS)}")
    case = case_of(name, home)
    folder = out or Path("exports") / case.run.run_id / form
    if folder.exists() and not force:
        raise InputError(f"{folder}: exists already; choose another with -o, or --force")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        aside = Path(scratch) / "whole"
        aside.mkdir()
        file = FORMATS[form](case, aside)
        (aside / "README.md").write_text(case.card(form in GRAPHS), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)
    return folder / file, _lines(case.carried) if form in GRAPHS else []
