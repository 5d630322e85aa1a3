"""How fast 100,000 files are recognized and listed, beside another checkout of this project.

`python -m tests.bench.bench_listing OTHER [ROUNDS]` alternates between this checkout and OTHER,
five times each, and prints the medians of the processor's seconds (which other load does not
change): class folders, and a table that lists images.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FILE_COUNT = 100_000
CLASS_COUNT = 100
ROUNDS = 5
_CODE = """
import sys, time
from pathlib import Path
from pipeline.data.reading.dataset_listing import ColumnNames, list_records
from pipeline.data.reading.image_record import ReadOptions
root = Path(sys.argv[1])
options = ReadOptions(*sys.argv[2:])
start = time.process_time()
records, _ = list_records(root, None, options, ColumnNames())
print(time.process_time() - start, len(records))
"""


def write_class_folders(root: Path) -> None:
    """Write empty image files in class folders."""
    for number in range(CLASS_COUNT):
        folder = root / f"class_{number:03d}"
        folder.mkdir(parents=True)
        for item in range(FILE_COUNT // CLASS_COUNT):
            (folder / f"{item:06d}.jpg").touch()


def write_listed_images(root: Path) -> None:
    """Write empty image files in one folder, and a table that lists them."""
    (root / "images").mkdir(parents=True)
    rows = ["image_id,label"]
    for number in range(FILE_COUNT):
        (root / "images" / f"{number:06d}.jpg").touch()
        rows.append(f"{number:06d}.jpg,class_{number % CLASS_COUNT}")
    (root / "metadata.csv").write_text("\n".join(rows))


def _time_listing(checkout: Path, arguments: list[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", _CODE, *arguments]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    seconds, count = done.stdout.split()
    assert int(count) == FILE_COUNT
    return float(seconds)


def main(other: Path, rounds: int = ROUNDS) -> None:
    """Print the medians of both checkouts."""
    here = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as name:
        write_class_folders(Path(name) / "folders")
        write_listed_images(Path(name) / "table")
        for kind, options in (("folders", []), ("table", ["image_id"])):
            seconds: dict[Path, list[float]] = {here: [], other: []}
            for _ in range(rounds):
                for checkout in (other, here):
                    arguments = [str(Path(name) / kind), *options]
                    seconds[checkout].append(_time_listing(checkout, arguments))
            new, old = statistics.median(seconds[here]), statistics.median(seconds[other])
            print(f"{kind}: {new:.2f} s here, {old:.2f} s there, ratio {new / old:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *map(int, sys.argv[2:]))
