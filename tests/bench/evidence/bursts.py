"""False gains on bursts without a group column: by image, by inferred group, by true track.

`python -m tests.bench.evidence.bursts` takes two minutes and writes its section of RESULTS.md.
"""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import iterate_silently
from pipeline.data.quality.group_inference import infer_groups
from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.learning.inference.frozen_features import compute_layout_features
from pipeline.statistics.group_intervals import estimate_cluster_mean
from tests.bench.results_file import write_section

DATA = Path(os.environ.get("NIGHTSHIFT_DATA", Path(__file__).parents[4] / "shared" / "data"))
RESULTS = Path(__file__).parents[1] / "RESULTS.md"
SIDE = 64
DRAWS = 2000
TEST_TRACKS = 150
ALPHA = 0.05
"""Of the two-sided interval: a gain is shown if the lower bound is above zero, at 2.5 %."""


def read_signs() -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Return path, label and track of each traffic sign, and its pixels."""
    rows, pixels = [], []
    with tarfile.open(DATA / "gtsrb.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".jpg") else None
            data = file.read() if file else b""
            if data:  # two files are empty
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                _, label, name = member.name.split("/")
                rows.append({"path": f"{label}/{name}", "label": label, "track": name[:5]})
                pixels.append(letterbox_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), SIDE))
    table = pd.DataFrame(rows)
    return table.assign(track=table["label"] + "/" + table["track"]), np.stack(pixels)


def infer(table: pd.DataFrame, pixels: NDArray[np.uint8]) -> pd.Series[str]:
    """Return the inferred group of each image; nothing but path, label and pixels is known."""
    contents = [f"image{row:06d}" for row in range(len(table))]
    images = table[["path", "label"]].assign(content_hash=contents, captured_at=pd.NaT)

    def compute_features(rows: NDArray[np.intp]) -> NDArray[np.float16]:
        return compute_layout_features(pixels, rows, iterate_silently)

    return infer_groups(images, compute_features)["group"]


def count_false_gains(tracks: NDArray[np.intp], groups: NDArray[np.intp], seed: int = 0) -> float:
    """Return the share of draws in which a gain is shown although there is none.

    Each draw takes 150 tracks. Seven in ten images share the change of their track (correct to
    wrong or the reverse, each in one of ten); the others change on their own.
    """
    rng = np.random.default_rng(seed)
    rows_of_track = np.split(np.argsort(tracks, kind="stable"), np.cumsum(np.bincount(tracks))[:-1])
    shown = 0
    for _ in range(DRAWS):
        drawn = rng.choice(len(rows_of_track), TEST_TRACKS, replace=False)
        rows = np.concatenate([rows_of_track[track] for track in drawn])
        position = np.repeat(np.arange(TEST_TRACKS), [len(rows_of_track[t]) for t in drawn])
        changes = rng.choice([-1.0, 0.0, 1.0], TEST_TRACKS, p=[0.1, 0.8, 0.1])[position]
        own = rng.choice([-1.0, 0.0, 1.0], len(rows), p=[0.1, 0.8, 0.1])
        values = np.where(rng.random(len(rows)) < 0.7, changes, own)
        shown += estimate_cluster_mean(values, groups[rows], ALPHA).low > 0
    return shown / DRAWS


def measure_pairs(tracks: NDArray[np.intp], groups: NDArray[np.intp]) -> tuple[float, float]:
    """Return the share of pairs of a track that are joined, and of joined pairs of one track."""

    def count_pairs(table: pd.DataFrame) -> int:
        sizes = table.groupby(list(table.columns)).size().to_numpy()
        return int((sizes * (sizes - 1)).sum())

    table = pd.DataFrame({"track": tracks, "group": groups})
    both = count_pairs(table)
    return both / count_pairs(table[["track"]]), both / max(count_pairs(table[["group"]]), 1)


def main() -> None:
    """Measure, and write the section."""
    table, pixels = read_signs()
    tracks = pd.factorize(table["track"])[0]
    nameless = table.assign(path=[f"{row:06d}.jpg" for row in range(len(table))])
    groupings = {"image": np.arange(len(table)), "true track": tracks}
    seconds = {}
    for name, known in (("inferred, burst names", table), ("inferred, looks alone", nameless)):
        start = time.perf_counter()
        groupings[name] = pd.factorize(infer(known, pixels))[0]
        seconds[name] = time.perf_counter() - start
    lines = [
        f"`python -m tests.bench.evidence.bursts`: {len(table):,} traffic signs in "
        f"{tracks.max() + 1} tracks; {DRAWS:,} draws of {TEST_TRACKS} tracks without any gain, "
        "tested at 2.5 %.",
        "",
        "| unit | units | false gains | pairs of a track joined | joined pairs of one track | s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, groups in groupings.items():
        recall, precision = measure_pairs(tracks, groups)
        share = count_false_gains(tracks, groups)
        joined = f"{recall:.1%} | {precision:.1%}" if name.startswith("inferred") else " | "
        took = f"{seconds[name]:.0f}" if name in seconds else ""
        lines.append(f"| {name} | {groups.max() + 1:,} | {share:.1%} | {joined} | {took} |")
    text = "\n".join(lines)
    print(text)
    write_section(RESULTS, "Bursts without a group column", text)


if __name__ == "__main__":
    main()
