"""`bundle.json`: a model in force with its rules, corrections and decline rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.storage.artifact_store import read_json

RECORD_FILE = "bundle.json"
FORMAT_KEY = "bundle_format"
BUNDLE_FORMAT = 2
"""Version of the record. Nightshift 0.1 wrote none; its attributes have other names."""


def check_bundle_format(record: Mapping[str, Any], origin: str) -> None:
    """Raise `InputError` unless this version can read a bundle's record.

    Args:
        record: the record, or the copy of it in an exported model.
        origin: its file, as the error message names it.
    """
    if record.get(FORMAT_KEY) != BUNDLE_FORMAT:
        raise InputError(
            f"{origin}: a model of another version of nightshift (bundle format "
            f"{record.get(FORMAT_KEY, 1)}, this one reads {BUNDLE_FORMAT}); train it again, "
            "or use that version"
        )


def read_bundle_record(folder: Path) -> dict[str, Any]:
    """Return the record of the bundle in `folder`.

    Raises:
        InputError: the record cannot be read, or it is of another version.
    """
    path = folder / RECORD_FILE
    record = read_json(path)
    if not isinstance(record, dict):
        raise InputError(f"{path}: not the record of a bundle; make the model again")
    check_bundle_format(record, str(path))
    return record
