"""The Airflow view of the graph: read without Airflow, and run by Airflow where it is installed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.graph import STAGES, upstream

ROOT = Path(__file__).resolve().parents[2]
DAG = ROOT / "dags" / "failure_loop.py"
NAMES = [s.name for s in STAGES]

CONFIG = """
name: tiny
ingest: {data: photos, side: 32}
train: {backbone: test_resnet, weights: none, epochs: 1, batch: 16}
retrain: {epochs: 1, batch: 16, seeds: 1, generic: false}
"""
STAND_IN = """#!/bin/sh
echo "$@" >> {calls}
case "$2" in {exits} *) exit 0;; esac
"""


def _constants(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_it_names_no_stage_and_imports_the_graph_page_alone() -> None:
    tree = ast.parse(DAG.read_text(encoding="utf-8"))
    imports = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} | {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    assert {m for m in imports if m.startswith("pipeline")} == {"pipeline.graph"}
    assert {m.split(".")[0] for m in imports} == {"os", "pathlib", "airflow", "pipeline"}
    assert not _constants(tree) & set(NAMES)


def test_it_stays_short() -> None:
    code = [line for line in ast.unparse(ast.parse(DAG.read_text(encoding="utf-8"))).splitlines() if line.strip()]
    assert len(code) <= 25


def test_versions_are_frozen() -> None:
    lines = (ROOT / "dags" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    assert any(pin.startswith("apache-airflow==3.3.") for pin in pins)
    assert any(pin.startswith("apache-airflow-providers-standard==") for pin in pins)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of Airflow's commands and an environment with a fresh data base."""
    default = ROOT / ".airflow" / "venv" / "bin"
    commands = Path(os.environ.get("NIGHTSHIFT_AIRFLOW", default))
    if not (commands / "airflow").is_file():
        pytest.skip(f"Airflow is absent from {commands}: make airflow")
    home = tmp_path_factory.mktemp("airflow")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "VIRTUAL_ENV"))} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    subprocess.run([commands / "airflow", "db", "migrate"], env=env, check=True, capture_output=True, timeout=300)
    return commands, env


def _run(airflow: tuple[Path, dict[str, str]], nightshift: Path, *more: str) -> subprocess.CompletedProcess[str]:
    commands, env = airflow
    line = [str(commands / "airflow"), "dags", "test", "failure_loop", *more]
    env = env | {"NIGHTSHIFT": str(nightshift)}
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=500, check=False)


def _stand_in(folder: Path, exits: dict[str, int]) -> tuple[Path, Path]:
    """A command that records how it was called and exits as told: what is tested is Airflow's side."""
    calls, command = folder / "calls", folder / "nightshift"
    cases = "".join(f"{stage}) exit {code};; " for stage, code in exits.items())
    command.write_text(STAND_IN.format(calls=calls, exits=cases), encoding="utf-8")
    command.chmod(0o755)
    return command, calls


def _called(calls: Path) -> list[str]:
    return [line.split()[1] for line in calls.read_text(encoding="utf-8").splitlines()]


@pytest.mark.airflow
def test_edges_are_those_of_the_graph_page(airflow: tuple[Path, dict[str, str]]) -> None:
    commands, env = airflow
    code = (
        "import json, sys; sys.path.insert(0, 'dags'); import failure_loop as f\n"
        "print(json.dumps({n: sorted(t.upstream_task_ids) for n, t in f.tasks.items()}))\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [commands / "python", "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    edges = json.loads(done.stdout.strip().splitlines()[-1])
    assert edges == {name: sorted(upstream(name)) for name in NAMES}


@pytest.mark.airflow
def test_a_refusal_stops_nothing(airflow: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    command, calls = _stand_in(tmp_path, {"promote": 1, "report": 1})
    done = _run(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert _called(calls) == NAMES
    runs = {line.split("--run ")[1].split(" ")[0] for line in calls.read_text(encoding="utf-8").splitlines()}
    assert len(runs) == 1
    assert not set(":+/ ") & set(runs.pop())


@pytest.mark.airflow
def test_bad_input_stops_what_needs_it(airflow: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    command, calls = _stand_in(tmp_path, {"split": 2})
    done = _run(airflow, command, "--conf", json.dumps({"config": "my config.yaml; exit 0"}))
    assert "state=failed" in done.stdout + done.stderr
    assert _called(calls) == NAMES[: NAMES.index("split") + 1]
    assert calls.read_text(encoding="utf-8").splitlines()[0].endswith("-c my config.yaml; exit 0")


@pytest.mark.airflow
@pytest.mark.long
def test_the_real_loop_runs_to_its_report(airflow: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label, channel in (("red", 2), ("blue", 0)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(24):
            photo = generator.integers(40, 90, (32, 32, 3))
            photo[8:24, 8:24, channel] += 120
            cv2.imwrite(str(tmp_path / "photos" / label / f"{i:03}.png"), photo.astype(np.uint8))
    config = tmp_path / "tiny.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    command = tmp_path / "nightshift"
    installed = Path(sys.executable).parent / "nightshift"
    command.write_text(f'#!/bin/sh\ncd {tmp_path} && exec env -u PYTHONPATH {installed} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    done = _run(airflow, command, "--conf", json.dumps({"config": str(config)}))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (run,) = (tmp_path / "runs").glob("manual*")
    assert [name for name in NAMES if (run / name / "stage.json").is_file()] == NAMES
    assert (tmp_path / "reports" / run.name / "index.html").is_file()
