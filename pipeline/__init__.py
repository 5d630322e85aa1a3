"""Nightshift finds the failures of an image classifier, names the cause, and proves the remedy.

The public Python API is `import nightshift` (see `pipeline/nightshift`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Return `analyze`, which is imported on first use."""
    if name == "analyze":
        # Not an import statement: every module imports this one, and the layers run down.
        return import_module("pipeline.analysis.python_api").analyze
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
