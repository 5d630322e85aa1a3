"""Folders and files beside the images of a data set: masks, previews, unlabeled images."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence

from pipeline.data.layout.split_words import parse_split_words, split_into_words

FilesByFolder = Mapping[str, Sequence[str]]
"""Names of image files by the path of their folder."""

CONTAINER_NAMES = frozenset(
    [
        "image",
        "images",
        "img",
        "imgs",
        "photo",
        "photos",
        "picture",
        "pictures",
        "pic",
        "pics",
        "jpg",
        "jpgs",
        "jpeg",
        "jpegs",
        "png",
        "pngs",
        "jpegimages",
        "frames",
        "rgb",
    ]
)
"""Folders, in lower case, that hold images and name no class."""
_SIDE_WORDS = {
    **dict.fromkeys(
        [
            "masks",
            "trimap",
            "trimaps",
            "annotation",
            "annotations",
            "annot",
            "annots",
            "annos",
            "groundtruth",
            "segmentation",
            "segmentations",
            "bbox",
            "bboxes",
            "overlays",
            "heatmaps",
            "xmls",
        ],
        "masks or annotations",
    ),
    **dict.fromkeys(["thumbnail", "thumbnails", "thumbs", "preview", "previews"], "previews"),
    **dict.fromkeys(
        [
            "unlabeled",
            "unlabelled",
            "unsup",
            "unsupervised",
            "predict",
            "prediction",
            "predictions",
            "submission",
            "submissions",
        ],
        "unlabeled images",
    ),
}
"""Words of folders that hold no images of classes, and what they hold."""
_UNSURE_WORDS = frozenset(
    ["mask", "gt", "label", "labels", "depth", "edges", "overlay", "heatmap", "thumb", "pred"]
)
"""Words that may as well name a class."""
_FILLER_WORDS = frozenset(
    ["to", "for", "the", "of", "images", "image", "img", "data", "object", "class", "png", "jpg"]
)
_MASK_ENDINGS = (
    "_mask",
    "-mask",
    " mask",
    "_mask_1",
    "_mask_2",
    "_seg",
    "_segmentation",
    "_gt",
    "_trimap",
    "_groundtruth",
)
_MASK_ENDING_PATTERN = re.compile(r"[ _-](mask(_\d+)?|seg|segmentation|gt|trimap|groundtruth)$")


def find_side_folders(files_by_folder: FilesByFolder) -> tuple[dict[str, str], list[str]]:
    """Return folders that hold no images of classes with the reason, and unsure folders.

    An unsure folder may hold masks or may be a class; its name alone does not tell.
    """
    side: dict[str, str] = {}
    unsure: list[str] = []
    children = list_child_folders(files_by_folder)
    for parent, names in children.items():
        for name in names:
            path = f"{parent}/{name}" if parent else name
            kind = _get_side_kind(name)
            if kind and len(names) + bool(files_by_folder.get(parent)) > 1:
                side[path] = f"in a folder of {kind}"
            elif _is_unsure(name) and not _is_opposed(name, names):
                if _has_container(names, name) or _is_mirror(path, parent, names, children):
                    side[path] = "in a folder of masks or annotations"
                elif len(names) > 1:
                    unsure.append(path)
    return side, unsure


def list_child_folders(folders: Collection[str]) -> dict[str, list[str]]:
    """Return the names of the folders in each folder, for folders with images below them."""
    children: dict[str, dict[str, None]] = {}
    for folder in folders:
        parent, _, name = folder.rpartition("/")
        while name and name not in children.setdefault(parent, {}):
            children[parent][name] = None
            parent, _, name = parent.rpartition("/")
    return {parent: sorted(names) for parent, names in children.items()}


def _get_side_kind(name: str) -> str | None:
    """Return what a folder holds if its name has a word of side folders and no other word."""
    words = _list_own_words(name)
    if words == ["ground", "truth"]:
        return "masks or annotations"
    kinds = [_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS]
    return kinds[0] if kinds and len(kinds) == len(words) else None


def _is_unsure(name: str) -> bool:
    words = _list_own_words(name)
    return bool(words) and all(word in _UNSURE_WORDS for word in words)


def _list_own_words(name: str) -> list[str]:
    """Return the words of a name without fillers and, if others are left, split words."""
    split, _ = parse_split_words(name)
    words = [word for word in split_into_words(name) if word not in _FILLER_WORDS]
    if split:
        words = [word for word in words if parse_split_words(word)[0] is None]
    return words


def _is_opposed(name: str, siblings: Sequence[str]) -> bool:
    """Return whether a sibling is the opposite, as `no_mask` is of `mask`."""
    return any(other != name and name.lower() in other.lower() for other in siblings)


def _has_container(siblings: Sequence[str], name: str) -> bool:
    return any(other != name and other.lower() in CONTAINER_NAMES for other in siblings)


def _is_mirror(
    path: str, parent: str, siblings: Sequence[str], children: Mapping[str, list[str]]
) -> bool:
    """Return whether a sibling has the same folders below it."""
    own = children.get(path)
    paths = [f"{parent}/{name}" if parent else name for name in siblings]
    return bool(own) and any(other != path and children.get(other) == own for other in paths)


def find_mask_files(files_by_folder: FilesByFolder) -> dict[str, str]:
    """Return image files that are masks of an image in the same folder, with the reason.

    `a_mask.png` is one if there is an `a.png` or `a.jpg`.
    """
    masks: dict[str, str] = {}
    for folder, names in files_by_folder.items():
        joined = "\n".join(names).lower()
        if not any(f"{ending}." in joined for ending in _MASK_ENDINGS):
            continue
        stems = {os.path.splitext(name)[0].lower() for name in names}
        for name in names:
            stem = os.path.splitext(name)[0].lower()
            base = _MASK_ENDING_PATTERN.sub("", stem)
            if base != stem and base in stems:
                path = f"{folder}/{name}" if folder else name
                masks[path] = "a mask of an image beside it"
    return masks
