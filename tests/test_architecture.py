"""The house rules that no linter knows: the graph page, the mirror of tests, what is imported when, and sizes."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from pipeline import plugins
from pipeline.config import StageSettings, resolve_config
from pipeline.contracts import ArrayContract, TableContract
from pipeline.graph import (
    ARTIFACT_CONTRACTS,
    STAGES,
    find_producer,
    get_stage,
    list_upstream_stages,
)

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
KINDS = ("datasets", "attributes", "remedies", "sections")
STAGE_NAMES = [s.name for s in STAGES]
HEAVY = {
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
MODULE_LINES, FUNCTION_LINES, ARGUMENTS = 300, 35, 5  # the latter two: 95th percentile


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# The graph page.


def test_a_stage_needs_only_what_an_earlier_one_makes() -> None:
    made: set[str] = set()
    for item in STAGES:
        assert set(item.needs) <= made, (
            f"{item.name} needs {set(item.needs) - made}, which nothing before it makes"
        )
        made |= set(item.makes)


def test_each_artifact_is_made_once_and_contracted() -> None:
    made = Counter(name for item in STAGES for name in item.makes)
    assert set(made) == set(ARTIFACT_CONTRACTS)
    assert set(made.values()) == {1}
    assert len(set(STAGE_NAMES)) == len(STAGES)


def test_edges_are_derived() -> None:
    for item in STAGES:
        above = list_upstream_stages(item.name)
        assert set(above) == {find_producer(need).name for need in item.needs}
        assert sorted(above, key=STAGE_NAMES.index) == list(above)
    assert tuple(get_stage("report").makes) == ("html", "summary")


def test_keys_and_shapes_name_what_exists() -> None:
    known = {"str", "float", "int", "bool", "time"}
    for name, kind in ARTIFACT_CONTRACTS.items():
        if isinstance(kind, TableContract):
            assert set(kind.key_columns) <= set(kind.columns), name
            assert {dtype.rstrip("?") for dtype in kind.columns.values()} <= known, name
        if isinstance(kind, ArrayContract):
            assert kind.shape, name


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_a_stage_file_has_config_on_top_and_run_with_exactly_its_needs(name: str) -> None:
    module = importlib.import_module(f"pipeline.stages.{name}")
    assert issubclass(module.Config, StageSettings)
    assert module.Config.model_config["frozen"]
    assert module.Config.model_config["extra"] == "forbid"
    assert all(f.description for f in module.Config.model_fields.values()), (
        f"{name}: a knob without a description"
    )
    signature = inspect.signature(module.run).parameters
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    positional = [p.name for p in signature.values() if p.kind not in by_name]
    keyword = [p.name for p in signature.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    typed = [p.name for p in signature.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    if typed:  # the names and types of the needs are those of a TypedDict: Unpack[...]
        (needs,) = get_type_hints(module.run)[typed[0]].__args__
        keyword += list(needs.__annotations__)
    assert positional == ["config", "context"]
    assert sorted(keyword) == sorted(get_stage(name).needs)
    body = _tree(PACKAGE / "stages" / f"{name}.py").body
    order = [n.name for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    assert order.index("Config") < order.index("run")


def test_every_stage_file_is_on_the_page() -> None:
    assert {p.stem for p in (PACKAGE / "stages").glob("*.py")} - {"__init__"} == set(STAGE_NAMES)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in plugins.list_plugins(kind)]
)
def test_a_plugin_is_one_name_in_three_places(kind: str, name: str) -> None:
    module = plugins.load_plugin(kind, name)
    function = plugins.load_plugin_function(kind, name)
    assert function.__module__ == module.__name__
    assert (function.__doc__ or "").strip(), f"{kind}/{name}: its docstring is the wording"


# What is imported when.


def _loaded_after(statement: str) -> set[str]:
    line = [sys.executable, "-c", f"import sys; {statement}; print(*sys.modules)"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return HEAVY & set(done.stdout.split())


def test_the_graph_page_imports_nothing_heavy() -> None:
    assert _loaded_after("import pipeline.graph") == set()
    assert _loaded_after("import pipeline.graph, numpy") == {
        "numpy"
    }  # the probe itself sees what is loaded


def test_the_command_line_imports_nothing_heavy() -> None:
    assert _loaded_after("import pipeline.cli.app") == set()


def test_torch_is_not_loaded_to_check_a_config() -> None:
    """A typo in a config is answered before torch has been waited for."""
    assert "torch" not in _loaded_after(
        "import pipeline.config, pipeline.storage.artifact_store, pipeline.plugins"
    )


# Tests mirror the package.


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _has_code(path: Path) -> bool:
    return any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in _tree(path).body)


def _mirrors(path: Path) -> list[Path]:
    """Where the test of a module may be: its own file, or that of the module whose name it carries on (`gate_plan`)."""
    folder = ROOT / "tests" / path.relative_to(PACKAGE).parent
    if path.name == "__init__.py":
        own = f"test_{path.parent.name}.py"
        return [folder / "test_init.py", folder / own, folder.parent / own]
    words = path.stem.split("_")
    return [folder / f"test_{'_'.join(words[:n])}.py" for n in range(len(words), 0, -1)]


@pytest.mark.parametrize("path", [p for p in MODULES if _has_code(p)], ids=_relative)
def test_every_module_has_a_test_file(path: Path) -> None:
    wanted = _mirrors(path)
    assert any(p.is_file() for p in wanted), f"{_relative(path)} needs {_relative(wanted[0])}"


def test_no_test_file_is_left_without_its_module() -> None:
    kept = {mirror for path in MODULES for mirror in _mirrors(path)}
    whole = {f"test_{name}.py" for name in ("architecture", "browser", "gtsrb")}  # of no one module
    root = ROOT / "tests"
    tests = [p for p in root.rglob("test_*.py") if (PACKAGE / p.parent.relative_to(root)).is_dir()]
    strays = [_relative(p) for p in tests if p not in kept and p.name not in whole]
    assert strays == []


# Sizes.


def _functions() -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for path in MODULES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef):
                found.append((f"{_relative(path)}:{node.name}", node))
    return found


def _lines(node: ast.FunctionDef) -> int:
    """Lines of the body; the docstring is the report's wording or a promise, and counts for nothing."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", MODULES, ids=_relative)
def test_a_module_can_be_read_at_a_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


def _p95(sizes: list[tuple[int, str]]) -> tuple[int, list[tuple[int, str]]]:
    sizes = sorted(sizes)
    return sizes[int(0.95 * (len(sizes) - 1))][0], sizes[-5:]


def test_functions_are_short() -> None:
    p95, longest = _p95([(_lines(node), name) for name, node in _functions()])
    assert p95 <= FUNCTION_LINES, f"95th percentile {p95} lines; the longest: {longest}"


def test_functions_take_few_arguments() -> None:
    """Artifacts are not counted, nor is what a method is called on."""
    p95, most = _p95([(len(_arguments(node)), name) for name, node in _functions()])
    assert p95 <= ARGUMENTS, f"95th percentile {p95} arguments; the most: {most}"


def _arguments(node: ast.FunctionDef) -> list[str]:
    every = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    return [
        a.arg for a in every if a.arg not in ("self", "cls") and a.arg not in ARTIFACT_CONTRACTS
    ]


# The words for people.


def test_the_readme_lists_the_stages_of_the_graph_in_their_order() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| stage | what it does |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == STAGE_NAMES


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:pipeline|tests|dags|configs)/[\w/]+(?:\.\w+|/)", text))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_target_that_a_page_names_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(
            re.findall(
                r"^make ([\w-]+)", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE
            )
        )
        assert named
        assert [
            name for name in named if not re.search(rf"^{name}:", makefile, flags=re.MULTILINE)
        ] == []


# The ready-made configs.


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=_relative)
def test_a_config_is_valid_and_writes_no_default(path: Path) -> None:
    classes = {
        name: importlib.import_module(f"pipeline.stages.{name}").Config for name in STAGE_NAMES
    }
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolved = resolve_config(path, [], classes)
    assert resolved.general.name == path.stem
    for name, section in written.items():
        if name in classes:
            fields, got = classes[name].model_fields, resolved.stages[name].model_dump(mode="json")
            assert {key for key in section if got[key] == fields[key].default} == set()
