"""Fixtures of all tests: a reason for every skip, one thread for each worker, the real images.

With NIGHTSHIFT_CI=1 a skip is a failure. Only the real images, Airflow, PostgreSQL and the right to
mount may be absent: a test marked `data`, `airflow`, `postgres` or `mount` still skips then.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

# Two workers share the machine. The libraries read these variables when they are imported.
for _name in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("NIGHTSHIFT_DATA", ROOT.parent / "shared" / "data"))
STRICT = os.environ.get("NIGHTSHIFT_CI") == "1"
AIRFLOW = Path(os.environ.get("NIGHTSHIFT_AIRFLOW", ROOT / ".airflow" / "venv" / "bin"))
MOUNTS = (
    shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
)
POSTGRES = any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("pg_ctl")
PARTS = {"data": DATA.is_dir(), "airflow": AIRFLOW.is_dir(), "mount": MOUNTS, "postgres": POSTGRES}
EXCUSED_MARKS = [mark for mark, is_present in PARTS.items() if not is_present]
"""Marks of tests that may skip even with NIGHTSHIFT_CI=1."""

Require = Callable[[object, str], None]


def _require(condition: object, reason: str) -> None:
    if not condition:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def require() -> Require:
    """A function `require(condition, reason)` that skips with the reason if a part is missing."""
    return _require


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    excused = hasattr(report, "wasxfail") or any(
        item.get_closest_marker(name) for name in EXCUSED_MARKS
    )
    if STRICT and report.skipped and not excused:
        report.outcome = "failed"
        report.longrepr = f"NIGHTSHIFT_CI=1 allows no skip: {_get_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"NIGHTSHIFT_CI=1 allows no skip: {_get_reason(report)}"
    return report


def _get_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


@pytest.fixture(scope="session")
def flowers() -> Path:
    """The folder of the real flowers, one folder for each class. Mark the test `data`."""
    _require((DATA / "flowers").is_dir(), f"the real images are absent: {DATA / 'flowers'}")
    return DATA / "flowers"


@pytest.fixture(scope="session")
def gtsrb() -> Path:
    """The unpacked folder of the real traffic signs, with `metadata.csv`. Mark the test `data`."""
    folder, archive = ROOT / "data" / "gtsrb", DATA / "gtsrb.tar.gz"
    if not folder.is_dir():
        _require(archive.is_file(), f"the real images are absent: {archive}")
        folder.parent.mkdir(exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=folder.parent) as unpacked,
            tarfile.open(archive) as tar,
        ):
            tar.extractall(unpacked, filter="data")
            if not folder.is_dir():  # the other worker may have been faster
                (Path(unpacked) / "gtsrb").rename(folder)
    return folder


@pytest.fixture(scope="session")
def unshared() -> list[str]:
    """The command in front of one that mounts file systems for itself. Mark the test `mount`."""
    _require(MOUNTS, "this machine allows no private mounts (unshare -rm)")
    return ["unshare", "-rm"]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The command that starts Chromium. Mark the test `browser`."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    _require(any(found), "Chromium is absent: apt-get install chromium")
    return next(path for path in found if path)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, require: Require) -> Iterator[Any]:
    """A client of the bucket `gate` on a local S3 server, and the function that ends the server."""
    absent = [name for name in ("s3fs", "boto3", "moto", "flask_cors") if not find_spec(name)]
    require(not absent, f"absent: {', '.join(absent)}; pip install -e .[dev]")
    import boto3
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    for key, value in (
        ("ACCESS_KEY_ID", "gate"),
        ("SECRET_ACCESS_KEY", "night"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    urllib.request.urlopen(
        os.environ["AWS_ENDPOINT_URL"] + "/moto-api/reset", data=b""
    ).close()  # of an earlier test
    client = boto3.client("s3")
    client.create_bucket(Bucket="gate")
    yield client, server.stop
    server.stop()
    S3FileSystem.clear_instance_cache()
