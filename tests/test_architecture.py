"""The rules of the architecture that no linter checks: graph, imports, names, sizes, pages."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from pipeline import plugins
from pipeline.config import StageSettings, resolve_config
from pipeline.contracts import ArrayContract, TableContract
from pipeline.data.quality.health_limits import HealthLimits
from pipeline.engine.stage_execution import load_settings_classes
from pipeline.graph import ARTIFACT_CONTRACTS, STAGES, get_stage
from pipeline.serving.monitoring.traffic_limits import MonitoringLimits

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pipeline"
TESTS = ROOT / "tests"
MODULES = sorted(PACKAGE.rglob("*.py"))
PLUGIN_FOLDERS = {ROOT.joinpath(*kind.package.split(".")) for kind in plugins.PLUGIN_KINDS.values()}
STAGE_NAMES = [stage.name for stage in STAGES]
HEAVY_MODULES = {
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "cv2",
    "albumentations",
}
MAX_MODULE_LINES = 300
"""Lines of code in a module: blank lines, comments and docstrings do not count."""
MAX_FUNCTION_LINES = 35
"""Lines of a function's body without its docstring, at the 95th percentile."""
MAX_ARGUMENTS = 5
"""Arguments of a function besides artifacts, at the 95th percentile."""
MAX_FOLDER_MODULES = 16
"""Modules in a folder, without its `__init__.py`. A folder of plug-ins may have more."""
MAX_LINE_LENGTH = 100
TESTED_AS_A_WHOLE = {"pipeline/demo": "test_gate_dataset.py"}
"""Folders whose modules draw one result together, with the test file of that result."""


def _get_relative_path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# The graph and the stages.


def test_keys_and_shapes_of_artifacts_are_known() -> None:
    known = {"str", "float", "int", "bool", "time"}
    for name, contract in ARTIFACT_CONTRACTS.items():
        if isinstance(contract, TableContract):
            assert set(contract.key_columns) <= set(contract.columns), name
            assert {dtype.rstrip("?") for dtype in contract.columns.values()} <= known, name
        if isinstance(contract, ArrayContract):
            assert contract.shape, name


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_a_stage_file_has_config_on_top_and_run_with_exactly_its_needs(name: str) -> None:
    module = importlib.import_module(f"pipeline.stages.{name}")
    assert issubclass(module.Config, StageSettings)
    assert module.Config.model_config["frozen"]
    assert module.Config.model_config["extra"] == "forbid"
    parameters = inspect.signature(module.run).parameters.values()
    keyword_kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    positional = [p.name for p in parameters if p.kind not in keyword_kinds]
    keywords = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    typed = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    if typed:  # a TypedDict names the needs: Unpack[...]
        (needs,) = get_type_hints(module.run)[typed[0]].__args__
        keywords += list(needs.__annotations__)
    assert positional == ["config", "context"]
    assert sorted(keywords) == sorted(get_stage(name).needs)
    body = _parse(PACKAGE / "stages" / f"{name}.py").body
    order = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert order.index("Config") < order.index("run")


def test_every_stage_file_is_in_the_graph() -> None:
    files = {path.stem for path in (PACKAGE / "stages").glob("*.py")}
    assert files - {"__init__"} == set(STAGE_NAMES)


def test_every_setting_is_described() -> None:
    classes = {**load_settings_classes(), "check": HealthLimits, "monitor limits": MonitoringLimits}
    for name, settings_class in classes.items():
        for key, field in settings_class.model_fields.items():
            assert field.description, f"{name}.{key}"


# Plug-ins.

PLUGINS = [(kind, name) for kind in plugins.PLUGIN_KINDS for name in plugins.list_plugins(kind)]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_builtin_plugin_has_the_members_of_its_kind_with_docstrings(kind: str, name: str) -> None:
    module = plugins.load_plugin(kind, name)
    plugins.check_plugin(kind, module, f"{kind}/{name}")
    for function in plugins.PLUGIN_KINDS[kind].functions:
        assert getattr(module, function).__module__ == module.__name__
        assert (getattr(module, function).__doc__ or "").strip(), f"{name}.{function}"


@pytest.mark.parametrize("kind", plugins.PLUGIN_KINDS)
def test_every_file_of_a_plugin_folder_is_registered(kind: str) -> None:
    spec = plugins.PLUGIN_KINDS[kind]
    folder = ROOT.joinpath(*spec.package.split("."))
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(spec.names) - set(spec.modules)


def test_only_the_typed_loaders_load_plugins_by_kind() -> None:
    """Other modules import `load_remedy` and the like, so that their types are checked."""
    loaders = {folder / "__init__.py" for folder in PLUGIN_FOLDERS}
    allowed = {*loaders, PACKAGE / "plugins.py", PACKAGE / "engine" / "code_fingerprint.py"}
    pattern = re.compile(r"\b(?:load_plugin|list_plugins)\(")
    others = [path for path in MODULES if path not in allowed]
    assert [p for p in others if pattern.search(p.read_text(encoding="utf-8"))] == []


# Imports.


def _list_heavy_modules(statement: str) -> set[str]:
    """Return the heavy modules that are loaded after a statement in a new process."""
    line = [sys.executable, "-c", f"import sys; {statement}; print(*sys.modules)"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return HEAVY_MODULES & set(done.stdout.split())


def test_the_graph_and_the_command_line_import_nothing_heavy() -> None:
    assert _list_heavy_modules("import pipeline.graph, pipeline.cli.app") == set()
    assert _list_heavy_modules("import pipeline.graph, numpy") == {"numpy"}, "the check itself"


def test_a_config_is_checked_without_torch() -> None:
    """A typo in a config is reported before torch is imported."""
    modules = "pipeline.config, pipeline.storage.artifact_store, pipeline.plugins"
    assert "torch" not in _list_heavy_modules(f"import {modules}")


# Tests mirror the package.


def _has_code(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in _parse(path).body)


def _list_mirrors(path: Path) -> list[Path]:
    """Return the possible test files of a module.

    They are its own file, the file of a module whose name it extends (`image_sources` of `image`),
    or the file that tests its folder as a whole.
    """
    folder = TESTS / path.relative_to(PACKAGE).parent
    if _get_relative_path(path.parent) in TESTED_AS_A_WHOLE:
        whole = [folder / TESTED_AS_A_WHOLE[_get_relative_path(path.parent)]]
        return [folder / f"test_{path.stem}.py", *whole]
    if path.name == "__init__.py":
        own_name = f"test_{path.parent.name}.py"
        return [folder / "test_init.py", folder / own_name, folder.parent / own_name]
    words = path.stem.split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return [folder / f"test_{name}.py" for name in names]


@pytest.mark.parametrize("path", list(filter(_has_code, MODULES)), ids=_get_relative_path)
def test_every_module_has_a_test_file(path: Path) -> None:
    mirrors = _list_mirrors(path)
    assert any(mirror.is_file() for mirror in mirrors), f"it needs {_get_relative_path(mirrors[0])}"


def test_every_test_file_belongs_to_a_module() -> None:
    mirrors = {mirror for path in MODULES for mirror in _list_mirrors(path)}
    whole = {TESTS / f"test_{name}.py" for name in ("architecture", "gtsrb", "packaging")}
    for name in ("browser", "review_in_browser"):
        whole.add(TESTS / "report" / f"test_{name}.py")
    strays = []
    for path in TESTS.rglob("test_*.py"):
        has_package = (PACKAGE / path.parent.relative_to(TESTS)).is_dir()
        if has_package and path not in mirrors | whole:
            strays.append(_get_relative_path(path))
    assert strays == []


# Names and sizes.


def test_no_two_modules_share_a_name() -> None:
    names = Counter(path.stem for path in MODULES if not path.stem.startswith("__"))
    assert {name for name, count in names.items() if count > 1} == set()


def test_no_folder_has_too_many_modules() -> None:
    counts = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    large = {
        _get_relative_path(folder): count
        for folder, count in counts.items()
        if count > MAX_FOLDER_MODULES and folder not in PLUGIN_FOLDERS
    }
    assert large == {}


def test_no_line_is_too_long() -> None:
    """Ruff does not see files that it excludes, nor templates' scripts."""
    for path in [*MODULES, *(ROOT / "dags").glob("*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= MAX_LINE_LENGTH, f"{_get_relative_path(path)}:{number}"


def _find_docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


@pytest.mark.parametrize("path", MODULES, ids=_get_relative_path)
def test_a_module_is_short(path: Path) -> None:
    docstring_lines = _find_docstring_lines(_parse(path))
    count = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        count += bool(text) and not text.startswith("#") and number not in docstring_lines
    assert count <= MAX_MODULE_LINES


def _list_functions() -> list[tuple[str, ast.FunctionDef]]:
    functions = []
    for path in MODULES:
        for node in ast.walk(_parse(path)):
            if isinstance(node, ast.FunctionDef):
                functions.append((f"{_get_relative_path(path)}:{node.name}", node))
    return functions


def _count_body_lines(node: ast.FunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _count_arguments(node: ast.FunctionDef) -> int:
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    ignored = {"self", "cls", *ARTIFACT_CONTRACTS}
    return sum(argument.arg not in ignored for argument in arguments)


@pytest.mark.parametrize(
    ("count", "limit"),
    [(_count_body_lines, MAX_FUNCTION_LINES), (_count_arguments, MAX_ARGUMENTS)],
    ids=["lines", "arguments"],
)
def test_functions_are_short_and_take_few_arguments(
    count: Callable[[ast.FunctionDef], int], limit: int
) -> None:
    sizes = sorted((count(node), name) for name, node in _list_functions())
    percentile = sizes[int(0.95 * (len(sizes) - 1))][0]
    assert percentile <= limit, f"95th percentile {percentile}; the largest: {sizes[-5:]}"


# Pages and ready-made configs.


def test_the_readme_lists_the_stages_of_the_graph_in_their_order() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| stage | what it does |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == STAGE_NAMES


PAGES = ["README.md", "CONTRIBUTING.md", "tests/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    names = set(re.findall(r"\b(?:pipeline|tests|dags|configs)/[\w/]+(?:\.\w+|/)", text))
    assert names
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_of_a_page_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([\w-]+)", text, flags=re.MULTILINE))
    assert targets
    assert targets <= set(re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE))


def test_make_lists_its_targets() -> None:
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^make ([\w-]+) +\S", done.stdout, flags=re.MULTILINE)
    assert listed[0] == "help"
    assert {"demo", "test", "test-all", "lint", "install", "bench"} <= set(listed)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=_get_relative_path)
def test_a_config_is_valid_and_writes_no_default(path: Path) -> None:
    classes = load_settings_classes()
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolved = resolve_config(path, [], classes)
    assert resolved.general.name == path.stem
    for name in written.keys() & classes.keys():
        values = resolved.stages[name].model_dump(mode="json")
        for key in written[name]:
            assert values[key] != classes[name].model_fields[key].default, f"{name}.{key}"
