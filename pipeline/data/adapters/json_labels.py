"""JSON files of labels: FiftyOne, Label Studio, a mapping of names to labels, or a list of images.

Formats: https://docs.voxel51.com (FiftyOneImageClassificationDataset, FiftyOneDataset),
https://labelstud.io/guide/export.html
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
)
from pipeline.data.tables.column_inference import infer_columns
from pipeline.data.tables.label_cells import read_label_cells
from pipeline.data.tables.listed_images import (
    ListedImage,
    ListedImageFinder,
    build_records,
    get_class_folder,
    parse_list_split,
)
from pipeline.data.tables.table_files import convert_to_text

SUPPORTED_OPTIONS = ("multi",)
MAX_FILES = 40
"""JSON files that are opened; more of them are annotations of single images."""
LISTED_SHARE = 0.1
"""Share of the images that the JSON files must name before they are taken for the labels."""
_MATCHED_SHARE = 0.5
_IMAGE_KEYS = ("filepath", "file_name", "filename", "image", "img", "path", "file", "name", "url")
_LABEL_KEYS = ("label", "labels", "class", "category", "classification", "ground_truth", "choice")


@dataclass(frozen=True)
class JsonRow:
    """The record of one image in a JSON file: its listed name, its labels and its split."""

    name: str
    labels: tuple[str, ...]
    split: str | None


def _read_rows(tree: FileTree, name: str) -> list[JsonRow]:
    """Return the images that a JSON file lists; none if it lists none."""
    try:
        value = json.loads(tree.read_file(name))
    except (ValueError, RecursionError):
        return []
    split = parse_list_split(name)
    rows: list[JsonRow] = []
    if isinstance(value, dict):
        rows = _read_object(value)
    elif isinstance(value, list):
        rows = _read_part(value)
    return [JsonRow(row.name, row.labels, row.split or split) for row in rows]


def _read_object(value: dict[str, Any]) -> list[JsonRow]:
    labels = value.get("labels")
    if isinstance(labels, dict) and isinstance(value.get("classes"), list):  # FiftyOne
        return _read_mapping(labels, value["classes"])
    if value and {str(key).lower() for key in value} <= set(SPLIT_ALIASES):
        rows = []
        for key, part in value.items():
            split = SPLIT_ALIASES[key.lower()]
            for row in _read_part(part):
                rows.append(JsonRow(row.name, row.labels, split))
        return rows
    for key in ("samples", "images", "data", "annotations", "items"):
        if isinstance(value.get(key), list):
            rows = _read_entries(value[key])
            if rows:
                return rows
    return _read_part(value)


def _read_part(part: Any) -> list[JsonRow]:
    """Return the rows of a list of images, a mapping to labels, or lists of images by class."""
    if isinstance(part, list):
        if all(isinstance(item, str) for item in part):
            return [JsonRow(item, (), None) for item in part]
        if all(_is_pair(item) for item in part):
            return [JsonRow(item[0], _get_labels(item[1], ()), None) for item in part]
        return _read_entries(part)
    if not isinstance(part, dict) or not part:
        return []
    if all(isinstance(item, list) and all(map(_is_text, item)) for item in part.values()):
        by_class = [JsonRow(n, (str(key),), None) for key, names in part.items() for n in names]
        by_name = _read_mapping(part, ())
        # which of the two it is shows when the names are looked up
        return by_class if len(by_class) > len(part) else by_name
    return _read_mapping(part, ())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)


def _read_mapping(mapping: dict[str, Any], classes: Sequence[Any]) -> list[JsonRow]:
    return [JsonRow(str(k), _get_labels(v, classes), None) for k, v in mapping.items()]


def _get_labels(value: Any, classes: Sequence[Any]) -> tuple[str, ...]:
    """Return the labels that a value holds: text, a number, an object with a label, or a list."""
    if isinstance(value, list):
        labels = [label for item in value for label in _get_labels(item, classes)]
        return tuple(dict.fromkeys(labels))
    if isinstance(value, dict):
        for key in _LABEL_KEYS:
            if value.get(key) is not None:
                return _get_labels(value[key], classes)
        if "classifications" in value:
            return _get_labels(value["classifications"], classes)
        return ()
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        value = classes[value]
    text = convert_to_text(value)
    return () if text is None else (text,)


def _read_entries(entries: list[Any]) -> list[JsonRow]:
    """Return the rows of a list of objects."""
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if not objects or len(objects) < len(entries):
        return []
    if all("annotations" in entry and isinstance(entry.get("data"), dict) for entry in objects):
        return [row for entry in objects for row in _read_task(entry)]
    if any(isinstance(value, dict | list) for entry in objects for value in entry.values()):
        return [row for entry in objects for row in _read_sample(entry)]
    return _read_table(objects)


def _read_task(task: dict[str, Any]) -> Iterator[JsonRow]:
    """Yield the image of a task of Label Studio with the choices of its annotations."""
    texts = [value for value in task["data"].values() if isinstance(value, str)]
    name = task["data"].get("image") or (texts[0] if texts else None)
    if not isinstance(name, str):
        return
    labels: list[str] = []
    for annotation in task["annotations"]:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            value = result.get("value") if isinstance(result, dict) else None
            if isinstance(value, dict) and isinstance(value.get("choices"), list):
                labels += map(str, value["choices"])
    yield JsonRow(name, tuple(dict.fromkeys(labels)), None)


def _read_sample(sample: dict[str, Any]) -> Iterator[JsonRow]:
    """Yield the image of an object whose label is an object or a list."""
    name = next((sample[k] for k in _IMAGE_KEYS if isinstance(sample.get(k), str)), None)
    if name is None:
        return
    tags = [str(tag).lower() for tag in [*(sample.get("tags") or []), sample.get("split") or ""]]
    split = next((SPLIT_ALIASES[tag] for tag in tags if tag in SPLIT_ALIASES), None)
    yield JsonRow(name, _get_labels(sample, ()), split)


def _read_table(objects: list[dict[str, Any]]) -> list[JsonRow]:
    """Return the rows of a list of flat objects, whose keys are columns."""
    names = dict.fromkeys(str(key) for entry in objects for key in entry)
    columns: dict[str, list[Any]] = {n: [entry.get(n) for entry in objects] for n in names}
    inferred = infer_columns(columns)
    file = inferred.file or next((k for k in _IMAGE_KEYS if k in columns), None)
    label = inferred.label or next((k for k in _LABEL_KEYS if k in columns), None)
    if file is None:
        return []
    cells = read_label_cells(columns[label]) if label else [[] for _ in objects]
    rows = []
    for entry, cell in zip(objects, cells, strict=True):
        name = convert_to_text(entry.get(file))
        split = str(entry.get(inferred.split) or "").lower() if inferred.split else ""
        if name:
            rows.append(JsonRow(name, tuple(cell), SPLIT_ALIASES.get(split)))
    return rows


def _find_rows(tree: FileTree, index: ListedImageFinder) -> dict[str, list[tuple[str, JsonRow]]]:
    """Return by JSON file the rows that name an image, with its path.

    At most 40 files in the root or in one folder below it are opened.
    """
    names = [n for n in tree.file_names if n.lower().endswith(".json") and n.count("/") <= 1]
    if len(names) > MAX_FILES:
        names = [name for name in names if "/" not in name][:MAX_FILES]
    found = {}
    for name in names:
        rows = _read_rows(tree, name)
        paths = index.find_images([row.name for row in rows], posixpath.dirname(name))
        known = [(path, row) for path, row in zip(paths, rows, strict=True) if path]
        if known and len(known) >= _MATCHED_SHARE * len(rows):
            found[name] = known
    return found


def _merge_rows(files: Mapping[str, list[tuple[str, JsonRow]]]) -> dict[str, ListedImage]:
    listed: dict[str, ListedImage] = {}
    for rows in files.values():
        for path, row in rows:
            image = listed.setdefault(path, ListedImage())
            image.labels += [label for label in row.labels if label not in image.labels]
            image.split = image.split or row.split
    if not any(image.labels for image in listed.values()):
        for path, image in listed.items():
            folder = get_class_folder(path)
            image.labels += [folder] if folder else []
    return listed


def can_read(tree: FileTree) -> str | None:
    """Return the JSON files that label images, or None."""
    if tree.root_kind not in ("folder", "zip", "tar"):
        return None
    if not any(name.lower().endswith(".json") for name in tree.file_names):
        return None
    index = ListedImageFinder(tree.file_names)
    files = _find_rows(tree, index)
    listed = _merge_rows(files)
    labels = {label for image in listed.values() for label in image.labels}
    if len(labels) < 2 or len(listed) < LISTED_SHARE * len(index.images):
        return None
    return f"JSON labels of {len(listed):,} images ({', '.join(files)})"


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images that a JSON file labels: FiftyOne, Label Studio, a mapping, a list of objects.

    The split is in the file's name, in a key, or in the tags. Rejected with a reason: images that
    no file names, images without a label.

    Raises:
        InputError: no JSON file labels images, or images have several labels.
    """
    index = ListedImageFinder(tree.file_names)
    files = _find_rows(tree, index)
    if not files:
        raise InputError(f"ingest.data: {tree.root}: no JSON file in it labels its images")
    yield from build_records(tree, _merge_rows(files), options, list(files))
