"""The photos that `analyze` is given, decoded once, as the graph's artifacts."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.analyze.tables import OWN
from pipeline.contracts import InputError, Track, silent
from pipeline.datasets import Header, ImageError, decode, header, letterbox
from pipeline.plugins import names


@dataclass(frozen=True)
class _Shot:
    content_hash: str
    head: Header
    pixels: NDArray[np.uint8]


def _shot(source: Path, side: int) -> _Shot | str:
    """One photo, or why it cannot be used."""
    try:
        data = source.read_bytes()
        head = header(data)
        return _Shot(hashlib.sha256(data).hexdigest()[:32], head, letterbox(decode(data, side, head), side))
    except OSError as error:
        return str(error.strerror)
    except ImageError as error:
        return str(error)


def load_photos(
    table: pd.DataFrame, manifest: Path, side: int, track: Track = silent
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """`images` and `pixels` uint8 [N, side, side, 3] of M, its paths relative to its own folder.

    A group is that of M, else the bytes: exact copies are one. Raises `InputError` that names the first photo that
    cannot be used.
    """
    sources = [manifest.parent / path for path in table["path"]]
    pixels = np.empty((len(table), side, side, 3), np.uint8)
    shots, bad = [], []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda source: _shot(source, side), sources)
        for row, shot in enumerate(track(results, total=len(sources), what="photos")):
            if isinstance(shot, str):
                bad.append(f"{sources[row]} ({shot})")
                continue
            pixels[row] = shot.pixels
            shots.append((shot.content_hash, shot.head))
    if bad:
        raise InputError(
            f"{manifest}: {len(bad)} of {len(table)} photos cannot be used, first {bad[0]}; remove the rows"
        )
    return _images(table, sources, shots), pixels


def _images(table: pd.DataFrame, sources: list[Path], shots: list[tuple[str, Header]]) -> pd.DataFrame:
    hashes = pd.Series([content for content, _ in shots], dtype="str")
    taken = pd.Series([head.taken for _, head in shots], dtype="datetime64[us]")
    columns: dict[str, Any] = {
        "image_id": table["image_id"],
        "content_hash": hashes,
        "path": table["path"],
        "source": pd.Series([str(source.resolve()) for source in sources], dtype="str"),
        "label": table["label"],
        "group": table.get("group", hashes),
        "captured_at": table.get("captured_at", taken),
        "width": pd.Series([head.width for _, head in shots], dtype="int64"),
        "height": pd.Series([head.height for _, head in shots], dtype="int64"),
        "given_split": pd.Series([None] * len(table), dtype="str"),
    }
    own = {*columns, *names("attributes"), "split"}
    users = {f"{c}_" if c in own else str(c): table[c] for c in table.columns if c not in OWN}
    return pd.DataFrame(columns | users)
