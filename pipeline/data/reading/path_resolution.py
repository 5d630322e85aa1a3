"""Where the file names of a manifest lead: as they are listed, or all of them shifted to where the images lie now."""

from __future__ import annotations

import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pipeline.data.reading.file_tree import FileTree, is_regular_file
from pipeline.data.reading.image_record import is_image
from pipeline.data.reading.image_sources import REMOTE_PATTERN, build_file_source

NAME_SAMPLE_SIZE = 200
"""Names of a manifest by which it is decided whether they lead anywhere."""

PrefixShift = tuple[str, str]
"""What a listed name begins with, and what the image's begins with instead."""


def strip_image_suffix(name: str) -> str:
    """A image's name without its suffix."""
    return os.path.splitext(name)[0] if is_image(name) else name


def index_image_stems(names: Iterable[str]) -> dict[str, str]:
    """The images among `names` by their names without suffix, where only one is called so."""
    images = [name for name in names if is_image(name)]
    counts = Counter(map(strip_image_suffix, images))
    return {
        strip_image_suffix(name): name for name in images if counts[strip_image_suffix(name)] == 1
    }


def _compute_prefix_shift(listed_name: str, image_name: str) -> PrefixShift:
    """The shift that leads from a listed name to a image: what is left of both without the end that they share."""
    one, other = (
        strip_image_suffix(listed_name).split("/"),
        strip_image_suffix(image_name).split("/"),
    )
    same = 0
    while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
        same += 1
    return "".join(f"{part}/" for part in one[: len(one) - same]), "".join(
        f"{part}/" for part in other[: len(other) - same]
    )


def _apply_prefix_shift(
    listed_name: str, shift: PrefixShift, stem_index: dict[str, str], file_names: frozenset[str]
) -> str | None:
    """The image that a listed name means under a shift."""
    if not listed_name.startswith(shift[0]):
        return None
    name = shift[1] + listed_name[len(shift[0]) :]
    return name if name in file_names else stem_index.get(name)


def find_prefix_shift(
    listed_names: Sequence[str], file_names: frozenset[str], stem_index: dict[str, str]
) -> PrefixShift | None:
    """The one shift by which most of the `listed` names lead to images; None where one leads there as it is.

    None too where no shift brings half of them home, or two bring equally many.
    """
    sample = listed_names[:: max(1, len(listed_names) // NAME_SAMPLE_SIZE)]
    if not sample or any(posixpath.normpath(name) in file_names for name in sample):
        return None
    ends = defaultdict(list)
    for name in file_names:
        if is_image(name):
            ends[strip_image_suffix(name).rpartition("/")[2]].append(name)
    tried = {
        _compute_prefix_shift(name, image)
        for name in sample[:5]
        for image in ends[strip_image_suffix(name).rpartition("/")[2]][:50]
    }
    hits = Counter(
        {
            s: sum(_apply_prefix_shift(n, s, stem_index, file_names) is not None for n in sample)
            for s in tried
        }
    ).most_common(2)
    if not hits or hits[0][1] * 2 < len(sample) or (len(hits) > 1 and hits[1][1] == hits[0][1]):
        return None
    return hits[0][0]


class PathResolver:
    """Where the file names of a manifest lead. paths: relative to the root, absolute, or an address.

    Where no name leads to a image as it is listed, but all do below another folder (`images/`), without the folders of
    the machine on which the manifest was made (`C:/Users/...`) or with a suffix, they are taken to mean that.
    """

    def __init__(self, tree: FileTree, folder: str, names: list[str | None]) -> None:
        """The places of `names` in a manifest that lies in `folder` of `tree`; None is a row without a name."""
        self.tree, self.is_single_file = tree, tree.root_kind == "file"
        self.base_folder = os.path.abspath(
            tree.root.parent if self.is_single_file else tree.root / tree.base_folder
        )
        self.file_names = frozenset(tree.file_names)
        self._real_folders: dict[str, str] = {}
        self._real_root = os.path.realpath(self.base_folder).rstrip("/") + "/"
        plain = [name.replace("\\", "/") if name else "" for name in names]
        self.paths = [self._normalize_path(folder, name) if name else "" for name in plain]
        self.prefix_shift = None if self.is_single_file else self._shift_paths()

    def _normalize_path(self, folder: str, name: str) -> str:
        if REMOTE_PATTERN.match(name):
            return name
        if name.startswith("/"):
            tidy = posixpath.normpath(name)
            inside = tidy.startswith(self.base_folder + "/")
            return tidy[len(self.base_folder) + 1 :] if inside else tidy
        return posixpath.normpath(posixpath.join(folder, name))

    def _shift_paths(self) -> PrefixShift | None:
        """Shift the paths where that brings them home."""
        listed = [
            p for p in self.paths if p and not REMOTE_PATTERN.match(p) and not p.startswith("../")
        ]
        if any(
            path.startswith("/") and is_regular_file(path)
            for path in listed[:: max(1, len(listed) // NAME_SAMPLE_SIZE)]
        ):
            return None
        bares = index_image_stems(self.file_names)
        shift = find_prefix_shift(listed, self.file_names, bares)
        if shift:
            self.paths = [
                _apply_prefix_shift(path, shift, bares, self.file_names) or path
                for path in self.paths
            ]
        return shift

    def is_outside(self, path: str) -> bool:
        """Whether a path leads out of the data set's folder, or to what is no image elsewhere."""
        absolute = path.startswith("/") and (
            self.tree.root_kind in ("zip", "tar") or not is_image(path)
        )
        drive = path[1:2] == ":"
        return absolute or drive or path == ".." or path.startswith("../") or "\0" in path

    def is_missing(self, path: str) -> bool:
        """Whether nothing is there."""
        if not path or REMOTE_PATTERN.match(path) or self.is_outside(path):
            return False
        if path.startswith("/") or self.is_single_file:
            return not is_regular_file(os.path.join(self.base_folder, path))
        return path not in self.file_names

    def is_linked_outside(self, path: str) -> bool:
        """Whether a link takes a relative path out of the folder (a tree of files has set such aside already)."""
        if (
            not self.is_single_file
            or self.tree.should_follow_links
            or not path
            or path.startswith("/")
            or REMOTE_PATTERN.match(path)
        ):
            return False
        return not self.is_outside(path) and not self._resolve_links(
            os.path.join(self.base_folder, path)
        ).startswith(self._real_root)

    def _resolve_links(self, path: str) -> str:
        """`os.path.realpath`, which asks the system once for each folder."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return os.path.join(self._real_folders[folder], name)

    def get_source(self, path: str) -> str:
        """The source of a path."""
        if REMOTE_PATTERN.match(path):
            return path
        return (
            build_file_source(os.path.join(self.base_folder, path))
            if self.is_single_file or path.startswith("/")
            else self.tree.get_source(path)
        )
