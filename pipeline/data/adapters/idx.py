"""MNIST files: `train-images-idx3-ubyte` beside `train-labels-idx1-ubyte`, gzipped or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.contracts import InputError
from pipeline.data.reading import array_members
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import SPLIT_ALIASES, ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import build_member_source, unpack_container
from pipeline.data.tables.table_files import convert_to_text

_IMAGE_FILE_PATTERN = re.compile(r"(.*?)[-_.]?images?([-_.].*)?idx[34]([-_.].*)?$")


def _pair_files(tree: FileTree) -> dict[str, str]:
    """Return {image file: label file}, paired by the names before `images` and `labels`."""
    pairs = {}
    for name in tree.file_names:
        match = _IMAGE_FILE_PATTERN.match(name.rpartition("/")[2])
        if match:
            start = name[: len(name) - len(match[0])] + match[1]
            labels = [
                n
                for n in tree.file_names
                if n.startswith(start) and "label" in n[len(start) :] and "idx1" in n
            ]
            pairs[name] = labels[0] if labels else ""
    return pairs


def can_read(tree: FileTree) -> str | None:
    """Return how many idx files with images and labels there are, or None."""
    image_names = [name for name, labels in _pair_files(tree).items() if labels]
    return f"MNIST's idx files, {' and '.join(image_names)}" if image_names else None


def read_images(tree: FileTree) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of MNIST's idx files with the label of the same number.

    `t10k` is the test split.

    Raises:
        InputError: a file cannot be read, or the files of a pair differ in length.
    """
    pairs = _pair_files(tree)
    if not pairs:
        raise InputError(f"ingest.data: {tree.root}: no idx files in it")
    yield from tree.rejected_files
    used = {*pairs, *pairs.values()}
    for name in tree.file_names:
        if name not in used:
            yield RejectedFile(name, "not an idx file of images or labels")
    for name, labels in pairs.items():
        if not labels:
            yield RejectedFile(name, "no file of labels belongs to it")
            continue
        path = tree.get_container(name)
        try:
            count = len(array_members.load_idx_array(unpack_container(path)))
            values = (
                array_members.load_idx_array(unpack_container(tree.get_container(labels)))
                .ravel()
                .tolist()
            )
        except Exception as error:  # struct and zlib have errors of their own
            raise InputError(f"{tree.root / name}: cannot be read as idx: {error}") from error
        if len(values) != count:
            raise InputError(
                f"{tree.root / name}: {count} images, but {len(values)} labels in {labels}"
            )
        word = re.split(r"[-_.]", name.rpartition("/")[2].lower())[0]
        split = "test" if word == "t10k" else SPLIT_ALIASES.get(word)
        for row, value in enumerate(values):
            yield ImageRecord(
                build_member_source("idx", path, str(row)),
                f"{name}/{row:06d}",
                convert_to_text(value),
                split=split,
            )
