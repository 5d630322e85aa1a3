"""Files that a user names, checked before they are opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyarrow.parquet

from pipeline.contracts import InputError

MAX_TABLE_BYTES = 4_000_000_000
"""Largest table; it is read into memory as a whole."""
MAX_ROWS = 10_000_000
"""Most rows of a table: ten times the largest data set that was tried."""
MAX_COLUMNS = 5000
"""Most columns of a table; a few hundred are common."""
MAX_MODEL_BYTES = 16_000_000_000
"""Largest model; it is read into memory as a whole."""
MAX_RECORD_BYTES = 64_000_000
"""Largest file of settings or decisions."""


def check_user_file(
    path: Path, max_bytes: int, description: str = "", *, may_be_empty: bool = False
) -> None:
    """Raise `InputError` unless a path is a regular file that is neither empty nor too large.

    A FIFO or a device would be waited for, or never end.

    Args:
        path: the file; links are followed.
        max_bytes: largest size.
        description: what the file is, for the error message.
        may_be_empty: whether a file of no bytes is accepted.
    """
    suffix = f" ({description})" if description else ""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no such file{suffix}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: not a regular file{suffix}")
    if not status.st_size and not may_be_empty:
        raise InputError(f"{path}: an empty file{suffix}")
    if status.st_size > max_bytes:
        raise InputError(
            f"{path}: {status.st_size:,} bytes are too many{suffix}; at most {max_bytes:,}"
        )


def check_parquet_size(path: Path) -> None:
    """Raise `InputError` if a Parquet file declares more rows, columns or bytes than fit in memory.

    A file of some kilobytes may hold any number of equal rows.
    """
    metadata = pyarrow.parquet.read_metadata(path)
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if metadata.num_rows > MAX_ROWS or metadata.num_columns > MAX_COLUMNS or size > MAX_TABLE_BYTES:
        raise InputError(
            f"{path}: {metadata.num_rows:,} rows of {metadata.num_columns:,} columns "
            f"({size:,} bytes) are too many; at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns "
            f"and {MAX_TABLE_BYTES:,} bytes"
        )
