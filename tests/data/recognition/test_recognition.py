"""Layouts of real data sets that were once read wrongly: pipeline/data/recognition/."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.contracts import InputError, StageContext
from pipeline.data.reading.dataset_listing import list_records
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.recognition.config_proposal import propose_config
from pipeline.stages import ingest
from tests.data.sample_images import write_images

COUNT = 12


def _write_table(path: Path, heading: str | None, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([heading, *rows] if heading else rows))


def _name_images(folder: str, count: int = COUNT, form: str = "{}{:04d}.png") -> list[str]:
    return [form.format(folder, number) for number in range(count)]


def _read(root: Path, **settings: object) -> dict[str, ImageRecord]:
    """Return the images that the proposed config, with other settings, reads."""
    proposal = propose_config(root)
    if proposal.undecided and not settings:
        raise InputError(proposal.undecided)
    config = yaml.safe_load(proposal.config_yaml)["ingest"] | settings
    config = ingest.Config.model_validate(config)
    records, _ = list_records(root, config.adapter, config.options, config.columns)
    return {record.path: record for record in records}


def _get_labels(records: dict[str, ImageRecord]) -> dict[str, str | None]:
    return {path: record.label for path, record in records.items()}


def _write_competition(root: Path, file_column: str = "image_id", suffix: str = ".png") -> Path:
    """Write train.csv with images in train_images/, and a form for predictions of test_images/."""
    write_images(root, *_name_images("train_images/a"), *_name_images("test_images/b"))
    heading = f"{file_column},label"
    _write_table(root / "train.csv", heading, [f"a{n:04d}{suffix},{n % 3}" for n in range(COUNT)])
    rows = [f"b{n:04d}{suffix},0" for n in range(COUNT)]
    _write_table(root / "sample_submission.csv", heading, rows)
    _write_table(root / "test.csv", file_column, [row.partition(",")[0] for row in rows])
    return root


@pytest.mark.parametrize(("column", "suffix"), [("image_id", ".png"), ("id_code", "")])
def test_table_is_read_beside_a_form_for_predictions(
    tmp_path: Path, column: str, suffix: str
) -> None:
    records = _read(_write_competition(tmp_path / "data", column, suffix))
    assert _get_labels(records) == {f"train_images/a{n:04d}.png": str(n % 3) for n in range(COUNT)}


def test_table_that_is_named_itself_finds_its_images(tmp_path: Path) -> None:
    root = _write_competition(tmp_path / "data")
    assert len(_read(root / "train.csv")) == COUNT
    config = ingest.Config(data=root / "train.csv", file="image_id", photos="train_images")
    records, _ = list_records(root / "train.csv", None, config.options, config.columns)
    assert len(records) == COUNT


def test_heading_with_commas_does_not_make_a_label(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *_name_images("images/"))
    heading = "Image Index,Finding Labels,Follow-up #,Patient ID,Spacing[x,y],"
    rows = [
        f"{n:04d}.png,{('No Finding', 'Mass')[n % 2]},{n % 3},p{n // 2},0.1,{0.14 + n % 2 / 10},"
        for n in range(COUNT)
    ]
    _write_table(root / "Data_Entry.csv", heading, rows)
    assert set(_get_labels(_read(root)).values()) == {"No Finding", "Mass"}


@pytest.mark.parametrize("form", ["{name},{label}", "{split},{name},{label}"])
def test_table_without_heading_loses_no_image(tmp_path: Path, form: str) -> None:
    root = write_images(tmp_path / "data", *_name_images("images/"))
    rows = [
        form.format(
            name=f"images/{n:04d}.png",
            label=("daisy", "rose")[n % 2],
            split=("TRAIN", "TRAIN", "VALIDATION", "TEST")[n // 3],
        )
        for n in range(COUNT)
    ]
    _write_table(root / "labels.csv", None, rows)
    records = _read(root)
    assert len(records) == COUNT
    assert set(_get_labels(records).values()) == {"daisy", "rose"}
    splits = {record.split for record in records.values()}
    assert splits == ({"train", "val", "test"} if "split" in form else {None})


@pytest.mark.parametrize("names", [("train", "valid", "test"), ("0", "1", "2")])
def test_split_column_of_any_name_is_used(tmp_path: Path, names: tuple[str, ...]) -> None:
    root = write_images(tmp_path / "data", *_name_images("images/"))
    rows = [
        f"images/{n:04d}.png,{('bmx', 'golf')[n % 2]},{names[max(0, n // 4)]}" for n in range(COUNT)
    ]
    _write_table(root / "sports.csv", "filepaths,labels,data set", rows)
    records = _read(root)
    counts = [sum(r.split == s for r in records.values()) for s in ("train", "val", "test")]
    assert counts == [4, 4, 4]
    dropped = _read(root, given_split="ignore")
    assert {record.split for record in dropped.values()} == {None}


def test_unknown_split_words_are_listed(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *_name_images(""))
    rows = [f"{n:04d}.png,{'ab'[n % 2]},fold{n % 3}" for n in range(COUNT)]
    _write_table(root / "metadata.csv", "file_name,label,part", rows)
    with pytest.raises(InputError, match=r"fold0 \(4\)"):
        _read(root, split="part")


def test_masks_and_lists_are_no_classes(tmp_path: Path) -> None:
    names = [f"{kind}_{n}" for kind in ("Bengal", "boxer") for n in range(6)]
    root = write_images(tmp_path / "data", *(f"images/{name}.jpg" for name in names))
    write_images(root, *(f"annotations/trimaps/{name}.png" for name in names))
    _write_table(root / "annotations" / "list.txt", "#Image CLASS", [f"{n} 1 1" for n in names])
    with pytest.raises(InputError, match=r"annotations/list\.txt"):
        _read(root)


def test_split_folders_are_no_classes(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "data", *_name_images("cars_train/"), *_name_images("cars_test/")
    )
    (root / "devkit").mkdir()
    (root / "devkit" / "cars_annos.pkl").touch()
    with pytest.raises(InputError, match=r"cars_test, cars_train, which are splits.*\.pkl"):
        _read(root)


@pytest.mark.parametrize(
    ("level", "labels"),
    [("top", {"MR", "CT"}), (2, {"knee", "lung"}), ("leaf", {"tear", "normal", "nodule"})],
)
def test_level_of_nested_classes_is_asked(
    tmp_path: Path, level: str | int, labels: set[str]
) -> None:
    root = write_images(
        tmp_path / "data",
        *_name_images("MR/knee/tear/"),
        *_name_images("MR/knee/normal/"),
        *_name_images("CT/lung/nodule/"),
    )
    proposal = propose_config(root)
    assert "level 1: 2 (MR 24, CT 12); level 2: 2" in str(proposal.undecided)
    assert "# class_level: leaf  # 3 classes" in proposal.config_yaml
    assert set(_get_labels(_read(root, class_level=level)).values()) == labels


def test_copy_of_the_class_folders_is_left_out(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *_name_images("yes/Y"), *_name_images("no/N"))
    for path in list(root.rglob("*.png")):
        copy = root / "brain" / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    labels = _get_labels(_read(root))
    assert len(labels) == 2 * COUNT
    assert all(path.startswith(str(label)) for path, label in labels.items())
    (root / "brain" / "yes" / "Y0000.png").write_bytes(b"another image")
    with pytest.raises(InputError, match="repeats the file names"):
        _read(root)


def test_groups_are_found_by_joined_names_and_by_values(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *_name_images("images/", 60))
    rows = [
        f"{n:04d}.png,{'xyz'[n // 3 % 3]},pt{n // 3:04d},k{n // 3:03d}7,{30 + n % 9}"
        for n in range(60)
    ]
    _write_table(root / "train.csv", "fileName,Target,PatientID,code,Patient Age", rows)
    assert propose_config(root).group_column == "PatientID"
    text = (root / "train.csv").read_text().replace("PatientID", "column")
    (root / "train.csv").write_text(text)
    assert propose_config(root).group_column in ("column", "code")


def test_run_warns_of_a_group_that_is_not_set(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *_name_images("", 24))
    rows = [f"{n:04d}.png,{'xy'[n % 2]},p{n // 2}" for n in range(24)]
    _write_table(root / "metadata.csv", "file_name,label,patientid", rows)
    for group, is_warned in ((None, True), ("patientid", False)):
        context = StageContext("run", 0, tmp_path, tmp_path)
        ingest.run(ingest.Config(data=root, group=group), context)
        assert any("ingest.group=patientid" in note for note in context.notes) == is_warned


def test_table_of_subjects_is_joined_to_class_folders(tmp_path: Path) -> None:
    names = _name_images("imgs/train/c0/img_") + _name_images(
        "imgs/train/c1/img_", form="{}9{:04d}.png"
    )
    root = write_images(tmp_path / "data", *names, "imgs/test/img_0000.png", "imgs/test/img_7.png")
    rows = [f"p{n // 2},{p.split('/')[2]},{p.split('/')[3]}" for n, p in enumerate(names)]
    _write_table(root / "drivers.csv", "subject,classname,img", rows)
    proposal = propose_config(root)
    assert proposal.group_column == "subject"
    assert _get_labels(_read(root)) == {
        path.removeprefix("imgs/"): path.split("/")[2] for path in names
    } or set(_get_labels(_read(root)).values()) == {"c0", "c1"}
    assert proposal.image_count == len(names)


def test_table_without_labels_adds_columns_to_class_folders(tmp_path: Path) -> None:
    names = _name_images("cat/a") + _name_images("dog/b")
    root = write_images(tmp_path / "data", *names)
    rows = [f"{Path(name).stem},p{n // 2}" for n, name in enumerate(names)]
    _write_table(root / "people.csv", "photo,person", rows)
    proposal = propose_config(root)
    assert (proposal.adapter, proposal.group_column) == ("folder", "person")


def test_training_part_of_one_class_names_the_way_out(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "data" / "bottle",
        *_name_images("train/good/"),
        *_name_images("test/good/"),
        *_name_images("test/broken/"),
        *_name_images("ground_truth/broken/", form="{}{:04d}_mask.png"),
    ).parent
    proposal = propose_config(root)
    assert proposal.class_counts == {"good": 24, "broken": 12}
    assert any("ingest.given_split: ignore" in problem for problem in proposal.problems)
    context = StageContext("run", 0, tmp_path, tmp_path)
    with pytest.raises(InputError, match=r"ingest\.given_split=ignore"):
        ingest.run(ingest.Config(data=root), context)
    images = ingest.run(ingest.Config(data=root, given_split="ignore"), context)["images"]
    assert images["given_split"].isna().all()


def test_validation_images_without_class_folder_stop(tmp_path: Path) -> None:
    root = write_images(
        tmp_path / "data",
        *_name_images("train/n01/images/n01_"),
        *_name_images("train/n02/images/n02_"),
        *_name_images("val/images/val_"),
        *_name_images("test/images/test_"),
    )
    rows = [f"val_{n:04d}.png\tn01\t0\t0\t9\t9" for n in range(COUNT)]
    _write_table(root / "val" / "val_annotations.txt", None, rows)
    with pytest.raises(InputError, match=r"12 images of val .*val/val_annotations\.txt"):
        _read(root)


def test_tables_of_splits_are_read_beside_a_table_of_classes(tmp_path: Path) -> None:
    trained = _name_images("Train/0/a") + _name_images("Train/1/b")
    tested = _name_images("Test/")
    root = write_images(tmp_path / "data", *trained, *tested, *_name_images("Meta/", 5))
    _write_table(root / "Train.csv", "ClassId,Path", [f"{p.split('/')[1]},{p}" for p in trained])
    _write_table(root / "Test.csv", "ClassId,Path", [f"{n % 2},{p}" for n, p in enumerate(tested)])
    _write_table(root / "Meta.csv", "Path,ClassId", [f"Meta/{n:04d}.png,{n}" for n in range(5)])
    records = _read(root)
    assert len(records) == len(trained) + len(tested)
    assert {r.split for p, r in records.items() if p.startswith("Test/")} == {"test"}
    assert {r.label for r in records.values()} == {"0", "1"}


def test_list_that_speaks_against_the_folders_is_not_passed_over(tmp_path: Path) -> None:
    names = _name_images("first/a") + _name_images("second/b")
    root = write_images(tmp_path / "data", *names)
    labels = ", ".join(f'"{Path(p).stem}": {n % 3}' for n, p in enumerate(names))
    (root / "labels.json").write_text(f'{{"labels": {{{labels}}}}}')
    with pytest.raises(InputError, match=r"ingest\.adapter=folder"):
        _read(root)
    assert set(_get_labels(_read(root, adapter="folder")).values()) == {"first", "second"}
    (root / "labels.json").unlink()
    _write_table(root / "list.txt", None, [f"{p} {n % 3}" for n, p in enumerate(names)])
    assert set(_get_labels(_read(root)).values()) == {"0", "1", "2"}


def test_lists_of_splits_divide_class_folders(tmp_path: Path) -> None:
    names = _name_images("images/cake/") + _name_images("images/pie/")
    root = write_images(tmp_path / "data", *names)
    for split, part in (("train", names[::2]), ("test", names[1::2])):
        rows = [name.removeprefix("images/").removesuffix(".png") for name in part]
        _write_table(root / "meta" / f"{split}.txt", None, rows)
    records = _read(root)
    assert {record.split for record in records.values()} == {"train", "test"}
    assert all(record.label == path.split("/")[-2] for path, record in records.items())


def test_boxes_are_no_classes(tmp_path: Path) -> None:
    names = [f"{split}/images/{split}{n}" for split in ("train", "valid") for n in range(6)]
    root = write_images(tmp_path / "data", *(f"{name}.png" for name in names))
    for name in names:
        path = root / f"{name.replace('images', 'labels')}.txt"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("1 0.5 0.5 0.4 0.4\n")
    with pytest.raises(InputError, match="detection labels"):
        _read(root)


def test_undecided_label_lists_its_candidates_in_the_config(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", *_name_images(""))
    rows = [f"{n:04d}.png,{n % 2},{n // 2 % 2},{n // 3 % 2}" for n in range(COUNT)]
    _write_table(root / "attributes.csv", "image,Male,Smiling,Young", rows)
    proposal = propose_config(root)
    assert "candidates: Male (2 values), Smiling" in str(proposal.undecided)
    assert "  # label: Smiling  # 2 values" in proposal.config_yaml
    assert set(_get_labels(_read(root, label="Smiling")).values()) == {"0", "1"}
