"""Reading of images and their copies: pipeline/data/reading/image_intake.py.

The stage ingest also reads a folder of more than a thousand broken, odd and malicious files. It
does so in its own process, so that a hang is an error and its memory can be measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.reading.image_intake import LoadedImage, PixelStore, load_image
from pipeline.data.reading.image_record import ImageRecord, RejectedFile, escape_invalid_bytes
from pipeline.data.reading.image_sources import build_crop_source, open_image
from tests.data import hostile
from tests.data.sample_images import write_images

REPOSITORY = Path(__file__).resolve().parents[3]
MAX_MEGABYTES = 900 + 600 * (os.cpu_count() or 1)
"""Largest memory: imports (820 MB with torch), and for each thread the largest image that is
allowed (81 million pixels of 3 or 4 bytes) and a copy of it."""
INGEST_CODE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from pipeline.contracts import StageContext
from pipeline.stages import ingest
root = Path(sys.argv[1])
context = StageContext("run", 0, root / "run", root)
outputs = ingest.run(ingest.Config(data=root / "data", side=64), context)
outputs["images"].to_parquet(root / "run" / "images.parquet")
outputs["rejected"].to_parquet(root / "run" / "rejected.parquet")
np.save(root / "run" / "pixels.npy", outputs["pixels"])
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
"""


@dataclass(frozen=True)
class IngestResult:
    """Result of the stage ingest on the hostile corpus.

    Attributes:
        outcomes: required outcome of each file, by escaped path.
        images: the artifact `images`.
        rejected: reason of each rejected file, by path.
        pixels: the artifact `pixels`.
        megabytes: largest memory of the process.
        files_before: path and modification time of every file outside the run's folder.
        files_after: the same after the run.
    """

    outcomes: dict[str, str]
    images: pd.DataFrame
    rejected: dict[str, str]
    pixels: np.ndarray
    megabytes: int
    files_before: list[tuple[str, int]]
    files_after: list[tuple[str, int]]


def _list_files(root: Path) -> Iterator[tuple[str, int]]:
    """Yield path and modification time of everything below `root` outside the run's folder."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name != "run"]
        for name in (*subfolders, *names):
            path = os.path.join(folder, name)
            yield path, os.lstat(path).st_mtime_ns


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> IngestResult:
    root = tmp_path_factory.mktemp("hostile")
    outcomes = hostile.build_corpus(root)
    for name in ("run", "home"):
        (root / name).mkdir()
    files_before = sorted(_list_files(root))
    env = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "HOME": str(root / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    env.pop("NIGHTSHIFT_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", INGEST_CODE, str(root)],
        cwd=root / "home",
        env=env,
        capture_output=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    rejected = pd.read_parquet(root / "run" / "rejected.parquet")
    assert not rejected["path"].duplicated().any()
    return IngestResult(
        outcomes={escape_invalid_bytes(os.fsdecode(path)): o for path, o in outcomes.items()},
        images=pd.read_parquet(root / "run" / "images.parquet"),
        rejected=dict(zip(rejected["path"], rejected["reason"], strict=True)),
        pixels=np.load(root / "run" / "pixels.npy"),
        megabytes=int(json.loads(done.stdout)),
        files_before=files_before,
        files_after=sorted(_list_files(root)),
    )


def test_every_file_is_used_or_rejected_with_a_reason(result: IngestResult) -> None:
    assert len(result.outcomes) >= 1000
    used = set(result.images["path"])
    assert len(used) == len(result.images)
    assert used | set(result.rejected) == set(result.outcomes)
    assert len(used) + len(result.rejected) == len(result.outcomes)
    assert all(result.rejected.values())


def test_every_file_has_the_required_outcome(result: IngestResult) -> None:
    used = set(result.images["path"])
    wrong = {}
    for path, outcome in result.outcomes.items():
        if outcome != hostile.EITHER and (outcome == hostile.USED) != (path in used):
            wrong[path] = result.rejected.get(path)
    assert wrong == {}


def test_memory_is_bounded(result: IngestResult) -> None:
    assert result.megabytes < MAX_MEGABYTES


def test_nothing_is_written_outside_the_run(result: IngestResult) -> None:
    assert result.files_before == result.files_after
    assert not Path("/tmp/owned").exists()


def test_no_link_leads_to_files_outside(result: IngestResult) -> None:
    assert not result.images["source"].str.contains("/outside/").any()
    for name in ("out.jpg", "etc", "root"):
        assert "leads out" in result.rejected[f"special/{name}"]
    assert "above" in result.rejected["special/up"]
    assert "symbolic links" in result.rejected["special/self.jpg"]
    assert result.rejected["special/fifo.jpg"] == "not a regular file"


def _select_pixels(result: IngestResult, folder: str) -> dict[str, np.ndarray]:
    rows = result.images.index[result.images["path"].str.startswith(folder + "/")]
    return {str(result.images["path"][row]): result.pixels[row].astype(int) for row in rows}


def test_exif_orientation_is_applied(result: IngestResult) -> None:
    images = _select_pixels(result, "turned")
    assert len(images) == 32
    for path, pixels in images.items():
        assert np.abs(pixels[20, 10] - hostile.RED).max() < 25, path
        for row, column in ((20, 50), (44, 10), (44, 50)):
            assert np.abs(pixels[row, column] - hostile.GREEN).max() < 25, path


def test_color_modes_and_wrong_suffixes_do_not_change_the_pixels(result: IngestResult) -> None:
    images = _select_pixels(result, "suffix") | _select_pixels(result, "mode")
    paths = [path for path in images if path.startswith("suffix/")]
    paths += ["mode/cmyk.jpg", "mode/cmyk.tif", "mode/RGBA.png", "mode/rgb16.png"]
    paths += ["mode/rgb16.tif", "mode/moving.gif", "mode/moving.webp"]
    assert len(paths) > 70
    for path in paths:
        assert np.abs(images[path][44, 50] - hostile.GREEN).max() < 40, path


def test_every_source_opens_again(result: IngestResult) -> None:
    named = result.images[result.images["path"].str.startswith("name/")]
    assert len(named) > 150
    assert all(open_image(source).shape == (32, 48, 3) for source in named["source"])


def _write_records(folder: Path, count: int) -> list[ImageRecord]:
    names = [f"{n:03d}.png" for n in range(count)]
    write_images(folder, *names)
    return [ImageRecord(str(folder / name), name, "x") for name in names]


def _load(record: ImageRecord, side: int = 32) -> tuple[LoadedImage, np.ndarray]:
    loaded = load_image(record, side, lambda image_id: None)
    assert not isinstance(loaded, RejectedFile)
    return loaded


def test_copies_of_a_killed_run_are_found_again(tmp_path: Path) -> None:
    loaded = [_load(record) for record in _write_records(tmp_path / "images", 12)]
    with PixelStore(tmp_path, 32) as killed:
        for image, pixels in loaded:
            killed.add_copy(image.image_id, pixels)
    raw = next(tmp_path.glob("*.raw"))
    os.truncate(raw, 10 * 32 * 32 * 3 + 7)  # the last rows did not reach the disk
    resumed = PixelStore(tmp_path, 32)
    copies = resumed.find_earlier_copies()
    assert len(copies) == 10
    for image, pixels in loaded[:10]:
        mapped, row = copies[image.image_id]
        assert (mapped[row] == pixels).all()
    assert PixelStore(tmp_path, 16).find_earlier_copies() == {}
    with resumed:
        resumed.add_copy("0" * 16, np.full((32, 32, 3), 7, np.uint8))
    assert resumed.map_pixels().shape == (1, 32, 32, 3)
    assert (resumed.map_pixels() == 7).all()


def test_earlier_copy_replaces_decoding(tmp_path: Path) -> None:
    record = _write_records(tmp_path, 1)[0]
    earlier = np.full((32, 32, 3), 7, np.uint8)
    loaded = load_image(record, 32, lambda image_id: earlier)
    assert not isinstance(loaded, RejectedFile)
    assert loaded[1] is earlier


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    record = ImageRecord(str(tmp_path / "gone.png"), "gone.png", "x")
    expected = RejectedFile("gone.png", "cannot be read: No such file or directory")
    assert load_image(record, 32, lambda image_id: None) == expected


def test_file_that_changes_while_it_is_read_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _write_records(tmp_path, 1)[0]
    real_fstat = os.fstat
    handles: list[int] = []

    def fstat(handle: int) -> os.stat_result:
        handles.append(handle)
        if len(handles) == 2:  # between the two looks at the open file
            with open(record.source, "ab") as file:
                file.write(b"more")
        return real_fstat(handle)

    monkeypatch.setattr(os, "fstat", fstat)
    expected = "changed while it was read; run again when it is complete"
    assert load_image(record, 32, lambda image_id: None) == RejectedFile("000.png", expected)


def test_boxes_of_one_image_have_their_own_content(tmp_path: Path) -> None:
    record = _write_records(tmp_path, 1)[0]
    left = replace(record, source=build_crop_source(record.source, (0, 0, 8, 8)), path="0#0")
    right = replace(record, source=build_crop_source(record.source, (4, 0, 8, 8)), path="0#4")
    hashes = [_load(crop, 16)[0].content_hash for crop in (left, right, replace(right, path="0#9"))]
    assert hashes[0] != hashes[1]
    assert hashes[1] == hashes[2]


def test_box_outside_the_image_is_rejected(tmp_path: Path) -> None:
    record = _write_records(tmp_path, 1)[0]
    crop = replace(record, source=build_crop_source(record.source, (99, 0, 8, 8)))
    expected = RejectedFile("000.png", "its box is outside the image, or empty")
    assert load_image(crop, 16, lambda image_id: None) == expected
