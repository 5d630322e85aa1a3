import os
import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import fetch_bytes
from pipeline.serving.prediction.input_images import PATIENCE_ROUNDS, list_images, watch_folder


def _list_names(inputs: list[str], lines: list[str] = []) -> list[str]:
    listed = list_images(inputs, lines)
    return [Path(item.path).name for item in listed if isinstance(item, ImageRecord)]


def _watch(folder: Path, known_paths: set[str], rounds: int) -> list[str]:
    images = watch_folder(folder, known_paths, interval_seconds=0.0, max_rounds=rounds)
    return [image.path for image in images]


def test_files_folders_patterns_and_standard_input_are_listed(image_folder: Path) -> None:
    one = str(image_folder / "01.png")
    assert _list_names([one]) == ["01.png"]
    assert len(_list_names([str(image_folder)])) == 13  # a broken file is known when it is decoded
    assert _list_names([str(image_folder / "0*.png")]) == [f"{k:02d}.png" for k in range(10)]
    lines = [f"{one}\n", "\n", "-\n", str(image_folder / "02.png")]
    assert _list_names(["-"], lines) == ["01.png", "02.png"]
    assert _list_names([one, one]) == ["01.png", "01.png"]


def test_table_gives_its_columns_and_its_missing_files(image_folder: Path, tmp_path: Path) -> None:
    shutil.copy(image_folder / "01.png", tmp_path / "a.png")
    table = tmp_path / "metadata.csv"
    table.write_text("file_name,door\na.png,east\ngone.png,west\n")
    for name in (tmp_path, table):
        listed = list(list_images([str(name)]))
        (image,) = [item for item in listed if isinstance(item, ImageRecord)]
        assert image.columns["door"] == "east"
        assert Path(image.path) == tmp_path / "a.png"
        (rejected,) = [item for item in listed if isinstance(item, RejectedFile)]
        assert "gone.png" in rejected.path


def test_input_without_a_match_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such image, folder or table"):
        list(list_images([str(tmp_path / "none*.png")]))
    with pytest.raises(InputError, match="an empty folder"):
        list(list_images([str(tmp_path)]))


def test_watched_images_come_once_and_complete(image_folder: Path, tmp_path: Path) -> None:
    for source, name in (("01.png", "old.png"), ("02.png", "first.png"), ("03.png", "second.png")):
        shutil.copy(image_folder / source, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    names = []
    known = {str(tmp_path / "old.png")}
    for image in watch_folder(tmp_path, known, interval_seconds=0.0, max_rounds=6):
        names.append(Path(image.path).name)
        if len(names) == 1:
            shutil.copy(image_folder / "04.png", tmp_path / "new.png")
    assert sorted(names) == ["first.png", "new.png", "second.png"]
    assert len(_watch(tmp_path, set(), rounds=3)) == 4  # every watch starts from its known paths


def test_known_path_is_skipped_in_every_spelling(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    shutil.copy(image_folder / "01.png", gate / "a.png")
    (tmp_path / "door").symlink_to(gate)
    monkeypatch.chdir(tmp_path)
    assert _watch(Path("gate"), set(), rounds=2) == [str(gate / "a.png")]
    for folder in (Path("gate"), gate, Path("door"), gate / ".." / "gate"):
        for known in (str(gate / "a.png"), "gate/a.png", "door/a.png", "./gate/a.png"):
            assert _watch(folder, {known}, rounds=2) == [], (folder, known)


def test_growing_image_waits(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (image_folder / "01.png").read_bytes()
    path = tmp_path / "a.png"
    path.write_bytes(data[:1])
    size = iter(range(2, 99))
    monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(data[: next(size)]))
    assert list(watch_folder(tmp_path, set(), max_rounds=4)) == []
    monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(data))
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    monkeypatch.setattr("time.sleep", lambda _: os.utime(path, ns=(1, 1)))
    assert len(list(watch_folder(tmp_path, set(), max_rounds=4))) == 1


def test_stalled_upload_is_predicted_when_it_is_complete(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests for longer than any patience, its error is reported once, and then it goes on."""
    data = (image_folder / "01.png").read_bytes()
    path = tmp_path / "a.png"
    half = len(data) // 2
    path.write_bytes(data[:half])
    rounds = iter(range(999))

    def advance(_: float) -> None:
        if next(rounds) == 2 * PATIENCE_ROUNDS:
            path.write_bytes(data)

    monkeypatch.setattr("time.sleep", advance)
    found = []
    for image in watch_folder(tmp_path, set(), max_rounds=3 * PATIENCE_ROUNDS):
        found.append(len(Path(image.path).read_bytes()))
    assert found == [half, len(data)]


def test_failed_image_of_an_earlier_watch_is_tried_again(
    image_folder: Path, tmp_path: Path
) -> None:
    shutil.copy(image_folder / "01.png", tmp_path / "now good.png")
    shutil.copy(image_folder / "broken.png", tmp_path / "still bad.png")
    failed = {str(tmp_path / name) for name in ("now good.png", "still bad.png")}
    images = watch_folder(
        tmp_path, set(), interval_seconds=0.0, max_rounds=2 * PATIENCE_ROUNDS, failed_paths=failed
    )
    assert [Path(image.path).name for image in images] == ["now good.png"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "link to a device", "link to nothing"])
def test_anything_but_a_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if "device" in kind else "/nowhere")
    assert _watch(tmp_path, set(), rounds=3) == []


def test_missing_folder_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        next(watch_folder(tmp_path / "gone", set()))


def test_name_of_invalid_bytes_is_escaped_and_still_opens(
    image_folder: Path, tmp_path: Path
) -> None:
    raw = os.fsdecode(b"b\xff.png")
    shutil.copy(image_folder / "01.png", tmp_path / raw)
    escaped = rf"{tmp_path}/b\xff.png"
    listings = (
        list_images([str(tmp_path / raw)]),
        list_images([str(tmp_path)]),
        watch_folder(tmp_path, (), interval_seconds=0.0, max_rounds=2),
    )
    for listing in listings:
        (image,) = [item for item in listing if isinstance(item, ImageRecord)]
        assert image.path == escaped
        assert fetch_bytes(image.source) == (image_folder / "01.png").read_bytes()
    assert _watch(tmp_path, {escaped}, rounds=2) == []


@pytest.mark.parametrize("name", ["a.png", "a.csv", "a.zip", "a.tar", "/dev/zero"])
def test_fifos_and_devices_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if not path.exists():
        os.mkfifo(path)
    with pytest.raises(InputError, match="no such folder or file"):
        list(list_images([str(path)]))
