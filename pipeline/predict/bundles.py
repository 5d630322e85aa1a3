"""Where a model that can be put in force lies."""

from __future__ import annotations

from pathlib import Path

from pipeline import mirror
from pipeline.champion import in_force
from pipeline.contracts import InputError


def bundle_of(name: str, home: Path) -> Path:
    """The bundle's folder: of the champion, of a run, or named by its path. Raises `InputError` where there is none."""
    if name == "champion":
        folder = in_force(home)
        if folder is None:
            raise InputError(f"{home}: no run has promoted a champion yet; name a run or a bundle's folder")
        return folder
    mirror.fetch(home / name)
    for folder in (home / name / "promote" / "bundle", Path(name) / "promote" / "bundle", Path(name)):
        if (folder / "bundle.json").is_file():
            return folder
    raise InputError(
        f"{name}: neither champion, nor a run in {home} that came to promote, nor a bundle's folder, nor an .onnx"
    )
