"""The files of a data set, whether they lie in a folder or in a zip or tar that is read in place."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.contracts import InputError
from pipeline.datasets import members
from pipeline.datasets.photo import NO_IMAGE, SPLITS, SUFFIXES, TABLES, Rejected, readable
from pipeline.datasets.picture import ImageError
from pipeline.datasets.sources import fetch, local, member

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
OUTSIDE = "its link leads out of the data set's folder; ingest.links=true follows it"
LOOP = "a link to a folder above it"
_CROWD = 16  # times that one folder may be reached through links
_CLUTTER = frozenset((
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r", "$recycle.bin", "lost+found",
    "system volume information", "__pycache__",
))
_PAPERS = frozenset((
    ".md", ".txt", ".rst", ".rtf", ".pdf", ".doc", ".docx", ".html", ".htm", ".url", ".bib", ".cff", ".yaml", ".yml",
    ".toml", ".ini", ".log", ".py", ".ipynb", ".sh",
))
_PAPER_NAMES = frozenset(("readme", "license", "licence", "copying", "notice", "version", "changelog", "citation"))


def _own(folder: str) -> bool:
    """Whether a folder holds Nightshift's runs or reports, as where it is run inside the data set's folder."""
    name, marks = os.path.basename(folder), {"runs": "run.json", "reports": "summary.json"}
    return name in marks and any(Path(folder).glob(f"*/{marks[name]}"))


def _paper(name: str) -> bool:
    """Whether a file only tells of a data set, as a README does: it says nothing on where the photos are."""
    stem, suffix = os.path.splitext(name.rpartition("/")[2].lower())
    return suffix in _PAPERS or (not suffix and stem in _PAPER_NAMES)


@dataclass(frozen=True)
class Found:
    """A file as `walk` finds it. path: absolute, as the system spells it; problem: why it is not to be opened."""

    path: str
    problem: str | None = None


def clutter(name: str) -> bool:
    """Hidden files and what systems leave behind: passed over in silence."""
    return name.startswith(".") or name.lower() in _CLUTTER


def walk(root: Path, links: bool = False) -> Iterator[Found]:
    """Every file below `root`, sorted by name within its folder; hidden files and our own runs are passed over.

    Links to folders are followed where they stay inside `root` (links: anywhere) and make no ring; a folder that
    cannot be listed is a problem of its own, the root an `InputError`.
    """
    top, visits = os.path.realpath(root), Counter[str]()
    pending: list[tuple[str, tuple[str, ...]]] = [(os.path.abspath(root), (top,))]
    while pending:
        folder, above = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if len(above) == 1:
                raise InputError(f"ingest.data: {folder}: cannot be listed: {error.strerror}") from error
            yield Found(folder + "/", f"a folder that cannot be listed: {error.strerror}")
            continue
        below = []
        for entry in entries:
            if clutter(entry.name) or (len(above) == 1 and _own(entry.path)):
                continue
            real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
            is_folder, problem = _is_folder(entry), None
            if entry.is_symlink():
                problem = _link_problem(real, top, above, links, is_folder)
                visits[real] += 1
                problem = problem or ("linked from too many places" if visits[real] > _CROWD and is_folder else None)
            if is_folder and problem is None:
                below.append((entry.path, (*above, real)))
            else:
                yield Found(entry.path, problem)
        pending.extend(reversed(below))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _link_problem(real: str, top: str, above: tuple[str, ...], links: bool, is_folder: bool) -> str | None:
    if not links and real != top and not real.startswith(top.rstrip("/") + "/"):
        return OUTSIDE
    return LOOP if is_folder and real in above else None


class Tree:
    """The files of a data set by name (relative to the root, with `/`), and what is set aside before it is opened."""

    def __init__(self, root: Path, links: bool = False) -> None:
        """The tree at `root`; nothing is looked at yet. links: those that lead out of it are followed."""
        self.root, self.links = root, links
        self._odd: dict[str, str] = {}

    @cached_property
    def kind(self) -> str:
        """folder | zip | tar | file | none."""
        if self.root.is_dir():
            return "folder"
        if not self.root.is_file():
            return "none"
        if self.root.name.lower().endswith(".zip") and zipfile.is_zipfile(self.root):
            return "zip"
        return "tar" if self.root.name.lower().endswith(ARCHIVES) and _is_tar(self.root) else "file"

    @cached_property
    def _listing(self) -> tuple[list[str], list[Rejected]]:
        if self.kind == "folder":
            return self._folder()
        return self._archive() if self.kind in ("zip", "tar") else ([], [])

    @cached_property
    def base(self) -> str:
        """The folder in which everything lies, with `/` behind it, where that is no class and no split (else empty).

        Papers (a README, a licence) may lie outside it.
        """
        base, names = "", [name for name in self._listing[0] if not _paper(name)]
        while names:
            first = names[0][len(base) :].partition("/")[0]
            inner = f"{base}{first}/"
            below = [name[len(inner) :] for name in names if name.startswith(inner)]
            files = {os.path.splitext(name)[1].lower() for name in below if "/" not in name}
            a_class = bool(files & SUFFIXES) and not files & TABLES  # photos, and no table that lists them
            if len(below) < len(names) or first.lower() in SPLITS or a_class:
                break
            base = inner
        return base

    def _folder(self) -> tuple[list[str], list[Rejected]]:
        names, problems = [], []
        top = os.path.abspath(self.root)
        for found in walk(self.root, self.links):
            name = self._clear(found.path[len(top) :].lstrip("/"))
            if found.problem is None:
                names.append(name)
            else:
                problems.append(Rejected(name, found.problem))
        return names, problems

    def _clear(self, raw: str) -> str:
        """A name that any file can hold; where it differs from the one on disk, that is remembered."""
        name = readable(raw)
        if name == raw:
            return raw
        while name in self._odd:
            name += "_"
        self._odd[name] = raw
        return name

    def _archive(self) -> tuple[list[str], list[Rejected]]:
        path = os.path.abspath(self.root)
        try:
            raws = members.zip_names(path) if self.kind == "zip" else members.tar_names(path)
        except Exception as error:  # on malformed archives these libraries raise almost anything
            raise InputError(f"ingest.data: {self.root}: cannot be read as an archive: {error}") from error
        names, problems = [], []
        for raw in sorted(dict.fromkeys(raws)):
            spelt = raw.replace("\\", "/") if self.kind == "zip" else raw  # as some programs of Windows write them
            name = self._clear(spelt)
            if re.match(r"/|[A-Za-z]:|\.\.(/|$)", posixpath.normpath(raw.replace("\\", "/"))):
                problems.append(Rejected(name, "its path leads out of the archive"))
            elif not spelt.endswith("/") and not any(clutter(part) and part != "." for part in spelt.split("/")):
                tidy = posixpath.normpath(name)
                if tidy != raw:
                    self._odd[tidy] = raw
                names.append(tidy)
        doubled = [name for name, count in Counter(names).items() if count > 1]
        problems += [Rejected(name, "in the archive more than once under this name") for name in doubled]
        return sorted(set(names)), problems

    @cached_property
    def names(self) -> list[str]:
        """Every file that may be opened, below `base`."""
        every, base = self._listing[0], self.base
        return [name[len(base) :] for name in every if name.startswith(base)] if base else every

    @cached_property
    def problems(self) -> list[Rejected]:
        """Every file or folder that may not, and every paper outside `base`."""
        papers = [name for name in self._listing[0] if not name.startswith(self.base)]
        return [*self._listing[1], *(Rejected(posixpath.relpath(name, self.base), NO_IMAGE) for name in papers)]

    @cached_property
    def folders(self) -> set[str]:
        """Every folder, those in which no file lies included where the data set is a folder itself."""
        found = {parent for name in self.names for parent in _parents(name)}
        if self.kind == "folder":
            found |= set(self._empty())
        return found

    def _empty(self) -> Iterator[str]:
        top = os.path.join(self.root, self.base)
        for here, below, _ in os.walk(top):
            paths = {name: os.path.join(here, name) for name in below if not clutter(name)}
            below[:] = [name for name, path in paths.items() if not os.path.islink(path) and not _own(path)]
            yield from (readable(os.path.relpath(os.path.join(here, name), top)) for name in below)

    def source(self, name: str) -> str:
        """Where the bytes of a file are (see `pipeline.datasets.sources`)."""
        raw = self._odd.get(self.base + name, self.base + name)
        if self.kind in ("zip", "tar"):
            return member(self.kind, os.path.abspath(self.root), raw)
        return local(os.path.join(os.path.abspath(self.root), raw) if raw else os.path.abspath(self.root))

    def container(self, name: str) -> str:
        """A file with photos in it as `sources.member` takes it: an absolute path, or a source in the archive."""
        raw = self._odd.get(self.base + name, self.base + name)
        return self.source(name) if self.kind in ("zip", "tar") else os.path.abspath(os.path.join(self.root, raw))

    def read(self, name: str) -> bytes:
        """The bytes of a file that describes the data set; raises `InputError` where it cannot be read."""
        try:
            return fetch(self.source(name))
        except ImageError as error:
            raise InputError(f"{self.root / name if name else self.root}: {error}") from error


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except Exception:  # a damaged one; on those tarfile and what unpacks raise almost anything
        return True


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def tree_of(root: Path | Tree, links: bool = False) -> Tree:
    """The tree at `root`, or `root` where it is one."""
    return root if isinstance(root, Tree) else Tree(root, links)


def regular(path: str) -> bool:
    """Whether a regular file is there (links are followed)."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
