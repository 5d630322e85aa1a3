"""Why nothing that is known here recognizes a data set, in one line that says how to mend it."""

from __future__ import annotations

import os
import re
from collections import Counter

from pipeline import plugins
from pipeline.data.reading.file_tree import ARCHIVE_SUFFIXES, OUTSIDE_REASON, FileTree
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    UNSUPPORTED_SUFFIX_HINTS,
    VIDEO_SUFFIXES,
    is_image,
)

_UNREADABLE_ARCHIVE_SUFFIXES = (".rar", ".7z", ".zst", ".ace", ".cab", ".iso", ".dmg")
_ADDRESS_PATTERN = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|ftp):/", re.IGNORECASE)
_LAYOUT_HINT = "put the images into one folder a class, or list them in a metadata.csv"


def explain_unrecognized(tree: FileTree) -> str:
    """What stands in the way, for a tree that no plug-in recognizes."""
    if tree.root_kind == "none" and _ADDRESS_PATTERN.match(str(tree.root)):
        return "is an address; fetch it first, or name a table that lists the images by their addresses"
    if tree.root_kind == "none":
        return "no such folder or file; name what the images are in"
    if tree.root_kind == "file":
        return _explain_file(tree.root.name)
    images = [name for name in tree.file_names if is_image(name)]
    return _explain_missing_images(tree) if not images else _explain_images(images)


def _explain_file(name: str) -> str:
    if is_image(name):
        return "is one image; name the folder that the images are in"
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _UNREADABLE_ARCHIVE_SUFFIXES:
        return f"an archive of a kind that is not read ({suffix}); unpack it, and name the folder"
    return (
        f"holds {UNSUPPORTED_SUFFIX_HINTS[suffix]}"
        if suffix in VIDEO_SUFFIXES
        else _explain_unknown_layout()
    )


def _explain_images(image_names: list[str]) -> str:
    above = {name.partition("/")[0] for name in image_names if "/" in name}
    if above and {name.lower() for name in above} <= set(SPLIT_ALIASES):
        return f"its images lie in {', '.join(sorted(above))}, which are splits and no classes; {_LAYOUT_HINT}"
    return _explain_unknown_layout()


def _explain_missing_images(tree: FileTree) -> str:
    suffixes = Counter(os.path.splitext(name)[1].lower() for name in tree.file_names)
    if any(suffix in VIDEO_SUFFIXES for suffix in suffixes):
        hint = "cut them into images first, one folder a class, as with: ffmpeg -i VIDEO -vf fps=1 CLASS/%05d.jpg"
        return f"holds videos and no images; {hint}"
    if linked := sum(item.reason == OUTSIDE_REASON for item in tree.rejected_files):
        return (
            f"{linked:,} links in it lead out of its folder, and no image is in it; ingest.follow_links=true (init --links) "
            "follows them"
        )
    archives = [name for name in tree.file_names if name.lower().endswith(ARCHIVE_SUFFIXES)]
    packed = archives or [
        name for name in tree.file_names if name.lower().endswith(_UNREADABLE_ARCHIVE_SUFFIXES)
    ]
    if packed:
        mend = "name one of them, or unpack them there" if archives else "unpack them there"
        return f"holds archives ({', '.join(packed[:3])}) and no images; {mend}"
    hints = [
        UNSUPPORTED_SUFFIX_HINTS[suffix]
        for suffix, _ in suffixes.most_common()
        if suffix in UNSUPPORTED_SUFFIX_HINTS
    ]
    if hints:
        return f"no image in it that can be read: {hints[0]}"
    if not tree.file_names:
        return f"no file in it; {_LAYOUT_HINT}"
    return f"none of its {len(tree.file_names):,} files is named as a image is (.jpg, .png, ...); {_explain_unknown_layout()}"


def _explain_unknown_layout() -> str:
    return f"no data set of a kind known here ({', '.join(plugins.list_plugins('adapters'))}); {_LAYOUT_HINT}"
