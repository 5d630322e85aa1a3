"""The cache folder: pipeline/data/reading/file_cache.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.reading.file_cache import cache_file, get_cache_folder


def test_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, cache_folder: Path, tmp_path: Path
) -> None:
    assert get_cache_folder() == cache_folder
    monkeypatch.delenv("NIGHTSHIFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert get_cache_folder() == tmp_path / "nightshift"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get_cache_folder() == tmp_path / ".cache" / "nightshift"


def test_file_is_written_once_per_key() -> None:
    written = []

    def write(path: Path) -> None:
        written.append(path)
        path.write_text(str(len(written)))

    assert cache_file("a", write) == cache_file("a", write)
    assert Path(cache_file("b", write)).read_text() == "2"


def test_interrupted_write_leaves_no_file(cache_folder: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        cache_file("a", fail)
    assert not list((cache_folder / "unpacked").iterdir())
