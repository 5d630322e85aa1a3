"""The labeled batches of arriving images that count for each challenger, one line a batch.

`runs/arrivals/RUN.jsonl` belongs to the run that trained the challenger. Groups are hashed. A batch
that is applied again takes the place of its earlier line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.storage.atomic_files import lock_file, write_text
from pipeline.storage.test_ledger import hash_group_name

FOLDER = "arrivals"


def get_arrivals_path(runs_folder: Path, run_id: str) -> Path:
    """Return the path of a challenger's ledger."""
    return runs_folder / FOLDER / f"{run_id}.jsonl"


def hash_groups(groups: Iterable[str]) -> list[str]:
    """Return the hash of each group's name, in the same order."""
    return [hash_group_name(group) for group in groups]


def record_batch(runs_folder: Path, run_id: str, entry: Mapping[str, Any]) -> None:
    """Write a labeled batch into the ledger of its challenger.

    Args:
        runs_folder: the folder of all runs.
        run_id: run of the challenger.
        entry: `batch`, its id; `challenger` and `incumbent`, hashes of their weights; `evidence`.

    Raises:
        InputError: the ledger is damaged.
    """
    path = get_arrivals_path(runs_folder, run_id)
    with lock_file(path):
        entries = read_batches(runs_folder, run_id)
        ids = [known["batch"] for known in entries]
        if entry["batch"] in ids:
            entries[ids.index(entry["batch"])] = dict(entry)
        else:
            entries.append(dict(entry))
        lines = [json.dumps(known, allow_nan=False) for known in entries]
        write_text(path, "\n".join(lines) + "\n")


def read_batches(runs_folder: Path, run_id: str) -> list[dict[str, Any]]:
    """Return the labeled batches of a challenger, oldest first; none without a ledger.

    Raises:
        InputError: the ledger is damaged.
    """
    path = get_arrivals_path(runs_folder, run_id)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    try:
        return [_parse_entry(line) for line in lines]
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the ledger of arriving batches is damaged; remove it and apply the batches "
            "again: nightshift label apply"
        ) from error


def _parse_entry(line: str) -> dict[str, Any]:
    entry = json.loads(line)
    if not isinstance(entry, dict) or not {"batch", "challenger", "incumbent", "evidence"} <= set(
        entry
    ):
        raise ValueError("not a batch")
    return entry
