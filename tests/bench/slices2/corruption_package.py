"""The package imagecorruptions, with names that newer packages no longer have.

Its last release imports pkg_resources, which setuptools dropped, and uses `np.float_`, which numpy
2 dropped. It asks for opencv-python beside opencv-python-headless, so that no extra installs it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


class CorruptionsAbsentError(Exception):
    """The package imagecorruptions, or a package that it needs, is not installed."""


def load_corruptions() -> Any:
    """Return the package imagecorruptions.

    Raises:
        CorruptionsAbsentError: the package cannot be imported.
    """
    if "pkg_resources" not in sys.modules and not importlib.util.find_spec("pkg_resources"):
        substitute: Any = ModuleType("pkg_resources")
        substitute.resource_filename = _find_package_file
        sys.modules["pkg_resources"] = substitute
    if not hasattr(np, "float_"):
        setattr(np, "float_", np.float64)  # noqa: B010 - no attribute that the types know
    try:
        return importlib.import_module("imagecorruptions")
    except ImportError as error:
        raise CorruptionsAbsentError(str(error)) from error


def _find_package_file(module: str, name: str) -> str:
    """Return the path of a file beside a module."""
    return str(Path(str(sys.modules[module].__file__)).parent / name)
