"""`make bench`: how fast images are read in, and in how much memory.

Speed: against a Pillow loop and CleanVision's scan on the same 640 x 480 JPEG files, alternating in
one run, medians. Growth: on small files, which stay in the system's cache, so that the disk does
not count. NIGHTSHIFT_BENCH_IMAGES: the largest number of images. NIGHTSHIFT_BENCH_ROWS: rows of the
manifest.
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
MAX_IMAGES = int(os.environ.get("NIGHTSHIFT_BENCH_IMAGES", "100000"))
MANIFEST_ROWS = int(os.environ.get("NIGHTSHIFT_BENCH_ROWS", "1000000"))
SPEED_IMAGES, SPEED_ROUNDS, GROWTH_ROUNDS = 800, 5, 3
DISTINCT_IMAGES = 400  # further files repeat these, each with another comment
MEASURED = ("seconds", "cpu", "before", "loop", "end", "most")
SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from pipeline.contracts import StageContext
from pipeline.stages import ingest

data, run = map(Path, sys.argv[1:3])
peak = 0

def read_anonymous_memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024

def track_progress(items, *, total, unit):
    global peak
    for number, item in enumerate(items):
        if number % 200 == 0:
            peak = max(peak, read_anonymous_memory())
        yield item

warm = StageContext("warm", 0, run / "warm", run)
ingest.run(ingest.Config(data=data / "small"), warm)
before, began, cpu_began = read_anonymous_memory(), time.perf_counter(), time.process_time()
cold = StageContext("run", 0, run / "cold", run, track_progress=track_progress)
made = ingest.run(ingest.Config(data=data / sys.argv[3]), cold)
print(json.dumps({
    "images": len(made["images"]),
    "rejected": len(made["rejected"]),
    "seconds": time.perf_counter() - began,
    "cpu": time.process_time() - cpu_began,
    "most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "before": before,
    "loop": peak,
    "end": read_anonymous_memory(),
}))
"""


def _draw_scenes(count: int, size: tuple[int, int]) -> list[bytes]:
    rng = np.random.default_rng(0)
    scenes = []
    for _ in range(count):
        coarse = rng.integers(0, 255, (15, 20, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(np.int16)
        noisy = np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
        encoded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        scenes.append(encoded.tobytes())
    return scenes


def _draw_images(root: Path, count: int, size: tuple[int, int] = (640, 480)) -> Path:
    """Write JPEG files of `size` pixels in two class folders."""
    scenes = _draw_scenes(min(count, DISTINCT_IMAGES), size)
    for number in range(count):
        comment = b"%012d" % number
        data = scenes[number % len(scenes)]
        path = root / ("even", "odd")[number % 2] / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[:2] + b"\xff\xfe\x00\x0e" + comment + data[2:])
    return root


def _read_by_pillow(root: Path) -> int:
    from PIL import Image, ImageOps

    count = 0
    for path in sorted(root.rglob("*.jpg")):
        with Image.open(path) as image:
            np.asarray(ImageOps.exif_transpose(image).convert("RGB").resize((64, 64)))
        count += 1
    return count


def _scan_by_cleanvision(root: Path) -> int:
    from cleanvision import Imagelab

    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        lab = Imagelab(data_path=str(root), verbose=False)
        lab.find_issues(verbose=False)
    return len(lab.issues)


def _build_ingest(root: Path, run: Path) -> Callable[[], int]:
    from pipeline.contracts import StageContext
    from pipeline.stages import ingest

    def run_ingest() -> int:
        scratch = run / str(time.perf_counter_ns())
        scratch.mkdir(parents=True)
        context = StageContext("run", 0, scratch, run)
        return len(ingest.run(ingest.Config(data=root), context)["images"])

    return run_ingest


@pytest.mark.filterwarnings("default")
def test_images_a_second(tmp_path: Path) -> None:
    data = _draw_images(tmp_path / "data", SPEED_IMAGES)
    readers = {
        "nightshift": _build_ingest(data, tmp_path / "run"),
        "Pillow loop": lambda: _read_by_pillow(data),
    }
    if find_spec("cleanvision"):
        readers["CleanVision"] = lambda: _scan_by_cleanvision(data)
    else:
        print("\nCleanVision is absent: pip install cleanvision")
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(SPEED_ROUNDS):  # alternating
        for name, read_images in readers.items():
            began = time.perf_counter()
            count = read_images()
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


def _measure_ingest(folder: Path, data: str) -> dict[str, float]:
    """Return the figures of `SCRIPT` on `data` in `folder`, in a separate process."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        for name in ("warm", "cold"):
            (Path(run) / name).mkdir()
        command = [sys.executable, "-c", SCRIPT, str(folder), run, data]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def test_time_is_linear_and_memory_flat(tmp_path: Path) -> None:
    """Each count is measured three times, in turn, so that a busy machine slows all of them."""
    counts = [count for count in (1_000, 10_000, 100_000) if count <= MAX_IMAGES]
    for count in counts:
        _draw_images(tmp_path / str(count) / "small", 20)
        _draw_images(tmp_path / str(count) / "all", count, size=(160, 120))
    os.sync()  # else the disk is still writing while images are read
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(GROWTH_ROUNDS):
        for count in counts:
            rounds[count].append(_measure_ingest(tmp_path / str(count), "all"))
    first_cpu = 0.0
    for count, figures in rounds.items():
        assert all(figure["images"] == count for figure in figures)
        median = {key: statistics.median(figure[key] for figure in figures) for key in MEASURED}
        cpu = 1000 * median["cpu"] / count
        first_cpu = first_cpu or cpu
        print(
            f"\n{count:,} images: {1000 * median['seconds'] / count:.2f} ms each, {cpu:.3f} ms of "
            f"processor time ({cpu / first_cpu:.2f} times that of {counts[0]:,}); own memory "
            f"{median['before']:.0f} MB before, {median['loop']:.0f} MB at most while reading, "
            f"{median['end']:.0f} MB at the end; {median['most']:.0f} MB in all at most"
        )


def test_a_manifest_of_a_million_rows(tmp_path: Path) -> None:
    """A hundred images exist.

    The other rows name missing files or one of these images again, and each is rejected with its
    reason.
    """
    _draw_images(tmp_path / "small", 20)
    listed = _draw_images(tmp_path / "listed", 100)
    names = [path.relative_to(listed).as_posix() for path in sorted(listed.rglob("*.jpg"))]
    with (listed / "metadata.csv").open("w") as file:
        file.write("file_name,label,group,captured_at,lux\n")
        for row in range(MANIFEST_ROWS):
            name = names[row % 100] if row < 100 or row % 2 else f"gone/{row}.jpg"
            label = ("badge", "none")[row % 2]
            captured_at = f"2026-03-01T22:40:{row % 60:02d}"
            file.write(f"{name},{label},visit-{row // 10},{captured_at},{row % 256}\n")
    figures = _measure_ingest(tmp_path, "listed/metadata.csv")
    print(f"\n{MANIFEST_ROWS:,} rows: {figures['seconds']:.1f} s, {figures['most']:,} MB at most")
    assert (figures["images"], figures["rejected"]) == (100, MANIFEST_ROWS - 100)
