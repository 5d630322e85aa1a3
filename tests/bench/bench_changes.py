"""`make bench`.

A look at data that did not change, against one that reads all of it (NIGHTSHIFT_BENCH_FILES files).
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.engine.change_detection import accept_changes, detect_changes, read_watched_dataset

FILES = int(os.environ.get("NIGHTSHIFT_BENCH_FILES", "100000"))
LATER = time.time() + 1e6


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_an_unchanged_data_set(tmp_path: Path) -> None:
    for i in range(FILES):
        if i % 1000 == 0:
            folder = tmp_path / "images" / f"{i // 1000:04}"
            folder.mkdir(parents=True)
        (folder / f"{i:07}.jpg").write_bytes(b"%06d" % i * 800)  # 4,800 bytes, as a small image's
    for name in ("known", "new"):
        (tmp_path / f"{name}.yaml").write_text(
            f"name: {name}\nruns: {tmp_path}/runs\ningest: {{data: {tmp_path}/images}}\n"
        )
    known, new = (
        read_watched_dataset(tmp_path / "known.yaml"),
        read_watched_dataset(tmp_path / "new.yaml"),
    )
    assert accept_changes(known, detect_changes(known, LATER).mark)
    stats, whole = [], []
    for _ in range(3):  # alternating
        stats.append(_seconds(lambda: detect_changes(known, LATER)))
        whole.append(_seconds(lambda: detect_changes(new, LATER)))
    median = statistics.median(stats)
    ratio = statistics.median(whole) / median
    print(
        f"\n{FILES:,} files, unchanged: median {median:.2f} s; {ratio:.1f} times that to read all"
    )
    assert detect_changes(known, LATER).state == "unchanged"
