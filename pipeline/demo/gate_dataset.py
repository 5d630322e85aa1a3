"""The demo's data set: drawn people at a gate, with or without an employee badge.

Two cameras take photos by day and night. `generate_dataset` writes them as a plain manifest folder.
What it plants is written to `.truth.json`, a hidden file that only tests and benchmarks read. A
network learns the badge from many photos by day. Two conditions are rare or absent in training and
present in validation and test: the night shift, and a camera that is tilted from a certain day on.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.adapters import manifest
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.demo.gate_camera import encode_photo
from pipeline.demo.gate_plan import BLACK_GAIN, PlannedPhoto, plan_photos
from pipeline.demo.gate_simulator import SIMULATED_CONDITIONS, simulate_images
from pipeline.storage.csv_tables import CsvRowWriter

__all__ = ["SIMULATED_CONDITIONS", "can_read", "generate_dataset", "read_images", "simulate_images"]

MARKER_NAME, TABLE_NAME, TRUTH_NAME = "gate.json", "metadata.csv", ".truth.json"
TABLE_COLUMNS = ("file_name", "label", "split", "group", "camera")
GENERATOR_VERSION = 1
"""Raised whenever the same photos and seed give other bytes: older folders are replaced."""

MIN_PHOTO_COUNT = 60
_PARALLEL_PHOTO_COUNT = 300  # fewer photos than this are drawn sooner than other processes start


def can_read(root: Path) -> str | None:
    """Return the generator's marker as one line, or None."""
    marker = _read_marker(root)
    return (
        f"the demo's gate, {marker['photos']} drawn photos of seed {marker['seed']}"
        if marker
        else None
    )


def read_images(root: Path) -> Iterator[ImageRecord | RejectedFile]:
    """Yield the photos of the demo's gate, drawn by `nightshift demo`, from their manifest.

    Raises:
        InputError: the manifest cannot be read.
    """
    return (photo for photo in manifest.read_images(root) if photo.path != MARKER_NAME)


def generate_dataset(root: Path, photo_count: int = 2400, seed: int = 0) -> None:
    """Write the demo's photos and their manifest into `root`, unless they are there already.

    The same seed gives the same bytes. The folder appears as a whole, and replaces an earlier one
    of another count or seed.

    Args:
        root: the folder.
        photo_count: number of JPEG files, at least 60, second copies included.
        seed: seed of the photos.

    Raises:
        InputError: `root` holds other files, or too few photos are requested.
    """
    if photo_count < MIN_PHOTO_COUNT:
        raise InputError(
            f"demo: photos = {photo_count} is too few for every kind of photo; set "
            f"{MIN_PHOTO_COUNT} or more"
        )
    marker = {"version": GENERATOR_VERSION, "photos": photo_count, "seed": seed}
    if _is_complete(root, marker):
        return
    _require_own_folder(root)
    partial_folder = root.with_name(f".{root.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    files = plan_photos(photo_count, seed)
    _write_photos(partial_folder, files, seed)
    _write_table(partial_folder / TABLE_NAME, files)
    (partial_folder / TRUTH_NAME).write_text(
        json.dumps(_build_truth(files), indent=1), encoding="utf-8"
    )
    (partial_folder / MARKER_NAME).write_text(json.dumps(marker), encoding="utf-8")
    shutil.rmtree(root, ignore_errors=True)
    os.replace(partial_folder, root)


def _read_marker(root: Path) -> dict[str, Any]:
    """Return the content of the marker; {} if there is none."""
    try:
        marker = json.loads((root / MARKER_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_valid = isinstance(marker, dict) and {"version", "photos", "seed"} <= marker.keys()
    return marker if is_valid else {}


def _read_listed_names(root: Path) -> list[str]:
    try:
        with (root / TABLE_NAME).open(encoding="utf-8", newline="") as lines:
            return [row["file_name"] for row in csv.DictReader(lines)]
    except (OSError, KeyError, ValueError):
        return []


def _is_complete(root: Path, expected_marker: Mapping[str, int]) -> bool:
    files = _read_listed_names(root)
    is_listed = (
        _read_marker(root) == expected_marker
        and len(files) == expected_marker["photos"]
        and (root / TRUTH_NAME).is_file()
    )
    return is_listed and all((root / name).is_file() for name in files)


def _require_own_folder(root: Path) -> None:
    """Raise `InputError` if the folder holds anything that the generator did not write."""
    if not root.exists():
        return
    if not root.is_dir():
        raise InputError(f"{root}: is a file; name a folder for the demo's photos")
    own = (
        {MARKER_NAME, TABLE_NAME, TRUTH_NAME, *_read_listed_names(root)}
        if _read_marker(root)
        else set()
    )
    names = sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()
    )
    foreign = [name for name in names if name not in own]
    if foreign:
        raise InputError(
            f"{root}: holds {foreign[0]}, which the demo did not write; name another folder or "
            "remove it"
        )


def _write_photos(root: Path, files: list[PlannedPhoto], seed: int) -> None:
    fresh = [file for file in files if file.copied_from is None]
    for folder in {(root / file.file_name).parent for file in files}:
        folder.mkdir(parents=True, exist_ok=True)
    write = partial(_write_photo, root, seed)
    if len(fresh) < _PARALLEL_PHOTO_COUNT:
        for file in fresh:
            write(file)
    else:
        with ProcessPoolExecutor(
            os.cpu_count(), mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            list(pool.map(write, fresh, chunksize=40))
    for file in files:
        if file.copied_from is not None:
            shutil.copyfile(root / file.copied_from, root / file.file_name)


def _write_photo(root: Path, seed: int, file: PlannedPhoto) -> None:
    (root / file.file_name).write_bytes(encode_photo(file, seed))


def _write_table(path: Path, files: list[PlannedPhoto]) -> None:
    """Write the table as a user would keep it; the times are in the photos' EXIF."""
    with path.open("w", encoding="utf-8", newline="") as lines:
        table = CsvRowWriter(lines, TABLE_COLUMNS, "\n")
        for file in files:
            visit = file.visit
            group = f"visit-{visit.number:04d}"
            values = (file.file_name, file.label, visit.split, group, visit.camera)
            table.write_row(dict(zip(TABLE_COLUMNS, values, strict=True)))


def _build_truth(files: list[PlannedPhoto]) -> dict[str, dict[str, Any]]:
    """Return the planted truth by file name: card, light, tilt, wrong labels and second copies."""
    return {
        file.file_name: {
            "split": file.visit.split,
            "group": f"visit-{file.visit.number:04d}",
            "camera": file.visit.camera,
            "captured_at": file.taken_at.isoformat(),
            "label": file.visit.label,
            "wears": file.visit.worn_card,
            "night": file.visit.is_night,
            "gain": round(file.visit.light_gain, 4),
            "black": file.visit.light_gain <= BLACK_GAIN,
            "tilted": file.visit.is_tilted,
            "tilt": round(file.visit.tilt_degrees, 2),
            "wrong_label": file.label != file.visit.label,
            "copy_of": file.copied_from,
        }
        for file in files
    }
