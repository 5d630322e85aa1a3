from pathlib import Path

from pipeline.engine import code_fingerprint
from pipeline.graph import get_stage


def test_the_code_version_follows_imports_and_plugins_but_not_the_machinery() -> None:
    reached = {f.name for m in ("measure", "cluster") for f in _reach(m)}
    assert {"luminance.py", "propose.py", "rules.py"} <= reached
    assert not reached & {"runner.py", "cli.py", "graph.py"}
    assert code_fingerprint.hash_stage_code("measure") != code_fingerprint.hash_stage_code(
        "cluster"
    )
    assert get_stage("measure").can_reuse_rows


def _reach(name: str) -> set[Path]:
    todo, seen = code_fingerprint._list_module_files(f"pipeline.stages.{name}"), set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            imported = code_fingerprint._iterate_imports(file) if file.suffix == ".py" else ()
            todo += [f for module in imported for f in code_fingerprint._list_module_files(module)]
    return seen
