"""The public Python API: `import nightshift`.

The distribution is called nightshift, and its code lives in the package `pipeline`. This package
makes the API importable under the distribution's name, and starts the command line. It loads
`pipeline` from the folder in which nightshift is installed, so that a user's `pipeline.py` earlier
on `sys.path` is not imported by mistake.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.analysis.python_api import analyze
    from pipeline.serving.prediction.predictor import load_predictor as load


def _locate_package() -> Path:
    """Return the folder of the package `pipeline` that was installed with this package."""
    here = Path(__file__).resolve().parent
    return here.parent if here.parent.name == "pipeline" else here.parent / "pipeline"


def _load_package(folder: Path) -> ModuleType:
    """Return the package `pipeline` of `folder`, imported once.

    Raises:
        ImportError: another module called `pipeline` was imported before.
    """
    loaded = sys.modules.get("pipeline")
    if loaded is not None:
        origin = Path(loaded.__file__ or "").resolve()
        if origin != folder / "__init__.py":
            raise ImportError(
                f"nightshift: the module `pipeline` was already imported from {origin}; "
                "import nightshift first, or rename that module"
            )
        return loaded
    spec = importlib.util.spec_from_file_location(
        "pipeline", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"nightshift: the package `pipeline` is missing from {folder}; reinstall")
    package = importlib.util.module_from_spec(spec)
    sys.modules["pipeline"] = package
    spec.loader.exec_module(package)
    return package


__version__: str = _load_package(_locate_package()).__version__
__all__ = ["__version__", "analyze", "load"]


def __getattr__(name: str) -> Any:
    """Return a function that is imported on first use: `analyze` and `load` import torch."""
    if name == "analyze":
        from pipeline.analysis.python_api import analyze

        return analyze
    if name == "load":
        from pipeline.serving.prediction.predictor import load_predictor

        return load_predictor
    if name == "main":
        from pipeline.cli.app import main

        return main
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
