"""MNIST's files: `train-images-idx3-ubyte` beside `train-labels-idx1-ubyte`, gzipped or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.contracts import InputError
from pipeline.datasets import members
from pipeline.datasets.photo import SPLITS, Photo, Rejected
from pipeline.datasets.sources import member, on_disk
from pipeline.datasets.tables import text
from pipeline.datasets.tree import Tree

_IMAGES = re.compile(r"(.*?)[-_.]?images?([-_.].*)?idx[34]([-_.].*)?$")


def _pairs(tree: Tree) -> dict[str, str]:
    """{file of photos: file of labels}, by what stands before `images` and `labels` in their names."""
    pairs = {}
    for name in tree.names:
        found = _IMAGES.match(name.rpartition("/")[2])
        if found:
            start = name[: len(name) - len(found[0])] + found[1]
            labels = [n for n in tree.names if n.startswith(start) and "label" in n[len(start) :] and "idx1" in n]
            pairs[name] = labels[0] if labels else ""
    return pairs


def recognises(tree: Tree) -> str | None:
    """Files of photos in the idx format, each with its labels."""
    found = [name for name, labels in _pairs(tree).items() if labels]
    return f"MNIST's idx files, {' and '.join(found)}" if found else None


def idx(tree: Tree) -> Iterator[Photo | Rejected]:
    """MNIST's idx files: photos by number, with the label of the same number; `t10k` is the test split.

    Raises `InputError` where the files of a pair cannot be read, or differ in length.
    """
    pairs = _pairs(tree)
    if not pairs:
        raise InputError(f"ingest.data: {tree.root}: no idx files in it")
    yield from tree.problems
    used = {name for pair in pairs.items() for name in pair}
    yield from (Rejected(name, "not an idx file of photos or labels") for name in tree.names if name not in used)
    for name, labels in pairs.items():
        if not labels:
            yield Rejected(name, "no file of labels belongs to it")
            continue
        path = tree.container(name)
        try:
            count = len(members.idx_array(on_disk(path)))
            values = members.idx_array(on_disk(tree.container(labels))).ravel().tolist()
        except (ValueError, OSError, EOFError, ArithmeticError, TypeError) as error:
            raise InputError(f"{tree.root / name}: cannot be read as idx: {error}") from error
        except Exception as error:  # struct and zlib have errors of their own
            raise InputError(f"{tree.root / name}: cannot be read as idx: {error}") from error
        if len(values) != count:
            raise InputError(f"{tree.root / name}: {count} photos, but {len(values)} labels in {labels}")
        word = re.split(r"[-_.]", name.rpartition("/")[2].lower())[0]
        split = "test" if word == "t10k" else SPLITS.get(word)
        for row, value in enumerate(values):
            yield Photo(member("idx", path, str(row)), f"{name}/{row:06d}", text(value), split=split)
