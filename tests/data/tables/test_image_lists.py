"""Lists in text and JSON: image_lists.py, folder_tables.py, listing_tables.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.tables.image_lists import ImageList, find_image_lists

PATHS = [f"{label}/{label}{n}.jpg" for label in ("cat", "dog") for n in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def _find(root: Path) -> ImageList | None:
    return next(iter(find_image_lists(FileTree(root))), None)


@pytest.mark.parametrize(
    "lines",
    [
        PATHS,
        [f"{Path(path).stem} 1 2" for path in PATHS],
        [f"./{path},7" for path in PATHS],
        [f"{n} {path}" for n, path in enumerate(PATHS)],
        ["#name class", *(path.removesuffix(".jpg") for path in PATHS)],
    ],
)
def test_text_lists_images(root: Path, lines: list[str]) -> None:
    (root / "test_list.txt").write_text("\n".join(lines))
    found = _find(root)
    assert found is not None
    assert set(found.words) == set(PATHS)
    assert found.split == "test"


@pytest.mark.parametrize(
    "content",
    [
        {"labels": {Path(path).stem: 1 for path in PATHS}},
        {"cat": PATHS[:4], "dog": PATHS[4:]},
        [{"image": path, "label": "x"} for path in PATHS],
        {"images": [[path, 3] for path in PATHS]},
    ],
)
def test_json_lists_images(root: Path, content: object) -> None:
    (root / "labels.json").write_text(json.dumps(content))
    found = _find(root)
    assert found is not None
    assert set(found.words) == set(PATHS)


@pytest.mark.parametrize("text", ["cat\ndog\n", "", "a b c\n" * 9])
def test_other_texts_list_nothing(root: Path, text: str) -> None:
    (root / "classes.txt").write_text(text)
    assert _find(root) is None


def test_boxes_beside_names_are_no_labels() -> None:
    words = {path: ("0", str(n % 2), "62", "62") for n, path in enumerate(PATHS)}
    assert ImageList("boxes.txt", words, None).find_label_words() == []
    words = {path: (str(n % 2), "9") for n, path in enumerate(PATHS)}
    assert len(ImageList("list.txt", words, None).find_label_words()) == 1
