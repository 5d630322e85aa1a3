import os
import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import fetch_bytes
from pipeline.serving.prediction.input_images import list_images, watch_folder


def _names(inputs: list[str], lines: list[str] = []) -> list[str]:
    return [
        Path(item.path).name for item in list_images(inputs, lines) if isinstance(item, ImageRecord)
    ]


def test_files_folders_patterns_and_a_list(shots: Path) -> None:
    one, every = str(shots / "01.png"), str(shots / "0*.png")
    assert _names([one]) == ["01.png"]
    assert len(_names([str(shots)])) == 13, "a file is known to be broken when it is read"
    assert _names([every]) == [f"{k:02d}.png" for k in range(10)]
    assert _names(["-"], [f"{one}\n", "\n", "-\n", str(shots / "02.png")]) == ["01.png", "02.png"]
    assert _names([one, one]) == ["01.png", "01.png"]


def test_a_table_gives_its_columns_and_says_what_is_missing(shots: Path, tmp_path: Path) -> None:
    shutil.copy(shots / "01.png", tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,door\na.png,east\ngone.png,west\n")
    found = list(list_images([str(tmp_path)]))
    first = next(item for item in found if isinstance(item, ImageRecord))
    assert first.columns["door"] == "east"
    assert any(isinstance(item, RejectedFile) and "gone.png" in item.path for item in found)
    listed = next(
        item
        for item in list_images([str(tmp_path / "metadata.csv")])
        if isinstance(item, ImageRecord)
    )
    assert Path(listed.path) == tmp_path / "a.png", "a path that can be opened"


def test_an_input_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such image, folder or table"):
        list(list_images([str(tmp_path / "none*.png")]))


def test_images_that_land_are_given_once_and_whole(shots: Path, tmp_path: Path) -> None:
    shutil.copy(shots / "01.png", tmp_path / "old.png")
    shutil.copy(shots / "02.png", tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes.txt").write_text("no image")
    seen = []
    for image in watch_folder(
        tmp_path, {str(tmp_path / "old.png")}, interval_seconds=0.0, max_rounds=6
    ):
        seen.append(Path(image.path).name)
        if len(seen) == 1:
            shutil.copy(shots / "03.png", tmp_path / "new.png")
    assert sorted(seen) == ["half.png", "new.png", "whole.png"]
    grown = []
    for k, image in enumerate(
        watch_folder(tmp_path, set(seen), interval_seconds=0.0, max_rounds=3)
    ):
        grown.append((k, image.path))
    assert len(grown) == 4, "paths that were not answered before are given again"


def test_a_folder_by_another_name_gives_no_image_again(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    shutil.copy(shots / "01.png", gate / "a.png")
    (tmp_path / "door").symlink_to(gate)
    monkeypatch.chdir(tmp_path)
    first = [
        image.path for image in watch_folder(Path("gate"), (), interval_seconds=0.0, max_rounds=2)
    ]
    assert first == [str(gate / "a.png")]
    for folder in (Path("gate"), gate, Path("door"), gate / ".." / "gate"):
        for known in (str(gate / "a.png"), "gate/a.png", "door/a.png", "./gate/a.png"):
            assert not list(watch_folder(folder, {known}, interval_seconds=0.0, max_rounds=2)), (
                folder,
                known,
            )


def test_a_image_that_grows_is_not_taken_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = tmp_path / "a.png"
    growing.write_bytes(b"x")
    monkeypatch.setattr("time.sleep", lambda _: growing.write_bytes(growing.read_bytes() + b"x"))
    assert list(watch_folder(tmp_path, set(), max_rounds=4)) == []
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert len(list(watch_folder(tmp_path, set(), max_rounds=4))) == 1


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        next(watch_folder(tmp_path / "gone", set()))


def test_a_name_that_is_no_text_is_one_that_rows_can_hold(shots: Path, tmp_path: Path) -> None:
    raw = os.fsdecode(b"b\xff.png")
    shutil.copy(shots / "01.png", tmp_path / raw)
    told = rf"{tmp_path}/b\xff.png"
    for found in (
        list_images([str(tmp_path / raw)]),
        list_images([str(tmp_path)]),
        watch_folder(tmp_path, (), interval_seconds=0.0, max_rounds=2),
    ):
        (image,) = (item for item in found if isinstance(item, ImageRecord))
        assert image.path == told
        assert fetch_bytes(image.source) == (shots / "01.png").read_bytes()
    assert not list(watch_folder(tmp_path, {told}, interval_seconds=0.0, max_rounds=2))


def test_an_empty_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty folder"):
        list(list_images([str(tmp_path)]))
