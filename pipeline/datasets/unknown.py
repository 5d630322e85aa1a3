"""Why nothing that is known here recognises a data set, in one line that says how to mend it."""

from __future__ import annotations

import os
import re
from collections import Counter

from pipeline import plugins
from pipeline.datasets.photo import HINTS, SPLITS, VIDEOS, is_image
from pipeline.datasets.tree import ARCHIVES, OUTSIDE, Tree

_UNREAD = (".rar", ".7z", ".zst", ".ace", ".cab", ".iso", ".dmg")
_ADDRESS = re.compile(r"(s3|gs|gcs|az|abfs|https?|hf|ftp):/", re.IGNORECASE)
_MEND = "put the photos into one folder a class, or list them in a metadata.csv"


def why_none(tree: Tree) -> str:
    """What stands in the way, for a tree that no plug-in recognises."""
    if tree.kind == "none" and _ADDRESS.match(str(tree.root)):
        return "is an address; fetch it first, or name a table that lists the photos by their addresses"
    if tree.kind == "none":
        return "no such folder or file; name what the photos are in"
    if tree.kind == "file":
        return _of_a_file(tree.root.name)
    photos = [name for name in tree.names if is_image(name)]
    return _without_photos(tree) if not photos else _of_photos(photos)


def _of_a_file(name: str) -> str:
    if is_image(name):
        return "is one photo; name the folder that the photos are in"
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _UNREAD:
        return f"an archive of a kind that is not read ({suffix}); unpack it, and name the folder"
    return f"holds {HINTS[suffix]}" if suffix in VIDEOS else _unknown()


def _of_photos(photos: list[str]) -> str:
    above = {name.partition("/")[0] for name in photos if "/" in name}
    if above and {name.lower() for name in above} <= set(SPLITS):
        return f"its photos lie in {', '.join(sorted(above))}, which are splits and no classes; {_MEND}"
    return _unknown()


def _without_photos(tree: Tree) -> str:
    suffixes = Counter(os.path.splitext(name)[1].lower() for name in tree.names)
    if any(suffix in VIDEOS for suffix in suffixes):
        hint = "cut them into photos first, one folder a class, as with: ffmpeg -i VIDEO -vf fps=1 CLASS/%05d.jpg"
        return f"holds videos and no photos; {hint}"
    if linked := sum(item.reason == OUTSIDE for item in tree.problems):
        return (
            f"{linked:,} links in it lead out of its folder, and no photo is in it; ingest.links=true (init --links) "
            "follows them"
        )
    archives = [name for name in tree.names if name.lower().endswith(ARCHIVES)]
    packed = archives or [name for name in tree.names if name.lower().endswith(_UNREAD)]
    if packed:
        mend = "name one of them, or unpack them there" if archives else "unpack them there"
        return f"holds archives ({', '.join(packed[:3])}) and no photos; {mend}"
    hints = [HINTS[suffix] for suffix, _ in suffixes.most_common() if suffix in HINTS]
    if hints:
        return f"no photo in it that can be read: {hints[0]}"
    if not tree.names:
        return f"no file in it; {_MEND}"
    return f"none of its {len(tree.names):,} files is named as a photo is (.jpg, .png, ...); {_unknown()}"


def _unknown() -> str:
    return f"no data set of a kind known here ({', '.join(plugins.names('datasets'))}); {_MEND}"
