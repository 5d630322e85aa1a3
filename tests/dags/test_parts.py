"""The DAG under a real scheduler, every part of Airflow a process of its own: on PostgreSQL, and once on SQLite."""

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
from tests.dags.parts import ROOT, Airflow, environment, postgres, postgres_binaries, running, wait
from tests.dags.tiny import CONFIG, images
from tests.receivers import webhook

pytestmark = pytest.mark.airflow
NAMES = [s.name for s in STAGES]
FIRST, SECOND, THIRD = NAMES[:3]

STAND_IN = """#!/bin/sh
case "$1" in datasets|notify) exec env PYTHONPATH={root} {python} -m pipeline.cli.app "$@";; esac
echo "$@" >> {home}/calls
case "$*" in
*fed.yaml*) while [ "$2" = {first} ] && [ -e {home}/hold ]; do sleep 0.1; done
  [ -e {home}/spoilt ] && exit 2; exit 0;;
*killed.yaml*) kill -9 $(cut -d' ' -f4 /proc/$PPID/stat);; *held.yaml*) ;; *) exit 0;; esac
case "$2" in
{first}) while [ ! -e {home}/go ]; do sleep 0.1; done
  [ ! -e {home}/busy ] || {{ rm {home}/busy; echo "another process is at work in this run"; exit 75; }};;
{second}) [ -e {home}/mended ] || {{ echo "ingest.data: images: no such folder"; exit 2; }};;
*) exit 2;;
esac
"""
HELD = "name: held\nschedule: {notify: [$HOOK], deadline_minutes: 0.05, retries: 2, retry_seconds: 0}\n"
KILLED = "name: killed\nschedule: {notify: [$HOOK], retries: 0}\n"
FED = "name: fed\nruns: {runs}\nschedule: {{when: data, look_seconds: 1, settle_seconds: 2}}\ningest: {{data: {data}}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def posted() -> Iterator[list[dict[str, Any]]]:
    with webhook() as (hook, got):
        os.environ["HOOK"] = hook
        yield got
        del os.environ["HOOK"]


@pytest.fixture(scope="module")
def airflow(folder: Path, posted: list[dict[str, Any]], require: Require) -> Iterator[Airflow]:
    require((AIRFLOW / "airflow").is_file(), f"Airflow is absent from {AIRFLOW}: make airflow")
    binaries = postgres_binaries()
    require(binaries, "PostgreSQL is absent: apt-get install postgresql")
    assert binaries
    (folder / "configs").mkdir()
    (folder / "configs" / "held.yaml").write_text(HELD)
    (folder / "configs" / "killed.yaml").write_text(KILLED)
    (folder / "configs" / "fed.yaml").write_text(
        FED.format(runs=folder / "runs", data=folder / "images")
    )
    command, told = folder / "nightshift", {"first": FIRST, "second": SECOND}
    command.write_text(STAND_IN.format(root=ROOT, python=sys.executable, home=folder, **told))
    command.chmod(0o755)
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_text("a image")
    with postgres(binaries) as address:
        settings = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        }
        env = environment(folder, folder / "configs", NIGHTSHIFT=str(command), **settings)
        with running(AIRFLOW, env) as found:
            wait(
                "DAGs are known",
                lambda: all(found.ask(f"/api/v2/dags/{d}") for d in ("held", "fed", "killed")),
            )
            yield found


def _calls(folder: Path, config: str) -> list[tuple[str, str]]:
    """Stage and run of each call for a config."""
    lines = [line.split() for line in (folder / "calls").read_text().splitlines()]
    return [(line[1], line[3]) for line in lines if line[5].endswith(f"/{config}.yaml")]


def _parse(post: dict[str, Any]) -> dict[str, str]:
    """What a message says: its event, its config, its first line, and the run's name."""
    config, event = post["title"].removeprefix("Nightshift, ").split(": ")
    lines = post["message"].splitlines()
    return {
        "event": event,
        "config": config,
        "text": "\n".join(lines[:-1]),
        "run": lines[-1].removeprefix("Run: "),
    }


def _failures(posted: list[dict[str, Any]], config: str) -> list[dict[str, Any]]:
    return [
        note
        for note in map(_parse, posted)
        if (note["event"], note["config"]) == ("failure", config)
    ]


@pytest.mark.postgres
def test_runs_of_one_config_wait_for_each_other_and_what_goes_wrong_is_told(
    airflow: Airflow, folder: Path, posted: list[dict[str, Any]]
) -> None:
    first, second = airflow.trigger("held"), airflow.trigger("held")
    wait("the first run works", lambda: (folder / "calls").is_file() and _calls(folder, "held"))
    late = wait(
        "it is told that both are late", lambda: len(posted) >= 2 and [*map(_parse, posted)]
    )
    assert {note["event"] for note in late} == {"deadline"}
    assert {note["text"] for note in late} == {"held: not done after 0.05 minutes"}
    assert [run["state"] for run in airflow.runs("held")] == ["running", "queued"]
    (folder / "busy").touch()
    (folder / "go").touch()
    wait("both ended", lambda: all(run["state"] == "failed" for run in airflow.runs("held")))
    calls = _calls(folder, "held")
    one, two = dict.fromkeys(run for _, run in calls)
    busy = [(FIRST, one), (FIRST, one), (SECOND, one)]
    assert calls == [*busy, (FIRST, two), (SECOND, two)], (
        "a held run is tried again, bad input is not"
    )
    assert {note["run"] for note in late} == {one, two}
    told = wait(
        "both failures are told",
        lambda: _failures(posted, "held")[1:] and _failures(posted, "held"),
    )
    assert [note["run"] for note in told] == [one, two]
    assert told[0]["text"].startswith(f"held: {SECOND} failed: bad config or input")
    assert "ingest.data: images: no such folder" in told[0]["text"]
    assert [airflow.tasks("held", run)[FIRST]["try_number"] for run in (first, second)] == [2, 1]


@pytest.mark.postgres
def test_a_failure_is_told_too_where_the_task_itself_was_killed(
    airflow: Airflow, posted: list[dict[str, Any]]
) -> None:
    airflow.trigger("killed")
    (note,) = wait("it is told", lambda: _failures(posted, "killed"))
    assert (
        note["text"].splitlines()[0]
        == f"killed: {FIRST} failed: Airflow lost its process, which was killed"
    )
    assert len(_failures(posted, "held")) == 2, "once each"


@pytest.mark.postgres
def test_a_cleared_task_goes_on_with_the_same_run(airflow: Airflow, folder: Path) -> None:
    before, run = _calls(folder, "held"), airflow.runs("held")[0]["dag_run_id"]
    (folder / "mended").touch()
    more = {
        "dag_run_id": run,
        "task_ids": [SECOND],
        "include_downstream": True,
        "reset_dag_runs": True,
    }
    airflow.ask(
        "/api/v2/dags/held/clearTaskInstances", {"dry_run": False, "only_failed": False, **more}
    )
    wait("it went on", lambda: len(_calls(folder, "held")) >= len(before) + 2)
    assert _calls(folder, "held")[len(before) :][:2] == [
        (SECOND, before[0][1]),
        (THIRD, before[0][1]),
    ]


def _arrive(folder: Path, name: str) -> None:
    """Lay a image in the folder, and wait until it was looked at and taken."""
    (folder / "images" / name).write_text(name)
    seen = folder / "runs" / ".fed.seen.json"
    wait(f"{name} is taken", lambda: name in json.loads(seen.read_text()))


@pytest.mark.postgres
def test_changed_data_starts_a_run_and_unchanged_data_none(airflow: Airflow, folder: Path) -> None:
    """The image that was there started a run, which the other tests' runs were beside."""
    wait(
        "all stages of one run succeed",
        lambda: [run["state"] for run in airflow.runs("fed")] == ["success"],
    )
    states = {
        task["state"]
        for task in airflow.tasks("fed", airflow.runs("fed")[0]["dag_run_id"]).values()
    }
    assert states == {"success"}
    assert sorted(stage for stage, _ in _calls(folder, "fed")) == sorted(NAMES)
    seen = folder / "runs" / ".fed.seen.json"
    assert set(json.loads(seen.read_text())) == {"a.png"}
    assert len(airflow.runs("fed")) == 1, "it was looked at every second meanwhile"
    (folder / "hold").touch()
    _arrive(folder, "b.png")
    wait(
        "it works on that one",
        lambda: [run["state"] for run in airflow.runs("fed")] == ["success", "running"],
    )
    _arrive(folder, "c.png")
    _arrive(folder, "d.png")
    assert [run["state"] for run in airflow.runs("fed")] == ["success", "running"]
    (folder / "spoilt").touch()
    (folder / "hold").unlink()
    both = ["success", "failed", "failed"]
    wait("both are read by one more", lambda: [run["state"] for run in airflow.runs("fed")] == both)
    sleep(5)
    assert len(airflow.runs("fed")) == 3, "and by none beside"


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The address at which a folder's files are."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))
    ) as server:
        Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.long
def test_a_scheduled_night_ends_with_a_report_that_its_link_opens(
    tmp_path: Path, require: Require
) -> None:
    """Nobody triggers it: the clock does, and a real config runs from images to page."""
    require((AIRFLOW / "airflow").is_file(), f"Airflow is absent from {AIRFLOW}: make airflow")
    images(tmp_path / "images")
    (tmp_path / "configs").mkdir()
    (tmp_path / "reports").mkdir()
    command = tmp_path / "nightshift"
    command.write_text(
        f'#!/bin/sh\ncd {tmp_path} && exec env PYTHONPATH={ROOT} {sys.executable} -m pipeline.cli.app "$@"\n'
    )
    command.chmod(0o755)
    with _served(tmp_path / "reports") as address:
        plan = f"schedule: {{schedule: '* * * * *', reports_url: {address}}}\n"
        (tmp_path / "configs" / "gate.yaml").write_text(CONFIG + plan)
        env = environment(tmp_path, tmp_path / "configs", NIGHTSHIFT=str(command))
        with running(AIRFLOW, env) as airflow:
            run = wait("the clock starts a run", lambda: airflow.runs("gate"))[0]
            assert run["run_type"] == "scheduled"
            ended = lambda: airflow.runs("gate")[0]["state"] in ("success", "failed")  # noqa: E731
            wait("it ends", ended, 540)
            tasks = airflow.tasks("gate", run["dag_run_id"])
            assert {name: task["state"] for name, task in tasks.items()} == dict.fromkeys(
                NAMES, "success"
            )
            links = airflow.ask(
                f"/api/v2/dags/gate/dagRuns/{run['dag_run_id']}/taskInstances/{NAMES[-1]}/links"
            )
            page = urlopen(links["extra_links"]["Report"], timeout=10)
            with page:
                assert "<html" in page.read(500).decode().lower()
