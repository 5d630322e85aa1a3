"""`make bench`: very many small simulated images through every stage, each in a process.

Measured: seconds and peak memory of each stage. Memory is what cannot be dropped (anonymous,
sampled twice a second), and all that was resident at once, with the pages of mapped files in the
system's cache. NIGHTSHIFT_BENCH_SCALE: number of images. NIGHTSHIFT_BENCH_LEFT_OUT: stages that are
left out. NIGHTSHIFT_BENCH_FOLDER: folder of the data and the run.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.graph import STAGES

ROOT = Path(__file__).resolve().parents[2]
IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_SCALE", "20000"))
SIDE, CHUNK = 16, 10_000
DARK_SHARE = 0.1
SAMPLING_SECONDS = 0.5
LEFT_OUT = set(filter(None, os.environ.get("NIGHTSHIFT_BENCH_LEFT_OUT", "").split(",")))


def _draw_images(root: Path, image_count: int) -> Path:
    """Write MNIST files of noisy images with a bright bar, horizontal (0) or vertical (1)."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    image_header = struct.pack(">HBBIII", 0, 8, 3, image_count, SIDE, SIDE)
    label_header = struct.pack(">HBBI", 0, 8, 1, image_count)
    with (
        (root / "all-images-idx3-ubyte").open("wb") as image_file,
        (root / "all-labels-idx1-ubyte").open("wb") as label_file,
    ):
        image_file.write(image_header)
        label_file.write(label_header)
        for start in range(0, image_count, CHUNK):
            count = min(CHUNK, image_count - start)
            images, labels = _draw_chunk(count, rng)
            image_file.write(images.astype(np.uint8).tobytes())
            label_file.write(labels.astype(np.uint8).tobytes())
    return root


def _draw_chunk(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    images, labels = rng.integers(40, 120, (count, SIDE, SIDE)), np.arange(count) % 2
    corners = rng.integers(1, SIDE - 10, (count, 2))
    for image, (top, left), is_standing in zip(images, corners, labels, strict=True):
        height, width = (9, 3) if is_standing else (3, 9)
        image[top : top + height, left : left + width] += 110
    images[rng.random(count) < DARK_SHARE] //= 8
    return images, labels


def _write_config(folder: Path, data: Path) -> Path:
    config = {
        "name": "scale",
        "runs": str(folder / "runs"),
        "reports": str(folder / "reports"),
        "tracking": {"mlflow": False},
        "ingest": {"data": str(data), "side": SIDE},
        "train": {"image_passes": 2_000, "batch_size": 64},
        "retrain": {"image_passes": 1_000, "seeds": 1, "generic": False},
    }
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _read_anonymous_memory(process_id: int) -> int:
    """Return the anonymous memory of a process in MB, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return 0
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("RssAnon")]
    return kilobytes[0] // 1024 if kilobytes else 0


@dataclass(frozen=True)
class StageUse:
    """What a stage used: exit code, seconds, CPU seconds, and MB of memory at most."""

    exit_code: int
    seconds: float
    cpu_seconds: float
    anonymous_memory: int
    resident_memory: int


def _run_stage(name: str, config: Path, run: str) -> StageUse:
    module = [sys.executable, "-m", "pipeline.cli.app"]
    command = [*module, "stage", name, "--run", run, "-c", str(config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    began, anonymous_memory = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        process_id, status, usage = os.wait4(process.pid, os.WNOHANG)
        while process_id == 0:
            anonymous_memory = max(anonymous_memory, _read_anonymous_memory(process.pid))
            time.sleep(SAMPLING_SECONDS)
            process_id, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
    return StageUse(
        process.returncode,
        time.perf_counter() - began,
        usage.ru_utime + usage.ru_stime,
        anonymous_memory,
        usage.ru_maxrss // 1024,
    )


@pytest.mark.timeout(0)
def test_very_many_images_in_little_memory(tmp_path: Path) -> None:
    folder = Path(os.environ.get("NIGHTSHIFT_BENCH_FOLDER", str(tmp_path)))
    config = _write_config(folder, _draw_images(folder / "data", IMAGES))
    print(f"\n{IMAGES:,} images of {SIDE} px", flush=True)
    for stage in STAGES:
        if stage.name in LEFT_OUT:
            continue
        use = _run_stage(stage.name, config, str(folder / "runs" / "scale"))
        print(
            f"{stage.name:<10} {use.seconds:8.1f} s, {use.cpu_seconds:8.1f} s of CPU, "
            f"{use.anonymous_memory:6,} MB, {use.resident_memory:6,} MB resident",
            flush=True,
        )
        assert use.exit_code in (0, 1), f"{stage.name} ended with {use.exit_code}"
