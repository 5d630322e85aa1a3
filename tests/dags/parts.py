"""The processes of a real Airflow, and a PostgreSQL server for one test."""

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


def find_free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(event: str, get_value: Callable[[], Any], seconds: float = 90) -> Any:
    """Return the first true value of `get_value`; fail after `seconds`."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if value := get_value():
            return value
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {event}")


def find_postgres() -> Path | None:
    """Return the folder of initdb and pg_ctl, on the PATH or as in Debian, or None."""
    command = shutil.which("pg_ctl")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if command:
        folders = [Path(command).parent]
    return next((folder for folder in reversed(folders) if (folder / "initdb").is_file()), None)


def _build_user_command() -> list[str]:
    """Return the command that runs another one as the user postgres: PostgreSQL refuses root."""
    if os.geteuid():
        return []
    pwd.getpwnam("postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@contextmanager
def run_postgres(binaries: Path) -> Iterator[str]:
    """Yield the SQLAlchemy address of an empty data base of a new server."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="nightshift-pg-") as folder:
        if not os.geteuid():
            shutil.chown(folder, "postgres")
        port, data = find_free_port(), f"{folder}/data"
        control = [*_build_user_command(), str(binaries / "pg_ctl"), "-D", data, "-w"]
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
        options += " -c fsync=off -c synchronous_commit=off"
        create = [
            *_build_user_command(),
            str(binaries / "initdb"),
            "-D",
            data,
            "-U",
            "airflow",
            "--auth=trust",
            "--no-sync",
        ]
        subprocess.run(create, cwd=folder, check=True, capture_output=True, timeout=60)
        start = [*control, "-l", f"{folder}/log", "-o", options, "start"]
        subprocess.run(start, cwd=folder, check=True, timeout=60, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], cwd=folder, check=True, capture_output=True
            )


def build_environment(home: Path, configs: Path, **variables: str) -> dict[str, str]:
    """Return the environment of every process of Airflow.

    Args:
        home: Airflow's folder.
        configs: folder of the configs.
        variables: further variables.
    """
    environment = dict(os.environ)
    for name in os.environ:
        if name.startswith(("AIRFLOW", "VIRTUAL_ENV")):
            del environment[name]
    return environment | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # its default is short on a busy machine
        "PYTHONPATH": str(ROOT),
        "NIGHTSHIFT_CONFIGS": str(configs),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }


@dataclass
class Airflow:
    """A running Airflow: its commands, environment and REST interface."""

    commands: Path
    env: dict[str, str]
    address: str

    def request(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON of the REST interface, or None before it responds."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in (404, 503):
                return None
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error
        except OSError:
            return None

    def list_runs(self, dag: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, oldest first."""
        response = self.request(f"/api/v2/dags/{dag}/dagRuns?order_by=id")
        return list(response["dag_runs"]) if response else []

    def list_states(self, dag: str) -> list[str]:
        """Return the states of a DAG's runs, oldest first."""
        return [run["state"] for run in self.list_runs(dag)]

    def list_tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        """Return the tasks of a run by name."""
        response = self.request(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")
        return {task["task_id"]: task for task in response["task_instances"]}

    def trigger_run(self, dag: str) -> str:
        """Start a run as the button of the page does, and return its id."""
        response = self.request(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None})
        return str(response["dag_run_id"])


@contextmanager
def run_part(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Run one part of Airflow during the block, and end it with its child processes."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, env=env, stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")


@contextmanager
def run_airflow(commands: Path, env: dict[str, str]) -> Iterator[Airflow]:
    """Yield a whole Airflow with a new data base, in which every user is an administrator."""
    port, home = find_free_port(), Path(env["AIRFLOW_HOME"])
    env = env | {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test, long enough for the algorithm",
        "AIRFLOW__API__SECRET_KEY": "another",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(find_free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(find_free_port()),
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
            command = [str(commands / "airflow"), name]
            if name == "api-server":
                command += ["--port", str(port), "--host", "127.0.0.1"]
            stack.enter_context(run_part(command, env, home / f"{name}.log"))
        airflow = Airflow(commands, env, f"http://127.0.0.1:{port}")
        wait("the API server responds", lambda: airflow.request("/api/v2/monitor/health"))
        yield airflow
