"""The validated records of a run: its name, `run.json`, the records of its stages, its place.

Every reader of these files reads them here. A file of another shape is an `InputError` that names
it, so that one odd file stops no listing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.contracts import InputError
from pipeline.graph import STAGES, get_stage
from pipeline.storage.atomic_files import (
    STAGE_REMEDY,
    TEMPORARY_PREFIX,
    lock_file,
    read_json,
    write_text,
)
from pipeline.storage.stage_swaps import OLD_PREFIX, SCRATCH_PREFIX, STAGED_FOLDER, STAGING_PREFIX

SCHEMA_VERSION = 2
"""Version of the run folder's layout; nightshift 0.1 wrote 1."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
"""A name that is safe as a file name: it stays in its folder and is not hidden."""
RECORD_FILE = "run.json"
SEQUENCE_FILE = ".sequence"
"""In a run's folder: its number among the runs of this folder. It is not pushed or pulled."""
LOCK_FILE, PIN_FILE, SENT_FILE = ".lock", ".pinned", ".notified.json"
OWN_NAMES = frozenset(
    [
        *(RECORD_FILE, SEQUENCE_FILE, LOCK_FILE, PIN_FILE, SENT_FILE, STAGED_FOLDER),
        *("config.yaml", "summary.json", "push.json"),
        *(stage.name for stage in STAGES),
    ]
)
"""Names in a run's folder that this program writes; a run with others is not removed."""
OWN_PREFIXES = (OLD_PREFIX, STAGING_PREFIX, SCRATCH_PREFIX, TEMPORARY_PREFIX)
_MAX_SEQUENCE_DIGITS = 15
ModelType = TypeVar("ModelType", bound=BaseModel)


class RunRecord(BaseModel):
    """`run.json`.

    Attributes:
        schema_version: version of the folder's layout.
        version: version of nightshift that began the run.
        created: when it began: ISO 8601 in UTC.
        name: the config's name; None in a run of version 0.1.
        champion: pointer to the champion that was in force when it began.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: Any = Field(None, alias="schema")
    version: str = ""
    created: str = ""
    name: str | None = None
    champion: dict[str, Any] | None = None


class StageRecord(BaseModel):
    """`stage.json` of a finished stage.

    Attributes:
        key: hash of everything that decides the outputs.
        artifacts: content hash by artifact.
        stamps: stamp of each artifact's files.
        went_in: the parts of the key.
        notes: lines for the log and the report.
        seconds: how long it took.
        linked_from: the run that made it, if it is linked.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    key: str = ""
    artifacts: dict[str, str] = {}
    stamps: dict[str, str] = {}
    went_in: dict[str, Any] = {}
    notes: list[str] = []
    seconds: float = 0.0
    linked_from: str = ""


def check_run_id(name: str, origin: str) -> None:
    """Raise `InputError` unless `name` is a plain name, neither empty nor hidden.

    Args:
        name: the name of a run.
        origin: where it comes from, for the message.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise InputError(
            f"{origin or repr(name)}: not the name of a run; a run's name consists of letters, "
            "digits, '_', '-' and '.', and does not begin with '.'"
        )


def _parse_record(model: type[ModelType], path: Path, remedy: str) -> ModelType:
    value = read_json(path, remedy)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: {key}: {first['msg']}; {remedy}") from error


def read_run_record(run_path: Path) -> RunRecord:
    """Return the record of a run of this version.

    Raises:
        InputError: it is missing, damaged or of another version.
    """
    path = run_path / RECORD_FILE
    record = _parse_record(RunRecord, path, "restore it, or remove the run's folder")
    if record.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"{run_path}: written by another version of nightshift (schema "
            f"{str(record.schema_version)[:20]}, "
            f"this one reads {SCHEMA_VERSION}); start a new run, or use that version"
        )
    return record


def read_stage_record(run_path: Path, stage: str) -> dict[str, Any] | None:
    """Return `stage.json` of a finished stage with all of its fields, or None.

    Raises:
        InputError: it is damaged, or names an artifact that the stage does not make.
    """
    path = run_path / stage / "stage.json"
    if not path.is_file():
        return None
    record = _parse_record(StageRecord, path, STAGE_REMEDY)
    unknown = sorted(set(record.artifacts) - set(get_stage(stage).makes))
    if unknown:
        raise InputError(f"{path}: {unknown[0]!r} is no artifact of stage {stage}; {STAGE_REMEDY}")
    return record.model_dump()


def format_now() -> str:
    """Return the present time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_sequence(run_path: Path) -> int:
    """Return a run's number in its folder; 0 if it has none."""
    try:
        text = (run_path / SEQUENCE_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return 0
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_SEQUENCE_DIGITS
    return int(text) if is_number else 0


def assign_sequence(runs_folder: Path, run_path: Path) -> None:
    """Number a run after all others of a folder, whatever the clocks say; a number is kept."""
    with lock_file(runs_folder / RECORD_FILE):
        if read_sequence(run_path):
            return
        numbers = [read_sequence(path.parent) for path in runs_folder.glob(f"*/{SEQUENCE_FILE}")]
        write_text(run_path / SEQUENCE_FILE, f"{max(numbers, default=0) + 1}\n")


def get_order(run_path: Path, record: RunRecord) -> tuple[int, str, str]:
    """Return the key that sorts runs by their beginning: number, time, name."""
    return read_sequence(run_path), record.created, run_path.name


def list_foreign_entries(run_path: Path) -> list[str]:
    """Return the names in a run's folder that this program did not write, sorted."""
    names = []
    for path in run_path.iterdir():
        is_own = path.name in OWN_NAMES or path.name.startswith(OWN_PREFIXES)
        if not is_own or path.is_symlink():
            names.append(path.name)
    return sorted(names)
