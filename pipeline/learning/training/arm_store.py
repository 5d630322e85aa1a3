"""Finished trainings of arms, kept beside the runs: one that was done before is not done again."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.contracts import InputError
from pipeline.remedies import load_remedy
from pipeline.storage.atomic_files import read_json_object, write_json

STORED_ARMS_FOLDER = "arms"
"""The folder of stored trainings, in the folder of all runs."""
MAX_STORED_COUNT = 24
"""Trainings that are kept: those of the last two runs with three arms, two seeds and two halves."""
_WEIGHTS_FILE, _RECORD_FILE = "weights.safetensors", "record.json"
_SOURCE_FOLDERS = ("learning", "remedies")
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class ArmStore:
    """Trainings by the hash of everything that they follow from.

    Attributes:
        folder: one folder for each training; it may be deleted at any time.
    """

    folder: Path

    def load_training(self, key: str, network: nn.Module) -> dict[str, Any] | None:
        """Load stored weights into a network, and return the record of their training.

        Args:
            key: the key of the training.
            network: the network, not changed if nothing is stored.

        Returns:
            None if there is no such training, or if it is damaged.
        """
        path = self.folder / key
        try:
            record = read_json_object(path / _RECORD_FILE)
            network.load_state_dict(load_file(path / _WEIGHTS_FILE))
            os.utime(path)
        except (OSError, InputError, SafetensorError, RuntimeError):
            return None
        return record

    def save_training(self, key: str, network: nn.Module, record: dict[str, Any]) -> None:
        """Store a training, and drop those that were used longest ago.

        Args:
            key: the key of the training.
            network: the trained network.
            record: the record that is loaded with it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        weights = {name: v.detach().cpu().contiguous() for name, v in network.state_dict().items()}
        save_file(weights, path / _WEIGHTS_FILE)
        write_json(path / _RECORD_FILE, record)
        try:
            path.rename(self.folder / key)
        except OSError:  # another process has stored it meanwhile
            shutil.rmtree(path)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        ages = []
        for path in self.folder.iterdir():
            try:
                ages.append((path.stat().st_mtime, path))
            except OSError:  # another process has dropped it
                continue
        for _, path in sorted(ages)[:-MAX_STORED_COUNT]:
            shutil.rmtree(path, ignore_errors=True)


def hash_arrays(arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 (hex) of arrays: their shapes, dtypes and contents, read in chunks."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        row_count = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(array), row_count):
            digest.update(np.ascontiguousarray(array[start : start + row_count]).tobytes())
    return digest.hexdigest()


def hash_tables(tables: Iterable[pd.DataFrame]) -> str:
    """Return the SHA-256 (hex) of tables: their columns and rows, without the index."""
    arrays: list[NDArray[Any]] = []
    for table in tables:
        arrays.append(np.array(list(table.columns), dtype=np.str_))
        arrays.append(pd.util.hash_pandas_object(table, index=False).to_numpy())
    return hash_arrays(arrays)


def hash_training_code(remedies: Iterable[str] = ()) -> str:
    """Return the SHA-256 (hex) of the modules that a training runs through.

    Args:
        remedies: names of remedies, whose modules may be of another distribution.
    """
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for folder in _SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    for name in sorted(remedies):
        digest.update(inspect.getsource(cast(ModuleType, load_remedy(name))).encode())
    return digest.hexdigest()
