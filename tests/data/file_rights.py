"""Tests of files without read permission."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def drop_root_rights() -> Iterator[None]:
    """Act as an ordinary user, because root may read every file."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
