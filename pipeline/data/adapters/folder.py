"""Class folders, with or without train / val / test folders above them.

It is the layout of ImageFolder and of YOLO's classifiers.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    RejectedFile,
    explain_non_image,
    is_image,
)


def find_split_folders(tree: FileTree) -> dict[str, str]:
    """Return the top folders that are splits, {folder: train | val | test}; {} without splits.

    A train folder that contains folders makes them splits, beside another split folder or alone.
    """
    names = [name for name in tree.folders if "/" not in name]
    splits = {}
    for name in sorted(names):
        if name.lower() in SPLIT_ALIASES:
            splits[name] = SPLIT_ALIASES[name.lower()]
    deep = {name.partition("/")[0] for name in tree.folders if "/" in name}
    train = any(split == "train" and name in deep for name, split in splits.items())
    return splits if train and (len(splits) > 1 or len(names) == 1) else {}


def _list_class_folders(tree: FileTree, splits: dict[str, str]) -> list[str]:
    """Return the relative paths of the class folders, below their split's folder if any."""
    class_folders = []
    for path in tree.folders:
        split_folder, slash, name = path.partition("/")
        is_in_split = bool(slash) and "/" not in name and split_folder in splits
        if is_in_split if splits else not slash:
            class_folders.append(path)
    return sorted(class_folders)


def can_read(tree: FileTree) -> str | None:
    """Return how many class folders with images there are, and their splits; None without any.

    Split folders without class folders do not count: classes named train and test are not
    expected.
    """
    splits = find_split_folders(tree)
    classes = sorted(set(map(posixpath.basename, _list_class_folders(tree, splits))))
    depth = 2 if splits else 1
    if not splits and set(map(str.lower, classes)) <= set(SPLIT_ALIASES):
        return None
    if not classes or not any(
        is_image(name) and name.count("/") >= depth for name in tree.file_names
    ):
        return None
    class_text = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
    split_text = f" in {', '.join(splits)}" if splits else ""
    return (
        f"{len(classes)} class folder{'s' if len(classes) > 1 else ''} ({class_text}){split_text}"
    )


def read_images(tree: FileTree) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of class folders, labeled by the folder's name.

    The folder above is the split. Images in folders below a class folder belong to the
    class. Rejected with a reason: files that are no images, images outside class folders, class
    folders without an image.
    """
    splits = find_split_folders(tree)
    depth = 2 if splits else 1
    empty_folders = set(_list_class_folders(tree, splits))
    yield from tree.rejected_files
    for path in tree.file_names:
        parts = path.split("/")
        if not is_image(path):
            yield RejectedFile(path, explain_non_image(path))
        elif len(parts) <= depth or (splits and parts[0] not in splits):
            yield RejectedFile(path, "not in a class folder")
        else:
            empty_folders.discard("/".join(parts[:depth]))
            yield ImageRecord(
                tree.get_source(path), path, label=parts[depth - 1], split=splits.get(parts[0])
            )
    for path in sorted(empty_folders):
        yield RejectedFile(f"{path}/", f"class folder {path} holds no images")
