"""Which tables are read: pipeline/data/tables/manifest_plan.py, manifest_rows.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ImageRecord, ReadOptions
from pipeline.data.tables.manifest_plan import ManifestPlan, plan_manifest
from pipeline.data.tables.manifest_rows import read_table_rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(12):
        (tmp_path / f"{number:02d}.jpg").touch()
    return tmp_path


def _write(root: Path, name: str, heading: str, form: str, numbers: range = range(12)) -> None:
    rows = [form.format(n=n, label="ab"[n % 2], half=n // 2) for n in numbers]
    (root / name).write_text("\n".join([heading, *rows]))


def _plan(root: Path, **options: str) -> ManifestPlan:
    plan = plan_manifest(FileTree(root), ReadOptions(**options))
    assert plan is not None
    return plan


def test_tables_of_one_image_each_are_joined(root: Path) -> None:
    _write(root, "labels.csv", "name,label", "{n:02d},{label}")
    _write(root, "people.csv", "file,person", "{n:02d}.jpg,p{half}")
    (root / "persons.csv").write_text(
        "\n".join(["person,height", *(f"p{n},{n}" for n in range(6))])
    )
    parts = ["0", "0", "0", "0", "1", "2"]
    rows = [f"{n:02d},{parts[n // 2]}" for n in range(12)]
    (root / "eval_partition.csv").write_text("\n".join(["name,partition", *rows]))
    plan = _plan(root)
    assert plan.names == ["labels.csv"]
    records = list(read_table_rows(plan.tables[0], plan, ReadOptions()))
    last = records[-1]
    assert isinstance(last, ImageRecord)
    assert (last.label, last.split) == ("b", "test")
    assert dict(last.columns) == {"person": "p5", "height": 5, "partition": 2}


def test_parts_of_one_table_give_the_split(root: Path) -> None:
    _write(root, "all.csv", "name,label", "{n:02d},{label}")
    _write(root, "train_ids.csv", "name", "{n:02d}", range(8))
    _write(root, "test_ids.csv", "name", "{n:02d}", range(8, 12))
    plan = _plan(root)
    assert plan.names == ["all.csv"]
    assert sorted(plan.split_by_image.values()) == ["test"] * 4 + ["train"] * 8


def test_solution_is_the_test_part(root: Path) -> None:
    _write(root, "train.csv", "name,label", "{n:02d},{label}", range(8))
    _write(root, "solution.csv", "name,label", "{n:02d},{label}", range(8, 12))
    plan = _plan(root)
    assert dict(plan.splits) == {"solution.csv": "test", "train.csv": "train"}


def test_tables_that_disagree_are_refused(root: Path) -> None:
    _write(root, "first.csv", "name,label", "{n:02d},{label}")
    _write(root, "second.csv", "name,class", "{n:02d},{half}")
    plan = _plan(root)
    assert "label the same images differently" in str(plan.problem)
    assert plan.list_settings() == ["table: first.csv", "table: second.csv"]
    assert _plan(root, table="second.csv").problem is None
    with pytest.raises(InputError, match=r"no table 'third\.csv'"):
        plan_manifest(FileTree(root), ReadOptions(table="third.csv"))


def test_class_folders_decide_between_columns(tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / ("cat", "dog")[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{number:02d}.jpg").touch()
    rows = [f"{n:02d},{n % 2},{'uvw'[n % 3]},{'pq'[n // 6]}" for n in range(12)]
    (tmp_path / "list.csv").write_text("\n".join(["name,kind,light,place of capture", *rows]))
    assert _plan(tmp_path).tables[0].label_column == "kind"
    text = (tmp_path / "list.csv").read_text().replace("kind", "age")
    rows = [f"{n:02d},{'uvw'[n % 3]}" for n in range(12)]
    (tmp_path / "list.csv").write_text("\n".join(["name,light", *rows]))
    assert "the folders name other classes (cat, dog)" in str(_plan(tmp_path).problem)
    rows = [f"{n:02d},{n % 5}" for n in range(12)]
    (tmp_path / "list.csv").write_text("\n".join(["name,age", *rows]))
    assert plan_manifest(FileTree(tmp_path), ReadOptions()) is None, text
