"""Where a model that can be put in force lies."""

from __future__ import annotations

from pathlib import Path

from pipeline.contracts import InputError
from pipeline.storage.champion_registry import find_champion_bundle


def find_bundle(model_name: str, home: Path) -> Path:
    """The bundle's folder: of a champion, of a run, or named by its path.

    Args:
        name: `champion` (of the only config that has one), `champion:NAME` (of that config), a run or a path.
        home: The folder of all runs.

    Raises:
        InputError: There is none, or several configs have a champion and `name` names none of them.
    """
    kind, colon, config = model_name.partition(":")
    if kind == "champion":
        return find_champion_bundle(home, config if colon else None)
    for folder in (
        home / model_name / "promote" / "bundle",
        Path(model_name) / "promote" / "bundle",
        Path(model_name),
    ):
        if (folder / "bundle.json").is_file():
            return folder
    raise InputError(
        f"{model_name}: neither champion, nor a run in {home} that came to promote, nor a bundle's folder, nor an .onnx"
    )
