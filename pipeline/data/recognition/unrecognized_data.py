"""Reasons why no adapter recognizes a data set, each with a way to fix it."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter

from pipeline.data.adapters import list_adapters
from pipeline.data.layout.folder_layout import recognize_tree_layout
from pipeline.data.reading.file_tree import ARCHIVE_SUFFIXES, FileTree
from pipeline.data.reading.folder_walk import OUTSIDE_REASON
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    UNSUPPORTED_SUFFIX_HINTS,
    VIDEO_SUFFIXES,
    is_image,
)
from pipeline.data.tables.image_lists import find_image_lists

_UNREADABLE_ARCHIVE_SUFFIXES = (".rar", ".7z", ".zst", ".ace", ".cab", ".iso", ".dmg")
_ADDRESS_PATTERN = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|ftp):/", re.IGNORECASE)
_LABEL_FILE_SUFFIXES = (".mat", ".json", ".csv", ".tsv", ".xlsx", ".parquet", ".pkl")
_LAYOUT_HINT = "put the images into one folder a class, or list them in a metadata.csv"
_VIDEO_FOLDER_HINT = (
    "cut them into images first, one folder a class, as with: "
    "ffmpeg -i VIDEO -vf fps=1 CLASS/%05d.jpg"
)


def explain_unrecognized(tree: FileTree) -> str:
    """Return why no adapter recognizes a data set, and how to fix it, as one line."""
    if tree.root_kind == "none" and _ADDRESS_PATTERN.match(str(tree.root)):
        return (
            "is an address; download it first, or name a table that lists the images by their "
            "addresses"
        )
    if tree.root_kind == "none":
        return "no such folder or file; name the folder of the images"
    if tree.root_kind == "file":
        return _explain_file(tree.root.name)
    images = [name for name in tree.file_names if is_image(name)]
    return _explain_images(tree, images) if images else _explain_missing_images(tree)


def _explain_file(name: str) -> str:
    if is_image(name):
        return "is one image; name the folder of the images"
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _UNREADABLE_ARCHIVE_SUFFIXES:
        return f"an archive of a kind that is not read ({suffix}); unpack it, and name the folder"
    if suffix in VIDEO_SUFFIXES:
        return f"is {UNSUPPORTED_SUFFIX_HINTS[suffix]}"
    return _explain_unknown_layout()


def _explain_images(tree: FileTree, image_names: list[str]) -> str:
    sidecars = _count_sidecars(tree, image_names)
    if sidecars * 2 > len(image_names):
        return (
            f"{sidecars:,} of its {len(image_names):,} images have a text file of their own, as in "
            f"annotations of boxes, which give an image no class; {_LAYOUT_HINT}"
        )
    layout = recognize_tree_layout(tree, DEFAULT_READ_OPTIONS)
    splits = sorted({str(item.split) for item in layout.labels.values() if item.split})
    folders = sorted({name.rpartition("/")[0] for name in image_names} - {""})
    place = ""
    if splits:
        place = f"its images are in {', '.join(folders[:4])}, which are splits and not classes; "
    elif folders:
        place = f"its images are in {', '.join(folders[:4])}, which names no class; "
    labels = _list_label_files(tree)
    if labels:
        place += f"{', '.join(labels[:4])} may hold the labels, and is not read; "
    return f"{place}{_LAYOUT_HINT}" if place else _explain_unknown_layout()


def _count_sidecars(tree: FileTree, image_names: list[str]) -> int:
    """Return how many images have a text file with their name, beside them or elsewhere."""
    stems = {
        posixpath.splitext(posixpath.basename(name))[0]
        for name in tree.file_names
        if name.lower().endswith(".txt")
    }
    return sum(posixpath.splitext(posixpath.basename(n))[0] in stems for n in image_names)


def _list_label_files(tree: FileTree) -> list[str]:
    """Return the files that list images, and those of other formats that often hold labels."""
    lists = [image_list.name for image_list in find_image_lists(tree)]
    others = [n for n in tree.file_names if n.lower().endswith(_LABEL_FILE_SUFFIXES)]
    return list(dict.fromkeys([*lists, *others]))


def _explain_missing_images(tree: FileTree) -> str:
    suffix_counts = Counter(os.path.splitext(name)[1].lower() for name in tree.file_names)
    if VIDEO_SUFFIXES & set(suffix_counts):
        return f"holds videos and no images; {_VIDEO_FOLDER_HINT}"
    link_count = sum(file.reason == OUTSIDE_REASON for file in tree.rejected_files)
    if link_count:
        return (
            f"{link_count:,} links in it lead out of its folder, and no image is in it; "
            "ingest.follow_links=true (init --links) follows them"
        )
    readable = _list_with_suffixes(tree, ARCHIVE_SUFFIXES)
    archives = readable or _list_with_suffixes(tree, _UNREADABLE_ARCHIVE_SUFFIXES)
    if archives:
        hint = "name one of them, or unpack them there" if readable else "unpack them there"
        return f"holds archives ({', '.join(archives[:3])}) and no images; {hint}"
    for suffix, _ in suffix_counts.most_common():
        if suffix in UNSUPPORTED_SUFFIX_HINTS:
            return f"no image in it that can be read: {UNSUPPORTED_SUFFIX_HINTS[suffix]}"
    if not tree.file_names:
        return f"no file in it; {_LAYOUT_HINT}"
    return (
        f"none of its {len(tree.file_names):,} files has the suffix of an image (.jpg, .png, ...); "
        f"{_explain_unknown_layout()}"
    )


def _list_with_suffixes(tree: FileTree, suffixes: tuple[str, ...]) -> list[str]:
    return [name for name in tree.file_names if name.lower().endswith(suffixes)]


def _explain_unknown_layout() -> str:
    return f"no data set of a known format ({', '.join(list_adapters())}); {_LAYOUT_HINT}"
