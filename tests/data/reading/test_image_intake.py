"""Reading in parallel, on more than a thousand broken, odd and malicious files in one run: pipeline/data/reading/image_intake.py.

That run is in a process of its own, so that a hang is an error and its memory can be read off.
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

from pipeline.data.reading.image_intake import (
    QUEUED_IMAGES_PER_THREAD,
    PixelStore,
    load_image,
    map_in_order,
)
from pipeline.data.reading.image_record import ImageRecord, RejectedFile, escape_invalid_bytes
from pipeline.data.reading.image_sources import build_crop_source
from tests.data import hostile
from tests.data.pictures import lay

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = 400 + 600 * (os.cpu_count() or 1)
"""Of memory at the most: imports, and in each thread the largest image that is let in (81 million pixels of 3 or 4
bytes) and a copy of it."""
CODE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from pipeline.contracts import Context
from pipeline.stages import ingest
here = Path(sys.argv[1])
made = ingest.run(ingest.Config(data=here / "data"), Context("run", 0, here / "run", here))
made["images"].to_parquet(here / "run" / "images.parquet")
made["rejected"].to_parquet(here / "run" / "rejected.parquet")
np.save(here / "run" / "pixels.npy", made["pixels"])
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
"""


@dataclass(frozen=True)
class Ended:
    """How the run on the corpus ended. fates: what must become of each file, by readable path."""

    fates: dict[str, str]
    images: pd.DataFrame
    rejected: dict[str, str]
    pixels: np.ndarray
    megabytes: int
    before: list[tuple[str, int]]
    after: list[tuple[str, int]]


def _everything(root: Path) -> Iterator[tuple[str, int]]:
    """Every path below `root` outside the run's folder, and when it was last changed."""
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name != "run"]
        for name in (*below, *names):
            path = os.path.join(folder, name)
            yield path, os.lstat(path).st_mtime_ns


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    here = tmp_path_factory.mktemp("hostile")
    fates = hostile.build(here)
    for name in ("run", "home"):
        (here / name).mkdir()
    before = sorted(_everything(here))
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HOME": str(here / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    env.pop("NIGHTSHIFT_CACHE", None)
    command = [sys.executable, "-c", CODE, str(here)]
    done = subprocess.run(
        command, cwd=here / "home", env=env, capture_output=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    images = pd.read_parquet(here / "run" / "images.parquet")
    rejected = pd.read_parquet(here / "run" / "rejected.parquet")
    assert not rejected["path"].duplicated().any()
    return Ended(
        {escape_invalid_bytes(os.fsdecode(path)): fate for path, fate in fates.items()},
        images,
        dict(zip(rejected["path"], rejected["reason"], strict=True)),
        np.load(here / "run" / "pixels.npy"),
        int(json.loads(done.stdout)),
        before,
        sorted(_everything(here)),
    )


def test_every_file_is_used_or_set_aside_with_a_reason(ended: Ended) -> None:
    assert len(ended.fates) >= 1000
    used = set(ended.images["path"])
    assert len(used) == len(ended.images)
    assert used | set(ended.rejected) == set(ended.fates)
    assert len(used) + len(ended.rejected) == len(ended.fates)
    assert all(ended.rejected.values())


def test_each_meets_its_fate(ended: Ended) -> None:
    used = set(ended.images["path"])
    wrong = {
        p: ended.rejected.get(p)
        for p, fate in ended.fates.items()
        if fate != hostile.EITHER and (fate == hostile.USED) != (p in used)
    }
    assert wrong == {}


def test_memory_is_bounded(ended: Ended) -> None:
    assert ended.megabytes < MEGABYTES


def test_nothing_is_written_outside_the_run(ended: Ended) -> None:
    assert ended.before == ended.after
    assert not Path("/tmp/owned").exists()


def test_no_link_brings_in_what_lies_outside(ended: Ended) -> None:
    assert all("/outside/" not in source for source in ended.images["source"])
    reasons = {
        name: ended.rejected[f"special/{name}"]
        for name in ("out.jpg", "etc", "root", "up", "self.jpg", "fifo.jpg")
    }
    assert all("leads out" in reasons[name] for name in ("out.jpg", "etc", "root"))
    assert "above" in reasons["up"]
    assert "symbolic links" in reasons["self.jpg"]
    assert reasons["fifo.jpg"] == "not a regular file"


def _pixels(ended: Ended, folder: str) -> dict[str, np.ndarray]:
    rows = ended.images.index[ended.images["path"].str.startswith(folder + "/")]
    return {str(ended.images["path"][row]): ended.pixels[row].astype(int) for row in rows}


def test_what_was_turned_stands_upright(ended: Ended) -> None:
    images = _pixels(ended, "turned")
    assert len(images) == 32
    for path, pixels in images.items():
        assert np.abs(pixels[20, 10] - (220, 30, 30)).max() < 25, path
        for row, column in ((20, 50), (44, 10), (44, 50)):
            assert np.abs(pixels[row, column] - hostile.GREEN).max() < 25, path


def test_color_modes_and_wrong_suffixes_give_the_same_picture(ended: Ended) -> None:
    images = _pixels(ended, "suffix") | _pixels(ended, "mode")
    same = [path for path in images if path.startswith("suffix/")]
    modes = (
        "cmyk.jpg",
        "cmyk.tif",
        "RGBA.png",
        "rgb16.png",
        "rgb16.tif",
        "moving.gif",
        "moving.webp",
    )
    same += [f"mode/{name}" for name in modes]
    assert len(same) > 70
    for path in same:
        assert np.abs(images[path][44, 50] - hostile.GREEN).max() < 40, path


def test_every_name_can_be_opened_again(ended: Ended) -> None:
    from pipeline.data.reading.image_sources import open_image

    odd = ended.images[ended.images["path"].str.startswith("name/")]
    assert len(odd) > 150
    assert all(open_image(source).shape == (32, 48, 3) for source in odd["source"])


# The parts.


def _images(folder: Path, count: int = 20) -> list[ImageRecord]:
    lay(folder, *(f"{n:03d}.png" for n in range(count)))
    return [ImageRecord(str(folder / f"{n:03d}.png"), f"{n:03d}.png", "x") for n in range(count)]


def test_order_is_kept_and_little_is_in_flight() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * 2

    results = map_in_order(range(5000), work)
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    assert len(begun) <= 10 + 8 * QUEUED_IMAGES_PER_THREAD + 8
    results.close()
    assert len(begun) < 200
    assert list(map_in_order([], work)) == []


def test_an_error_of_ours_ends_the_loop() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_order([1, 0, 2], lambda x: 1 / x))


def test_a_killed_run_finds_its_copies_again(tmp_path: Path) -> None:
    images = _images(tmp_path / "images")
    made = [load_image(image, 32, lambda image_id: None) for image in images]
    with PixelStore(tmp_path, 32) as shelf:
        for item in made[:12]:
            assert not isinstance(item, RejectedFile)
            shelf.add_copy(item[0].image_id, item[1])
    raw = next(tmp_path.glob("*.raw"))
    os.truncate(raw, 10 * 32 * 32 * 3 + 7)  # the last rows never reached the disk
    second = PixelStore(tmp_path, 32)
    places = second.find_earlier_copies()
    assert len(places) == 10
    for item in made[:10]:
        assert not isinstance(item, RejectedFile)
        array, row = places[item[0].image_id]
        assert (array[row] == item[1]).all()
    assert PixelStore(tmp_path, 16).find_earlier_copies() == {}
    with second:
        second.add_copy("0" * 16, np.full((32, 32, 3), 7, np.uint8))
    assert second.map_pixels().shape == (1, 32, 32, 3)
    assert (second.map_pixels() == 7).all()


def test_a_file_that_vanishes_or_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _images(tmp_path, 2)
    os.unlink(images[0].source)
    real = os.fstat
    calls: list[int] = []

    def fstat(handle: int) -> os.stat_result:
        calls.append(handle)
        if len(calls) == 2:  # between the two looks at the open file
            with open(images[1].source, "ab") as file:
                file.write(b"more")
        return real(handle)

    monkeypatch.setattr(os, "fstat", fstat)
    reasons = [load_image(image, 32, lambda image_id: None) for image in images[:1]]
    calls.clear()
    reasons.append(load_image(images[1], 32, lambda image_id: None))
    assert [item.reason for item in reasons if isinstance(item, RejectedFile)] == [
        "cannot be read: No such file or directory",
        "changed while it was read; run again when it is complete",
    ]


def test_boxes_of_one_image_are_images_of_their_own(tmp_path: Path) -> None:
    image = _images(tmp_path, 1)[0]
    crops = [
        replace(image, source=build_crop_source(image.source, (x, 0, 8, 8)), path=f"0#{x}")
        for x in (0, 4)
    ]
    shots = [
        load_image(crop, 16, lambda image_id: None)
        for crop in (*crops, replace(crops[1], path="0#9"))
    ]
    ids = [item[0].content_hash for item in shots if not isinstance(item, RejectedFile)]
    assert ids[0] != ids[1]
    assert ids[1] == ids[2]
    outside = load_image(
        replace(image, source=build_crop_source(image.source, (99, 0, 8, 8))),
        16,
        lambda image_id: None,
    )
    assert outside == RejectedFile("000.png", "its box lies outside the image, or is empty")
