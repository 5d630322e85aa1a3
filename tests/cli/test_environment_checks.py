from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import environment_checks


def test_a_sound_machine_has_nothing_bad(tmp_path: Path) -> None:
    findings = environment_checks.check_environment(tmp_path / "runs")
    assert [f.name for f in findings if f.status == "bad"] == []
    wanted = {"python", "torch", "opencv", "weights", "disk", "memory", "threads", "chromium"}
    assert wanted <= {f.name for f in findings}
    assert all(f.words and (f.fix or f.status == "ok") for f in findings)
    assert not (tmp_path / "runs").exists()


def test_an_old_python_is_bad() -> None:
    assert environment_checks.check_python((3, 10, 4)).status == "bad"
    assert environment_checks.check_python((3, 11, 0)).status == "ok"
    assert environment_checks.check_python((4, 0, 0)).status == "ok"


@pytest.mark.parametrize(
    ("installed", "status"),
    [
        (["opencv-python-headless", "numpy"], "ok"),
        (["opencv-python", "opencv-python-headless"], "bad"),
        (["opencv-contrib-python-headless", "opencv-python-headless"], "bad"),
        (["opencv-python"], "warn"),
        (["numpy"], "bad"),
    ],
)
def test_exactly_the_headless_opencv_is_good(installed: list[str], status: str) -> None:
    finding = environment_checks.check_opencv(installed)
    assert finding.status == status
    assert finding.fix == "" or finding.fix.endswith("opencv-python-headless")


def test_a_second_opencv_in_the_environment_is_bad(tmp_path: Path) -> None:
    folder = tmp_path / "opencv_python-4.11.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: opencv_python\nVersion: 4.11.0\n", encoding="utf-8"
    )
    code = (
        "from pipeline.cli.environment_checks import check_opencv; "
        "result = check_opencv(); print(result.status, result.words)"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("bad opencv-python and opencv-python-headless installed")


def test_missing_weights_are_bad_and_name_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty_weights").mkdir()
    (tmp_path / "empty_weights" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("empty_weights", "no_such_weights"):
        finding = environment_checks.check_weights(package)
        assert finding.status == "bad"
        assert package.replace("_", "-") in finding.fix


def test_too_little_disk_or_memory_is_a_warning(tmp_path: Path) -> None:
    assert environment_checks.check_disk(tmp_path / "not" / "yet", 0.3).status == "warn"
    assert environment_checks.check_disk(tmp_path / "not" / "yet", 30.0).status == "ok"
    assert environment_checks.check_memory(1.0).status == "warn"
    assert environment_checks.check_memory(16.0).status == "ok"


def test_threads_are_compared_with_the_cores() -> None:
    code = (
        "from pipeline.cli.environment_checks import check_threads; "
        "print(check_threads(2).status, check_threads(1).status)"
    )
    for count, expected in (("1", "warn ok"), ("2", "ok warn")):
        env = os.environ | {
            "OMP_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == expected.split()


def test_a_runs_folder_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    assert environment_checks.check_runs_folder(tmp_path / "runs").status == "ok"
    if Path("/proc/self").is_dir():  # no file can be made there, not even by root
        assert environment_checks.check_runs_folder(Path("/proc/self/runs")).status == "bad"


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> environment_checks.CheckResult:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(environment_checks, "check_torch", broken)
    finding = next(f for f in environment_checks.check_environment() if f.name == "torch")
    assert (finding.status, finding.words) == (
        "bad",
        "ImportError: libGL.so.1: cannot open shared object file",
    )


def test_a_missing_browser_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment_checks.check_chromium().status == "warn"
