"""The files of a data set by name, whether it is a folder, a zip or a tar."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.layout.image_index import ImageIndex
from pipeline.data.reading import container_members
from pipeline.data.reading.folder_walk import is_ignored_file, is_run_folder, walk_files
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
_OUTSIDE_ARCHIVE_PATTERN = re.compile(r"/|[A-Za-z]:|\.\.(/|$)")
"""Begin of a normalized member name that would be extracted outside the archive's folder."""
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
    ("readme", "license", "licence", "copying", "notice", "version", "changelog", "citation")
)


def _is_document(name: str) -> bool:
    """Return whether a file documents a data set, as a README does, and so lists no images."""
    stem, suffix = os.path.splitext(name.rpartition("/")[2].lower())
    if suffix == ".txt":
        return any(word in stem for word in _DOCUMENT_NAMES)
    return suffix in _DOCUMENT_SUFFIXES or (not suffix and stem in _DOCUMENT_NAMES)


class FileTree:
    """The files of a data set by name (relative to the root, with `/`), and its rejected files.

    Attributes:
        root: the folder, archive or file.
        should_follow_links: whether links out of the folder are followed.
        findings: what was recognized in the files, by a key of the function that did.
    """

    def __init__(self, root: Path, should_follow_links: bool = False) -> None:
        """Create the tree of `root`; files are listed when they are first needed."""
        self.root = root
        self.should_follow_links = should_follow_links
        self._raw_names: dict[str, str] = {}
        self._indexes: dict[str | None, ImageIndex] = {}
        self.findings: dict[Any, Any] = {}

    @cached_property
    def root_kind(self) -> str:
        """Kind of the root: folder, zip, tar, file (any other) or none (it does not exist)."""
        if self.root.is_dir():
            return "folder"
        if not self.root.is_file():
            return "none"
        name = self.root.name.lower()
        if name.endswith(".zip") and zipfile.is_zipfile(self.root):
            return "zip"
        return "tar" if name.endswith(ARCHIVE_SUFFIXES) and _is_tar(self.root) else "file"

    @cached_property
    def _file_listing(self) -> tuple[list[str], list[RejectedFile]]:
        if self.root_kind == "folder":
            return self._list_folder()
        return self._list_archive() if self.root_kind in ("zip", "tar") else ([], [])

    @cached_property
    def base_folder(self) -> str:
        """Folder that holds all files, with `/` at its end; empty if it is a class or a split.

        Documents (a README, a license) may be outside it.
        """
        base = ""
        names = [name for name in self._file_listing[0] if not _is_document(name)]
        while names:
            folder = names[0][len(base) :].partition("/")[0]
            candidate = f"{base}{folder}/"
            below = [name[len(candidate) :] for name in names if name.startswith(candidate)]
            suffixes = {os.path.splitext(name)[1].lower() for name in below if "/" not in name}
            # A class folder holds images, and no table that lists them.
            is_class = bool(suffixes & IMAGE_SUFFIXES) and not suffixes & TABLE_SUFFIXES
            if len(below) < len(names) or folder.lower() in SPLIT_ALIASES or is_class:
                break
            base = candidate
        return base

    def widen(self) -> FileTree:
        """Return a tree of the same files relative to the root, documents included."""
        if not self.base_folder:
            return self
        tree = FileTree(self.root, self.should_follow_links)
        vars(tree).update(base_folder="", _raw_names=self._raw_names)
        vars(tree)["_file_listing"] = self._file_listing
        return tree

    def _list_folder(self) -> tuple[list[str], list[RejectedFile]]:
        names = []
        rejected = []
        top = os.path.abspath(self.root)
        for file in walk_files(self.root, self.should_follow_links):
            name = self._register_name(file.path[len(top) :].lstrip("/"))
            if file.problem is None:
                names.append(name)
            else:
                rejected.append(RejectedFile(name, file.problem))
        return names, rejected

    def _register_name(self, raw_name: str) -> str:
        """Return a unique name in valid UTF-8, and store the raw name if it differs."""
        name = escape_invalid_bytes(raw_name)
        if name == raw_name:
            return raw_name
        while name in self._raw_names:
            name += "_"
        self._raw_names[name] = raw_name
        return name

    def _list_archive(self) -> tuple[list[str], list[RejectedFile]]:
        is_zip = self.root_kind == "zip"
        list_names = (
            container_members.list_zip_names if is_zip else container_members.list_tar_names
        )
        try:
            raw_names = list_names(os.path.abspath(self.root))
        except Exception as error:  # these libraries raise almost any error on malformed archives
            raise InputError(
                f"ingest.data: {self.root}: cannot be read as an archive: {error}"
            ) from error
        names = []
        rejected = []
        for raw_name in sorted(dict.fromkeys(raw_names)):
            # Some programs of Windows write backslashes into a zip.
            slashed = raw_name.replace("\\", "/") if is_zip else raw_name
            name = self._register_name(slashed)
            if _OUTSIDE_ARCHIVE_PATTERN.match(posixpath.normpath(raw_name.replace("\\", "/"))):
                rejected.append(RejectedFile(name, "its path leads out of the archive"))
            elif not _is_ignored_member(slashed):
                normalized = posixpath.normpath(name)
                if normalized != raw_name:
                    self._raw_names[normalized] = raw_name
                names.append(normalized)
        for name, count in Counter(names).items():
            if count > 1:
                rejected.append(RejectedFile(name, "in the archive more than once under this name"))
        return sorted(set(names)), rejected

    @cached_property
    def file_names(self) -> list[str]:
        """Every file that may be opened, relative to `base_folder`."""
        names = self._file_listing[0]
        base = self.base_folder
        return [name[len(base) :] for name in names if name.startswith(base)] if base else names

    @cached_property
    def rejected_files(self) -> list[RejectedFile]:
        """Every file or folder that may not be opened, and every document outside `base_folder`."""
        rejected = list(self._file_listing[1])
        for name in self._file_listing[0]:
            if not name.startswith(self.base_folder):
                relative_name = posixpath.relpath(name, self.base_folder)
                rejected.append(RejectedFile(relative_name, NOT_IMAGE_REASON))
        return rejected

    @cached_property
    def folders(self) -> set[str]:
        """Every folder; the empty ones are included if the root is a folder itself."""
        folders = {parent for name in self.file_names for parent in _list_parents(name)}
        if self.root_kind == "folder":
            folders |= set(self._list_subfolders())
        return folders

    @cached_property
    def neighbors(self) -> FileTree:
        """The files of the folder of the root."""
        return FileTree(self.root.parent, self.should_follow_links)

    def index_images(self, image_folder: str | None = None) -> ImageIndex:
        """Return the images by name, of the whole data set or of one folder in it."""
        if image_folder not in self._indexes:
            self._indexes[image_folder] = ImageIndex(self.file_names, image_folder)
        return self._indexes[image_folder]

    def _list_subfolders(self) -> Iterator[str]:
        top = os.path.join(self.root, self.base_folder)
        for folder, subfolders, _ in os.walk(top):
            kept = []
            for name in subfolders:
                path = os.path.join(folder, name)
                if not (is_ignored_file(name) or os.path.islink(path) or is_run_folder(path)):
                    kept.append(name)
            subfolders[:] = kept
            for name in kept:
                yield escape_invalid_bytes(os.path.relpath(os.path.join(folder, name), top))

    def _get_raw_name(self, name: str) -> str:
        """Return a file's name below the root, as the file system or the archive spells it."""
        full_name = self.base_folder + name
        return self._raw_names.get(full_name, full_name)

    def get_source(self, name: str) -> str:
        """Return the source of a file (see `pipeline.data.reading.image_sources`)."""
        raw_name = self._get_raw_name(name)
        root = os.path.abspath(self.root)
        if self.root_kind in ("zip", "tar"):
            return build_member_source(self.root_kind, root, raw_name)
        return build_file_source(os.path.join(root, raw_name) if raw_name else root)

    def get_container(self, name: str) -> str:
        """Return a file that contains images as `build_member_source` takes it.

        It is an absolute path, or a source if the data set is an archive.
        """
        if self.root_kind in ("zip", "tar"):
            return self.get_source(name)
        return os.path.abspath(os.path.join(self.root, self._get_raw_name(name)))

    def read_file(self, name: str) -> bytes:
        """Return the bytes of a file that describes the data set.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            return fetch_bytes(self.get_source(name))
        except ImageError as error:
            raise InputError(f"{self.root / name if name else self.root}: {error}") from error


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except Exception:  # a damaged tar: tarfile and the decompressors raise almost any error
        return True


def _is_ignored_member(name: str) -> bool:
    if name.endswith("/"):
        return True
    return any(part != "." and is_ignored_file(part) for part in name.split("/"))


def _list_parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def open_tree(root: Path | FileTree, should_follow_links: bool = False) -> FileTree:
    """Return the tree of `root`, or `root` itself if it is a tree."""
    return root if isinstance(root, FileTree) else FileTree(root, should_follow_links)


def is_regular_file(path: str) -> bool:
    """Return whether a path is a regular file, or a link to one."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
