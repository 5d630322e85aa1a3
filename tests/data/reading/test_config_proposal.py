"""What `nightshift init` sees and writes: pipeline/data/reading/config_proposal.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline.config import resolve_config
from pipeline.contracts import InputError, StageContext
from pipeline.data.reading.config_proposal import propose_config
from pipeline.stages import ingest, split

SECTIONS = {"ingest": ingest.Config, "split": split.Config}


def _images(root: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number % 3, 30), (number % 250, 9, 9)).save(root / path)
    return root


def _manifest(root: Path, columns: str, rows: list[str]) -> Path:
    _images(root, *(f"{number}.png" for number in range(len(rows))))
    lines = [f"{number}.png,{row}" for number, row in enumerate(rows)]
    (root / "metadata.csv").write_text("\n".join([f"file_name,label,{columns}", *lines]))
    return root


def test_class_folders(tmp_path: Path) -> None:
    root = _images(
        tmp_path / "my images!",
        *(f"train/cat/{n}.png" for n in range(25)),
        "train/dog/0.png",
        "test/cat/0.png",
    )
    (root / "README.md").touch()
    seen = propose_config(root)
    assert (seen.adapter, seen.image_count, seen.rejected_count) == ("folder", 27, 1)
    assert seen.class_counts == {"cat": 26, "dog": 1}
    assert seen.split_counts == {"train": 26, "test": 1}
    assert "1 file set aside: not an image file" in seen.problems
    assert "under 20 images in 1 class: dog" in seen.problems
    assert "no image of dog in test" in seen.problems
    assert "problem: no image of dog in test" in seen.summary_lines
    assert any(
        line.startswith("41 x 30 px is the median size, 30 to 42 px") for line in seen.summary_lines
    )


@pytest.mark.parametrize("folder", ["my images!", "häuser: 2", "#1", "true"])
def test_the_config_runs_as_it_is(tmp_path: Path, folder: str) -> None:
    root = _images(
        tmp_path / folder, *(f"{label}/{n}.png" for label in ("cat", "dog") for n in range(3))
    )
    (tmp_path / "config.yaml").write_text(propose_config(root).config_yaml, encoding="utf-8")
    resolved = resolve_config(tmp_path / "config.yaml", [], SECTIONS)
    config = resolved.stages["ingest"]
    assert isinstance(config, ingest.Config)
    assert config.data == root
    assert config == ingest.Config(data=root)
    assert len(ingest.run(config, StageContext("run", 0, tmp_path, tmp_path))["images"]) == 6


def test_group_and_time_columns_are_found(tmp_path: Path) -> None:
    rows = [
        f"{'xy'[n % 2]},p{n // 2},c{n % 3},2024-05-{n % 28 + 1:02d} 22:10,{n}" for n in range(30)
    ]
    root = _manifest(tmp_path / "data", "person_id,camera,shot_time,tracking", rows)
    seen = propose_config(root)
    tree = yaml.safe_load(seen.config_yaml)
    assert tree["ingest"] == {"data": root.as_posix(), "group": "person_id", "time": "shot_time"}
    assert any("person_id (15 values)" in line for line in seen.summary_lines)
    config = ingest.Config.model_validate(tree["ingest"])
    images = ingest.run(config, StageContext("run", 0, tmp_path, tmp_path))["images"]
    assert images["group"].nunique() == 15
    assert images["captured_at"].notna().all()


@pytest.mark.parametrize("columns", ["group", "frame", "camera", "tracking"])
def test_no_group_is_made_up(tmp_path: Path, columns: str) -> None:
    rows = [f"{'xy'[n % 2]},v{n % 4 if columns == 'camera' else n // 2}" for n in range(30)]
    seen = propose_config(_manifest(tmp_path / "data", columns, rows))
    assert seen.group_column is None
    assert "group" not in yaml.safe_load(seen.config_yaml)["ingest"]


def test_one_class_and_unreadable_images_are_problems(tmp_path: Path) -> None:
    root = _images(tmp_path / "data", "cat/1.png", "cat/2.png")
    (root / "cat" / "3.png").touch()
    assert propose_config(root).problems == [
        "1 image of the sample cannot be read; ingest lists each with its reason",
        "one class only: a classifier needs at least two",
        "under 20 images in 1 class: cat",
    ]


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: no such folder or file"):
        propose_config(tmp_path / "gone")
    with pytest.raises(InputError, match="one folder a class"):
        propose_config(tmp_path)


@pytest.mark.data
def test_real_signs_are_grouped_by_track(gtsrb: Path) -> None:
    seen = propose_config(gtsrb)
    assert (seen.image_count, len(seen.class_counts), seen.group_column) == (26640, 43, "track")
    assert yaml.safe_load(seen.config_yaml)["ingest"]["group"] == "track"


def test_columns_of_other_names_are_guessed_and_the_config_runs(tmp_path: Path) -> None:
    root = _images(tmp_path / "data", *(f"{n}.png" for n in range(30)))
    rows = [
        f"{n}.png;{'ab'[n % 2]};t{n // 3};{['train', 'valid', 'test'][n % 3]}" for n in range(30)
    ]
    (root / "labels.csv").write_text("\n".join(["bild;art;track;subset", *rows]))
    for data in (root, root / "labels.csv"):
        seen = propose_config(data)
        ingest_keys = yaml.safe_load(seen.config_yaml)["ingest"]
        assert ingest_keys == {
            "data": data.as_posix(),
            "file": "bild",
            "label": "art",
            "group": "track",
            "split": "subset",
        }
        assert seen.split_counts == {"train": 10, "val": 10, "test": 10}
        config = ingest.Config.model_validate(ingest_keys)
        images = ingest.run(config, StageContext("run", 0, tmp_path, tmp_path))["images"]
        assert (len(images), images["group"].nunique()) == (30, 10)
        assert set(images["given_split"]) == {"train", "val", "test"}


def test_series_in_file_names_are_suggested_and_the_pattern_works(tmp_path: Path) -> None:
    root = _images(
        tmp_path / "data",
        *(f"{'ab'[t % 2]}/{t:03d}_{n:02d}.png" for t in range(12) for n in range(4)),
    )
    seen = propose_config(root)
    assert any("look like 12 series (such as b/011_*)" in line for line in seen.summary_lines)
    assert "group_pattern" not in yaml.safe_load(seen.config_yaml)["ingest"]
    tree = yaml.safe_load(seen.config_yaml.replace("# group_pattern", "group_pattern"))
    images = ingest.run(
        ingest.Config.model_validate(tree["ingest"]), StageContext("run", 0, tmp_path, tmp_path)
    )["images"]
    assert images["group"].nunique() == 12
    single = _images(tmp_path / "single", *(f"{c}/{n}.png" for c in "xy" for n in range(30)))
    assert not any("series" in line for line in propose_config(single).summary_lines)


@pytest.mark.parametrize("pattern", ["(", "no brackets", "(a)(b)"])
def test_a_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"ingest\.group_pattern"):
        ingest.Config(group_pattern=pattern)


def test_kinds_of_storage_are_counted(tmp_path: Path) -> None:
    root = _images(tmp_path / "data", "cat/1.png", "dog/2.png")
    Image.new("L", (9, 9)).save(root / "cat" / "3.png")
    Image.new("CMYK", (9, 9)).save(root / "cat" / "4.jpg")
    Image.new("RGBA", (9, 9)).save(root / "cat" / "5.png")
    assert "of these 1 gray, 1 CMYK, 1 with alpha" in propose_config(root).summary_lines


def test_what_init_says_of_names_that_are_shifted_and_classes_spelt_alike(tmp_path: Path) -> None:
    root = _images(tmp_path / "data", *(f"images/{n}.png" for n in range(30)))
    rows = [f"C:\\data\\{n}.png,{('Cat', 'cat ', 'dog_1', 'dog 1')[n % 4]}" for n in range(30)]
    (root / "labels.csv").write_text("\n".join(["path,label", *rows]))
    seen = propose_config(root)
    assert seen.summary_lines[0].endswith(
        "labels.csv; its images are found with 'images/' instead of 'C:/data/'"
    )
    assert (
        "classes whose names hardly differ, perhaps one class: 'Cat' / 'cat', 'dog 1' / 'dog_1'"
        in seen.problems
    )
    config = ingest.Config.model_validate(yaml.safe_load(seen.config_yaml)["ingest"])
    assert len(ingest.run(config, StageContext("run", 0, tmp_path, tmp_path))["images"]) == 30


def test_links_that_lead_out_are_followed_where_that_is_wanted(tmp_path: Path) -> None:
    store = _images(tmp_path / "store", *(f"{c}{n}.png" for c in "ab" for n in range(3)))
    for path in store.iterdir():
        (tmp_path / "data" / path.name[0]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path.name[0] / path.name).symlink_to(path)
    with pytest.raises(InputError, match="init --links"):
        propose_config(tmp_path / "data")
    seen = propose_config(tmp_path / "data", should_follow_links=True)
    assert (seen.image_count, yaml.safe_load(seen.config_yaml)["ingest"]["links"]) == (6, True)


def test_names_that_would_move_the_cursor_are_written_out(tmp_path: Path) -> None:
    seen = propose_config(_images(tmp_path / "data", "a\x1b[31m/1.png", "b\nc/1.png"))
    assert all(line.isprintable() for line in seen.summary_lines)
    assert any("b\\nc" in line for line in seen.summary_lines)
