"""YOLO detection labels: `images/a.jpg` beside `labels/a.txt` with a class and a box in each line.

Format: https://docs.ultralytics.com/datasets/detect
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.contracts import InputError
from pipeline.data.layout.image_index import strip_image_suffix
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
)
from pipeline.data.tables.listed_images import parse_path_split

_SAMPLE_SIZE = 20
_LINE_PATTERN = re.compile(r"\d+(\s+-?\d*\.?\d+(e-?\d+)?){4,}\s*")


def _pair_labels(tree: FileTree) -> dict[str, str]:
    """Return the label file of each image."""
    names = frozenset(tree.file_names)
    pairs = {}
    for image in tree.file_names:
        if is_image(image):
            stem = strip_image_suffix(image)
            label = re.sub("(^|/)images/", r"\1labels/", stem) + ".txt"
            if label in names:
                pairs[image] = label
    return pairs


def _read_numbers(tree: FileTree, name: str) -> list[str] | None:
    """Return the class number of each line, or None if a line is no box."""
    lines = tree.read_file(name).decode("utf-8", "replace").splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    if not all(map(_LINE_PATTERN.fullmatch, lines)):
        return None
    return [line.split()[0] for line in lines]


def _read_class_names(tree: FileTree) -> dict[str, str]:
    """Return the names in `data.yaml` or `classes.txt`, by number."""
    for name in tree.file_names:
        if "/" in name:
            continue
        names: Any = None
        if name.lower().endswith((".yaml", ".yml")):
            try:
                value = yaml.safe_load(tree.read_file(name))
            except (yaml.YAMLError, UnicodeDecodeError, ValueError):
                continue
            names = value.get("names") if isinstance(value, dict) else None
        elif name.lower() in ("classes.txt", "obj.names"):
            names = tree.read_file(name).decode("utf-8", "replace").split()
        if isinstance(names, list):
            names = dict(enumerate(names))
        if isinstance(names, dict):
            return {str(number): str(text) for number, text in names.items()}
    return {}


def can_read(tree: FileTree) -> str | None:
    """Return that images have text files with boxes beside them, or None."""
    tree = tree.widen()
    pairs = _pair_labels(tree) if any(n.endswith(".txt") for n in tree.file_names) else {}
    images = sum(map(is_image, tree.file_names))
    if not pairs or len(pairs) * 2 < images:
        return None
    sample = list(pairs.values())[:: max(1, len(pairs) // _SAMPLE_SIZE)]
    if not all(_read_numbers(tree, name) is not None for name in sample):
        return None
    return (
        f"detection labels (YOLO) of {len(pairs):,} images: an image counts if it shows one class"
    )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images with YOLO's detection labels, labeled by the one class of their boxes.

    The split is that of the folders. Rejected with a reason: images of several classes or of none,
    label files that cannot be read.

    Raises:
        InputError: there are no label files.
    """
    tree = tree.widen()
    pairs = _pair_labels(tree)
    if not pairs:
        raise InputError(f"ingest.data: {tree.root}: no detection labels (labels/*.txt) in it")
    class_names = _read_class_names(tree)
    used = set(pairs.values())
    yield from tree.rejected_files
    for name in tree.file_names:
        if name in pairs:
            numbers = _read_numbers(tree, pairs[name])
            labels = sorted({class_names.get(number, number) for number in numbers or []})
            label = labels[0] if len(labels) == 1 else None
            if label is None and options.is_label_required:
                yield RejectedFile(name, _explain_labels(numbers, labels))
            else:
                source = tree.get_source(name)
                yield ImageRecord(source, name, label, split=parse_path_split(name))
        elif name not in used:
            yield RejectedFile(
                name, "it has no label file" if is_image(name) else explain_non_image(name)
            )


def _explain_labels(numbers: list[str] | None, labels: list[str]) -> str:
    if numbers is None:
        return "its label file cannot be read"
    if not labels:
        return "no box in its label file"
    return f"shows several classes ({', '.join(labels[:4])}); crop each box into its own image"
