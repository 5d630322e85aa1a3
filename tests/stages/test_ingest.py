"""Reading a data set once: pipeline/stages/ingest.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.contracts import InputError, StageContext, StageOutputs
from pipeline.data.reading.image_decoding import letterbox_image
from pipeline.graph import ARTIFACT_CONTRACTS, get_stage
from pipeline.stages import ingest, measure
from pipeline.stages.ingest import Config, fingerprint_external_inputs

PATHS = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]


def _save_image(
    path: Path, seed: int, size: tuple[int, int] = (40, 30), exif: Image.Exif | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif or Image.Exif())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, path in enumerate(PATHS):
        _save_image(tmp_path / "data" / path, seed)
    return tmp_path / "data"


def _make_context(tmp_path: Path, name: str = "scratch") -> StageContext:
    scratch = tmp_path / name
    scratch.mkdir(exist_ok=True)
    return StageContext("run", 0, scratch, tmp_path)


def _run_ingest(config: Config, context: StageContext) -> StageOutputs:
    made = ingest.run(config, context)
    assert set(made) == set(get_stage("ingest").makes)
    dimensions: dict[str, int] = {}
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
    return made


def _write_manifest(root: Path, table: str) -> Path:
    for seed, name in enumerate("abcd"):
        _save_image(root / f"{name}.png", seed)
    (root / "metadata.csv").write_text(table)
    return root


def test_the_artifacts(folder: Path, tmp_path: Path) -> None:
    made = _run_ingest(Config(data=folder, side=16), _make_context(tmp_path))
    images = made["images"]
    assert list(images["path"]) == PATHS
    assert (images[["width", "height"]].to_numpy() == [40, 30]).all()
    assert (images["group"] == images["content_hash"]).all()
    assert images["image_id"].str.fullmatch("[0-9a-f]{16}").all()
    assert images["captured_at"].isna().all()
    assert made["classes"] == {"names": ["cat", "dog"]}
    assert made["pixels"].shape == (4, 16, 16, 3)
    expected = letterbox_image(np.asarray(Image.open(folder / "dog/3.png")), 16)
    assert (made["pixels"][2] == expected).all()
    assert not len(made["rejected"])


def test_broken_files_are_rejected_and_every_file_is_accounted_for(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "cat" / "empty.jpg").touch()
    (folder / "cat" / "text.jpg").write_text("no image")
    (folder / "cat" / "cut.png").write_bytes((folder / "cat/1.png").read_bytes()[:900])
    (folder / "README.md").touch()
    os.symlink(folder / "gone.jpg", folder / "dog" / "link.jpg")
    (folder / "bird").mkdir()
    context = _make_context(tmp_path)
    made = _run_ingest(Config(data=folder, side=64), context)
    assert dict(made["rejected"].to_numpy()) == {
        "README.md": "not an image file",
        "bird/": "class folder bird holds no images",
        "cat/cut.png": "truncated",
        "cat/empty.jpg": "empty file",
        "cat/text.jpg": "not an image, or damaged",
        "dog/link.jpg": "cannot be read: No such file or directory",
    }
    assert list(made["images"]["path"]) == PATHS
    assert made["classes"]["names"] == ["cat", "dog"]
    notes = "\n".join(context.notes)
    assert "5 files were rejected" in notes
    assert "class folder bird holds no images" in notes
    expected = letterbox_image(np.asarray(Image.open(folder / "dog/4.png")), 64)
    assert (made["pixels"][3] == expected).all()


def test_a_class_without_a_usable_image_is_left_out_with_a_note(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "bird").mkdir()
    (folder / "bird" / "1.jpg").touch()
    context = _make_context(tmp_path)
    assert _run_ingest(Config(data=folder, side=64), context)["classes"]["names"] == ["cat", "dog"]
    assert "class bird has no usable image; it is left out" in context.notes


def test_copies_share_a_group_and_have_different_ids(folder: Path, tmp_path: Path) -> None:
    (folder / "dog" / "copy.png").write_bytes((folder / "cat/1.png").read_bytes())
    images = _run_ingest(Config(data=folder, side=64), _make_context(tmp_path))["images"].set_index(
        "path"
    )
    copy = images.loc["dog/copy.png"]
    first = images.loc["cat/1.png"]
    assert (copy["group"], copy["content_hash"]) == (first["group"], first["content_hash"])
    assert copy["image_id"] != first["image_id"]


def test_ids_depend_neither_on_the_folder_nor_on_other_images(folder: Path, tmp_path: Path) -> None:
    before = _run_ingest(Config(data=folder, side=64), _make_context(tmp_path))["images"]
    moved = folder.rename(tmp_path / "elsewhere")
    _save_image(moved / "ant" / "0.png", 99)
    after = _run_ingest(Config(data=moved, side=64), _make_context(tmp_path, "other"))["images"]
    assert list(after["image_id"])[1:] == list(before["image_id"])


@pytest.mark.parametrize(
    ("make_config", "message"),
    [
        (lambda folder: Config(), r"ingest\.data: no data set is given"),
        (
            lambda folder: Config(data=folder / "gone", side=64),
            r"ingest\.data: .*gone: no such folder",
        ),
        (
            lambda folder: Config(data=folder / "cat/1.png", side=64),
            r"ingest\.data: .*1\.png: is one image",
        ),
        (
            lambda folder: Config(data=folder / "cat", adapter="folder", side=64),
            "most often: not in",
        ),
        (lambda folder: Config(data=folder, adapter="manfest", side=64), "did you mean manifest"),
        (
            lambda folder: Config(data=folder, group="trak", side=64),
            r"ingest\.group: .* no column 'trak'",
        ),
        (
            lambda folder: Config(data=folder, time="taken", side=64),
            r"ingest\.time: .* no column 'taken'",
        ),
        (
            lambda folder: Config(data=folder, split="part", side=64),
            r"ingest\.split: .* no column 'part'",
        ),
        (lambda folder: Config(data=folder, label="kind", side=64), r"ingest\.label"),
    ],
)
def test_unusable_input_is_one_line_that_names_the_key(
    folder: Path, tmp_path: Path, make_config: Callable[[Path], Config], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        ingest.run(make_config(folder), _make_context(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_single_class_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="all 2 images are of one class, 'cat'"):
        ingest.run(Config(data=folder, side=64), _make_context(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sid": 32}, "sid"),
        ({"group_pattern": "track"}, "exactly one pair of brackets"),
        ({"group_pattern": "(track"}, "is no regular expression"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(settings)


def test_columns_have_the_roles_that_the_config_gives_them(tmp_path: Path) -> None:
    root = _write_manifest(
        tmp_path / "data",
        (
            "file_name,species,track,when,part,width\n"
            "a.png,00,t1,2024-05-31 22:40,train,9\nb.png,01,t1,dusk,valid,9\n"
            "c.png,00,,2024-05-31 23:40,,9\nd.png,01,t2,,elsewhere,9\n"
        ),
    )
    context = _make_context(tmp_path)
    config = Config(data=root, label="species", group="track", time="when", split="part", side=64)
    made = _run_ingest(config, context)
    images = made["images"].set_index("path")
    assert list(images["label"]) == ["00", "01", "00"]
    assert list(images["group"]) == ["t1", "t1", images.loc["c.png", "content_hash"]]
    assert images.loc["a.png", "captured_at"] == pd.Timestamp("2024-05-31 22:40")
    assert images["given_split"].fillna("-").tolist() == ["train", "val", "-"]
    assert list(images["width_"]) == [9, 9, 9]
    assert dict(made["rejected"].to_numpy()) == {
        "d.png": "its split is none of train, val and test"
    }
    notes = "\n".join(context.notes)
    assert "1 capture times in when cannot be read, such as 'dusk'" in notes
    assert "width -> width_" in notes


def test_manifest_rows_without_a_file_are_rejected(tmp_path: Path) -> None:
    root = _write_manifest(tmp_path / "data", "file_name,label\na.png,x\nb.png,y\ngone.png,x\n")
    made = _run_ingest(Config(data=root, side=64), _make_context(tmp_path))
    assert dict(made["rejected"].to_numpy()) == {
        "gone.png": "listed in metadata.csv, but there is no such file",
        "c.png": "not listed in the manifest",
        "d.png": "not listed in the manifest",
    }


def test_time_and_camera_come_from_exif_if_the_data_set_has_none(
    folder: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0110] = "north"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:31 22:40:01"
    _save_image(folder / "cat/1.png", 0, exif=exif)
    config = Config(data=folder, group="camera", side=64)
    images = _run_ingest(config, _make_context(tmp_path))["images"]
    assert images.loc[0, "captured_at"] == pd.Timestamp("2024-05-31 22:40:01")
    assert images["camera"].fillna("-").tolist() == ["north", "-", "-", "-"]
    assert images.loc[0, "group"] == "north"
    assert images["captured_at"].isna().tolist() == [False, True, True, True]


def test_pixels_of_an_earlier_run_are_reused(folder: Path, tmp_path: Path) -> None:
    first = _run_ingest(Config(data=folder, side=64), _make_context(tmp_path))
    pixels = np.array(first["pixels"])
    pixels[1] = 7  # marks the copies of the earlier run
    second = _make_context(tmp_path, "second")
    second.previous_outputs = {"images": first["images"], "pixels": pixels}
    _save_image(folder / "dog" / "0.png", 50)
    made = _run_ingest(Config(data=folder, side=64), second)
    assert list(made["images"]["path"])[2] == "dog/0.png"
    assert (made["pixels"][1] == 7).all()
    assert (made["pixels"][3] == first["pixels"][2]).all()
    other_side = _make_context(tmp_path, "side")
    other_side.previous_outputs = second.previous_outputs
    assert not (_run_ingest(Config(data=folder, side=32), other_side)["pixels"][1] == 7).all()


def test_a_changed_image_is_decoded_again(folder: Path, tmp_path: Path) -> None:
    first = _run_ingest(Config(data=folder, side=64), _make_context(tmp_path))
    _save_image(folder / "cat/1.png", 77)
    second = _make_context(tmp_path, "second")
    second.previous_outputs = first
    made = _run_ingest(Config(data=folder, side=64), second)
    assert made["images"].loc[0, "image_id"] != first["images"].loc[0, "image_id"]
    assert not (made["pixels"][0] == first["pixels"][0]).all()


def test_an_interrupted_run_resumes_with_its_copies(folder: Path, tmp_path: Path) -> None:
    for seed in range(10, 40):
        _save_image(folder / "cat" / f"{seed}.png", seed)

    def interrupt(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 20:
                raise KeyboardInterrupt
            yield item

    config = Config(data=folder, side=16)
    context = _make_context(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        ingest.run(config, replace(context, track_progress=interrupt))
    raw = next(context.scratch_folder.glob("*.raw"))
    raw.write_bytes(bytes([7]) * raw.stat().st_size)  # marks the copies of the killed run
    made = _run_ingest(config, context)
    assert len(made["images"]) == 34
    assert (made["pixels"][:20] == 7).all()
    assert not (made["pixels"][20:] == 7).all(axis=(1, 2, 3)).any()


def test_the_fingerprint_follows_the_files_and_not_the_run(folder: Path, tmp_path: Path) -> None:
    config = Config(data=folder, side=64)
    before = fingerprint_external_inputs(config, tmp_path, None)
    assert fingerprint_external_inputs(config, tmp_path / "other", before) == before
    os.utime(folder / "cat/1.png", ns=(1, 1))
    assert fingerprint_external_inputs(config, tmp_path, before) != before
    with pytest.raises(InputError, match=r"ingest\.data"):
        fingerprint_external_inputs(Config(data=folder / "gone", side=64), tmp_path, None)


def test_an_archive_is_read_and_measured_in_place(folder: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "images"), "zip", folder))
    images = _run_ingest(Config(data=archive, side=16), _make_context(tmp_path))["images"]
    assert list(images["path"]) == PATHS
    context = _make_context(tmp_path, "measure")
    attributes = measure.run(measure.Config(), context, images=images)["attributes"]
    assert attributes["luminance"].between(100, 150).all()


def test_a_table_of_absolute_paths_lists_no_file_outside_them(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "tables" / "labels.csv"
    table.parent.mkdir()
    lines = [
        "pfad,art",
        f"{folder}/cat/1.png,cat",
        f"{folder}/dog/3.png,dog",
        f"{folder}/cat/../../secret.png,cat",
    ]
    table.write_text("\n".join(lines))
    config = Config(data=table, file="pfad", label="art", side=64)
    made = _run_ingest(config, _make_context(tmp_path))
    assert list(made["images"]["path"]) == [f"{folder}/cat/1.png", f"{folder}/dog/3.png"]


@pytest.mark.data
def test_the_flowers_are_read_without_rejection(flowers: Path, tmp_path: Path) -> None:
    made = _run_ingest(Config(data=flowers, side=32), _make_context(tmp_path))
    images = made["images"]
    assert (len(images), len(made["rejected"]), len(made["classes"]["names"])) == (4317, 0, 5)
    copies = images[images.duplicated("content_hash", keep=False)]
    assert sorted(copies.groupby("content_hash")["label"].nunique()) == [1, 1, 2, 2, 2, 2]


@pytest.mark.data
def test_the_two_empty_traffic_signs_are_rejected(gtsrb: Path, tmp_path: Path) -> None:
    table = pd.read_csv(gtsrb / "metadata.csv", dtype=str)
    table = table[table["track"].isin(["07_00026", "33_00015", "00_00000"])]
    for name in table["file_name"]:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(gtsrb / name, tmp_path / "data" / name)
    table.to_csv(tmp_path / "data" / "metadata.csv", index=False)
    config = Config(data=tmp_path / "data", group="track", follow_links=True, side=64)
    made = _run_ingest(config, _make_context(tmp_path))
    assert dict(made["rejected"].to_numpy()) == {
        "33/00015_00004.jpg": "empty file",
        "07/00026_00023.jpg": "empty file",
    }
    assert made["classes"]["names"] == ["00", "07", "33"]
    assert made["images"]["group"].value_counts().to_dict() == {
        "00_00000": 30,
        "07_00026": 29,
        "33_00015": 29,
    }


def _write_twelve_bits(root: Path) -> Path:
    for number in range(8):
        values = np.linspace(0, 4000 - 40 * number, 32 * 32).reshape(32, 32).astype(np.uint16)
        path = root / "ab"[number % 2] / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    return root


def test_twelve_bits_in_sixteen_use_all_gray_levels_with_a_note(tmp_path: Path) -> None:
    root = _write_twelve_bits(tmp_path / "data")
    context = _make_context(tmp_path)
    made = _run_ingest(Config(data=root, side=32), context)
    assert made["pixels"].max() >= 240
    assert len(np.unique(made["pixels"])) > 200
    assert any("0 to 4095" in note and "ingest.range" in note for note in context.notes)
    chosen = _run_ingest(Config(data=root, side=32, range=(0, 65535)), _make_context(tmp_path, "b"))
    assert chosen["pixels"].max() < 20
    assert set(chosen["images"]["image_id"]).isdisjoint(made["images"]["image_id"])


def test_a_range_must_rise() -> None:
    with pytest.raises(ValidationError, match="below the second"):
        Config(range=(5, 5))


def _make_budgeted_context(tmp_path: Path, name: str, **settings: object) -> StageContext:
    followed = {
        "train.minutes": 20.0,
        "train.epochs": 2.0,
        "train.image_passes": None,
        "train.training_side_share": 1.0,
        "train.backbone": "tf_efficientnet_lite0",
        "train.model": "new",
    }
    context = _make_context(tmp_path, name)
    return replace(context, followed_settings=followed | settings)


def test_the_automatic_side_follows_the_images_and_stays(folder: Path, tmp_path: Path) -> None:
    for seed, path in enumerate(PATHS):
        _save_image(folder / path, seed, (130, 90))
    config = Config(data=folder)
    assert set(ingest.list_followed_settings(config)) == set(ingest.FOLLOWED_SETTINGS)
    assert not ingest.list_followed_settings(Config(data=folder, side=64))
    context = _make_budgeted_context(tmp_path, "first")
    first = _run_ingest(config, context)
    assert first["pixels"].shape[1] == 128, "the largest side that does not enlarge 130 px"
    assert sum("128 px" in note for note in context.notes) == 1
    killed = _make_budgeted_context(tmp_path, "first", **{"train.minutes": 1e-9})
    assert _run_ingest(config, killed)["pixels"].shape[1] == 128, "resumed with its first choice"
    later = replace(
        _make_budgeted_context(tmp_path, "later", **{"train.minutes": 1e-9}), previous_outputs=first
    )
    assert _run_ingest(config, later)["pixels"].shape[1] == 128, "that of the earlier run"


def test_a_budget_below_one_epoch_is_refused(folder: Path, tmp_path: Path) -> None:
    context = _make_budgeted_context(tmp_path, "scratch", **{"train.minutes": 1e-9})
    with pytest.raises(InputError, match=r"train\.minutes: .*one epoch of 2 images"):
        ingest.run(Config(data=folder), context)
