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
from pipeline.data.reading import container_members
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import (
    IMAGE_SUFFIXES,
    NOT_IMAGE_REASON,
    SPLIT_ALIASES,
    TABLE_SUFFIXES,
    RejectedFile,
    escape_invalid_bytes,
)
from pipeline.data.reading.image_sources import build_file_source, build_member_source, fetch_bytes

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
OUTSIDE_REASON = "its link leads out of the data set's folder; ingest.follow_links=true follows it"
LOOP_REASON = "a link to a folder above it"
_MAX_FOLDER_VISITS = 16  # times that one folder may be reached through links
_SYSTEM_FILE_NAMES = frozenset(
    (
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "__macosx",
        "@eadir",
        "icon\r",
        "$recycle.bin",
        "lost+found",
        "system volume information",
        "__pycache__",
    )
)
_DOCUMENT_SUFFIXES = frozenset(
    (
        ".md",
        ".txt",
        ".rst",
        ".rtf",
        ".pdf",
        ".doc",
        ".docx",
        ".html",
        ".htm",
        ".url",
        ".bib",
        ".cff",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".log",
        ".py",
        ".ipynb",
        ".sh",
    )
)
_DOCUMENT_NAMES = frozenset(
    ("readme", "license", "license", "copying", "notice", "version", "changelog", "citation")
)


def _is_run_folder(folder: str) -> bool:
    """Whether a folder holds Nightshift's runs or reports, as where it is run inside the data set's folder."""
    name, marks = os.path.basename(folder), {"runs": "run.json", "reports": "summary.json"}
    return name in marks and any(Path(folder).glob(f"*/{marks[name]}"))


def _is_document(name: str) -> bool:
    """Whether a file only tells of a data set, as a README does: it says nothing on where the images are."""
    stem, suffix = os.path.splitext(name.rpartition("/")[2].lower())
    return suffix in _DOCUMENT_SUFFIXES or (not suffix and stem in _DOCUMENT_NAMES)


@dataclass(frozen=True)
class ListedFile:
    """A file as `walk` finds it. path: absolute, as the system spells it; problem: why it is not to be opened."""

    path: str
    problem: str | None = None


def is_ignored_file(name: str) -> bool:
    """Hidden files and what systems leave behind: passed over in silence."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILE_NAMES


def walk_files(root: Path, should_follow_links: bool = False) -> Iterator[ListedFile]:
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
                raise InputError(
                    f"ingest.data: {folder}: cannot be listed: {error.strerror}"
                ) from error
            yield ListedFile(folder + "/", f"a folder that cannot be listed: {error.strerror}")
            continue
        below = []
        for entry in entries:
            if is_ignored_file(entry.name) or (len(above) == 1 and _is_run_folder(entry.path)):
                continue
            real = (
                os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
            )
            is_folder, problem = _is_folder(entry), None
            if entry.is_symlink():
                problem = _find_link_problem(real, top, above, should_follow_links, is_folder)
                visits[real] += 1
                problem = problem or (
                    "linked from too many places"
                    if visits[real] > _MAX_FOLDER_VISITS and is_folder
                    else None
                )
            if is_folder and problem is None:
                below.append((entry.path, (*above, real)))
            else:
                yield ListedFile(entry.path, problem)
        pending.extend(reversed(below))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _find_link_problem(
    real_path: str,
    real_root: str,
    real_ancestors: tuple[str, ...],
    should_follow_links: bool,
    is_folder: bool,
) -> str | None:
    if (
        not should_follow_links
        and real_path != real_root
        and not real_path.startswith(real_root.rstrip("/") + "/")
    ):
        return OUTSIDE_REASON
    return LOOP_REASON if is_folder and real_path in real_ancestors else None


class FileTree:
    """The files of a data set by name (relative to the root, with `/`), and what is set aside before it is opened."""

    def __init__(self, root: Path, should_follow_links: bool = False) -> None:
        """The tree at `root`; nothing is looked at yet. links: those that lead out of it are followed."""
        self.root, self.should_follow_links = root, should_follow_links
        self._raw_names: dict[str, str] = {}

    @cached_property
    def root_kind(self) -> str:
        """folder | zip | tar | file | none."""
        if self.root.is_dir():
            return "folder"
        if not self.root.is_file():
            return "none"
        if self.root.name.lower().endswith(".zip") and zipfile.is_zipfile(self.root):
            return "zip"
        return (
            "tar"
            if self.root.name.lower().endswith(ARCHIVE_SUFFIXES) and _is_tar(self.root)
            else "file"
        )

    @cached_property
    def _file_listing(self) -> tuple[list[str], list[RejectedFile]]:
        if self.root_kind == "folder":
            return self._list_folder()
        return self._list_archive() if self.root_kind in ("zip", "tar") else ([], [])

    @cached_property
    def base_folder(self) -> str:
        """The folder in which everything lies, with `/` behind it, where that is no class and no split (else empty).

        Papers (a README, a license) may lie outside it.
        """
        base, names = "", [name for name in self._file_listing[0] if not _is_document(name)]
        while names:
            first = names[0][len(base) :].partition("/")[0]
            inner = f"{base}{first}/"
            below = [name[len(inner) :] for name in names if name.startswith(inner)]
            files = {os.path.splitext(name)[1].lower() for name in below if "/" not in name}
            a_class = (
                bool(files & IMAGE_SUFFIXES) and not files & TABLE_SUFFIXES
            )  # images, and no table that lists them
            if len(below) < len(names) or first.lower() in SPLIT_ALIASES or a_class:
                break
            base = inner
        return base

    def _list_folder(self) -> tuple[list[str], list[RejectedFile]]:
        names, problems = [], []
        top = os.path.abspath(self.root)
        for found in walk_files(self.root, self.should_follow_links):
            name = self._register_name(found.path[len(top) :].lstrip("/"))
            if found.problem is None:
                names.append(name)
            else:
                problems.append(RejectedFile(name, found.problem))
        return names, problems

    def _register_name(self, raw_name: str) -> str:
        """A name that any file can hold; where it differs from the one on disk, that is remembered."""
        name = escape_invalid_bytes(raw_name)
        if name == raw_name:
            return raw_name
        while name in self._raw_names:
            name += "_"
        self._raw_names[name] = raw_name
        return name

    def _list_archive(self) -> tuple[list[str], list[RejectedFile]]:
        path = os.path.abspath(self.root)
        try:
            raws = (
                container_members.list_zip_names(path)
                if self.root_kind == "zip"
                else container_members.list_tar_names(path)
            )
        except Exception as error:  # on malformed archives these libraries raise almost anything
            raise InputError(
                f"ingest.data: {self.root}: cannot be read as an archive: {error}"
            ) from error
        names, problems = [], []
        for raw in sorted(dict.fromkeys(raws)):
            spelt = (
                raw.replace("\\", "/") if self.root_kind == "zip" else raw
            )  # as some programs of Windows write them
            name = self._register_name(spelt)
            if re.match(r"/|[A-Za-z]:|\.\.(/|$)", posixpath.normpath(raw.replace("\\", "/"))):
                problems.append(RejectedFile(name, "its path leads out of the archive"))
            elif not spelt.endswith("/") and not any(
                is_ignored_file(part) and part != "." for part in spelt.split("/")
            ):
                tidy = posixpath.normpath(name)
                if tidy != raw:
                    self._raw_names[tidy] = raw
                names.append(tidy)
        doubled = [name for name, count in Counter(names).items() if count > 1]
        problems += [
            RejectedFile(name, "in the archive more than once under this name") for name in doubled
        ]
        return sorted(set(names)), problems

    @cached_property
    def file_names(self) -> list[str]:
        """Every file that may be opened, below `base`."""
        every, base = self._file_listing[0], self.base_folder
        return [name[len(base) :] for name in every if name.startswith(base)] if base else every

    @cached_property
    def rejected_files(self) -> list[RejectedFile]:
        """Every file or folder that may not, and every paper outside `base`."""
        papers = [name for name in self._file_listing[0] if not name.startswith(self.base_folder)]
        return [
            *self._file_listing[1],
            *(
                RejectedFile(posixpath.relpath(name, self.base_folder), NOT_IMAGE_REASON)
                for name in papers
            ),
        ]

    @cached_property
    def folders(self) -> set[str]:
        """Every folder, those in which no file lies included where the data set is a folder itself."""
        found = {parent for name in self.file_names for parent in _list_parents(name)}
        if self.root_kind == "folder":
            found |= set(self._list_subfolders())
        return found

    def _list_subfolders(self) -> Iterator[str]:
        top = os.path.join(self.root, self.base_folder)
        for here, below, _ in os.walk(top):
            paths = {name: os.path.join(here, name) for name in below if not is_ignored_file(name)}
            below[:] = [
                name
                for name, path in paths.items()
                if not os.path.islink(path) and not _is_run_folder(path)
            ]
            yield from (
                escape_invalid_bytes(os.path.relpath(os.path.join(here, name), top))
                for name in below
            )

    def get_source(self, name: str) -> str:
        """Where the bytes of a file are (see `pipeline.data.reading.image_sources`)."""
        raw = self._raw_names.get(self.base_folder + name, self.base_folder + name)
        if self.root_kind in ("zip", "tar"):
            return build_member_source(self.root_kind, os.path.abspath(self.root), raw)
        return build_file_source(
            os.path.join(os.path.abspath(self.root), raw) if raw else os.path.abspath(self.root)
        )

    def get_container(self, name: str) -> str:
        """A file with images in it as `sources.member` takes it: an absolute path, or a source in the archive."""
        raw = self._raw_names.get(self.base_folder + name, self.base_folder + name)
        return (
            self.get_source(name)
            if self.root_kind in ("zip", "tar")
            else os.path.abspath(os.path.join(self.root, raw))
        )

    def read_file(self, name: str) -> bytes:
        """The bytes of a file that describes the data set; raises `InputError` where it cannot be read."""
        try:
            return fetch_bytes(self.get_source(name))
        except ImageError as error:
            raise InputError(f"{self.root / name if name else self.root}: {error}") from error


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except Exception:  # a damaged one; on those tarfile and what unpacks raise almost anything
        return True


def _list_parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def open_tree(root: Path | FileTree, should_follow_links: bool = False) -> FileTree:
    """The tree at `root`, or `root` where it is one."""
    return root if isinstance(root, FileTree) else FileTree(root, should_follow_links)


def is_regular_file(path: str) -> bool:
    """Whether a regular file is there (links are followed)."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
