"""Reasons why no adapter recognizes a data set, each with a way to fix it."""

from __future__ import annotations

import os
import re
from collections import Counter

from pipeline.data.adapters import list_adapters
from pipeline.data.reading.file_tree import ARCHIVE_SUFFIXES, FileTree
from pipeline.data.reading.folder_walk import OUTSIDE_REASON
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    UNSUPPORTED_SUFFIX_HINTS,
    VIDEO_SUFFIXES,
    is_image,
)

_UNREADABLE_ARCHIVE_SUFFIXES = (".rar", ".7z", ".zst", ".ace", ".cab", ".iso", ".dmg")
_ADDRESS_PATTERN = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|ftp):/", re.IGNORECASE)
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
    return _explain_images(images) if images else _explain_missing_images(tree)


def _explain_file(name: str) -> str:
    if is_image(name):
        return "is one image; name the folder of the images"
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _UNREADABLE_ARCHIVE_SUFFIXES:
        return f"an archive of a kind that is not read ({suffix}); unpack it, and name the folder"
    if suffix in VIDEO_SUFFIXES:
        return f"is {UNSUPPORTED_SUFFIX_HINTS[suffix]}"
    return _explain_unknown_layout()


def _explain_images(image_names: list[str]) -> str:
    top_folders = {name.partition("/")[0] for name in image_names if "/" in name}
    if top_folders and {name.lower() for name in top_folders} <= set(SPLIT_ALIASES):
        folders = ", ".join(sorted(top_folders))
        return f"its images are in {folders}, which are splits and not classes; {_LAYOUT_HINT}"
    return _explain_unknown_layout()


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
