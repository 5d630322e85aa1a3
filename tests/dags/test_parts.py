"""The DAG under a real scheduler and all parts of Airflow: on PostgreSQL, and once on SQLite."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.request import urlopen

import pytest

from pipeline.graph import STAGES
from tests.conftest import AIRFLOW, Require
from tests.dags.parts import (
    ROOT,
    Airflow,
    build_environment,
    find_postgres,
    run_airflow,
    run_postgres,
    wait,
)
from tests.dags.tiny import build_config, draw_images
from tests.receivers import webhook

pytestmark = pytest.mark.airflow
NAMES = [stage.name for stage in STAGES]
FIRST, SECOND, THIRD = NAMES[:3]

# The command that replaces nightshift: Airflow's side is tested. The config `held` waits in its
# first stage until the file `go` exists, fails once with 75 if `busy` exists, and fails in its
# second stage until `fixed` exists. The process of `killed` is killed. `fed` waits while `hold`
# exists.
FAKE_COMMAND = """#!/bin/sh
case "$1" in datasets|notify) exec env PYTHONPATH={root} {python} -m pipeline.cli.app "$@";; esac
echo "$@" >> {home}/calls
case "$*" in
*fed.yaml*) while [ "$2" = {first} ] && [ -e {home}/hold ]; do sleep 0.1; done
  [ -e {home}/spoilt ] && exit 2; exit 0;;
*killed.yaml*) kill -9 $(cut -d' ' -f4 /proc/$PPID/stat);; *held.yaml*) ;; *) exit 0;; esac
case "$2" in
{first}) while [ ! -e {home}/go ]; do sleep 0.1; done
  [ ! -e {home}/busy ] || {{ rm {home}/busy; echo "another process is at work"; exit 75; }};;
{second}) [ -e {home}/fixed ] || {{ echo "ingest.data: images: no such folder"; exit 2; }};;
*) exit 2;;
esac
"""
HELD = (
    "name: held\n"
    "schedule: {notify: [$HOOK], deadline_minutes: 0.05, retries: 2, retry_seconds: 0}\n"
)
KILLED = "name: killed\nschedule: {notify: [$HOOK], retries: 0}\n"
FED = (
    "name: fed\nruns: {runs}\nschedule: {{when: data, look_seconds: 1, settle_seconds: 2}}\n"
    "ingest: {{data: {data}}}\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def posts() -> Iterator[list[dict[str, Any]]]:
    with webhook() as (hook, received):
        os.environ["HOOK"] = hook
        yield received
        del os.environ["HOOK"]


@pytest.fixture(scope="module")
def airflow(folder: Path, posts: list[dict[str, Any]], require: Require) -> Iterator[Airflow]:
    require((AIRFLOW / "airflow").is_file(), f"Airflow is absent from {AIRFLOW}: make airflow")
    binaries = find_postgres()
    require(binaries, "PostgreSQL is absent: apt-get install postgresql")
    assert binaries
    (folder / "configs").mkdir()
    (folder / "configs" / "held.yaml").write_text(HELD)
    (folder / "configs" / "killed.yaml").write_text(KILLED)
    fed = FED.format(runs=folder / "runs", data=folder / "images")
    (folder / "configs" / "fed.yaml").write_text(fed)
    command = folder / "nightshift"
    command.write_text(
        FAKE_COMMAND.format(
            root=ROOT, python=sys.executable, home=folder, first=FIRST, second=SECOND
        )
    )
    command.chmod(0o755)
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_text("an image")
    with run_postgres(binaries) as address:
        settings = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        }
        env = build_environment(folder, folder / "configs", NIGHTSHIFT=str(command), **settings)
        with run_airflow(AIRFLOW, env) as airflow:
            paths = [f"/api/v2/dags/{name}" for name in ("held", "fed", "killed")]
            wait("DAGs are known", lambda: all(map(airflow.request, paths)))
            yield airflow


def _list_calls(folder: Path, config: str) -> list[tuple[str, str]]:
    """Return stage and run of each call for a config."""
    lines = [line.split() for line in (folder / "calls").read_text().splitlines()]
    return [(line[1], line[3]) for line in lines if line[5].endswith(f"/{config}.yaml")]


def _parse_post(post: dict[str, Any]) -> dict[str, str]:
    """Return event, config, text and run of a message."""
    config, event = post["title"].removeprefix("Nightshift, ").split(": ")
    lines = post["message"].splitlines()
    return {
        "event": event,
        "config": config,
        "text": "\n".join(lines[:-1]),
        "run": lines[-1].removeprefix("Run: "),
    }


def _list_failures(posts: list[dict[str, Any]], config: str) -> list[dict[str, Any]]:
    messages = [_parse_post(post) for post in posts]
    return [m for m in messages if (m["event"], m["config"]) == ("failure", config)]


@pytest.mark.postgres
def test_runs_of_one_config_wait_for_each_other_and_failures_are_reported(
    airflow: Airflow, folder: Path, posts: list[dict[str, Any]]
) -> None:
    first, second = airflow.trigger_run("held"), airflow.trigger_run("held")
    wait(
        "the first run works", lambda: (folder / "calls").is_file() and _list_calls(folder, "held")
    )
    wait("both deadlines are reported", lambda: len(posts) >= 2)
    late = [_parse_post(post) for post in posts]
    assert {message["event"] for message in late} == {"deadline"}
    assert {message["text"] for message in late} == {"held: not done after 0.05 minutes"}
    assert airflow.list_states("held") == ["running", "queued"]
    (folder / "busy").touch()
    (folder / "go").touch()
    wait("both ended", lambda: airflow.list_states("held") == ["failed", "failed"])
    calls = _list_calls(folder, "held")
    one, two = dict.fromkeys(run for _, run in calls)
    expected = [(FIRST, one), (FIRST, one), (SECOND, one), (FIRST, two), (SECOND, two)]
    assert calls == expected, "a run at work is tried again, bad input is not"
    assert {message["run"] for message in late} == {one, two}
    wait("both failures are reported", lambda: len(_list_failures(posts, "held")) == 2)
    failures = _list_failures(posts, "held")
    assert [message["run"] for message in failures] == [one, two]
    assert failures[0]["text"].startswith(f"held: {SECOND} failed: bad config or input")
    assert "ingest.data: images: no such folder" in failures[0]["text"]
    tries = [airflow.list_tasks("held", run)[FIRST]["try_number"] for run in (first, second)]
    assert tries == [2, 1]


@pytest.mark.postgres
def test_a_failure_is_reported_though_the_task_was_killed(
    airflow: Airflow, posts: list[dict[str, Any]]
) -> None:
    airflow.trigger_run("killed")
    (message,) = wait("it is reported", lambda: _list_failures(posts, "killed"))
    first_line = message["text"].splitlines()[0]
    assert first_line == f"killed: {FIRST} failed: Airflow lost its process, which was killed"
    assert len(_list_failures(posts, "held")) == 2, "once each"


@pytest.mark.postgres
def test_a_cleared_task_continues_the_same_run(airflow: Airflow, folder: Path) -> None:
    before = _list_calls(folder, "held")
    (folder / "fixed").touch()
    request = {
        "dry_run": False,
        "only_failed": False,
        "dag_run_id": airflow.list_runs("held")[0]["dag_run_id"],
        "task_ids": [SECOND],
        "include_downstream": True,
        "reset_dag_runs": True,
    }
    airflow.request("/api/v2/dags/held/clearTaskInstances", request)
    wait("it continues", lambda: len(_list_calls(folder, "held")) >= len(before) + 2)
    run = before[0][1]
    assert _list_calls(folder, "held")[len(before) :][:2] == [(SECOND, run), (THIRD, run)]


def _add_image(folder: Path, name: str) -> None:
    """Write an image, and wait until a check has marked it as used."""
    (folder / "images" / name).write_text(name)
    index = folder / "runs" / ".fed.seen.json"
    wait(f"{name} is used", lambda: name in json.loads(index.read_text()))


@pytest.mark.postgres
def test_changed_data_start_a_run_and_unchanged_data_none(airflow: Airflow, folder: Path) -> None:
    """The first image started a run while the other tests ran."""
    wait("all stages of one run succeed", lambda: airflow.list_states("fed") == ["success"])
    tasks = airflow.list_tasks("fed", airflow.list_runs("fed")[0]["dag_run_id"])
    assert {task["state"] for task in tasks.values()} == {"success"}
    assert sorted(stage for stage, _ in _list_calls(folder, "fed")) == sorted(NAMES)
    index = folder / "runs" / ".fed.seen.json"
    assert set(json.loads(index.read_text())) == {"a.png"}
    assert len(airflow.list_runs("fed")) == 1, "the data were checked every second meanwhile"
    (folder / "hold").touch()
    _add_image(folder, "b.png")
    wait("the second run works", lambda: airflow.list_states("fed") == ["success", "running"])
    _add_image(folder, "c.png")
    _add_image(folder, "d.png")
    assert airflow.list_states("fed") == ["success", "running"]
    (folder / "spoilt").touch()
    (folder / "hold").unlink()
    states = ["success", "failed", "failed"]
    wait("one more run has both images", lambda: airflow.list_states("fed") == states)
    sleep(5)
    assert len(airflow.list_runs("fed")) == 3


@contextmanager
def _serve_folder(folder: Path) -> Iterator[str]:
    """Yield the address that serves a folder's files."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.long
def test_a_scheduled_run_ends_with_a_report_that_its_link_opens(
    tmp_path: Path, require: Require
) -> None:
    """The clock starts it, and a real config runs from images to page."""
    require((AIRFLOW / "airflow").is_file(), f"Airflow is absent from {AIRFLOW}: make airflow")
    draw_images(tmp_path / "images")
    (tmp_path / "configs").mkdir()
    (tmp_path / "reports").mkdir()
    command = tmp_path / "nightshift"
    python = f"env PYTHONPATH={ROOT} {sys.executable}"
    command.write_text(f'#!/bin/sh\ncd {tmp_path} && exec {python} -m pipeline.cli.app "$@"\n')
    command.chmod(0o755)
    with _serve_folder(tmp_path / "reports") as address:
        plan = f"schedule: {{schedule: '* * * * *', reports_url: {address}}}\n"
        config = build_config(tmp_path / "images") + plan
        (tmp_path / "configs" / "gate.yaml").write_text(config)
        env = build_environment(tmp_path, tmp_path / "configs", NIGHTSHIFT=str(command))
        with run_airflow(AIRFLOW, env) as airflow:
            run = wait("the clock starts a run", lambda: airflow.list_runs("gate"))[0]
            assert run["run_type"] == "scheduled"
            ends = ("success", "failed")
            wait("it ends", lambda: airflow.list_states("gate")[0] in ends, 540)
            tasks = airflow.list_tasks("gate", run["dag_run_id"])
            states = {name: task["state"] for name, task in tasks.items()}
            assert states == dict.fromkeys(NAMES, "success")
            path = f"/api/v2/dags/gate/dagRuns/{run['dag_run_id']}/taskInstances/{NAMES[-1]}/links"
            links = airflow.request(path)
            with urlopen(links["extra_links"]["Report"], timeout=10) as page:
                assert "<html" in page.read(500).decode().lower()
