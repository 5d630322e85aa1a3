"""Minutes of `nightshift run --quick` by stage, and its longest silence on a terminal.

    python -m tests.bench.train.bench_quick_run [--images 300] [--side 64] [--dark]

The images are flowers cut down to SIDE pixels. With `--dark` a third of them is darkened, and none
of these trains, so that a slice is confirmed and arms are trained. The run writes to a
pseudo-terminal. A silence is the time between two writes; since the line of the run changes every
second whatever a stage does, the longest time in which only that line changed is given too, with
what stood there.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageEnhance

from tests.bench.results_file import format_table
from tests.bench.train.bench_peers import list_images

TERMINAL_CODES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
TIMES = re.compile(r"[\d,.:]+ ?(s|min|h)?\b|[^\x00-\x7f]")
"""Times and the bar, which change without any news of the work."""


DARKENING, DARK_SHARE = 0.06, 1 / 3
DARK_CONFIG = "split: {train_where: luminance >= 25}\n"
"""A setting that keeps images of this darkening out of the training."""


def write_images(image_count: int, side: int, folder: Path, dark_share: float) -> None:
    """Write a sample of the flowers under FOLDER/CLASS, SIDE pixels at most; some are darkened."""
    table = list_images("flowers").sample(image_count, random_state=0)
    for number, row in enumerate(table.itertuples()):
        target = folder / str(row.label) / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(str(row.path)).convert("RGB")
        image.thumbnail((side, side))
        if number < dark_share * image_count:
            image = ImageEnhance.Brightness(image).enhance(DARKENING)
        image.save(target)


def run_on_terminal(command: list[str], folder: Path) -> tuple[int, list[tuple[float, str]]]:
    """Return the exit code, and the time in seconds and the text of each write."""
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160"}
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=child, stdout=child, stderr=child
    )
    os.close(child)
    writes = []
    while True:
        ready, _, _ = select.select([parent], [], [], 0.2)
        try:
            chunk = os.read(parent, 65536) if ready else b""
        except OSError:  # Linux says so where the process has closed its terminal
            break
        if chunk:
            text = TERMINAL_CODES.sub(b"", chunk).decode(errors="replace")
            writes.append((time.monotonic() - start, text))
        elif process.poll() is not None:
            break
    os.close(parent)
    return process.wait(), writes


def find_longest_gap(writes: list[tuple[float, str]]) -> tuple[float, str]:
    """Return the longest time between two writes, and the one before it."""
    times = [0.0, *(moment for moment, _ in writes)]
    gaps = np.diff(times)
    longest = int(gaps.argmax())
    before = writes[longest - 1][1].strip() if longest else "the beginning"
    return float(gaps[longest]), before[-100:]


def keep_news(writes: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the writes that differ from the one before in more than times."""
    kept: list[tuple[float, str]] = []
    seen: set[tuple[str, ...]] = set()
    for moment, text in writes:
        counts = re.findall(r"[\d,]+ of [\d,]+", text)
        news = (" ".join(TIMES.sub("", text).split()), *counts)
        if news not in seen:
            kept.append((moment, text))
        seen.add(news)
    return kept


def main() -> None:
    """Run once and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--dark", action="store_true", help="darken some, which do not train")
    options = parser.parse_args()
    nightshift = str(Path(sys.executable).with_name("nightshift"))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dark_share = DARK_SHARE if options.dark else 0.0
        write_images(options.images, options.side, folder / "images", dark_share)
        config = "name: quick\nruns: runs\nreports: reports\ningest: {data: images}\n"
        (folder / "quick.yaml").write_text(config + (DARK_CONFIG if options.dark else ""))
        command = [nightshift, "run", "--quick", "-c", "quick.yaml"]
        code, writes = run_on_terminal(command, folder)
        rows = []
        for file in (folder / "runs").glob("*/*/stage.json"):
            seconds = json.loads(file.read_text())["seconds"]
            rows.append({"stage": file.parent.name, "seconds": round(float(seconds), 1)})
    rows.sort(key=lambda row: -float(row["seconds"]))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{options.images} images, exit code {code}, {writes[-1][0] / 60:.2f} min, load {load}")
    print(format_table(rows))
    for name, kept in (("nothing written", writes), ("only times changed", keep_news(writes))):
        seconds, before = find_longest_gap(kept)
        print(f"{name} for {seconds:.1f} s at most, after: {before!r}")


if __name__ == "__main__":
    main()
