"""One folder a class, with or without train / val / test folders above them (the layout of ImageFolder and of
YOLO's classifiers)."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.datasets.photo import SPLITS, Photo, Rejected, is_image, no_image
from pipeline.datasets.tree import Tree


def split_folders(tree: Tree) -> dict[str, str]:
    """The top folders that are splits: {folder name: train | val | test}; empty without splits.

    They are splits where a train folder stands beside another split, or alone, and holds folders itself.
    """
    names = [name for name in tree.folders if "/" not in name]
    splits = {name: SPLITS[name.lower()] for name in sorted(names) if name.lower() in SPLITS}
    deep = {name.partition("/")[0] for name in tree.folders if "/" in name}
    train = any(split == "train" and name in deep for name, split in splits.items())
    return splits if train and (len(splits) > 1 or len(names) == 1) else {}


def _class_folders(tree: Tree, splits: dict[str, str]) -> list[str]:
    """Relative paths of the class folders, with the split's folder in front where there is one."""
    if not splits:
        return sorted(name for name in tree.folders if "/" not in name)
    return sorted(name for name in tree.folders if name.count("/") == 1 and name.partition("/")[0] in splits)


def recognises(tree: Tree) -> str | None:
    """Class folders with at least one image in them: how many, and in which splits.

    Splits without class folders are none: nobody sorts photos into the classes train and test.
    """
    splits = split_folders(tree)
    classes = sorted({path.split("/")[-1] for path in _class_folders(tree, splits)})
    depth = 2 if splits else 1
    if not splits and {name.lower() for name in classes} <= set(SPLITS):
        return None
    if not classes or not any(is_image(name) and name.count("/") >= depth for name in tree.names):
        return None
    shown = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
    where = f" in {', '.join(splits)}" if splits else ""
    return f"{len(classes)} class folder{'s' if len(classes) > 1 else ''} ({shown}){where}"


def folder(tree: Tree) -> Iterator[Photo | Rejected]:
    """One folder a class: the label is the folder's name, the split that of the folder above it.

    Photos in folders below a class folder belong to the class. Set aside with a reason: files that are no images,
    images outside the class folders, class folders without a photo.
    """
    splits = split_folders(tree)
    depth = 2 if splits else 1
    without = set(_class_folders(tree, splits))
    yield from tree.problems
    for path in tree.names:
        parts = path.split("/")
        if not is_image(path):
            yield Rejected(path, no_image(path))
        elif len(parts) <= depth or (splits and parts[0] not in splits):
            yield Rejected(path, "not in a class folder")
        else:
            without.discard("/".join(parts[:depth]))
            yield Photo(tree.source(path), path, label=parts[depth - 1], split=splits.get(parts[0]))
    yield from (Rejected(path + "/", f"class folder {path} holds no photos") for path in sorted(without))
