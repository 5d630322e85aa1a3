"""Summary and config of `nightshift init`: pipeline/data/recognition/config_proposal.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.config import resolve_config
from pipeline.contracts import InputError, StageContext
from pipeline.data.recognition.config_proposal import ConfigProposal, propose_config
from pipeline.stages import ingest, split
from tests.data.sample_images import write_images

STAGE_CONFIGS = {"ingest": ingest.Config, "split": split.Config}


def _write_class_folders(root: Path, image_count: int = 3) -> Path:
    paths = [f"{label}/{n}.png" for label in ("cat", "dog") for n in range(image_count)]
    return write_images(root, *paths)


def _write_manifest(root: Path, header: str, rows: list[str]) -> Path:
    """Write 0.png, 1.png and so on, and a manifest that lists them."""
    write_images(root, *(f"{n}.png" for n in range(len(rows))))
    lines = [f"{n}.png,{row}" for n, row in enumerate(rows)]
    (root / "metadata.csv").write_text("\n".join([f"file_name,label,{header}", *lines]))
    return root


def _parse_ingest(proposal: ConfigProposal) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(proposal.config_yaml)["ingest"]
    return settings


def _run_ingest(settings: dict[str, Any], folder: Path) -> pd.DataFrame:
    config = ingest.Config.model_validate(settings)
    images: pd.DataFrame = ingest.run(config, StageContext("run", 0, folder, folder))["images"]
    return images


def test_classes_splits_and_problems_are_summarized(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "my images!",
        *(f"train/cat/{n}.png" for n in range(25)),
        "train/dog/0.png",
        "test/cat/0.png",
    )
    (root / "README.md").touch()
    proposal = propose_config(root)
    assert proposal.adapter == "folder"
    assert (proposal.image_count, proposal.rejected_count) == (27, 1)
    assert proposal.class_counts == {"cat": 26, "dog": 1}
    assert proposal.split_counts == {"train": 26, "test": 1}
    assert "no val is given: a run draws it from the others" in proposal.summary_lines
    assert proposal.problems == [
        "1 file rejected: not an image file",
        "under 20 images in 1 class: dog",
        "no image of dog in test",
    ]
    assert "problem: no image of dog in test" in proposal.summary_lines


@pytest.mark.parametrize("folder", ["my images!", "häuser: 2", "#1", "true"])
def test_config_runs_without_changes(tmp_path: Path, folder: str) -> None:
    root = _write_class_folders(tmp_path / folder)
    (tmp_path / "config.yaml").write_text(propose_config(root).config_yaml, encoding="utf-8")
    config = resolve_config(tmp_path / "config.yaml", [], STAGE_CONFIGS).stages["ingest"]
    assert config == ingest.Config(data=root)
    assert len(_run_ingest(config.model_dump(), tmp_path)) == 6


def test_suggestions_in_comments_are_valid_settings(tmp_path: Path) -> None:
    root = _write_class_folders(tmp_path / "data")
    lines = propose_config(root).config_yaml.splitlines()
    start = lines.index("# split:")
    section = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines[start:]))
    assert set(section["split"]) <= set(split.Config.model_fields)
    assert section["split"]["train_where"] == "luminance >= 70"


def test_group_and_time_columns_are_set(tmp_path: Path) -> None:
    rows = [
        f"{'xy'[n % 2]},p{n // 2},c{n % 3},2024-05-{n % 28 + 1:02d} 22:10,{n}" for n in range(30)
    ]
    root = _write_manifest(tmp_path / "data", "person_id,camera,shot_time,tracking", rows)
    proposal = propose_config(root)
    settings = _parse_ingest(proposal)
    assert settings == {"data": root.as_posix(), "group": "person_id", "time": "shot_time"}
    assert any("person_id (15 values)" in line for line in proposal.summary_lines)
    images = _run_ingest(settings, tmp_path)
    assert images["group"].nunique() == 15
    assert images["captured_at"].notna().all()


def test_no_group_is_proposed_without_a_column_for_it(tmp_path: Path) -> None:
    rows = [f"{'xy'[n % 2]},v{n // 2}" for n in range(30)]
    proposal = propose_config(_write_manifest(tmp_path / "data", "frame", rows))
    assert proposal.group_column is None
    assert "group" not in _parse_ingest(proposal)


def test_unreadable_images_are_a_problem(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", "cat/1.png", "dog/2.png")
    (root / "cat" / "3.png").touch()
    assert propose_config(root).problems == [
        "1 image of the sample cannot be read; ingest lists each with its reason",
        "under 20 images in 2 classes: cat, dog",
    ]


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    proposal = propose_config(write_images(tmp_path / "data", "cat/1.png", "cat/2.png"))
    assert "all 2 images are of one class, 'cat'" in str(proposal.undecided)
    assert yaml.safe_load(proposal.config_yaml)["ingest"]["data"].endswith("data")


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: no such folder or file"):
        propose_config(tmp_path / "gone")
    with pytest.raises(InputError, match="one folder a class"):
        propose_config(tmp_path)


def test_data_set_without_labels_is_refused_with_the_frequent_reason(tmp_path: Path) -> None:
    root = _write_manifest(tmp_path / "data", "camera", [",c"] * 4)
    with pytest.raises(InputError, match="no labeled image in it; most often: no label"):
        propose_config(root)


@pytest.mark.data
def test_traffic_signs_are_grouped_by_track(gtsrb: Path) -> None:
    proposal = propose_config(gtsrb)
    assert (proposal.image_count, len(proposal.class_counts)) == (26640, 43)
    assert _parse_ingest(proposal)["group"] == proposal.group_column == "track"


def test_columns_of_other_names_are_set(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *(f"{n}.png" for n in range(30)))
    splits = ("train", "valid", "test")
    rows = [f"{n}.png;{'ab'[n % 2]};t{n // 3};{splits[n % 3]}" for n in range(30)]
    (root / "labels.csv").write_text("\n".join(["bild;art;track;subset", *rows]))
    for data in (root, root / "labels.csv"):
        proposal = propose_config(data)
        settings = _parse_ingest(proposal)
        assert settings == {
            "data": data.as_posix(),
            "file": "bild",
            "label": "art",
            "group": "track",
            "split": "subset",
        }
        assert proposal.split_counts == {"train": 10, "val": 10, "test": 10}
        images = _run_ingest(settings, tmp_path)
        assert (len(images), images["group"].nunique()) == (30, 10)
        assert set(images["given_split"]) == {"train", "val", "test"}


def test_series_in_file_names_are_suggested_as_groups(tmp_path: Path) -> None:
    paths = [f"{'ab'[track % 2]}/{track:03d}_{n:02d}.png" for track in range(12) for n in range(4)]
    proposal = propose_config(write_images(tmp_path / "data", *paths))
    assert any("12 series (such as b/011_*)" in line for line in proposal.summary_lines)
    assert "group_pattern" not in _parse_ingest(proposal)
    uncommented = proposal.config_yaml.replace("# group_pattern", "group_pattern")
    images = _run_ingest(yaml.safe_load(uncommented)["ingest"], tmp_path)
    assert images["group"].nunique() == 12


def test_unusual_storage_is_counted(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", "cat/1.png", "dog/2.png")
    Image.new("L", (9, 9)).save(root / "cat" / "3.png")
    Image.new("CMYK", (9, 9)).save(root / "cat" / "4.jpg")
    Image.new("RGBA", (9, 9)).save(root / "cat" / "5.png")
    assert "of these 1 gray, 1 CMYK, 1 with alpha" in propose_config(root).summary_lines


def test_shifted_names_and_similar_classes_are_reported(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *(f"images/{n}.png" for n in range(30)))
    classes = ("Cat", "cat ", "dog_1", "dog 1")
    rows = [f"C:\\data\\{n}.png,{classes[n % 4]}" for n in range(30)]
    (root / "labels.csv").write_text("\n".join(["path,label", *rows]))
    proposal = propose_config(root)
    assert "'images/' instead of 'C:/data/'" in proposal.summary_lines[0]
    similar = "'Cat' / 'cat', 'dog 1' / 'dog_1'"
    assert any(problem.endswith(similar) for problem in proposal.problems)
    assert len(_run_ingest(_parse_ingest(proposal), tmp_path)) == 30


def test_links_out_of_the_folder_are_followed_on_request(tmp_path: Path) -> None:
    store = write_images(tmp_path / "store", *(f"{c}{n}.png" for c in "ab" for n in range(3)))
    for path in store.iterdir():
        (tmp_path / "data" / path.name[0]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path.name[0] / path.name).symlink_to(path)
    with pytest.raises(InputError, match="init --links"):
        propose_config(tmp_path / "data")
    proposal = propose_config(tmp_path / "data", should_follow_links=True)
    settings = _parse_ingest(proposal)
    assert settings["follow_links"] is True
    assert len(_run_ingest(settings, tmp_path)) == proposal.image_count == 6


def test_names_that_control_the_terminal_are_escaped(tmp_path: Path) -> None:
    proposal = propose_config(write_images(tmp_path / "data", "a\x1b[31m/1.png", "b\nc/1.png"))
    assert all(line.isprintable() for line in proposal.summary_lines)
    assert any("b\\nc" in line for line in proposal.summary_lines)
