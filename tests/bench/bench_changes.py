"""`make bench`: the check of an unchanged data set, against one that reads all of it.

NIGHTSHIFT_BENCH_FILES: number of files.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.engine.change_detection import accept_changes, detect_changes, read_watched_dataset

FILES = int(os.environ.get("NIGHTSHIFT_BENCH_FILES", "100000"))
FILES_PER_FOLDER = 1000
ROUNDS = 3
CHECK_TIME = time.time() + 1e6  # long after the files were written


def _measure_seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _write_files(root: Path) -> None:
    for number in range(FILES):
        folder = root / f"{number // FILES_PER_FOLDER:04}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir(parents=True)
        content = b"%06d" % number * 800  # 4,800 bytes, as in a small image
        (folder / f"{number:07}.jpg").write_bytes(content)


def test_an_unchanged_data_set(tmp_path: Path) -> None:
    _write_files(tmp_path / "images")
    watched = {}
    for name in ("known", "new"):
        config = tmp_path / f"{name}.yaml"
        config.write_text(
            f"name: {name}\nruns: {tmp_path}/runs\ningest: {{data: {tmp_path}/images}}\n"
        )
        watched[name] = read_watched_dataset(config)
    assert accept_changes(watched["known"], detect_changes(watched["known"], CHECK_TIME).mark)
    known_seconds, new_seconds = [], []
    for _ in range(ROUNDS):  # alternating
        known_seconds.append(_measure_seconds(lambda: detect_changes(watched["known"], CHECK_TIME)))
        new_seconds.append(_measure_seconds(lambda: detect_changes(watched["new"], CHECK_TIME)))
    median = statistics.median(known_seconds)
    ratio = statistics.median(new_seconds) / median
    print(
        f"\n{FILES:,} files, unchanged: median {median:.2f} s; {ratio:.1f} times that to read all"
    )
    assert detect_changes(watched["known"], CHECK_TIME).state == "unchanged"
