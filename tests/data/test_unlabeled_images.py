"""Images without labels: pipeline/data/unlabeled_images.py."""

import os
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from pipeline.contracts import InputError, iterate_silently
from pipeline.data import unlabeled_images
from pipeline.data.unlabeled_images import (
    fingerprint_files,
    list_unlabeled_images,
    read_unlabeled_images,
)

KEY = "prescribe.unlabeled"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with five images, one in a subfolder, a broken one and a text."""
    root = tmp_path / "new"
    (root / "gate").mkdir(parents=True)
    for number in range(5):
        name = f"gate/{number}.png" if number == 4 else f"{number}.png"
        cv2.imwrite(str(root / name), np.full((20, 30, 3), 40 * number, np.uint8))
    (root / "broken.jpg").write_bytes(b"no image")
    (root / "notes.txt").write_text("not an image")
    return root


def test_images_are_read_in_chunks_and_broken_ones_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlabeled_images, "CHUNK_SIZE", 2)
    records = list_unlabeled_images(folder, KEY)
    chunks = list(read_unlabeled_images(records, 16, iterate_silently))
    assert len(chunks) == 3
    paths = [path for chunk in chunks for path in chunk.paths]
    assert paths == ["0.png", "1.png", "2.png", "3.png", "gate/4.png"]
    assert [item.path for chunk in chunks for item in chunk.rejected] == ["broken.jpg"]
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    assert pixels.shape == (5, 16, 16, 3)
    assert pixels[:, 8, 8, 0].tolist() == [0, 40, 80, 120, 160]
    hashes = [item for chunk in chunks for item in chunk.content_hashes]
    assert len(set(hashes)) == 5


def test_an_archive_is_read_like_a_folder(folder: Path, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "new.zip", "w") as archive:
        for number in range(4):
            archive.write(folder / f"{number}.png", f"{number}.png")
    records = list_unlabeled_images(tmp_path / "new.zip", KEY)
    (chunk,) = read_unlabeled_images(records, 16, iterate_silently)
    assert chunk.paths == [f"{number}.png" for number in range(4)]
    assert fingerprint_files(tmp_path / "new.zip", KEY)


def test_a_changed_file_changes_the_fingerprint(folder: Path) -> None:
    before = fingerprint_files(folder, KEY)
    assert fingerprint_files(folder, KEY) == before
    os.utime(folder / "0.png", ns=(1, 1))
    assert fingerprint_files(folder, KEY) != before


def test_a_missing_folder_or_one_without_images_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prescribe\.unlabeled: .*absent: no such folder"):
        list_unlabeled_images(tmp_path / "absent", KEY)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="no image among 1 files"):
        list_unlabeled_images(tmp_path, KEY)
