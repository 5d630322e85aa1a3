"""Tables beside class folders: pipeline/data/tables/folder_tables.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.layout.folder_layout import recognize_tree_layout
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ReadOptions
from pipeline.data.tables.folder_tables import FolderTables, find_folder_tables

PATHS = [f"{label}/{label}{n}.jpg" for label in ("cat", "dog") for n in range(6)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def _find(root: Path) -> FolderTables:
    tree, options = FileTree(root), ReadOptions()
    return find_folder_tables(tree, recognize_tree_layout(tree, options), options)


def test_columns_and_splits_of_a_table_are_added(root: Path) -> None:
    rows = [f"{path},{n},{('train', 'val')[n % 2]}" for n, path in enumerate(PATHS)]
    (root / "light.csv").write_text("\n".join(["image,lux,part", *rows]))
    tables = _find(root)
    assert tables.names == ["light.csv"]
    assert tables.get_columns(PATHS[3]) == {"lux": 3, "part": "val"}
    assert tables.splits[PATHS[3]] == "val"
    assert tables.problem is None


def test_lists_that_agree_with_the_folders_are_no_problem(root: Path) -> None:
    lines = [f"{path} {path.startswith('dog'):d}" for path in PATHS]
    (root / "list.txt").write_text("\n".join(lines))
    assert _find(root).problem is None


def test_lists_of_other_classes_or_images_are_a_problem(root: Path) -> None:
    (root / "list.txt").write_text("\n".join(f"{p} {n % 3}" for n, p in enumerate(PATHS)))
    assert "other classes than the folders" in str(_find(root).problem)
    for number in range(9):
        (root / f"loose{number}.jpg").touch()
    (root / "list.txt").write_text("\n".join(f"loose{n}.jpg" for n in range(9)))
    assert "in no class folder" in str(_find(root).problem)
