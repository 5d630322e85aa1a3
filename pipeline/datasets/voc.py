"""PASCAL VOC: `Annotations/*.xml` beside `JPEGImages/` (http://host.robots.ox.ac.uk/pascal/VOC/)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from xml.etree import ElementTree

from pipeline.contracts import InputError
from pipeline.datasets.coco import crop, whole
from pipeline.datasets.photo import DEFAULTS, SPLITS, SUFFIXES, Options, Photo, Rejected, is_image, no_image
from pipeline.datasets.tree import Tree

OPTIONS = ("boxes",)


def _annotations(tree: Tree) -> list[str]:
    return [n for n in tree.names if n.endswith(".xml") and "Annotations" in n.split("/")[:-1]]


def recognises(tree: Tree) -> str | None:
    """A folder `Annotations` with XML files."""
    found = _annotations(tree)
    return f"VOC annotations, {len(found)} XML files" if found else None


def _splits(tree: Tree) -> dict[str, str]:
    """Split by name without suffix, from `ImageSets/Main/train.txt` and its like."""
    found: dict[str, str] = {}
    for name in tree.names:
        word = posixpath.splitext(posixpath.basename(name))[0].lower()
        if name.endswith(".txt") and "ImageSets" in name.split("/") and word in SPLITS:
            lines = tree.read(name).decode("utf-8", "replace").split("\n")
            found |= {line.split()[0]: SPLITS[word] for line in lines if line.strip()}
    return found


def _parse(data: bytes) -> ElementTree.Element | None:
    """The root of an annotation; None where it is no XML, or declares entities (which may grow without bound)."""
    try:
        return None if b"<!DOCTYPE" in data or b"<!ENTITY" in data else ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError):
        return None


def _corners(mark: ElementTree.Element) -> list[float] | None:
    """x, y, width, height of `bndbox`, whose corners count from 1 and are part of the box."""
    try:
        low_x, low_y, high_x, high_y = (
            float(mark.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        return None
    return [low_x - 1, low_y - 1, high_x - low_x + 1, high_y - low_y + 1]


def _items(photo: Photo, root: ElementTree.Element, options: Options) -> Iterator[Photo | Rejected]:
    marks = root.findall("object")
    labels = [(mark.findtext("name") or "").strip() for mark in marks]
    if not options.boxes:
        yield whole(photo, [label for label in labels if label], options)
        return
    if not marks:
        yield Rejected(photo.path, "no annotation")
    for number, (mark, label) in enumerate(zip(marks, labels, strict=True)):
        yield crop(photo, f"{photo.path}#{number}", _corners(mark), label or None)


def _photo_of(tree: Tree, annotation: str, there: frozenset[str]) -> str | None:
    above, _, stem = annotation.rpartition("Annotations/")
    stem = posixpath.splitext(stem)[0]
    names = (f"{above}{folder}/{stem}{suffix}" for folder in ("JPEGImages", "images") for suffix in sorted(SUFFIXES))
    return next((name for name in names if name in there), None)


def voc(tree: Tree, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """PASCAL VOC: a photo whose objects are of one class has that label; or each object's box is a photo of its own.

    Splits are those of `ImageSets/Main`. Set aside with a reason: photos of several classes or of none, annotations
    that cannot be read or have no photo, photos without an annotation.
    """
    annotations = _annotations(tree)
    if not annotations:
        raise InputError(f"ingest.data: {tree.root}: no folder Annotations with XML files in it")
    yield from tree.problems
    there, splits, used = frozenset(tree.names), _splits(tree), set(annotations)
    for name in annotations:
        path, root = _photo_of(tree, name, there), _parse(tree.read(name))
        if path is None or root is None:
            yield Rejected(name, "no photo belongs to it" if path is None else "its XML cannot be read")
            continue
        used.add(path)
        stem = posixpath.splitext(posixpath.basename(path))[0]
        yield from _items(Photo(tree.source(path), path, None, split=splits.get(stem)), root, options)
    for name in tree.names:
        if name not in used and "ImageSets" not in name.split("/"):
            yield Rejected(name, "it has no annotation" if is_image(name) else no_image(name))
