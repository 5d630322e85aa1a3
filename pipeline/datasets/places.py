"""Where the file names of a manifest lead: as they are listed, or all of them shifted to where the photos lie now."""

from __future__ import annotations

import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pipeline.datasets.photo import is_image
from pipeline.datasets.sources import REMOTE, local
from pipeline.datasets.tree import Tree, regular

SAMPLE = 200
"""Names of a manifest by which it is decided whether they lead anywhere."""

Shift = tuple[str, str]
"""What a listed name begins with, and what the photo's begins with instead."""


def bare(name: str) -> str:
    """A photo's name without its suffix."""
    return os.path.splitext(name)[0] if is_image(name) else name


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """The photos among `names` by their names without suffix, where only one is called so."""
    photos = [name for name in names if is_image(name)]
    counts = Counter(map(bare, photos))
    return {bare(name): name for name in photos if counts[bare(name)] == 1}


def _between(listed: str, photo: str) -> Shift:
    """The shift that leads from a listed name to a photo: what is left of both without the end that they share."""
    one, other = bare(listed).split("/"), bare(photo).split("/")
    same = 0
    while same < min(len(one), len(other)) and one[-1 - same] == other[-1 - same]:
        same += 1
    return "".join(f"{part}/" for part in one[: len(one) - same]), "".join(
        f"{part}/" for part in other[: len(other) - same]
    )


def _moved(listed: str, shift: Shift, bares: dict[str, str], there: frozenset[str]) -> str | None:
    """The photo that a listed name means under a shift."""
    if not listed.startswith(shift[0]):
        return None
    name = shift[1] + listed[len(shift[0]) :]
    return name if name in there else bares.get(name)


def shift_of(listed: Sequence[str], there: frozenset[str], bares: dict[str, str]) -> Shift | None:
    """The one shift by which most of the `listed` names lead to photos; None where one leads there as it is.

    None too where no shift brings half of them home, or two bring equally many.
    """
    sample = listed[:: max(1, len(listed) // SAMPLE)]
    if not sample or any(posixpath.normpath(name) in there for name in sample):
        return None
    ends = defaultdict(list)
    for name in there:
        if is_image(name):
            ends[bare(name).rpartition("/")[2]].append(name)
    tried = {_between(name, photo) for name in sample[:5] for photo in ends[bare(name).rpartition("/")[2]][:50]}
    hits = Counter({s: sum(_moved(n, s, bares, there) is not None for n in sample) for s in tried}).most_common(2)
    if not hits or hits[0][1] * 2 < len(sample) or (len(hits) > 1 and hits[1][1] == hits[0][1]):
        return None
    return hits[0][0]


class Places:
    """Where the file names of a manifest lead. paths: relative to the root, absolute, or an address.

    Where no name leads to a photo as it is listed, but all do below another folder (`images/`), without the folders of
    the machine on which the manifest was made (`C:/Users/...`) or with a suffix, they are taken to mean that.
    """

    def __init__(self, tree: Tree, folder: str, names: list[str | None]) -> None:
        """The places of `names` in a manifest that lies in `folder` of `tree`; None is a row without a name."""
        self.tree, self.alone = tree, tree.kind == "file"
        self.home = os.path.abspath(tree.root.parent if self.alone else tree.root / tree.base)
        self.there = frozenset(tree.names)
        self._folders: dict[str, str] = {}
        self._top = os.path.realpath(self.home).rstrip("/") + "/"
        plain = [name.replace("\\", "/") if name else "" for name in names]
        self.paths = [self._path(folder, name) if name else "" for name in plain]
        self.shift = None if self.alone else self._shifted()

    def _path(self, folder: str, name: str) -> str:
        if REMOTE.match(name):
            return name
        if name.startswith("/"):
            tidy = posixpath.normpath(name)
            inside = tidy.startswith(self.home + "/")
            return tidy[len(self.home) + 1 :] if inside else tidy
        return posixpath.normpath(posixpath.join(folder, name))

    def _shifted(self) -> Shift | None:
        """Shift the paths where that brings them home."""
        listed = [p for p in self.paths if p and not REMOTE.match(p) and not p.startswith("../")]
        if any(path.startswith("/") and regular(path) for path in listed[:: max(1, len(listed) // SAMPLE)]):
            return None
        bares = bare_names(self.there)
        shift = shift_of(listed, self.there, bares)
        if shift:
            self.paths = [_moved(path, shift, bares, self.there) or path for path in self.paths]
        return shift

    def outside(self, path: str) -> bool:
        """Whether a path leads out of the data set's folder, or to what is no photo elsewhere."""
        absolute = path.startswith("/") and (self.tree.kind in ("zip", "tar") or not is_image(path))
        drive = path[1:2] == ":"
        return absolute or drive or path == ".." or path.startswith("../") or "\0" in path

    def missing(self, path: str) -> bool:
        """Whether nothing is there."""
        if not path or REMOTE.match(path) or self.outside(path):
            return False
        if path.startswith("/") or self.alone:
            return not regular(os.path.join(self.home, path))
        return path not in self.there

    def linked_out(self, path: str) -> bool:
        """Whether a link takes a relative path out of the folder (a tree of files has set such aside already)."""
        if not self.alone or self.tree.links or not path or path.startswith("/") or REMOTE.match(path):
            return False
        return not self.outside(path) and not self._real(os.path.join(self.home, path)).startswith(self._top)

    def _real(self, path: str) -> str:
        """`os.path.realpath`, which asks the system once for each folder."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)

    def source(self, path: str) -> str:
        """The source of a path."""
        if REMOTE.match(path):
            return path
        return local(os.path.join(self.home, path)) if self.alone or path.startswith("/") else self.tree.source(path)
