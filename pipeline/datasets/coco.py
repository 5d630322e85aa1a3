"""COCO's annotations: a JSON file with `images`, `annotations` and `categories` (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.contracts import InputError
from pipeline.datasets.photo import DEFAULTS, Options, Photo, Rejected, is_image, moment, no_image, split_in
from pipeline.datasets.sources import boxed
from pipeline.datasets.tables import text
from pipeline.datasets.tree import Tree

OPTIONS = ("boxes",)
_KEYS = ("images", "annotations", "categories")


def _annotation_files(tree: Tree) -> dict[str, dict[str, Any]]:
    """The COCO files of a data set, parsed: at most 20 JSON files in the root or in one folder below it are opened."""
    names = [n for n in tree.names if n.lower().endswith(".json") and n.count("/") <= 1]
    found = {}
    for name in names[:20]:
        try:
            value = json.loads(tree.read(name))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and all(isinstance(value.get(key), list) for key in _KEYS):
            found[name] = value
    return found


def recognises(tree: Tree) -> str | None:
    """A JSON file with images, annotations and categories."""
    found = _annotation_files(tree)
    return f"COCO annotations, {' and '.join(found)}" if found else None


def _place(tree: Tree, listed: str, annotations: str, there: Mapping[str, str]) -> str | None:
    """The file that an entry means: below the root, beside the annotations, in an images folder; else by its name."""
    beside = posixpath.dirname(annotations)
    folders = ("", beside, "images", posixpath.join(beside, "images"), split_in(annotations) or "")
    for folder in folders:
        name = posixpath.normpath(posixpath.join(folder, listed.replace("\\", "/")))
        if name in there:
            return name
    return there.get("/" + posixpath.basename(listed))


def _by_name(tree: Tree) -> dict[str, str]:
    """Names of files, and under `/basename` those that have it alone."""
    known: dict[str, str] = {name: name for name in tree.names}
    bases = defaultdict(list)
    for name in tree.names:
        bases["/" + posixpath.basename(name)].append(name)
    return known | {base: names[0] for base, names in bases.items() if len(names) == 1}


def _shared(labels: list[str]) -> tuple[str | None, str]:
    """The label of a photo by the boxes in it: the class that all share."""
    kinds = sorted(set(labels))
    if len(kinds) == 1:
        return kinds[0], ""
    return None, f"shows several classes ({', '.join(kinds[:4])}); ingest.boxes=true makes each box a photo"


def _photos(tree: Tree, name: str, tree_json: dict[str, Any], options: Options) -> Iterator[Photo | Rejected]:
    classes = {c.get("id"): text(c.get("name")) for c in tree_json["categories"] if isinstance(c, dict)}
    marks: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for mark in tree_json["annotations"]:
        if isinstance(mark, dict):
            marks[str(mark.get("image_id"))].append(mark)
    there, split = _by_name(tree), split_in(name)
    for entry in tree_json["images"]:
        listed = text(entry.get("file_name")) if isinstance(entry, dict) else None
        place = _place(tree, listed, name, there) if listed else None
        if listed is None or place is None:
            yield Rejected(listed or f"{name}: an image", f"listed in {name}, but there is no such file")
            continue
        found = marks[str(entry.get("id"))]
        named = [(m, classes.get(m.get("category_id"))) for m in found]
        base = Photo(tree.source(place), place, None, captured_at=moment(entry.get("date_captured")), split=split)
        yield from _crops(base, named) if options.boxes else [whole(base, [c for _, c in named if c], options)]


def whole(photo: Photo, labels: list[str], options: Options) -> Photo | Rejected:
    """A photo with the label that all its boxes share; set aside where there is none."""
    label, why = _shared(labels) if labels else (None, "no annotation")
    if label is None and options.labelled:
        return Rejected(photo.path, why)
    return replace(photo, label=label)


def _crops(photo: Photo, marks: list[tuple[dict[str, Any], str | None]]) -> Iterator[Photo | Rejected]:
    if not marks:
        yield Rejected(photo.path, "no annotation")
    for number, (mark, label) in enumerate(marks):
        path = f"{photo.path}#{mark.get('id', number)}"
        yield crop(photo, path, mark.get("bbox"), label)


def crop(photo: Photo, path: str, corners: Any, label: str | None) -> Photo | Rejected:
    """One box (x, y, width, height in px) as a photo of its own, in the group of the photo that it is cut from."""
    try:
        x, y, width, height = (float(value) for value in corners)
        left, top = max(0, int(x)), max(0, int(y))
        box = left, top, int(x + width + 0.5) - left, int(y + height + 0.5) - top
    except (TypeError, ValueError, OverflowError):
        return Rejected(path, "its box is not four numbers")
    if min(box[2:]) < 1 or max(box) > 10**6:
        return Rejected(path, "its box is empty, or outside the photo")
    group = photo.group or photo.path
    return Photo(boxed(photo.source, box), path, label, group, photo.captured_at, photo.split, photo.columns)


def coco(tree: Tree, options: Options = DEFAULTS) -> Iterator[Photo | Rejected]:
    """COCO annotations: a photo whose boxes are of one class has that label; or each box is a photo of its own.

    The split is that in the name of the JSON file (`instances_val2017.json`). Set aside with a reason: photos of
    several classes or of none, boxes that are empty, entries without their file, files that are not listed.
    """
    found = _annotation_files(tree)
    if not found:
        raise InputError(f"ingest.data: {tree.root}: no COCO annotations in it")
    listed = set(found)
    yield from tree.problems
    for name, value in found.items():
        for item in _photos(tree, name, value, options):
            listed.add(item.path.partition("#")[0])
            listed.add(item.path)
            yield item
    for name in tree.names:
        if name not in listed:
            yield Rejected(name, "not listed in the annotations" if is_image(name) else no_image(name))
