"""Nightshift: finds the photos on which an image classifier fails, says why, and proves the repair.

`pipeline.load("champion")` is the model in force, ready to predict (see `pipeline.predict.model.load`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.predict.model import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load`, imported when it is asked for: it brings torch along."""
    if name == "load":
        from pipeline.predict.model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
