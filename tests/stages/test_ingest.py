"""Reading a data set once: pipeline/stages/ingest.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
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
from pipeline.stages.ingest import Config, fingerprint


def _image(
    path: Path, seed: int, size: tuple[int, int] = (40, 30), exif: Image.Exif | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif or Image.Exif())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed, path in enumerate(("cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png")):
        _image(tmp_path / "data" / path, seed)
    return tmp_path / "data"


def _context(tmp_path: Path, name: str = "scratch") -> StageContext:
    scratch = tmp_path / name
    scratch.mkdir(exist_ok=True)
    return StageContext("run", 0, scratch, tmp_path)


def _ingest(config: Config, context: StageContext) -> StageOutputs:
    made = ingest.run(config, context)
    assert set(made) == set(get_stage("ingest").makes)
    dims: dict[str, int] = {}
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
    return made


def test_the_artifacts(data: Path, tmp_path: Path) -> None:
    made = _ingest(Config(data=data, side=16), _context(tmp_path))
    images = made["images"]
    assert list(images["path"]) == ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]
    assert (images[["width", "height"]].to_numpy() == [40, 30]).all()
    assert (images["group"] == images["content_hash"]).all()
    assert images["image_id"].str.fullmatch("[0-9a-f]{16}").all()
    assert images["captured_at"].isna().all()
    assert made["classes"] == {"names": ["cat", "dog"]}
    assert made["pixels"].shape == (4, 16, 16, 3)
    expected = letterbox_image(np.asarray(Image.open(data / "dog/3.png")), 16)
    assert (made["pixels"][2] == expected).all()
    assert not len(made["rejected"])


def test_broken_files_are_set_aside_and_nothing_is_lost(data: Path, tmp_path: Path) -> None:
    (data / "cat" / "empty.jpg").touch()
    (data / "cat" / "text.jpg").write_text("no image")
    (data / "cat" / "cut.png").write_bytes((data / "cat/1.png").read_bytes()[:900])
    (data / "README.md").touch()
    os.symlink(data / "gone.jpg", data / "dog" / "link.jpg")
    (data / "bird").mkdir()
    context = _context(tmp_path)
    made = _ingest(Config(data=data), context)
    assert dict(made["rejected"].to_numpy()) == {
        "README.md": "not an image file",
        "bird/": "class folder bird holds no images",
        "cat/cut.png": "truncated",
        "cat/empty.jpg": "empty file",
        "cat/text.jpg": "not an image, or damaged",
        "dog/link.jpg": "cannot be read: No such file or directory",
    }
    assert list(made["images"]["path"]) == ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]
    assert made["classes"]["names"] == ["cat", "dog"]
    notes = "\n".join(context.notes)
    assert "5 files were set aside" in notes
    assert "class folder bird holds no images" in notes
    assert (
        made["pixels"][3] == letterbox_image(np.asarray(Image.open(data / "dog/4.png")), 64)
    ).all()


def test_a_class_whose_every_image_is_broken_is_left_out_with_a_note(
    data: Path, tmp_path: Path
) -> None:
    (data / "bird").mkdir()
    (data / "bird" / "1.jpg").touch()
    context = _context(tmp_path)
    assert _ingest(Config(data=data), context)["classes"]["names"] == ["cat", "dog"]
    assert "class bird has no image that can be used; it is left out" in context.notes


def test_copies_share_a_group_and_have_ids_of_their_own(data: Path, tmp_path: Path) -> None:
    (data / "dog" / "copy.png").write_bytes((data / "cat/1.png").read_bytes())
    images = _ingest(Config(data=data), _context(tmp_path))["images"].set_index("path")
    copy, first = images.loc["dog/copy.png"], images.loc["cat/1.png"]
    assert (copy["group"], copy["content_hash"]) == (first["group"], first["content_hash"])
    assert copy["image_id"] != first["image_id"]


def test_ids_do_not_depend_on_where_the_data_lie_or_what_lies_beside(
    data: Path, tmp_path: Path
) -> None:
    before = _ingest(Config(data=data), _context(tmp_path))["images"]
    moved = data.rename(tmp_path / "elsewhere")
    _image(moved / "ant" / "0.png", 99)
    after = _ingest(Config(data=moved), _context(tmp_path, "other"))["images"]
    assert list(after["image_id"])[1:] == list(before["image_id"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: Config(), r"ingest\.data: no data set is given"),
        (lambda data: Config(data=data / "gone"), r"ingest\.data: .*gone: no such folder"),
        (
            lambda data: Config(data=data / "cat/1.png"),
            r"ingest\.data: .*1\.png: is one image; name the folder",
        ),
        (
            lambda data: Config(data=data / "cat", adapter="folder"),
            "no image in it can be used; most often: not in",
        ),
        (lambda data: Config(data=data, adapter="manfest"), "did you mean manifest"),
        (
            lambda data: Config(data=data, group="trak"),
            r"ingest\.group: the data set has no column 'trak'",
        ),
        (
            lambda data: Config(data=data, time="taken"),
            r"ingest\.time: the data set has no column 'taken'",
        ),
        (
            lambda data: Config(data=data, split="part"),
            r"ingest\.split: the data set has no column 'part'",
        ),
        (lambda data: Config(data=data, label="kind"), r"ingest\.label"),
    ],
)
def test_one_clear_line(data: Path, tmp_path: Path, change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(InputError, match=message) as caught:
        ingest.run(change(data), _context(tmp_path))
    assert "\n" not in str(caught.value)


def test_one_class_only(data: Path, tmp_path: Path) -> None:
    for path in (data / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="all 2 images are of one class, 'cat'"):
        ingest.run(Config(data=data), _context(tmp_path))


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ValidationError, match="sid"):
        Config.model_validate({"sid": 32})


def _manifest(root: Path, text: str) -> Path:
    for seed, name in enumerate("abcd"):
        _image(root / f"{name}.png", seed)
    (root / "metadata.csv").write_text(text)
    return root


def test_columns_named_in_the_config(tmp_path: Path) -> None:
    root = _manifest(
        tmp_path / "data",
        (
            "file_name,species,track,when,part,width\n"
            "a.png,00,t1,2024-05-31 22:40,train,9\nb.png,01,t1,dusk,valid,9\n"
            "c.png,00,,2024-05-31 23:40,,9\nd.png,01,t2,,elsewhere,9\n"
        ),
    )
    context = _context(tmp_path)
    config = Config(data=root, label="species", group="track", time="when", split="part")
    made = _ingest(config, context)
    images = made["images"].set_index("path")
    assert list(images["label"]) == ["00", "01", "00"]
    assert list(images["group"]) == ["t1", "t1", images.loc["c.png", "content_hash"]]
    assert images.loc["a.png", "captured_at"] == pd.Timestamp("2024-05-31 22:40")
    assert images["given_split"].fillna("-").tolist() == ["train", "val", "-"]
    assert list(images["width_"]) == [9, 9, 9]
    assert (images["width"] == 40).all()
    assert dict(made["rejected"].to_numpy()) == {
        "d.png": "its split is none of train, val and test"
    }
    assert any(
        "1 capture times in when cannot be read, such as 'dusk'" in note for note in context.notes
    )
    assert any("width -> width_" in note for note in context.notes)


def test_rows_without_their_file_are_rejected(tmp_path: Path) -> None:
    root = _manifest(tmp_path / "data", "file_name,label\na.png,x\nb.png,y\ngone.png,x\n")
    rejected = dict(_ingest(Config(data=root), _context(tmp_path))["rejected"].to_numpy())
    assert rejected == {
        "gone.png": "listed in metadata.csv, but there is no such file",
        "c.png": "not listed in the manifest",
        "d.png": "not listed in the manifest",
    }


def test_user_columns_have_one_dtype_each(tmp_path: Path) -> None:
    root = _manifest(
        tmp_path / "data",
        (
            "file_name,label,whole,part,yes,text,luminance,nothing\n"
            "a.png,x,1,1,true,1,5,\nb.png,y,2,,false,two,6,\nc.png,y,3,2.5,true,,7,\nd.png,y,4,3,true,4,8,\n"
        ),
    )
    images = _ingest(Config(data=root), _context(tmp_path))["images"]
    kinds = {name: images[name].dtype.kind for name in ("whole", "part", "yes")}
    assert kinds == {"whole": "i", "part": "f", "yes": "b"}
    assert images["text"].fillna("-").tolist() == ["1", "two", "-", "4"]
    assert "luminance_" in images  # an attribute bears that name
    images.to_parquet(tmp_path / "images.parquet")


def test_time_and_camera_come_from_exif_where_there_are_none(data: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "north"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:31 22:40:01"
    _image(data / "cat/1.png", 0, exif=exif)
    images = _ingest(Config(data=data, group="camera"), _context(tmp_path))["images"]
    assert images.loc[0, "captured_at"] == pd.Timestamp("2024-05-31 22:40:01")
    assert images["camera"].fillna("-").tolist() == ["north", "-", "-", "-"]
    assert images.loc[0, "group"] == "north"
    assert images["captured_at"].isna().tolist() == [False, True, True, True]


def test_earlier_pixels_are_used_again(data: Path, tmp_path: Path) -> None:
    context = _context(tmp_path)
    first = _ingest(Config(data=data), context)
    pixels = np.array(first["pixels"])
    pixels[1] = 7  # so that it shows where they come from
    again = _context(tmp_path, "again")
    again.previous_outputs = {"images": first["images"], "pixels": pixels}
    _image(data / "dog" / "0.png", 50)
    made = _ingest(Config(data=data), again)
    assert list(made["images"]["path"])[2] == "dog/0.png"
    assert (made["pixels"][1] == 7).all()
    assert (made["pixels"][3] == first["pixels"][2]).all()
    other_side = _context(tmp_path, "side")
    other_side.previous_outputs = again.previous_outputs
    assert not (_ingest(Config(data=data, side=32), other_side)["pixels"][1] == 7).all()


def test_a_changed_image_is_decoded_anew(data: Path, tmp_path: Path) -> None:
    first = _ingest(Config(data=data), _context(tmp_path))
    _image(data / "cat/1.png", 77)
    again = _context(tmp_path, "again")
    again.previous_outputs = first
    made = _ingest(Config(data=data), again)
    assert made["images"].loc[0, "image_id"] != first["images"].loc[0, "image_id"]
    assert not (made["pixels"][0] == first["pixels"][0]).all()


def test_fingerprint_follows_the_listing(data: Path, tmp_path: Path) -> None:
    config = Config(data=data)
    before = fingerprint(config, tmp_path, None)
    assert fingerprint(config, tmp_path / "other", None) == before
    (data / ".hidden").touch()
    assert fingerprint(config, tmp_path, None) == before
    os.utime(data / "cat/1.png", ns=(1, 1))
    touched = fingerprint(config, tmp_path, None)
    assert touched != before
    (data / "cat/1.png").rename(data / "cat/9.png")
    assert fingerprint(config, tmp_path, None) != touched
    with pytest.raises(InputError, match=r"ingest\.data"):
        fingerprint(Config(data=data / "gone"), tmp_path, None)


@pytest.mark.data
def test_real_flowers(flowers: Path, tmp_path: Path) -> None:
    made = _ingest(Config(data=flowers, side=32), _context(tmp_path))
    images = made["images"]
    assert (len(images), len(made["rejected"]), len(made["classes"]["names"])) == (4317, 0, 5)
    copies = (
        images[images.duplicated("content_hash", keep=False)]
        .groupby("content_hash")["label"]
        .nunique()
    )
    assert sorted(copies) == [1, 1, 2, 2, 2, 2]


@pytest.mark.data
def test_the_two_empty_signs_are_rejected(gtsrb: Path, tmp_path: Path) -> None:
    table = pd.read_csv(gtsrb / "metadata.csv", dtype=str)
    table = table[table["track"].isin(["07_00026", "33_00015", "00_00000"])]
    for name in table["file_name"]:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(gtsrb / name, tmp_path / "data" / name)
    table.to_csv(tmp_path / "data" / "metadata.csv", index=False)
    made = _ingest(
        Config(data=tmp_path / "data", group="track", follow_links=True), _context(tmp_path)
    )
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


def test_an_interrupted_run_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    for seed in range(10, 40):
        _image(data / "cat" / f"{seed}.png", seed)

    def interrupted(items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 20:
                raise KeyboardInterrupt
            yield item

    context = _context(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        ingest.run(Config(data=data, side=16), replace(context, track=interrupted))
    raw = next(context.scratch_folder.glob("*.raw"))
    raw.write_bytes(bytes([7]) * raw.stat().st_size)  # so that it shows where they come from
    made = _ingest(Config(data=data, side=16), context)
    assert len(made["images"]) == 34
    assert (made["pixels"][:20] == 7).all()
    assert not (made["pixels"][20:] == 7).all(axis=(1, 2, 3)).any()


def test_a_zip_is_read_in_place_and_measured_there(data: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "images"), "zip", data))
    config = Config(data=archive, side=16)
    before = fingerprint(config, tmp_path, None)
    images = _ingest(config, _context(tmp_path))["images"]
    assert list(images["path"]) == ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]
    attributes = measure.run(measure.Config(), _context(tmp_path, "measure"), images=images)[
        "attributes"
    ]
    assert attributes["luminance"].between(100, 150).all()
    _image(data / "dog" / "5.png", 5)
    shutil.make_archive(str(tmp_path / "images"), "zip", data)
    assert fingerprint(config, tmp_path, None) != before


def test_a_table_elsewhere_notices_that_a_image_changed(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "tables" / "labels.csv"
    table.parent.mkdir()
    table.write_text(
        "".join(
            f"{line}\n"
            for line in (
                "pfad,art",
                f"{data}/cat/1.png,cat",
                f"{data}/dog/3.png,dog",
                f"{data}/cat/../../secret.png,cat",
            )
        )
    )
    config = Config(data=table, file="pfad", label="art")
    made = _ingest(config, _context(tmp_path))
    assert list(made["images"]["path"]) == [f"{data}/cat/1.png", f"{data}/dog/3.png"]
    before = fingerprint(config, tmp_path, None)
    os.utime(data / "cat/1.png", ns=(1, 1))
    assert fingerprint(config, tmp_path, None) != before
