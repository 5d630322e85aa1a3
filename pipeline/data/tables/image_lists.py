"""Text and JSON files of a data set that list its images, as `train.txt` does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.layout.image_index import ImageIndex
from pipeline.data.layout.split_words import parse_table_split
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import is_image
from pipeline.data.tables.column_kinds import examine_classes

LIST_SUFFIXES = (".txt", ".lst", ".list", ".json")
MAX_LISTS = 60
"""List files up to which all are read; more of them are one for each image."""
MIN_LISTED_IMAGES = 3
_MAX_LIST_BYTES = 50_000_000
_MAX_FIELDS = 50
_BOX_NUMBERS = 4
"""Numbers after a name from which on they are a box."""


@dataclass(frozen=True)
class ImageList:
    """A file that lists images.

    Attributes:
        name: its path in the data set.
        words: the other words beside each image, by the image's path.
        split: the split in the file's name, or None.
    """

    name: str
    words: Mapping[str, tuple[str, ...]]
    split: str | None

    def find_label_words(self) -> list[dict[str, str]]:
        """Return, for each position beside the name that may hold classes, the word by image."""
        if not self.words:
            return []
        length = min(map(len, self.words.values()))
        columns = [{path: w[p] for path, w in self.words.items()} for p in range(length)]
        numbers = [c for c in columns if all(re.fullmatch(r"-?[\d.]+", v) for v in c.values())]
        if len(numbers) >= _BOX_NUMBERS:
            columns = [c for c in columns if c not in numbers]
        return [c for c in columns if examine_classes(list(c.values()), is_named=True)]


def find_image_lists(tree: FileTree, image_folder: str | None = None) -> list[ImageList]:
    """Return the text and JSON files that list images of the data set."""
    index = tree.index_images(image_folder)
    names = [
        n for n in index.other_files if n.lower().endswith(LIST_SUFFIXES) and n.count("/") <= 3
    ]
    if len(names) > MAX_LISTS:
        names = [n for n in names if n.count("/") == 0]
    lists = []
    for name in names[:MAX_LISTS]:
        try:
            data = tree.read_file(name)
        except InputError:
            continue
        if len(data) > _MAX_LIST_BYTES:
            continue
        text = data.decode("utf-8", "replace")
        is_json = name.lower().endswith(".json")
        words, entry_count = _read_json(text, index) if is_json else _read_lines(text, index)
        if len(words) >= MIN_LISTED_IMAGES and len(words) * 2 >= entry_count:
            lists.append(ImageList(name, words, parse_table_split(name)))
    return lists


def _find_image(index: ImageIndex, text: str) -> str | None:
    """Return the image that a text names by its path, or by a name that is unique."""
    path = text.strip().replace("\\", "/").removeprefix("./")
    if path in index.file_names and is_image(path):
        return path
    found = index.stem_paths.get(os.path.splitext(path)[0] if is_image(path) else path)
    if found:
        return found
    candidates = index.find_by_name(path)
    if "/" in path:
        stem = os.path.splitext(path)[0] if is_image(path) else path
        ends = [c for c in candidates if os.path.splitext(c)[0].endswith(f"/{stem}")]
        candidates = ends or candidates
    return candidates[0] if len(candidates) == 1 else None


def _read_lines(text: str, index: ImageIndex) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return the words beside each image that a line names, and the number of lines."""
    words: dict[str, tuple[str, ...]] = {}
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        whole = _find_image(index, line)
        if whole:
            words[whole] = ()
            continue
        parts = [part.strip("\"'") for part in re.split(r"[\s,;]+", line) if part]
        for position, part in enumerate(parts[:3]):
            image = _find_image(index, part)
            if image and (position == 0 or not part.isdigit()):
                words[image] = tuple(parts[:position] + parts[position + 1 :])
                break
    return words, len(lines)


def _read_json(text: str, index: ImageIndex) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return the values beside each image that a JSON file names, and the number of entries."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}, 0
    words: dict[str, tuple[str, ...]] = {}
    entry_count = 0
    for names, others in _list_entries(content):
        images = [image for image in (_find_image(index, name) for name in names) if image]
        entry_count += 1
        if images:
            words[images[0]] = tuple(map(str, others))
    return words, entry_count


def _list_entries(content: Any, depth: int = 0) -> Iterator[tuple[Sequence[str], Sequence[Any]]]:
    """Yield what may be names of images, and the values beside them, of each entry of a JSON."""
    if depth > 4:
        return
    if isinstance(content, dict):
        scalars = {k: v for k, v in content.items() if not isinstance(v, dict | list)}
        texts = [value for value in scalars.values() if isinstance(value, str)]
        if any(is_image(text) for text in texts) and len(content) < _MAX_FIELDS:
            yield (
                [text for text in texts if is_image(text)],
                [v for v in scalars.values() if not (isinstance(v, str) and is_image(v))],
            )
        else:
            for key, value in scalars.items():
                yield [key], [value]
        for key, value in content.items():
            if isinstance(value, dict | list):
                for names, others in _list_entries(value, depth + 1):
                    yield names or [key], [*others]
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, str):
                yield [value], []
            elif isinstance(value, list) and value and isinstance(value[0], str):
                yield [value[0]], value[1:]
            else:
                yield from _list_entries(value, depth + 1)
