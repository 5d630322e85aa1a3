"""Choosing the adapter: pipeline/datasets/__init__.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.datasets import Options, Photo, read, recognise
from tests.datasets.pictures import lay


def test_recognise_and_read_choose_the_adapter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one folder a class"):
        recognise(tmp_path)
    (tmp_path / "cat").mkdir()
    lay(tmp_path, "cat/1.png")
    assert recognise(tmp_path) == ("folder", "1 class folder (cat)")
    assert [item.label for item in read(tmp_path) if isinstance(item, Photo)] == ["cat"]
    with pytest.raises(InputError, match=r"ingest\.adapter.*'foldr'; did you mean folder"):
        read(tmp_path, "foldr")
    with pytest.raises(InputError, match=r"ingest\.label"):
        read(tmp_path, "folder", Options(label="species"))


def test_videos_are_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").touch()
    with pytest.raises(InputError, match=r"holds videos and no photos.*ffmpeg"):
        recognise(tmp_path)
    lay(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "2.avi").touch()
    assert "ffmpeg" in {item.path: getattr(item, "reason", "") for item in read(tmp_path)}["cat/2.avi"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        recognise(tmp_path / "gone")
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match="no data set of a kind known"):
        recognise(tmp_path / "a.doc")
