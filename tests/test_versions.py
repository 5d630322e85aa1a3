from pathlib import Path

from pipeline import versions
from pipeline.graph import stage


def test_the_code_version_follows_imports_and_plugins_but_not_the_machinery() -> None:
    reached = {f.name for m in ("measure", "cluster") for f in _reach(m)}
    assert {"luminance.py", "propose.py", "rules.py"} <= reached
    assert not reached & {"runner.py", "cli.py", "graph.py"}
    assert versions.code_version("measure") != versions.code_version("cluster")
    assert stage("measure").reuses


def _reach(name: str) -> set[Path]:
    todo, seen = versions._files(f"pipeline.stages.{name}"), set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            imported = versions._imports(file) if file.suffix == ".py" else ()
            todo += [f for module in imported for f in versions._files(module)]
    return seen
