"""The demo's generator: its files, their reproducibility, and the agreement of truth and pixels."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.contracts import InputError
from pipeline.data.reading.image_decoding import read_header
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import open_image
from pipeline.demo import gate_dataset
from pipeline.demo.gate_brush import SceneBrush
from pipeline.demo.gate_camera import render_photo
from pipeline.demo.gate_plan import TILT_START, plan_photos

PHOTOS, FEW = 200, 60

Truth = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "gate"
    gate_dataset.generate_dataset(folder, PHOTOS, seed=3)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "gate"
    gate_dataset.generate_dataset(folder, FEW, seed=3)
    return folder


@pytest.fixture(scope="module")
def rows(root: Path) -> list[dict[str, str]]:
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def truth(root: Path) -> Truth:
    content: Truth = json.loads((root / ".truth.json").read_text(encoding="utf-8"))
    return content


def _share(truth: Truth, split: str, key: str) -> float:
    return float(np.mean([t[key] for t in truth.values() if t["split"] == split]))


def _visits(split: str, planted: str, seed: int) -> int:
    visits = {
        file.visit.number: file.visit
        for file in plan_photos(2400, seed)
        if file.visit.split == split
    }
    return sum(getattr(visit, f"is_{planted}") for visit in visits.values())


def _files(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def test_the_requested_number_of_photos_is_written_and_listed(
    root: Path, rows: list[dict[str, str]], truth: Truth
) -> None:
    on_disk = {path.relative_to(root).as_posix() for path in root.rglob("*.jpg")}
    assert len(rows) == PHOTOS
    assert on_disk == {row["file_name"] for row in rows} == truth.keys()


def test_the_table_holds_nothing_of_what_was_planted(rows: list[dict[str, str]]) -> None:
    assert list(rows[0]) == ["file_name", "label", "split", "group", "camera"]
    assert {row["label"] for row in rows} == {"badge", "no_badge"}
    names = " ".join(row["file_name"] for row in rows)
    assert not any(
        word in names for word in ("night", "tilt", "black", "wrong", "badge", "courier")
    )


@pytest.mark.parametrize(("split", "share"), [("train", 0.54), ("val", 0.26), ("test", 0.20)])
def test_split_shares(rows: list[dict[str, str]], split: str, share: float) -> None:
    assert np.mean([row["split"] == split for row in rows]) == pytest.approx(share, abs=0.02)


def test_a_visit_is_one_group_in_one_split_before_one_camera(rows: list[dict[str, str]]) -> None:
    visits: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        visits.setdefault(row["group"], set()).add((row["split"], row["camera"]))
    assert all(len(places) == 1 for places in visits.values())
    assert PHOTOS / 3 <= len(visits) <= PHOTOS / 2


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    small: Path, tmp_path: Path
) -> None:
    gate_dataset.generate_dataset(tmp_path / "again", FEW, seed=3)
    gate_dataset.generate_dataset(tmp_path / "other", FEW, seed=4)
    assert _files(tmp_path / "again") == _files(small)
    assert not set(_photo_bytes(tmp_path / "other")) & set(_photo_bytes(small))


def _photo_bytes(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in root.rglob("*.jpg")]


def test_several_processes_write_what_one_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_dataset, "_PARALLEL_PHOTO_COUNT", 0)
    gate_dataset.generate_dataset(tmp_path / "many", FEW, seed=1)
    monkeypatch.setattr(gate_dataset, "_PARALLEL_PHOTO_COUNT", 10_000)
    gate_dataset.generate_dataset(tmp_path / "one", FEW, seed=1)
    assert _files(tmp_path / "many") == _files(tmp_path / "one")


def test_time_and_camera_stand_in_exif(
    root: Path, rows: list[dict[str, str]], truth: Truth
) -> None:
    for row in rows[::7]:
        head = read_header((root / row["file_name"]).read_bytes())
        assert head.camera_model == row["camera"]
        assert head.captured_at is not None
        assert head.captured_at.isoformat() == truth[row["file_name"]]["captured_at"]


def test_night_is_almost_absent_from_train_and_present_in_val_and_test(truth: Truth) -> None:
    assert 0 < _share(truth, "train", "night") < 0.05
    assert 0.18 < _share(truth, "val", "night") < 0.32
    assert 0.15 < _share(truth, "test", "night") < 0.35
    hours = {int(t["captured_at"][11:13]) for t in truth.values() if t["night"]}
    assert hours <= {21, 22, 23, 0, 1, 2, 3, 4}


def test_the_tilted_camera_is_north_late_and_absent_from_train(truth: Truth) -> None:
    assert _share(truth, "train", "tilted") == 0
    assert 0.1 < _share(truth, "val", "tilted") < 0.3
    assert 0.1 < _share(truth, "test", "tilted") < 0.3
    late_north = {
        n
        for n, t in truth.items()
        if t["camera"] == "north" and t["captured_at"] >= TILT_START.isoformat()
    }
    assert late_north == {name for name, t in truth.items() if t["tilted"]}
    assert all((abs(t["tilt"]) >= 15) == t["tilted"] for t in truth.values())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("split", "night", "tilted"), [("val", 60, 40), ("test", 45, 33)])
def test_the_whole_demo_has_groups_enough_to_judge(
    seed: int, split: str, night: int, tilted: int
) -> None:
    assert _visits(split, "night", seed) >= night
    assert _visits(split, "tilted", seed) >= tilted
    assert 1 <= _visits("train", "night", seed) <= 8


def _brightness(root: Path, names: list[str]) -> list[float]:
    return [float(open_image(root / name).mean()) for name in names]


def test_the_truth_agrees_with_the_pixels(root: Path, truth: Truth) -> None:
    day = _brightness(root, [name for name, t in truth.items() if not t["night"]])
    lit = _brightness(root, [name for name, t in truth.items() if t["night"] and not t["black"]])
    black = _brightness(root, [name for name, t in truth.items() if t["black"]])
    assert lit
    assert black
    assert min(day) > 50 > 45 > max(lit)
    assert min(lit) > 5
    assert max(black) < 3


def _warmth(root: Path, night: bool, truth: Truth) -> float:
    means = [
        open_image(root / n).reshape(-1, 3).mean(axis=0)
        for n, t in truth.items()
        if t["night"] is night
    ]
    red, _, blue = np.sum(means, axis=0)
    return float(red / blue)


def test_the_night_is_warm_and_noisy(root: Path, truth: Truth) -> None:
    assert _warmth(root, True, truth) > 1.3 * _warmth(root, False, truth)

    def grain(
        night: bool,
    ) -> float:  # robust spread of what a median filter takes away, over the mean signal
        noise_levels = []
        for name in [n for n, t in truth.items() if t["night"] is night and not t["black"]][:15]:
            gray = cv2.cvtColor(open_image(root / name), cv2.COLOR_RGB2GRAY)
            rest = gray.astype(float) - cv2.medianBlur(gray, 5)
            noise_levels.append(np.mean(np.abs(rest)) / gray.mean())
        return float(np.median(noise_levels))

    assert grain(True) > 2 * grain(False)


def test_a_tilted_camera_leaves_no_empty_corner(root: Path, truth: Truth) -> None:
    tilted = [name for name, t in truth.items() if t["tilted"] and not t["night"]]
    assert tilted
    for name in tilted:
        pixels = open_image(root / name)
        assert min(float(pixels[r, c].max()) for r in (2, -3) for c in (2, -3)) > 20


def test_turning_a_tilted_photo_back_gives_the_straight_one() -> None:
    filed = next(f for f in plan_photos(200, 3) if f.visit.is_tilted and not f.visit.is_night)
    tilted = render_photo(filed, 3)
    straight_visit = replace(filed.visit, tilt_degrees=0.0)
    straight = render_photo(replace(filed, visit=straight_visit), 3).astype(float)
    high, wide = tilted.shape[:2]

    def apart(angle: float) -> float:
        turn = cv2.getRotationMatrix2D((wide / 2, high / 2), angle, 1.0)
        turned = cv2.warpAffine(tilted, turn, (wide, high)).astype(float)
        return float(np.abs(turned - straight)[60:-60, 60:-60].mean())

    assert apart(filed.visit.tilt_degrees) < 0.35 * min(
        apart(0.0), apart(-filed.visit.tilt_degrees)
    )


def test_wrong_labels_are_few_in_every_split_and_recorded(
    rows: list[dict[str, str]], truth: Truth
) -> None:
    filed = {row["file_name"]: row["label"] for row in rows}
    wrong = {name for name, t in truth.items() if t["wrong_label"]}
    assert wrong == {name for name, t in truth.items() if t["label"] != filed[name]}
    assert {truth[name]["split"] for name in wrong} == {"train", "val", "test"}
    assert len(wrong) <= 0.03 * PHOTOS
    assert not any(truth[name]["black"] for name in wrong)
    assert all((t["wears"] == "employee") == (t["label"] == "badge") for t in truth.values())


def test_second_copies_are_exact_and_stay_with_their_visit(root: Path) -> None:
    gate_files = plan_photos(960, 5)
    copies = [file for file in gate_files if file.copied_from]
    first = {file.file_name: file for file in gate_files}
    assert len(copies) == 4
    assert len(first) == 960
    assert all(
        first[str(c.copied_from)].visit == c.visit and first[str(c.copied_from)].label == c.label
        for c in copies
    )
    truth = json.loads((root / ".truth.json").read_text(encoding="utf-8"))
    twice = {name: t["copy_of"] for name, t in truth.items() if t["copy_of"]}
    assert twice
    assert all(
        (root / name).read_bytes() == (root / other).read_bytes() for name, other in twice.items()
    )


def test_only_the_card_decides_the_class() -> None:
    """The same draw with another card differs only where the card hangs."""
    filed = next(
        f for f in plan_photos(200, 3) if f.visit.worn_card == "employee" and not f.visit.is_night
    )
    other = replace(filed, visit=replace(filed.visit, worn_card="rising"))
    apart = np.abs(render_photo(filed, 3).astype(int) - render_photo(other, 3)).max(axis=2) > 25
    assert 50 < apart.sum() < 0.02 * apart.size


def test_reads_back_through_the_manifest(root: Path, rows: list[dict[str, str]]) -> None:
    photos = [photo for photo in gate_dataset.read_images(root) if isinstance(photo, ImageRecord)]
    assert [photo.path for photo in photos] == [row["file_name"] for row in rows]
    assert {photo.split for photo in photos} == {"train", "val", "test"}
    assert {photo.columns["camera"] for photo in photos} == {"north", "south"}
    assert photos[0].group == rows[0]["group"]


def test_recognizes_its_own_folder_only(root: Path, tmp_path: Path) -> None:
    words = gate_dataset.can_read(root)
    assert words is not None
    assert "200" in words
    assert gate_dataset.can_read(tmp_path) is None
    (tmp_path / "gate.json").write_text("[]")
    assert gate_dataset.can_read(tmp_path) is None


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "gate"))


def test_a_complete_folder_is_left_as_it_is(own: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    gate_dataset.generate_dataset(own, FEW, seed=3)
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def _lose(own: Path) -> None:
    next(own.rglob("*.jpg")).unlink()


def _age(own: Path) -> None:
    (own / "gate.json").write_text(json.dumps({"version": 0, "photos": FEW, "seed": 3}))


@pytest.mark.parametrize("spoil", [_lose, _age])
def test_an_incomplete_or_older_folder_is_rewritten(
    own: Path, small: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(own)
    gate_dataset.generate_dataset(own, FEW, seed=3)
    assert _files(own) == _files(small)


def test_another_seed_takes_the_folders_place(own: Path, small: Path) -> None:
    gate_dataset.generate_dataset(own, FEW, seed=9)
    assert len(list(own.rglob("*.jpg"))) == FEW
    assert not set(_photo_bytes(own)) & set(_photo_bytes(small))
    assert sorted(path.name for path in own.parent.iterdir()) == ["gate"]


def test_what_a_user_put_there_is_never_replaced(own: Path) -> None:
    (own / "photos" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"mine\.jpg"):
        gate_dataset.generate_dataset(own, FEW, seed=9)
    assert (own / "photos" / "mine.jpg").read_bytes() == b"mine"


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label\na.jpg,cat\n")
    with pytest.raises(InputError, match="name another folder"):
        gate_dataset.generate_dataset(tmp_path, 60)
    assert (tmp_path / "metadata.csv").read_text().startswith("file_name,label")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("")
    with pytest.raises(InputError, match="is a file"):
        gate_dataset.generate_dataset(tmp_path / "gate", 60)


def test_too_few_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="60 or more"):
        gate_dataset.generate_dataset(tmp_path / "gate", 59)


def test_a_run_that_was_killed_leaves_no_half_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(root: Path, seed: int, file: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(gate_dataset, "_write_photo", full)
    with pytest.raises(OSError, match="No space"):
        gate_dataset.generate_dataset(tmp_path / "gate", 60)
    assert not (tmp_path / "gate").exists()
    monkeypatch.undo()
    gate_dataset.generate_dataset(tmp_path / "gate", 60)
    assert len(list((tmp_path / "gate").rglob("*.jpg"))) == 60


def test_a_turned_brush_turns_clockwise() -> None:
    canvas = np.zeros((20, 20, 3), np.uint8)
    frame = np.array([[1.0, 0.0, 10.0], [0.0, 1.0, 10.0]])
    SceneBrush(canvas, frame).move_frame(0, 0, angle=90).draw_oval(6, 0, 2, 2, (255, 0, 0))
    assert canvas[16, 10].tolist() == [255, 0, 0]
    assert canvas[10, 16].tolist() == [0, 0, 0]


def test_photos_are_plain_rgb_jpegs(root: Path, rows: list[dict[str, str]]) -> None:
    with Image.open(root / rows[0]["file_name"]) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert 200 <= min(image.size) <= max(image.size) <= 320
