"""COCO: a JSON file with `images`, `annotations` and `categories`.

Format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    MetadataValue,
    MixedImage,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
    parse_datetime,
    parse_split_name,
)
from pipeline.data.reading.image_sources import build_crop_source
from pipeline.data.tables.table_files import convert_to_scalar, convert_to_text

SUPPORTED_OPTIONS = ("crop_boxes",)
_TIME_KEYS = ("date_captured", "datetime")
_OWN_KEYS = frozenset(
    ("id", "file_name", "width", "height", "license", "flickr_url", "coco_url", *_TIME_KEYS)
)
_REQUIRED_KEYS = ("images", "annotations", "categories")


def _read_annotation_files(tree: FileTree) -> dict[str, dict[str, Any]]:
    """Return the parsed COCO files of a data set.

    At most 20 JSON files in the root or in one folder below it are opened.
    """
    names = [n for n in tree.file_names if n.lower().endswith(".json") and n.count("/") <= 1]
    annotation_files = {}
    for name in names[:20]:
        try:
            value = json.loads(tree.read_file(name))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and all(
            isinstance(value.get(key), list) for key in _REQUIRED_KEYS
        ):
            annotation_files[name] = value
    return annotation_files


def can_read(tree: FileTree) -> str | None:
    """Return how many COCO files there are, or None."""
    annotation_files = _read_annotation_files(tree)
    return f"COCO annotations, {' and '.join(annotation_files)}" if annotation_files else None


def _find_image_file(
    tree: FileTree, listed_name: str, annotation_name: str, file_index: Mapping[str, str]
) -> str | None:
    """Return the file of an entry.

    Below the root, beside the annotations, in an images folder, or by name.
    """
    beside = posixpath.dirname(annotation_name)
    folders = (
        "",
        beside,
        "images",
        posixpath.join(beside, "images"),
        parse_split_name(annotation_name) or "",
    )
    for folder in folders:
        name = posixpath.normpath(posixpath.join(folder, listed_name.replace("\\", "/")))
        if name in file_index:
            return name
    return file_index.get("/" + posixpath.basename(listed_name))


def _index_files(tree: FileTree) -> dict[str, str]:
    """Return the file names, and `/basename` for every name that is unique."""
    counts = Counter(map(posixpath.basename, tree.file_names))
    index: dict[str, str] = {}
    for path in tree.file_names:
        index[path] = path
        name = posixpath.basename(path)
        if counts[name] == 1:
            index[f"/{name}"] = path
    return index


def _read_annotated_images(
    tree: FileTree, annotation_name: str, annotations: dict[str, Any], options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    classes = {}
    for category in annotations["categories"]:
        if isinstance(category, dict):
            classes[category.get("id")] = convert_to_text(category.get("name"))
    annotations_by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in annotations["annotations"]:
        if isinstance(annotation, dict):
            annotations_by_image[str(annotation.get("image_id"))].append(annotation)
    file_index = _index_files(tree)
    split = parse_split_name(annotation_name)
    for entry in annotations["images"]:
        listed_name = convert_to_text(entry.get("file_name")) if isinstance(entry, dict) else None
        image_name = (
            _find_image_file(tree, listed_name, annotation_name, file_index)
            if listed_name
            else None
        )
        if listed_name is None or image_name is None:
            yield RejectedFile(
                listed_name or f"{annotation_name}: an image",
                f"listed in {annotation_name}, but there is no such file",
            )
            continue
        image_annotations = annotations_by_image[str(entry.get("id"))]
        labeled_boxes = [(m, classes.get(m.get("category_id"))) for m in image_annotations]
        base = ImageRecord(
            tree.get_source(image_name),
            image_name,
            None,
            captured_at=_read_time(entry),
            split=split,
            columns=_read_columns(entry),
        )
        yield from (
            _crop_boxes(base, labeled_boxes)
            if options.should_crop_boxes
            else [label_image(base, [c for _, c in labeled_boxes if c], options)]
        )


def _read_time(entry: Mapping[str, Any]) -> datetime | None:
    """Return the capture time of an entry; camera traps write `datetime`."""
    times = (parse_datetime(entry[key]) for key in _TIME_KEYS if entry.get(key))
    return next(filter(None, times), None)


def _read_columns(entry: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return the other fields of an entry, such as `seq_id` and `location` of camera traps."""
    columns = {}
    for key, value in entry.items():
        if key not in _OWN_KEYS and not isinstance(value, dict | list):
            columns[str(key)] = convert_to_scalar(value)
    return columns


def label_image(
    record: ImageRecord, labels: list[str], options: ReadOptions
) -> ImageRecord | RejectedFile:
    """Return the image with the label that all its boxes share, rejected if there is none.

    Args:
        record: the image.
        labels: classes of its boxes.
        options: read options.
    """
    names = sorted(set(labels))
    if len(names) == 1 or not options.is_label_required:
        return replace(record, label=names[0] if len(names) == 1 else None)
    if not names:
        return RejectedFile(record.path, "no annotation")
    listed = ", ".join(names[:4])
    return MixedImage(
        record.path,
        f"shows several classes ({listed}); ingest.crop_boxes=true makes each box an image",
    )


def _crop_boxes(
    record: ImageRecord, annotations: list[tuple[dict[str, Any], str | None]]
) -> Iterator[ImageRecord | RejectedFile]:
    if not annotations:
        yield RejectedFile(record.path, "no annotation")
    for number, (annotation, label) in enumerate(annotations):
        path = f"{record.path}#{annotation.get('id', number)}"
        yield crop_box(record, path, annotation.get("bbox"), label)


def crop_box(
    record: ImageRecord, path: str, bbox: Any, label: str | None
) -> ImageRecord | RejectedFile:
    """Return one box as a separate image, in the group of its image.

    Args:
        record: the image.
        path: path of the crop within the data set.
        bbox: x, y, width and height, in pixels.
        label: class of the box.
    """
    try:
        x, y, width, height = map(float, bbox)
        left, top = max(0, int(x)), max(0, int(y))
        box = left, top, int(x + width + 0.5) - left, int(y + height + 0.5) - top
    except (TypeError, ValueError, OverflowError):
        return RejectedFile(path, "its box is not four numbers")
    if min(box[2:]) < 1 or max(box) > 10**6:
        return RejectedFile(path, "its box is empty, or outside the image")
    group = record.group or record.path
    return ImageRecord(
        build_crop_source(record.source, box),
        path,
        label,
        group,
        record.captured_at,
        record.split,
        record.columns,
    )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield COCO images, labeled by the one class of their boxes; or each box as an image.

    The split is that in the name of the JSON file (`instances_val2017.json`). Rejected with a
    reason: images of several classes or of none, empty boxes, entries without their file, unlisted
    files.
    """
    annotation_files = _read_annotation_files(tree)
    if not annotation_files:
        raise InputError(f"ingest.data: {tree.root}: no COCO annotations in it")
    listed = set(annotation_files)
    yield from tree.rejected_files
    for name, value in annotation_files.items():
        for item in _read_annotated_images(tree, name, value, options):
            listed.add(item.path.partition("#")[0])
            listed.add(item.path)
            yield item
    for name in tree.file_names:
        if name not in listed:
            yield RejectedFile(
                name, "not listed in the annotations" if is_image(name) else explain_non_image(name)
            )
