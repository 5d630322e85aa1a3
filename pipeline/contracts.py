"""The kinds of artifact, the checks at every stage boundary, and what a stage is called with.

Five kinds of artifact exist:

- `TableContract`: a pandas DataFrame.
- `ArrayContract`: a numpy array, memory-mapped if it was read from a run.
- `RecordContract`: a JSON object (dict).
- `FolderContract`: the path of a folder of files.
- `ObjectContract`: an instance of one class that saves itself to a folder and loads itself from it.

This module imports neither numpy nor pandas, so the graph can be read without them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

DimensionSizes = dict[str, int]
"""Sizes bound so far to the symbolic dimensions of one stage, such as `{"images": 2400}`."""

_DTYPE_CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": lambda s: s.dtype == object or str(s.dtype) in ("str", "string", "category"),
    "float": lambda s: s.dtype.kind == "f",
    "int": lambda s: s.dtype.kind in "iu",
    "bool": lambda s: s.dtype.kind == "b",
    "time": lambda s: s.dtype.kind == "M",
}


class ContractError(Exception):
    """An artifact breaks its contract; the message names the artifact and the column or key."""


class InputError(Exception):
    """The user's config or data cannot be used.

    The message is one line: the error, its file or key, and the fix.
    """

    exit_code = 2
    """Exit code of a command that ends with this error."""


class RunBusyError(InputError):
    """Another process holds the run; the same command may succeed later."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


def _bind_dimension(name: str, dimensions: DimensionSizes, symbol: str | int, size: int) -> None:
    """Bind `symbol` to `size`, or raise `ContractError` if it is bound to another size."""
    expected = dimensions.setdefault(symbol, size) if isinstance(symbol, str) else symbol
    if expected != size:
        raise ContractError(f"{name}: dimension {symbol!r} is {size}, expected {expected}")


@dataclass(frozen=True)
class TableContract:
    """A pandas DataFrame with named columns.

    Attributes:
        columns: dtype by column: `str`, `float`, `int`, `bool` or `time`; a trailing `?` allows
            nulls.
        key_columns: columns whose values together are unique in each row.
        row_dimension: symbol of the row count, shared with other artifacts of the stage.
        has_extra_columns: whether further columns are allowed.
        suffix: ending of the file name.
    """

    columns: Mapping[str, str]
    key_columns: tuple[str, ...] = ()
    row_dimension: str | None = None
    has_extra_columns: bool = False
    suffix: ClassVar[str] = ".parquet"

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` has these columns, dtypes, unique key and row count.

        Args:
            name: name of the artifact, for messages.
            value: the table.
            dimensions: sizes bound so far; a new symbol is added.
        """
        if not hasattr(value, "columns"):
            raise ContractError(f"{name}: expected a table, got {type(value).__name__}")
        self._check_column_names(name, value)
        for column, dtype in self.columns.items():
            self._check_column(f"{name}.{column}", value[column], dtype)
        if self.key_columns and bool(value.duplicated(list(self.key_columns)).any()):
            raise ContractError(f"{name}: rows repeat the key {self.key_columns}")
        if self.row_dimension:
            _bind_dimension(name, dimensions, self.row_dimension, len(value))

    def _check_column_names(self, name: str, table: Any) -> None:
        missing = [column for column in self.columns if column not in table.columns]
        surplus = [str(column) for column in table.columns if column not in self.columns]
        if self.has_extra_columns:
            surplus = []
        if missing or surplus:
            raise ContractError(f"{name}: missing columns {missing}, surplus columns {surplus}")

    @staticmethod
    def _check_column(origin: str, series: Any, dtype: str) -> None:
        is_missing = series.isna()
        if len(series) and not is_missing.all() and not _DTYPE_CHECKS[dtype.rstrip("?")](series):
            raise ContractError(f"{origin}: dtype {series.dtype}, expected {dtype}")
        if bool(is_missing.any()) and not dtype.endswith("?"):
            raise ContractError(f"{origin}: has nulls, and the contract allows none")


@dataclass(frozen=True)
class ArrayContract:
    """A numpy array.

    Attributes:
        dtype: the dtype's name, such as `uint8`.
        shape: a size or a symbol for each axis; symbols are shared with other artifacts of the
            stage.
        suffix: ending of the file name.
    """

    dtype: str
    shape: tuple[str | int, ...]
    suffix: ClassVar[str] = ".npy"

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` has this dtype and shape.

        Args:
            name: name of the artifact, for messages.
            value: the array.
            dimensions: sizes bound so far; a new symbol is added.
        """
        found_dtype = str(getattr(value, "dtype", type(value).__name__))
        if found_dtype != self.dtype:
            raise ContractError(f"{name}: dtype {found_dtype}, expected {self.dtype}")
        if len(value.shape) != len(self.shape):
            raise ContractError(f"{name}: shape {value.shape}, expected {self.shape}")
        for symbol, size in zip(self.shape, value.shape, strict=True):
            _bind_dimension(name, dimensions, symbol, size)


def _is_finite(value: Any) -> bool:
    """Return whether a JSON value has text keys and no NaN or infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, (list, tuple)) else True


@dataclass(frozen=True)
class RecordContract:
    """A JSON object. Unknown numbers in it are null, never NaN.

    Attributes:
        required_keys: keys that it must have; further keys are allowed.
        suffix: ending of the file name.
    """

    required_keys: tuple[str, ...]
    suffix: ClassVar[str] = ".json"

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` is a dict with these keys and finite numbers.

        Args:
            name: name of the artifact, for messages.
            value: the record.
            dimensions: unused; a record has no size.
        """
        known = value if isinstance(value, dict) else {}
        missing = [key for key in self.required_keys if key not in known]
        if missing:
            raise ContractError(f"{name}: missing keys {missing}")
        if not _is_finite(value):
            raise ContractError(
                f"{name}: holds NaN, infinity or a key that is not text; write null instead"
            )


@dataclass(frozen=True)
class FolderContract:
    """A folder of files.

    Attributes:
        required_files: names of files that it must hold; further files are allowed.
        suffix: ending of the folder's name.
    """

    required_files: tuple[str, ...]
    suffix: ClassVar[str] = ""

    def check_value(self, name: str, value: Any, dimensions: DimensionSizes) -> None:
        """Raise `ContractError` unless `value` is a folder with these files.

        Args:
            name: name of the artifact, for messages.
            value: the folder's path.
            dimensions: unused; a folder has no size.
        """
        missing = [file for file in self.required_files if not (Path(value) / file).is_file()]
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

    def exclude_images(self, image_ids: frozenset[str]) -> Any:
        """Return the object without these images, or itself if it holds none of them."""
        ...


@dataclass(frozen=True)
class ObjectContract:
    """An instance of one class that saves itself to a folder (see `FolderObject`).

    Attributes:
        class_path: module and name of the class, imported when the first value is checked or
            loaded.
        sizes: by symbolic dimension, the attribute of the object that gives its size.
        suffix: ending of the folder's name.
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
        """Raise `ContractError` unless `value` is an instance of the class with these sizes.

        Args:
            name: name of the artifact, for messages.
            value: the object.
            dimensions: sizes bound so far; a new symbol is added.
        """
        if not isinstance(value, self.import_class()):
            raise ContractError(f"{name}: expected {self.class_path}, got {type(value).__name__}")
        for symbol, attribute in self.sizes.items():
            _bind_dimension(name, dimensions, symbol, getattr(value, attribute))


ArtifactContract = TableContract | ArrayContract | RecordContract | FolderContract | ObjectContract
StageOutputs = dict[str, Any]
"""Return value of a stage: every artifact that it makes, by name."""


class ProgressTracker(Protocol):
    """Shows the progress of a loop: `for x in track(items, total=len(items), unit="images")`."""

    def __call__(self, items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        """Yield the same items, one by one.

        Args:
            items: what the loop runs over.
            total: number of items.
            unit: plural noun for the items.
        """
        ...


def iterate_silently(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
    """Return the items unchanged: a `ProgressTracker` for tests and library use.

    Args:
        items: what the loop runs over.
        total: number of items, unused.
        unit: plural noun for the items, unused.
    """
    return iter(items)


@dataclass
class StageContext:
    """What a stage may use besides its settings and artifacts.

    Attributes:
        run_id: name of the run's folder.
        seed: seed of everything random in the stage.
        scratch_folder: the stage's own folder for checkpoints; it survives a kill until the stage
            is saved.
        runs_folder: folder of all runs, with the ledger of test openings and the champion pointers.
        track_progress: wraps loops that take long.
        previous_outputs: artifacts that this stage made in an earlier run with the same settings
            and code, by name, or None.
        run_facts: what the runner knows of the run so far: `config` (YAML), `versions`, `stages`
            (name, seconds, notes).
        followed_settings: settings of other stages that this stage follows, as `train.minutes`, by
            key; see `stage_key.collect_followed_settings`.
        notes: lines for the log, the report and `summary.json`: each states something unusual and
            its consequence.
        on_note: called with each new note.
    """

    run_id: str
    seed: int
    scratch_folder: Path
    runs_folder: Path
    track_progress: ProgressTracker = iterate_silently
    previous_outputs: Mapping[str, Any] | None = None
    run_facts: Mapping[str, Any] = field(default_factory=dict)
    followed_settings: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    on_note: Callable[[str], None] = lambda line: None

    def add_note(self, line: str) -> None:
        """Record `line` and show it at once."""
        self.notes.append(line)
        self.on_note(line)
