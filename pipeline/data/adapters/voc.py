"""PASCAL VOC: `Annotations/*.xml` beside `JPEGImages/`.

Format: http://host.robots.ox.ac.uk/pascal/VOC/
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from xml.etree import ElementTree

from pipeline.contracts import InputError
from pipeline.data.adapters.coco import crop_box, label_image
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    IMAGE_SUFFIXES,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
)

SUPPORTED_OPTIONS = ("crop_boxes",)


def _list_annotations(tree: FileTree) -> list[str]:
    return [n for n in tree.file_names if n.endswith(".xml") and "Annotations" in n.split("/")[:-1]]


def can_read(tree: FileTree) -> str | None:
    """Return how many XML files the folder `Annotations` has, or None."""
    annotation_names = _list_annotations(tree)
    return f"VOC annotations, {len(annotation_names)} XML files" if annotation_names else None


def _read_splits(tree: FileTree) -> dict[str, str]:
    """Return the split by stem, from `ImageSets/Main/train.txt` and similar files."""
    splits_by_stem: dict[str, str] = {}
    for name in tree.file_names:
        word = posixpath.splitext(posixpath.basename(name))[0].lower()
        if name.endswith(".txt") and "ImageSets" in name.split("/") and word in SPLIT_ALIASES:
            lines = tree.read_file(name).decode("utf-8", "replace").split("\n")
            for line in lines:
                if line.strip():
                    splits_by_stem[line.split()[0]] = SPLIT_ALIASES[word]
    return splits_by_stem


def _parse_annotation(data: bytes) -> ElementTree.Element | None:
    """Return the root of an annotation; None if it is no XML or declares entities."""
    try:
        return None if b"<!DOCTYPE" in data or b"<!ENTITY" in data else ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError):
        return None


def _read_bounding_box(element: ElementTree.Element) -> list[float] | None:
    """Return x, y, width and height of `bndbox`, whose corners count from 1 and are inclusive."""
    try:
        low_x = float(element.findtext("bndbox/xmin") or "")
        low_y = float(element.findtext("bndbox/ymin") or "")
        high_x = float(element.findtext("bndbox/xmax") or "")
        high_y = float(element.findtext("bndbox/ymax") or "")
    except ValueError:
        return None
    return [low_x - 1, low_y - 1, high_x - low_x + 1, high_y - low_y + 1]


def _read_objects(
    record: ImageRecord, root: ElementTree.Element, options: ReadOptions
) -> Iterator[ImageRecord | RejectedFile]:
    marks = root.findall("object")
    labels = [(mark.findtext("name") or "").strip() for mark in marks]
    if not options.should_crop_boxes:
        yield label_image(record, list(filter(None, labels)), options)
        return
    if not marks:
        yield RejectedFile(record.path, "no annotation")
    for number, (mark, label) in enumerate(zip(marks, labels, strict=True)):
        yield crop_box(record, f"{record.path}#{number}", _read_bounding_box(mark), label or None)


def _find_image(tree: FileTree, annotation_name: str, file_names: frozenset[str]) -> str | None:
    above, _, stem = annotation_name.rpartition("Annotations/")
    stem = posixpath.splitext(stem)[0]
    for folder in ("JPEGImages", "images"):
        for suffix in sorted(IMAGE_SUFFIXES):
            name = f"{above}{folder}/{stem}{suffix}"
            if name in file_names:
                return name
    return None


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield PASCAL VOC images, labeled by the one class of their objects; or each object's box.

    Splits come from `ImageSets/Main`. Rejected with a reason: images of several classes or of
    none, annotations that cannot be read or have no image, images without an annotation.
    """
    annotations = _list_annotations(tree)
    if not annotations:
        raise InputError(f"ingest.data: {tree.root}: no folder Annotations with XML files in it")
    yield from tree.rejected_files
    file_names = frozenset(tree.file_names)
    splits = _read_splits(tree)
    used = set(annotations)
    for name in annotations:
        path = _find_image(tree, name, file_names)
        root = _parse_annotation(tree.read_file(name))
        if path is None or root is None:
            yield RejectedFile(
                name, "no image belongs to it" if path is None else "its XML cannot be read"
            )
            continue
        used.add(path)
        stem = posixpath.splitext(posixpath.basename(path))[0]
        yield from _read_objects(
            ImageRecord(tree.get_source(path), path, None, split=splits.get(stem)), root, options
        )
    for name in tree.file_names:
        if name not in used and "ImageSets" not in name.split("/"):
            yield RejectedFile(
                name, "it has no annotation" if is_image(name) else explain_non_image(name)
            )
