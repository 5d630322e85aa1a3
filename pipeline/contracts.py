"""What an artifact is, and the check that stands at every boundary.

Four kinds exist. In memory a `Table` is a pandas DataFrame, an `Array` a numpy array (memory-mapped when
it was read from a run), a `Record` a JSON object (dict), a `Bundle` the path of a folder of files.
This module imports neither numpy nor pandas: the graph can be read without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

Dims = dict[str, int]
"""Sizes bound so far to the symbolic dimensions of one stage's artifacts, such as `{"images": 2400}`."""

_DTYPES: dict[str, Callable[[Any], bool]] = {
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

    code = 2
    """What a command that it ends is to exit with."""


class Busy(InputError):
    """Another process holds what is asked for: the same may be asked again later."""

    code = 75  # EX_TEMPFAIL of sysexits.h


def _bind(name: str, dims: Dims, symbol: str | int, size: int) -> None:
    expected = dims.setdefault(symbol, size) if isinstance(symbol, str) else symbol
    if expected != size:
        raise ContractError(f"{name}: dimension {symbol!r} is {size}, expected {expected}")


@dataclass(frozen=True)
class Table:
    """Columns by name and dtype (`str`, `float`, `int`, `bool`, `time`; a trailing `?` allows nulls)."""

    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    rows: str | None = None
    extra: bool = False
    suffix: ClassVar[str] = ".parquet"

    def check(self, name: str, value: Any, dims: Dims) -> None:
        """Raise `ContractError` unless `value` has these columns, dtypes, unique key and row count."""
        if not hasattr(value, "columns"):
            raise ContractError(f"{name}: a table was promised, got {type(value).__name__}")
        missing = [c for c in self.columns if c not in value.columns]
        surplus = [] if self.extra else [str(c) for c in value.columns if c not in self.columns]
        if missing or surplus:
            raise ContractError(f"{name}: missing columns {missing}, surplus columns {surplus}")
        for column, dtype in self.columns.items():
            series = value[column]
            nulls = bool(series.isna().any())
            if len(series) and not (series.isna().all() or _DTYPES[dtype.rstrip("?")](series)):
                raise ContractError(f"{name}.{column}: dtype {series.dtype}, expected {dtype}")
            if nulls and not dtype.endswith("?"):
                raise ContractError(f"{name}.{column}: has nulls, and the graph page allows none")
        if self.key and bool(value.duplicated(list(self.key)).any()):
            raise ContractError(f"{name}: rows repeat the key {self.key}")
        if self.rows:
            _bind(name, dims, self.rows, len(value))


@dataclass(frozen=True)
class Array:
    """A numpy array of one dtype; a shape of sizes and symbols shared with the stage's other artifacts."""

    dtype: str
    shape: tuple[str | int, ...]
    suffix: ClassVar[str] = ".npy"

    def check(self, name: str, value: Any, dims: Dims) -> None:
        """Raise `ContractError` unless dtype and shape are as promised."""
        if not hasattr(value, "dtype") or str(value.dtype) != self.dtype:
            raise ContractError(f"{name}: dtype {getattr(value, 'dtype', type(value).__name__)}, expected {self.dtype}")
        if len(value.shape) != len(self.shape):
            raise ContractError(f"{name}: shape {value.shape}, expected {self.shape}")
        for symbol, size in zip(self.shape, value.shape, strict=True):
            _bind(name, dims, symbol, size)


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _finite(v) for k, v in value.items())
    return all(map(_finite, value)) if isinstance(value, (list, tuple)) else True


@dataclass(frozen=True)
class Record:
    """A JSON object with at least these keys; numbers in it are finite (use null for "unknown")."""

    keys: tuple[str, ...]
    suffix: ClassVar[str] = ".json"

    def check(self, name: str, value: Any, dims: Dims) -> None:
        """Raise `ContractError` unless `value` is a dict with these keys and finite numbers."""
        missing = [k for k in self.keys if not isinstance(value, dict) or k not in value]
        if missing:
            raise ContractError(f"{name}: missing keys {missing}")
        if not _finite(value):
            raise ContractError(f"{name}: holds NaN, infinity or a key that is not text; write null instead")


@dataclass(frozen=True)
class Bundle:
    """A folder that holds at least these files."""

    files: tuple[str, ...]
    suffix: ClassVar[str] = ""

    def check(self, name: str, value: Any, dims: Dims) -> None:
        """Raise `ContractError` unless `value` is a folder with these files."""
        missing = [f for f in self.files if not (Path(value) / f).is_file()]
        if missing:
            raise ContractError(f"{name}: the folder {value} lacks {missing}")


Artifact = Table | Array | Record | Bundle
Made = dict[str, Any]
"""What a stage returns: every artifact it makes, by name."""


class Track(Protocol):
    """Wraps a loop and shows how far it is: `for x in track(items, total=len(items), what="photos")`."""

    def __call__(self, items: Iterable[Any], *, total: int, what: str) -> Iterator[Any]:
        """The same items, one by one."""
        ...


def silent(items: Iterable[Any], *, total: int, what: str) -> Iterator[Any]:
    """A `Track` that shows nothing, for tests and library use."""
    return iter(items)


@dataclass
class Context:
    """What a stage may use besides its settings and artifacts.

    scratch: a folder of this stage's own that survives a kill (checkpoints) until the stage is saved.
    home: the folder of all runs (the ledger of test openings and the champion pointer live there).
    previous: the artifacts this stage made in an earlier run with the same settings and code, or None.
    facts: what the runner knows of the run so far: `config` (YAML), `versions`, `stages` (name, seconds, notes).
    note: records one line for the log, the report and `summary.json` (what was odd, and what follows).
    """

    run_id: str
    seed: int
    scratch: Path
    home: Path
    track: Track = silent
    previous: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    on_note: Callable[[str], None] = lambda line: None

    def note(self, line: str) -> None:
        """Record `line` and show it at once."""
        self.notes.append(line)
        self.on_note(line)
