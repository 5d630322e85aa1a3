"""The Airflow view of the graph: read without Airflow, and run by Airflow where it is installed."""

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
from tests.dags.parts import DAGS, ROOT, environment
from tests.dags.tiny import CONFIG, images
from tests.receivers import webhook

DAG = DAGS / "failure_loop.py"
NAMES = [s.name for s in STAGES]

STAND_IN = """#!/bin/sh
[ "$1" = notify ] && exec env PYTHONPATH={root} {python} -m pipeline.cli.app "$@"
echo "$@" >> {calls}
case "$2" in {exits} *) exit 0;; esac
"""


def _constants(tree: ast.AST) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_it_names_no_stage_and_imports_the_graph_page_alone() -> None:
    tree = ast.parse(DAG.read_text(encoding="utf-8"))
    imports = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} | {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    ours = {"pipeline.config", "pipeline.contracts", "pipeline.graph"}
    assert {m for m in imports if m.startswith("pipeline")} == ours
    assert {m.split(".")[0] for m in imports} == {
        "os",
        "datetime",
        "pathlib",
        "airflow",
        "dags",
        "pipeline",
    }
    assert not _constants(tree) & set(NAMES)


def test_it_stays_short() -> None:
    code = [
        line
        for line in ast.unparse(ast.parse(DAG.read_text(encoding="utf-8"))).splitlines()
        if line.strip()
    ]
    assert len(code) <= 120


def test_versions_are_frozen() -> None:
    lines = (ROOT / "dags" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    assert any(pin.startswith("apache-airflow==3.3.") for pin in pins)
    assert any(pin.startswith("apache-airflow-providers-standard==") for pin in pins)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of Airflow's commands and an environment with a fresh data base."""
    commands = AIRFLOW
    if not (commands / "airflow").is_file():
        pytest.skip(f"Airflow is absent from {commands}: make airflow")
    home = tmp_path_factory.mktemp("airflow")
    configs = home / "configs"
    configs.mkdir()
    plan = "schedule: {schedule: '0 2 * * *', owner: gate, retries: 1, retry_seconds: 0, gpu_pool: cuda"
    plan += ", notify: [$HOOK]}"
    (configs / "gate.yaml").write_text(
        f"name: gate\n{plan}\ntrain: {{unread: here}}\n", encoding="utf-8"
    )
    fed = "name: fed\nschedule: {when: data, look_seconds: 7, deadline_minutes: 240}\n"
    (configs / "fed.yaml").write_text(fed, encoding="utf-8")
    (configs / "typo.yaml").write_text("name: typo\nschedule: {retires: 1}\n", encoding="utf-8")
    (configs / "twin.yaml").write_text("name: gate\n", encoding="utf-8")
    env = environment(home, configs)
    subprocess.run(
        [commands / "airflow", "db", "migrate"],
        env=env,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return commands, env


def _run(
    airflow: tuple[Path, dict[str, str]], nightshift: Path, *more: str, hook: str = "log"
) -> subprocess.CompletedProcess[str]:
    commands, env = airflow
    line = [str(commands / "airflow"), "dags", "test", "gate", *more]
    env = env | {"NIGHTSHIFT": str(nightshift), "HOOK": hook}
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=500, check=False)


def _stand_in(folder: Path, exits: dict[str, int]) -> tuple[Path, Path]:
    """A command that records how it was called and exits as told: what is tested is Airflow's side."""
    calls, command = folder / "calls", folder / "nightshift"
    cases = "".join(f"{stage}) exit {code};; " for stage, code in exits.items())
    command.write_text(
        STAND_IN.format(calls=calls, exits=cases, root=ROOT, python=sys.executable),
        encoding="utf-8",
    )
    command.chmod(0o755)
    return command, calls


def _returned(airflow: tuple[Path, dict[str, str]], key: str) -> dict[str, str]:
    """What the tasks left under this key, by task."""
    with closing(sqlite3.connect(Path(airflow[1]["AIRFLOW_HOME"]) / "airflow.db")) as base:
        rows = base.execute("select task_id, value from xcom where key = ?", [key]).fetchall()
    return {str(task): str(json.loads(value)) for task, value in rows}


def _called(calls: Path) -> list[str]:
    return [line.split()[1] for line in calls.read_text(encoding="utf-8").splitlines()]


@pytest.mark.airflow
def test_edges_are_those_of_the_graph_page(airflow: tuple[Path, dict[str, str]]) -> None:
    commands, env = airflow
    code = (
        "import json, sys; sys.path.insert(0, 'dags'); import failure_loop as f\n"
        "d = f.dag_gate; t = d.get_task('train'); i = d.get_task('ingest')\n"
        "told = {'edges': {n: sorted(t.upstream_task_ids) for n, t in d.task_dict.items()}}\n"
        "told |= {'tries': [t.retries, t.owner], 'pools': [t.pool, i.pool], 'runs': d.max_active_runs}\n"
        "(asset,) = f.dag_fed.timetable.asset_condition.objects; (watcher,) = asset.watchers\n"
        "told |= {'deadline': f.dag_fed.deadline[0].interval.total_seconds(), 'look': watcher.trigger.serialize()}\n"
        "told |= {'broken': [f.dag_typo.task_dict['config'].env['WHY'], f.dag_twin.task_dict['config'].env['WHY']]}\n"
        "print(json.dumps(told))\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [commands / "python", "-c", code],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["edges"] == {name: sorted(list_upstream_stages(name)) for name in NAMES}
    assert (told["tries"], told["pools"], told["runs"]) == (
        [1, "gate"],
        ["cuda", "default_pool"],
        1,
    )
    assert told["deadline"] == 240 * 60
    classpath, made = told["look"]
    assert (classpath, made["seconds"]) == ("dags.watch.DataChanged", 7)
    assert made["config"].endswith("/configs/fed.yaml")
    typo, twin = told["broken"]
    assert "unknown key schedule.retires; did you mean schedule.retries?" in typo
    assert "another config here is called gate too" in twin


@pytest.mark.airflow
def test_a_refusal_stops_nothing(airflow: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    command, calls = _stand_in(tmp_path, {"promote": 1, "report": 1})
    done = _run(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    called = _called(calls)
    assert sorted(called) == sorted(NAMES)
    assert all(
        called.index(above) < called.index(name)
        for name in NAMES
        for above in list_upstream_stages(name)
    )
    runs = {
        line.split("--run ")[1].split(" ")[0]
        for line in calls.read_text(encoding="utf-8").splitlines()
    }
    assert len(runs) == 1
    run = runs.pop()
    assert run.startswith("gate-")
    assert not set(":+/ ") & set(run)
    values, links = (_returned(airflow, key) for key in ("return_value", "_link_ReportLink"))
    refused = {name for name, value in values.items() if "refused: a condition failed" in value}
    assert refused == {"promote", "report"}
    assert set(links) == set(NAMES)
    assert all(link.endswith(f"/reports/{run}/index.html") for link in links.values())


@pytest.mark.airflow
def test_bad_input_stops_what_needs_it(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    command, calls = _stand_in(tmp_path, {"split": 2})
    with webhook() as (hook, posted):
        overrides = json.dumps({"overrides": ["name=my gate; exit 0", "seed=1"]})
        done = _run(airflow, command, "--conf", overrides, hook=hook)
    assert "state=failed" in done.stdout + done.stderr
    (post,) = posted
    assert post["title"] == "Nightshift, gate: failure"
    assert post["message"].startswith("gate: split failed: bad config or input")
    assert "\nIts log: http://localhost:8080/dags/gate/runs/" in post["message"]
    stopped = {"split"}
    for name in NAMES:
        stopped |= {name} if stopped & set(list_upstream_stages(name)) else set()
    assert sorted(_called(calls)) == sorted({*NAMES} - stopped | {"split"}), (
        "split once, though retries are set"
    )
    assert (
        calls.read_text(encoding="utf-8")
        .splitlines()[0]
        .endswith("gate.yaml name=my gate; exit 0 seed=1")
    )


@pytest.mark.airflow
def test_a_crash_is_tried_again_in_the_same_run(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    command, calls = _stand_in(tmp_path, {})
    crash = (
        f'[ "$2" != train ] || [ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; exit 70; }}\n'
    )
    command.write_text(command.read_text(encoding="utf-8") + crash, encoding="utf-8")
    text = command.read_text(encoding="utf-8").replace("*) exit 0;; ", "")
    command.write_text(text, encoding="utf-8")
    done = _run(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert sorted(_called(calls)) == sorted([*NAMES, "train"])
    assert (
        len(
            {
                line.split("--run ")[1].split(" ")[0]
                for line in calls.read_text(encoding="utf-8").splitlines()
            }
        )
        == 1
    )


REAL = """#!/bin/sh
echo "$2" >> {folder}/calls
cd {folder}
[ "$2" != {dies} ] || [ -e died ] || {{ touch died; export KILL=1; }}
exec env PYTHONPATH={root} {python} -c 'import os, signal, pipeline.storage.artifact_store as s
from pipeline.cli.app import main
save = s.Run.save
if os.environ.get("KILL"):
    s.Run.save = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
main()' "$@"
"""


@pytest.mark.airflow
def test_the_real_loop_is_killed_and_goes_on_to_its_report(
    airflow: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """A stage is killed as it would save what it made; the retry makes that stage anew, and no other."""
    images(tmp_path / "images")
    plan = "schedule: {retries: 1, retry_seconds: 0}\n"
    (Path(airflow[1]["NIGHTSHIFT_CONFIGS"]) / "gate.yaml").write_text(
        CONFIG + plan, encoding="utf-8"
    )
    command = tmp_path / "nightshift"
    told = {"folder": tmp_path, "root": ROOT, "python": sys.executable, "dies": "split"}
    command.write_text(REAL.format(**told), encoding="utf-8")
    command.chmod(0o755)
    done = _run(airflow, command)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (run,) = (tmp_path / "runs").glob("gate-manual*")
    assert [name for name in NAMES if (run / name / "stage.json").is_file()] == NAMES
    assert sorted((tmp_path / "calls").read_text().split()) == sorted([*NAMES, "split"])
    assert (tmp_path / "reports" / run.name / "index.html").is_file()
