"""`make bench`: how fast images are read in, against a Pillow loop and CleanVision's scan, and in how much memory.

Speed: all on the same 640 x 480 JPEG files, alternating in one run, medians. Growth: on small files, which stay in the
system's cache, so that it is ours and not the disk's. NIGHTSHIFT_BENCH_PHOTOS sets the largest number.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = int(os.environ.get("NIGHTSHIFT_BENCH_PHOTOS", "100000"))
ROWS = int(os.environ.get("NIGHTSHIFT_BENCH_ROWS", "1000000"))
CODE = """
import json, resource, sys, time
from pathlib import Path
from pipeline.contracts import StageContext
from pipeline.stages import ingest
data, run = map(Path, sys.argv[1:3])
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024
ingest.run(ingest.Config(data=data / "small"), StageContext("warm", 0, run / "warm", run))
peak = [0]
def track(items, *, total, unit):
    for n, item in enumerate(items):
        if n % 200 == 0:
            peak[0] = max(peak[0], anonymous())
        yield item
before, began, worked = anonymous(), time.perf_counter(), time.process_time()
made = ingest.run(ingest.Config(data=data / sys.argv[3]), StageContext("run", 0, run / "cold", run, track=track))
peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(json.dumps({"images": len(made["images"]), "rejected": len(made["rejected"]),
                  "seconds": time.perf_counter() - began, "cpu": time.process_time() - worked, "most": peak[1],
                  "before": before, "loop": peak[0], "end": anonymous()}))
"""


def _draw(root: Path, count: int, unlike: int = 400, size: tuple[int, int] = (640, 480)) -> Path:
    """`count` JPEG files of `size` px.

    Beyond `unlike` images, their bytes again with a comment of their own.
    """
    rng = np.random.default_rng(0)
    bases = []
    for _ in range(min(count, unlike)):
        coarse = rng.integers(0, 255, (15, 20, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(np.int16)
        noisy = np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
        bases.append(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    for n in range(count):
        note = b"%012d" % n
        data = bases[n % len(bases)]
        path = root / ("even", "odd")[n % 2] / f"{n:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[:2] + b"\xff\xfe\x00\x0e" + note + data[2:])
    return root


def _pillow(root: Path) -> int:
    from PIL import Image, ImageOps

    done = 0
    for path in sorted(root.rglob("*.jpg")):
        with Image.open(path) as image:
            np.asarray(ImageOps.exif_transpose(image).convert("RGB").resize((64, 64)))
        done += 1
    return done


def _cleanvision(root: Path) -> int:
    from cleanvision import Imagelab

    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        lab = Imagelab(data_path=str(root), verbose=False)
        lab.find_issues(verbose=False)
    return len(lab.issues)


def _ours(root: Path, run: Path) -> Callable[[], int]:
    from pipeline.contracts import StageContext
    from pipeline.stages import ingest

    def once() -> int:
        scratch = run / str(time.perf_counter_ns())
        scratch.mkdir(parents=True)
        return len(
            ingest.run(ingest.Config(data=root), StageContext("run", 0, scratch, run))["images"]
        )

    return once


@pytest.mark.filterwarnings("default")
def test_images_a_second(tmp_path: Path) -> None:
    data = _draw(tmp_path / "data", 800)
    rivals = {"nightshift": _ours(data, tmp_path / "run"), "Pillow loop": lambda: _pillow(data)}
    if find_spec("cleanvision"):
        rivals["CleanVision"] = lambda: _cleanvision(data)
    else:
        print("\nCleanVision is absent: pip install cleanvision")
    rates: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(5):  # alternating
        for name, once in rivals.items():
            began = time.perf_counter()
            count = once()
            rates[name].append(count / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print("\n" + ", ".join(f"{name} {rate:,.0f} images/s" for name, rate in medians.items()))
    for name, rate in medians.items():
        low, high = min(rates[name]), max(rates[name])
        print(
            f"nightshift is {medians['nightshift'] / rate:.2f} times {name} ({low:,.0f} to "
            f"{high:,.0f} images/s)"
        )
    assert medians["nightshift"] > 0


def _measured(folder: Path, what: str) -> dict[str, float]:
    """What `CODE` says of `what` in `folder`, taken in by a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        for name in ("warm", "cold"):
            (Path(run) / name).mkdir()
        line = [sys.executable, "-c", CODE, str(folder), run, what]
        done = subprocess.run(
            line, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    got: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return got


def test_time_is_linear_and_memory_flat(tmp_path: Path) -> None:
    """Each count three times, in turn, so that a busy machine slows all of them."""
    counts = [count for count in (1_000, 10_000, 100_000) if count <= MOST]
    for count in counts:
        _draw(tmp_path / str(count) / "small", 20)
        _draw(tmp_path / str(count) / "all", count, size=(160, 120))
    os.sync()  # else the disk is still writing while we read
    got: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(3):
        for count in counts:
            got[count].append(_measured(tmp_path / str(count), "all"))
    base = 1.0
    for count, rounds in got.items():
        assert all(found["images"] == count for found in rounds)
        wall, cpu, before, loop, end, most = (
            statistics.median(found[key] for found in rounds)
            for key in ("seconds", "cpu", "before", "loop", "end", "most")
        )
        base = cpu / count if count == counts[0] else base
        print(
            f"\n{count:,} images: {1000 * wall / count:.2f} ms each, {1000 * cpu / count:.3f} ms "
            "of processor time "
            f"({cpu / count / base:.2f} times that of {counts[0]:,}); own memory {before:.0f} MB "
            f"before, {loop:.0f} MB "
            f"at most while reading, {end:.0f} MB at the end; {most:.0f} MB in all at most"
        )


def test_a_manifest_of_a_million_rows(tmp_path: Path) -> None:
    """A hundred images are there.

    The other rows lead nowhere or say one of them again, and each has its reason.
    """
    _draw(tmp_path / "small", 20)
    _draw(tmp_path / "listed", 100)
    there = [
        path.relative_to(tmp_path / "listed").as_posix()
        for path in sorted((tmp_path / "listed").rglob("*.jpg"))
    ]
    with (tmp_path / "listed" / "metadata.csv").open("w") as file:
        file.write("file_name,label,group,captured_at,lux\n")
        for n in range(ROWS):
            name = there[n % 100] if n < 100 or n % 2 else f"gone/{n}.jpg"
            file.write(
                f"{name},{('badge', 'none')[n % 2]},visit-{n // 10},2026-03-01T22:40:{n % 60:02d},{n % 256}\n"
            )
    got = _measured(tmp_path, "listed/metadata.csv")
    print(f"\n{ROWS:,} rows: {got['seconds']:.1f} s, {got['most']:,} MB at most")
    assert (got["images"], got["rejected"]) == (100, ROWS - 100)
