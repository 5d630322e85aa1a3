"""The parts of a real Airflow, started one by one and stopped one by one, and a PostgreSQL of the test's own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"


def port() -> int:
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(what: str, found: Callable[[], Any], seconds: float = 90) -> Any:
    """What `found` returns as soon as that is something; fails after `seconds`."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(f"not seen within {seconds} s: {what}")


def postgres_binaries() -> Path | None:
    """Where initdb and pg_ctl are, as Debian lays them or on the PATH; None where they are absent."""
    found = shutil.which("pg_ctl")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").is_file()), None)


def _user() -> list[str]:
    """The command before one that PostgreSQL lets run: it refuses root."""
    if os.geteuid():
        return []
    pwd.getpwnam("postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@contextmanager
def postgres(binaries: Path) -> Iterator[str]:
    """The address of an empty data base of a server of its own, as SQLAlchemy takes it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="nightshift-pg-") as folder:
        if not os.geteuid():
            shutil.chown(folder, "postgres")
        at, data = port(), f"{folder}/data"
        control = [*_user(), str(binaries / "pg_ctl"), "-D", data, "-w"]
        quick = f"-c listen_addresses=127.0.0.1 -p {at} -k {folder} -c fsync=off -c synchronous_commit=off"
        made = [
            *_user(),
            str(binaries / "initdb"),
            "-D",
            data,
            "-U",
            "airflow",
            "--auth=trust",
            "--no-sync",
        ]
        subprocess.run(made, cwd=folder, check=True, capture_output=True, timeout=60)
        started = [*control, "-l", f"{folder}/log", "-o", quick, "start"]
        subprocess.run(started, cwd=folder, check=True, timeout=60, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg2://airflow@127.0.0.1:{at}/postgres"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], cwd=folder, check=True, capture_output=True
            )


def environment(home: Path, configs: Path, **more: str) -> dict[str, str]:
    """What every part of Airflow is told."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "VIRTUAL_ENV"))} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # its default is short on a busy machine
        "PYTHONPATH": str(ROOT),
        "NIGHTSHIFT_CONFIGS": str(configs),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


@dataclass
class Airflow:
    """A running Airflow: its commands, its environment, and its REST interface."""

    commands: Path
    env: dict[str, str]
    address: str

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """The answer of the REST interface; None where it does not answer yet."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code in (404, 503):
                return None
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error
        except OSError:
            return None

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first."""
        found = self.ask(f"/api/v2/dags/{dag}/dagRuns?order_by=id")
        return list(found["dag_runs"]) if found else []

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run by name."""
        found = self.ask(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")
        return {task["task_id"]: task for task in found["task_instances"]}

    def trigger(self, dag: str) -> str:
        """Start a run, as the button does; its id."""
        return str(self.ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None})["dag_run_id"])


@contextmanager
def part(line: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One part of Airflow, with the processes that it starts, while inside."""
    with (
        log.open("wb") as out,
        subprocess.Popen(line, env=env, stdout=out, stderr=out, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")


@contextmanager
def running(commands: Path, env: dict[str, str]) -> Iterator[Airflow]:
    """A whole Airflow with everybody an administrator, whose data base is made."""
    at, home = port(), Path(env["AIRFLOW_HOME"])
    env = env | {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{at}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a test's own secret, which is long enough for its algorithm to be used",
        "AIRFLOW__API__SECRET_KEY": "another",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port()),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    subprocess.run(
        [commands / "airflow", "db", "migrate"],
        env=env,
        check=True,
        capture_output=True,
        timeout=300,
    )
    with ExitStack() as stack:
        for name in PARTS:
            more = ["--port", str(at), "--host", "127.0.0.1"] if name == "api-server" else []
            stack.enter_context(
                part([str(commands / "airflow"), name, *more], env, home / f"{name}.log")
            )
        airflow = Airflow(commands, env, f"http://127.0.0.1:{at}")
        wait("the API server answers", lambda: airflow.ask("/api/v2/monitor/health"))
        yield airflow
