"""Resolution of the file names in a manifest, as listed or all shifted to another folder."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.data.layout.image_index import (
    ImageIndex,
    clean_listed_name,
    get_base_stem,
    strip_image_suffix,
)
from pipeline.data.layout.split_words import parse_split_words
from pipeline.data.reading.file_tree import FileTree, is_regular_file
from pipeline.data.reading.image_record import is_image
from pipeline.data.reading.image_sources import REMOTE_PATTERN, build_file_source

NAME_SAMPLE_SIZE = 200
"""Names of a manifest that decide whether its names are valid as listed; each costs a look at the
file system."""
_SHIFT_SAMPLE_NAMES = 5
"""Names used to derive shifts; a shift that fits all names fits these too."""
_SHIFT_SAMPLE_IMAGES = 50
"""Images of the same file name that are tried for each of these names."""

PrefixShift = tuple[str, str]
"""Prefix of the listed names, and the prefix of the images that replaces it."""
BY_NAME: PrefixShift = ("*", "*")
"""Stands for names that are found by their last part, in whatever folder."""


def _compute_prefix_shift(listed_name: str, image_name: str) -> PrefixShift:
    """Return the shift from a listed name to an image: both without their common end."""
    listed_parts = strip_image_suffix(listed_name).split("/")
    image_parts = strip_image_suffix(image_name).split("/")
    while listed_parts and image_parts and listed_parts[-1] == image_parts[-1]:
        listed_parts.pop()
        image_parts.pop()
    return _join_folders(listed_parts), _join_folders(image_parts)


def _join_folders(parts: Sequence[str]) -> str:
    return "".join(f"{part}/" for part in parts)


def _apply_prefix_shift(listed_name: str, shift: PrefixShift, index: ImageIndex) -> str | None:
    """Return the image that a listed name means under a shift, or None if there is none."""
    if shift == BY_NAME:
        found = index.find_by_name(listed_name)
        is_clear = len(found) == 1 and not _changes_split(listed_name, found[0])
        return found[0] if is_clear else None
    old_prefix, new_prefix = shift
    if not listed_name.startswith(old_prefix):
        return None
    name = new_prefix + listed_name[len(old_prefix) :]
    return name if name in index.file_names else index.stem_paths.get(name)


def find_prefix_shift(
    listed_names: Sequence[str], index: ImageIndex, split: str | None = None
) -> PrefixShift | None:
    """Return the shift that turns most listed names into images.

    A shift never leads from one split to another. Where none fits, names that are unique in the
    data set are found by their last part (`BY_NAME`).

    Args:
        listed_names: names in a manifest.
        index: the images of the data set.
        split: split of the manifest; of two shifts that fit equally well, the one into a folder of
            this split is taken.

    Returns:
        The shift, or None if any listed name is an image as it is, if no shift fits half of the
        names, or if two shifts fit equally many.
    """
    sample = listed_names[:: max(1, len(listed_names) // NAME_SAMPLE_SIZE)]
    if not sample or any(posixpath.normpath(name) in index.file_names for name in sample):
        return None
    shifts = set()
    for name in sample[:_SHIFT_SAMPLE_NAMES]:
        for image in index.images_by_stem.get(get_base_stem(name), [])[:_SHIFT_SAMPLE_IMAGES]:
            shift = _compute_prefix_shift(name, image)
            if not _changes_split(*shift):
                shifts.add(shift)
    hit_counts = _count_hits(sample, shifts, index)
    best = max(hit_counts.values(), default=0)
    by_name = _count_hits(sample, [BY_NAME], index)[BY_NAME]
    if best * 2 >= len(sample) and best >= by_name:
        fitting = [shift for shift in hit_counts if hit_counts[shift] == best]
        if len(fitting) > 1 and split:
            fitting = [shift for shift in fitting if _find_split(shift[1]) == split]
        return fitting[0] if len(fitting) == 1 else None
    return BY_NAME if by_name * 2 >= len(sample) else None


def _count_hits(
    names: Sequence[str], shifts: Iterable[PrefixShift], index: ImageIndex
) -> Counter[PrefixShift]:
    hit_counts = Counter[PrefixShift]()
    for shift in shifts:
        for name in names:
            hit_counts[shift] += _apply_prefix_shift(name, shift, index) is not None
    return hit_counts


def _changes_split(old_prefix: str, new_prefix: str) -> bool:
    """Return whether a shift leads from a folder of one split into that of another."""
    old_split, new_split = _find_split(old_prefix), _find_split(new_prefix)
    return old_split is not None and new_split is not None and old_split != new_split


def _find_split(prefix: str) -> str | None:
    """Return the split that the folders of a prefix or a path name last, or None."""
    splits = [parse_split_words(folder)[0] for folder in prefix.split("/")[:-1]]
    return next((split for split in reversed(splits) if split), None)


def _shift_all(
    paths: Sequence[str], shift: PrefixShift, index: ImageIndex, prefix: str
) -> list[str]:
    """Return the images that paths mean under a shift; others stay as they are.

    Of several images of one name, the one in a folder that holds other listed images is meant.
    """
    names = [clean_listed_name(path) if path else "" for path in paths]
    found = [name and _apply_prefix_shift(name, shift, index) for name in names]
    if shift == BY_NAME:
        folders = {path.rpartition("/")[0] for path in found if path}
        for number, name in enumerate(names):
            if name and not found[number]:
                near = [p for p in index.find_by_name(name) if p.rpartition("/")[0] in folders]
                found[number] = near[0] if len(near) == 1 else None
    return [prefix + new if new else path for new, path in zip(found, paths, strict=True)]


class PathResolver:
    """Resolves the file names of a manifest to paths: relative to the root, absolute, or addresses.

    All names are shifted if none is an image as listed, but they are images below another folder
    (`images/`), without the folders of the machine that wrote the manifest (`C:/Users/...`), or
    with a suffix.

    Attributes:
        tree: the files of the data set.
        is_single_file: whether the data set is the manifest itself.
        base_folder: absolute path of the folder that relative paths refer to.
        file_names: all files of the data set.
        paths: path of each row; empty for a row without a name.
        prefix_shift: the shift that was applied, or None.
    """

    def __init__(
        self,
        tree: FileTree,
        folder: str,
        names: Sequence[str | None],
        split: str | None = None,
        image_folder: str | None = None,
    ) -> None:
        """Resolve `names` of a manifest in `folder` of `tree`; None is a row without a name.

        Args:
            tree: the files of the data set.
            folder: folder of the manifest.
            names: the listed names.
            split: split of the manifest.
            image_folder: folder of the images, relative to that of the data set.
        """
        self.tree = tree
        self.is_single_file = tree.root_kind == "file"
        base_folder = tree.root.parent if self.is_single_file else tree.root / tree.base_folder
        if self.is_single_file and image_folder:
            base_folder, image_folder = base_folder / image_folder, None
        self.base_folder = os.path.abspath(base_folder)
        self.index = tree.index_images(image_folder)
        self.file_names = self.index.file_names
        self._real_folders: dict[str, str] = {}
        self._real_root = os.path.realpath(self.base_folder).rstrip("/") + "/"
        self.paths = [
            self._normalize_path(folder, name.replace("\\", "/")) if name else "" for name in names
        ]
        self.prefix_shift = self._shift_paths(split)

    def _normalize_path(self, folder: str, name: str) -> str:
        if REMOTE_PATTERN.match(name):
            return name
        if name.startswith("/"):
            path = posixpath.normpath(name)
            is_inside = path.startswith(self.base_folder + "/")
            return path[len(self.base_folder) + 1 :] if is_inside else path
        return posixpath.normpath(posixpath.join(folder, name))

    def _shift_paths(self, split: str | None) -> PrefixShift | None:
        """Apply the shift that turns most paths into images, and return it."""
        listed = []
        for path in self.paths:
            if path and not path.startswith("../"):
                listed.append(clean_listed_name(path))
        for path in listed[:: max(1, len(listed) // NAME_SAMPLE_SIZE)]:
            is_own_file = self.is_single_file or path.startswith("/")
            if is_own_file and is_regular_file(os.path.join(self.base_folder, path)):
                return None
        index, prefix = self.index, ""
        if self.is_single_file:
            if not listed or all(map(REMOTE_PATTERN.match, listed)):
                return None
            neighbors = self.tree.neighbors
            index, prefix = neighbors.index_images(), neighbors.base_folder
        shift = find_prefix_shift(listed, index, split)
        if shift:
            self.paths = _shift_all(self.paths, shift, index, prefix)
        return shift

    def is_outside(self, path: str) -> bool:
        """Return whether a path leaves the data set's folder.

        An absolute path to an image is allowed, unless the data set is an archive.
        """
        is_archive = self.tree.root_kind in ("zip", "tar")
        if path.startswith("/") and (is_archive or not is_image(path)):
            return True
        has_drive = path[1:2] == ":"
        return has_drive or path == ".." or path.startswith("../") or "\0" in path

    def is_missing(self, path: str) -> bool:
        """Return whether a path inside the data set is not a file."""
        if not path or REMOTE_PATTERN.match(path) or self.is_outside(path):
            return False
        if path.startswith("/") or self.is_single_file:
            return not is_regular_file(os.path.join(self.base_folder, path))
        return path not in self.file_names

    def is_linked_outside(self, path: str) -> bool:
        """Return whether a link takes a relative path out of the folder of a single manifest.

        A `FileTree` of a folder has rejected such files already.
        """
        if not self.is_single_file or self.tree.should_follow_links:
            return False
        is_relative = path and not path.startswith("/") and not REMOTE_PATTERN.match(path)
        if not is_relative or self.is_outside(path):
            return False
        real_path = self._resolve_links(os.path.join(self.base_folder, path))
        return not real_path.startswith(self._real_root)

    def _resolve_links(self, path: str) -> str:
        """Return `os.path.realpath(path)`, with the folder resolved only once."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)

    def get_source(self, path: str) -> str:
        """Return the source of a path."""
        if REMOTE_PATTERN.match(path):
            return path
        if self.is_single_file or path.startswith("/"):
            return build_file_source(os.path.join(self.base_folder, path))
        return self.tree.get_source(path)
