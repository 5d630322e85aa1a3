"""The DAG of the graph: read without Airflow, and run by Airflow if it is installed."""

from __future__ import annotations

import ast
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.graph import STAGES, list_upstream_stages
from tests.conftest import AIRFLOW
from tests.dags.parts import DAGS, ROOT, build_environment
from tests.dags.tiny import build_config, draw_images
from tests.receivers import webhook

DAG = DAGS / "failure_loop.py"
NAMES = [stage.name for stage in STAGES]
MAX_CODE_LINES = 120

# A command that records its calls and exits with given codes: Airflow's side is tested.
FAKE_COMMAND = """#!/bin/sh
[ "$1" = notify ] && exec env PYTHONPATH={root} {python} -m pipeline.cli.app "$@"
echo "$@" >> {calls}
case "$2" in {exits} *) exit 0;; esac
"""


BROKEN_CONFIGS = {
    "a file with blanks": "name: '{{ 7*7 }}'\n",
    "alias": "name: &a alias\nx: *a\n",
    "cron": "name: cron\nschedule: {schedule: every day}\n",
    "deep": "[" * 100_000,
    "fed": "name: fed\nschedule: {look_seconds: 0}\n",
    "infinite": "name: infinite\nschedule: {deadline_minutes: .inf}\n",
}
"""Each becomes a DAG that fails; the file `fed` has the name of another config."""


def _list_texts(tree: ast.AST) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_it_names_no_stage_and_imports_only_the_graph_and_the_config() -> None:
    tree = ast.parse(DAG.read_text(encoding="utf-8"))
    imports = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} | {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    ours = {"pipeline.config", "pipeline.graph"}
    assert {m for m in imports if m.startswith("pipeline")} == ours
    assert {m.split(".")[0] for m in imports} == {
        "os",
        "dataclasses",
        "datetime",
        "pathlib",
        "airflow",
        "dags",
        "pipeline",
    }
    assert not _list_texts(tree) & set(NAMES)


def test_it_stays_short() -> None:
    tree = ast.parse(DAG.read_text(encoding="utf-8"))
    lines = [line for line in ast.unparse(tree).splitlines() if line.strip()]
    docstrings = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            docstrings += sum(bool(line.strip()) for line in text.splitlines())
    assert len(lines) - docstrings <= MAX_CODE_LINES


def test_versions_are_frozen() -> None:
    lines = (ROOT / "dags" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    assert any(pin.startswith("apache-airflow==3.3.") for pin in pins)
    assert any(pin.startswith("apache-airflow-providers-standard==") for pin in pins)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of Airflow's commands, and an environment with a new data base."""
    commands = AIRFLOW
    if not (commands / "airflow").is_file():
        pytest.skip(f"Airflow is absent from {commands}: make airflow")
    home = tmp_path_factory.mktemp("airflow")
    configs = home / "configs"
    configs.mkdir()
    plan = "schedule: {schedule: '0 2 * * *', owner: gate, retries: 1, retry_seconds: 0"
    plan += ", gpu_pool: cuda, notify: [$HOOK]}"
    (configs / "gate.yaml").write_text(
        f"name: gate\n{plan}\ntrain: {{unread: here}}\n", encoding="utf-8"
    )
    fed = "name: fed\nschedule: {when: data, look_seconds: 7, deadline_minutes: 240}\n"
    (configs / "fed data.yaml").write_text(fed, encoding="utf-8")
    (configs / "typo.yaml").write_text("name: typo\nschedule: {retires: 1}\n", encoding="utf-8")
    (configs / "twin.yaml").write_text("name: gate\n", encoding="utf-8")
    for name, text in BROKEN_CONFIGS.items():
        (configs / f"{name}.yaml").write_text(text, encoding="utf-8")
    env = build_environment(home, configs)
    subprocess.run(
        [commands / "airflow", "db", "migrate"],
        env=env,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return commands, env


def _run_dag(
    airflow: tuple[Path, dict[str, str]], nightshift: Path, *options: str, hook: str = "log"
) -> subprocess.CompletedProcess[str]:
    commands, env = airflow
    line = [str(commands / "airflow"), "dags", "test", "gate", *options]
    env = env | {"NIGHTSHIFT": str(nightshift), "HOOK": hook}
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=500, check=False)


def _write_fake_command(folder: Path, exits: dict[str, int]) -> tuple[Path, Path]:
    """Return a command with these exit codes by stage, and the file that records its calls."""
    calls, command = folder / "calls", folder / "nightshift"
    cases = "".join(f"{stage}) exit {code};; " for stage, code in exits.items())
    text = FAKE_COMMAND.format(calls=calls, exits=cases, root=ROOT, python=sys.executable)
    command.write_text(text, encoding="utf-8")
    command.chmod(0o755)
    return command, calls


def _read_returned(airflow: tuple[Path, dict[str, str]], key: str) -> dict[str, str]:
    """Return the values of the tasks under a key, by task."""
    with closing(sqlite3.connect(Path(airflow[1]["AIRFLOW_HOME"]) / "airflow.db")) as base:
        rows = base.execute("select task_id, value from xcom where key = ?", [key]).fetchall()
    return {str(task): str(json.loads(value)) for task, value in rows}


def _list_called_stages(calls: Path) -> list[str]:
    return [line.split()[1] for line in calls.read_text(encoding="utf-8").splitlines()]


def _list_called_runs(calls: Path) -> set[str]:
    lines = calls.read_text(encoding="utf-8").splitlines()
    return {line.split("--run ")[1].split(" ")[0] for line in lines}


@pytest.mark.airflow
def test_the_edges_are_the_edges_of_the_graph(airflow: tuple[Path, dict[str, str]]) -> None:
    commands, env = airflow
    code = """
import json, sys
sys.path.insert(0, "dags")
import failure_loop as loop
tasks = loop.dag_gate.task_dict
(asset,) = loop.dag_fed.timetable.asset_condition.objects
(watcher,) = asset.watchers
print(json.dumps({
    "edges": {name: sorted(task.upstream_task_ids) for name, task in tasks.items()},
    "tries": [tasks["train"].retries, tasks["train"].owner],
    "pools": [tasks["train"].pool, tasks["ingest"].pool],
    "max_runs": loop.dag_gate.max_active_runs,
    "deadline": loop.dag_fed.deadline[0].interval.total_seconds(),
    "trigger": watcher.trigger.serialize(),
    "broken": {
        name.removeprefix("dag_"): dag.task_dict["config"].env["REASON"]
        for name, dag in vars(loop).items() if name.startswith("dag_") and "broken" in dag.tags
    },
    "valid": sorted(
        name.removeprefix("dag_")
        for name, dag in vars(loop).items() if name.startswith("dag_") and "broken" not in dag.tags
    ),
}))
assert not {"torch", "numpy", "pandas"} & set(sys.modules)
"""
    done = subprocess.run(
        [commands / "python", "-c", code],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    dag = json.loads(done.stdout.strip().splitlines()[-1])
    assert dag["edges"] == {name: sorted(list_upstream_stages(name)) for name in NAMES}
    assert (dag["tries"], dag["pools"]) == ([1, "gate"], ["cuda", "default_pool"])
    assert (dag["max_runs"], dag["deadline"]) == (1, 240 * 60)
    class_path, arguments = dag["trigger"]
    assert (class_path, arguments["seconds"]) == ("dags.watch.DatasetTrigger", 7)
    assert arguments["config"].endswith("/configs/fed data.yaml")
    broken = dag["broken"]
    assert dag["valid"] == ["fed", "gate"], "no file hides them"
    assert sorted(broken) == sorted(
        ["a_file_with_blanks", "alias", "cron", "deep", "fed-broken-1", "infinite", "twin", "typo"]
    )
    assert "unknown key schedule.retires; did you mean schedule.retries?" in broken["typo"]
    assert "another config here is called gate too" in broken["twin"]
    assert "aliases" in broken["alias"]
    assert "deadline_minutes" in broken["infinite"]
    assert "{{ '{' }}{{ '{' }} 7*7 }}" in broken["a_file_with_blanks"], "no template"


@pytest.mark.airflow
def test_a_refusal_stops_nothing(airflow: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    command, calls = _write_fake_command(tmp_path, {"promote": 1, "report": 1})
    done = _run_dag(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    called = _list_called_stages(calls)
    assert sorted(called) == sorted(NAMES)
    assert all(
        called.index(above) < called.index(name)
        for name in NAMES
        for above in list_upstream_stages(name)
    )
    (run,) = _list_called_runs(calls)
    assert run.startswith("gate-")
    assert not set(":+/ ") & set(run)
    values = _read_returned(airflow, "return_value")
    links = _read_returned(airflow, "_link_ReportLink")
    refused = {name for name, value in values.items() if "refused: a condition failed" in value}
    assert refused == {"promote", "report"}
    assert set(links) == set(NAMES)
    assert all(link.endswith(f"/reports/{run}/index.html") for link in links.values())


@pytest.mark.airflow
def test_bad_input_stops_the_dependent_stages(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    command, calls = _write_fake_command(tmp_path, {"split": 2})
    with webhook() as (hook, posts):
        overrides = json.dumps({"overrides": ["split.train_where=a; exit 0", "train.epochs=1"]})
        done = _run_dag(airflow, command, "--conf", overrides, hook=hook)
    assert "state=failed" in done.stdout + done.stderr
    (post,) = posts
    assert post["title"] == "Nightshift, gate: failure"
    assert post["message"].startswith("gate: split failed: bad config or input")
    assert "\nIts log: http://localhost:8080/dags/gate/runs/" in post["message"]
    stopped = {"split"}
    for name in NAMES:
        stopped |= {name} if stopped & set(list_upstream_stages(name)) else set()
    assert sorted(_list_called_stages(calls)) == sorted({*NAMES} - stopped | {"split"}), (
        "split once, though retries are set"
    )
    assert (
        calls.read_text(encoding="utf-8")
        .splitlines()[0]
        .endswith("gate.yaml -- split.train_where=a; exit 0 train.epochs=1")
    )


@pytest.mark.airflow
@pytest.mark.parametrize("override", ["--help", "name=x", "train.epochs=1\n--help"])
def test_an_option_or_a_setting_of_no_stage_is_no_override(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path, override: str
) -> None:
    command, calls = _write_fake_command(tmp_path, {})
    done = _run_dag(airflow, command, "--conf", json.dumps({"overrides": [override]}))
    assert done.returncode != 0
    assert not calls.exists()


@pytest.mark.airflow
def test_a_crash_is_tried_again_in_the_same_run(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    command, calls = _write_fake_command(tmp_path, {})
    crash = (
        f'[ "$2" != train ] || [ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; exit 70; }}\n'
    )
    command.write_text(command.read_text(encoding="utf-8") + crash, encoding="utf-8")
    text = command.read_text(encoding="utf-8").replace("*) exit 0;; ", "")
    command.write_text(text, encoding="utf-8")
    done = _run_dag(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert sorted(_list_called_stages(calls)) == sorted([*NAMES, "train"])
    assert len(_list_called_runs(calls)) == 1


# The real command. It is killed once, when the stage `killed_stage` saves its outputs.
KILLED_COMMAND = """#!/bin/sh
echo "$2" >> {folder}/calls
cd {folder}
[ "$2" != {killed_stage} ] || [ -e killed ] || {{ touch killed; export KILL=1; }}
exec env PYTHONPATH={root} {python} -c 'import os, signal
from pipeline.storage.artifact_store import RunFolder
from pipeline.cli.app import main
if os.environ.get("KILL"):
    RunFolder.save_stage = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
main()' "$@"
"""


@pytest.mark.airflow
def test_the_real_loop_is_killed_and_continues_to_its_report(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """The retry runs the killed stage again, and no other."""
    draw_images(tmp_path / "images")
    plan = "schedule: {retries: 1, retry_seconds: 0}\n"
    config = build_config(tmp_path / "images") + plan
    (Path(airflow[1]["NIGHTSHIFT_CONFIGS"]) / "gate.yaml").write_text(config, encoding="utf-8")
    command = tmp_path / "nightshift"
    text = KILLED_COMMAND.format(
        folder=tmp_path, root=ROOT, python=sys.executable, killed_stage="split"
    )
    command.write_text(text, encoding="utf-8")
    command.chmod(0o755)
    done = _run_dag(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (run,) = (tmp_path / "runs").glob("gate-manual*")
    assert [name for name in NAMES if (run / name / "stage.json").is_file()] == NAMES
    assert sorted((tmp_path / "calls").read_text().split()) == sorted([*NAMES, "split"])
    assert (tmp_path / "reports" / run.name / "index.html").is_file()
