"""`make bench`: a simulated set of very many small images through every stage: seconds and peak memory of each.

NIGHTSHIFT_BENCH_SCALE sets how many. Each stage is a process of its own. Memory: what cannot be dropped (anonymous,
looked at twice a second), and all that was resident at once, the mapped files' pages in the system's cache included.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.graph import STAGES

ROOT = Path(__file__).resolve().parents[2]
PHOTOS, SIDE, CHUNK = int(os.environ.get("NIGHTSHIFT_BENCH_SCALE", "20000")), 16, 10_000
LEFT_OUT = set(filter(None, os.environ.get("NIGHTSHIFT_BENCH_LEFT_OUT", "").split(",")))


def _draw(root: Path, count: int) -> Path:
    """MNIST's files: a bright bar that lies (0) or stands (1) on a noisy wall.

    A tenth of the images is dark.
    """
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with (
        (root / "all-images-idx3-ubyte").open("wb") as file,
        (root / "all-labels-idx1-ubyte").open("wb") as labels,
    ):
        file.write(struct.pack(">HBBIII", 0, 8, 3, count, SIDE, SIDE))
        labels.write(struct.pack(">HBBI", 0, 8, 1, count))
        for start in range(0, count, CHUNK):
            some = min(CHUNK, count - start)
            images, kind = rng.integers(40, 120, (some, SIDE, SIDE)), np.arange(some) % 2
            at = rng.integers(1, SIDE - 10, (some, 2))
            for image, (top, left), stands in zip(images, at, kind, strict=True):
                image[top : top + (9 if stands else 3), left : left + (3 if stands else 9)] += 110
            images[rng.random(some) < 0.1] //= 8
            file.write(images.astype(np.uint8).tobytes())
            labels.write(kind.astype(np.uint8).tobytes())
    return root


def _config(folder: Path, data: Path) -> Path:
    told = {
        "name": "scale",
        "runs": str(folder / "runs"),
        "reports": str(folder / "reports"),
        "tracking": {"mlflow": False},
        "ingest": {"data": str(data), "side": SIDE},
        "train": {"image_passes": 2_000, "batch_size": 64},
        "retrain": {"image_passes": 1_000, "seeds": 1, "generic": False},
    }
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return (
            next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0) // 1024
        )
    except OSError:
        return 0


def _stage(name: str, config: Path, run: str) -> tuple[int, float, float, int, int]:
    """Exit code, seconds, seconds of CPU, MB of anonymous memory at most, MB resident at most."""
    line = [
        sys.executable,
        "-m",
        "pipeline.cli.app",
        "stage",
        name,
        "--run",
        run,
        "-c",
        str(config),
    ]
    began, most = time.perf_counter(), 0
    with subprocess.Popen(line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}) as child:
        while (done := os.wait4(child.pid, os.WNOHANG))[0] == 0:
            most = max(most, _anonymous(child.pid))
            time.sleep(0.5)
        child.returncode = os.waitstatus_to_exitcode(done[1])
    used = done[2]
    return (
        child.returncode, time.perf_counter() - began, used.ru_utime + used.ru_stime, most, used.ru_maxrss // 1024,
    )  # fmt: skip


@pytest.mark.timeout(0)
def test_very_many_images_in_little_memory(tmp_path: Path) -> None:
    folder = Path(os.environ.get("NIGHTSHIFT_BENCH_FOLDER", str(tmp_path)))
    config = _config(folder, _draw(folder / "data", PHOTOS))
    print(f"\n{PHOTOS:,} images of {SIDE} px", flush=True)
    for stage in STAGES:
        if stage.name in LEFT_OUT:
            continue
        code, took, cpu, most, resident = _stage(stage.name, config, str(folder / "runs" / "scale"))
        print(
            f"{stage.name:<10} {took:8.1f} s, {cpu:8.1f} s of CPU, {most:6,} MB, {resident:6,} MB "
            "resident",
            flush=True,
        )
        assert code in (0, 1), f"{stage.name} ended with {code}"
