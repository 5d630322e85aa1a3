"""What an artifact is, and the check that stands at every boundary.

Five kinds exist. In memory a `Table` is a pandas DataFrame, an `Array` a numpy array (memory-mapped when
it was read from a run), a `Record` a JSON object (dict), a `Bundle` the path of a folder of files, and an
`ObjectContract` promises an instance of one class, which saves itself to a folder and loads itself from one.
This module imports neither numpy nor pandas: the graph can be read without them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

DimensionSizes = dict[str, int]
"""Sizes bound so far to the symbolic dimensions of one stage's artifacts, such as `{"images": 2400}`."""

_DTYPE_CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": lambda s: s.dtype == object or str(s.dtype) in ("str", "string", "category"),
    "float": lambda s: s.dtype.kind == "f",
    "int": lambda s: s.dtype.kind in "iu",
    "bool": lambda s: s.dtype.kind == "b",
    "time": lambda s: s.dtype.kind == "M",
}


class ContractError(Exception):
    """An artifact is not what the graph page says it is; the message names the artifact and the part."""


class InputError(Exception):
    """The user's config or data cannot be used; one line that says what, where and how to mend it."""

    exit_code = 2
    """What a command that it ends is to exit with."""


class RunBusyError(InputError):
    """Another process holds what is asked for: the same may be asked again later."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


def _bind_dimension(name: str, dimensions: DimensionSizes, symbol: str | int, size: int) -> None:
    expected = dimensions.setdefault(symbol, size) if isinstance(symbol, str) else symbol
    if expected != size:
        raise ContractError(f"{name}: dimension {symbol!r} is {size}, expected {expected}")


@dataclass(frozen=True)
class TableContract:
    """Columns by name and dtype (`str`, `float`, `int`, `bool`, `time`; a trailing `?` allows nulls)."""

    columns: Mapping[str, str]
    key_columns: tuple[str, ...] = ()
    row_dimension: str | None = None
    has_extra_columns: bool = False
    suffix: ClassVar[str] = ".parquet"

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` has these columns, dtypes, unique key and row count."""
        if not hasattr(value, "columns"):
            raise ContractError(f"{name}: a table was promised, got {type(value).__name__}")
        missing = [c for c in self.columns if c not in value.columns]
        surplus = (
            []
            if self.has_extra_columns
            else [str(c) for c in value.columns if c not in self.columns]
        )
        if missing or surplus:
            raise ContractError(f"{name}: missing columns {missing}, surplus columns {surplus}")
        for column, dtype in self.columns.items():
            series = value[column]
            nulls = bool(series.isna().any())
            if len(series) and not (
                series.isna().all() or _DTYPE_CHECKS[dtype.rstrip("?")](series)
            ):
                raise ContractError(f"{name}.{column}: dtype {series.dtype}, expected {dtype}")
            if nulls and not dtype.endswith("?"):
                raise ContractError(f"{name}.{column}: has nulls, and the graph page allows none")
        if self.key_columns and bool(value.duplicated(list(self.key_columns)).any()):
            raise ContractError(f"{name}: rows repeat the key {self.key_columns}")
        if self.row_dimension:
            _bind_dimension(name, dimensions, self.row_dimension, len(value))


@dataclass(frozen=True)
class ArrayContract:
    """A numpy array of one dtype; a shape of sizes and symbols shared with the stage's other artifacts."""

    dtype: str
    shape: tuple[str | int, ...]
    suffix: ClassVar[str] = ".npy"

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless dtype and shape are as promised."""
        if not hasattr(value, "dtype") or str(value.dtype) != self.dtype:
            raise ContractError(
                f"{name}: dtype {getattr(value, 'dtype', type(value).__name__)}, expected {self.dtype}"
            )
        if len(value.shape) != len(self.shape):
            raise ContractError(f"{name}: shape {value.shape}, expected {self.shape}")
        for symbol, size in zip(self.shape, value.shape, strict=True):
            _bind_dimension(name, dimensions, symbol, size)


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_finite(v) for k, v in value.items())
    return all(map(_is_finite, value)) if isinstance(value, (list, tuple)) else True


@dataclass(frozen=True)
class RecordContract:
    """A JSON object with at least these keys; numbers in it are finite (use null for "unknown")."""

    required_keys: tuple[str, ...]
    suffix: ClassVar[str] = ".json"

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` is a dict with these keys and finite numbers."""
        missing = [k for k in self.required_keys if not isinstance(value, dict) or k not in value]
        if missing:
            raise ContractError(f"{name}: missing keys {missing}")
        if not _is_finite(value):
            raise ContractError(
                f"{name}: holds NaN, infinity or a key that is not text; write null instead"
            )


@dataclass(frozen=True)
class FolderContract:
    """A folder that holds at least these files."""

    required_files: tuple[str, ...]
    suffix: ClassVar[str] = ""

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` is a folder with these files."""
        missing = [f for f in self.required_files if not (Path(value) / f).is_file()]
        if missing:
            raise ContractError(f"{name}: the folder {value} lacks {missing}")


class FolderObject(Protocol):
    """A typed object that is persisted as a folder."""

    def save(self, folder: Path) -> None:
        """Write the object into a new folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Any:
        """Return the object that `save` wrote."""
        ...

    def without_images(self, image_ids: frozenset[str]) -> Any:
        """Return the object without these images; itself where it holds none of them."""
        ...


@dataclass(frozen=True)
class ObjectContract:
    """An instance of one class, persisted as a folder by its `save` and `load` (see `FolderObject`).

    Attributes:
        class_path: module and name of the class, imported when the first value is checked or loaded.
        sizes: attribute of the object that gives the size of each symbolic dimension.
    """

    class_path: str
    sizes: Mapping[str, str] = field(default_factory=dict)
    suffix: ClassVar[str] = ""

    def import_class(self) -> type[FolderObject]:
        """Return the class."""
        module, _, name = self.class_path.rpartition(".")
        loaded: type[FolderObject] = getattr(importlib.import_module(module), name)
        return loaded

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` is an instance of the class and its sizes are as promised."""
        if not isinstance(value, self.import_class()):
            raise ContractError(
                f"{name}: {self.class_path} was promised, got {type(value).__name__}"
            )
        for symbol, attribute in self.sizes.items():
            _bind_dimension(name, dimensions, symbol, getattr(value, attribute))


ArtifactContract = TableContract | ArrayContract | RecordContract | FolderContract | ObjectContract
StageOutputs = dict[str, Any]
"""What a stage returns: every artifact it makes, by name."""


class ProgressTracker(Protocol):
    """Wraps a loop and shows how far it is: `for x in track(items, total=len(items), unit="images")`."""

    def __call__(self, items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        """The same items, one by one."""
        ...


def iterate_silently(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
    """A `Track` that shows nothing, for tests and library use."""
    return iter(items)


@dataclass
class StageContext:
    """What a stage may use besides its settings and artifacts.

    scratch: a folder of this stage's own that survives a kill (checkpoints) until the stage is saved.
    home: the folder of all runs (the ledger of test openings and the champion pointer live there).
    previous: the artifacts this stage made in an earlier run with the same settings and code, or None.
    facts: what the runner knows of the run so far: `config` (YAML), `versions`, `stages` (name, seconds, notes).
    note: records one line for the log, the report and `summary.json` (what was odd, and what follows).
    """

    run_id: str
    seed: int
    scratch_folder: Path
    runs_folder: Path
    track_progress: ProgressTracker = iterate_silently
    previous_outputs: Mapping[str, Any] | None = None
    run_facts: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    on_note: Callable[[str], None] = lambda line: None

    def add_note(self, line: str) -> None:
        """Record `line` and show it at once."""
        self.notes.append(line)
        self.on_note(line)
