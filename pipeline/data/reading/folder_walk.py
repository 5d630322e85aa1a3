"""Walk through the files below a folder, with links, hidden files and our own runs handled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts import InputError

OUTSIDE_REASON = "its link leads out of the data set's folder; ingest.follow_links=true follows it"
LOOP_REASON = "a link to a folder above it"
_MAX_FOLDER_VISITS = 16
"""Times that one folder may be reached through links: folders that link to each other form a number
of paths that grows exponentially."""
_RUN_FOLDER_MARKS = {"runs": "run.json", "reports": "summary.json"}
"""Folders that Nightshift writes into the working directory, and the file that identifies each."""
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


@dataclass(frozen=True)
class ListedFile:
    """A file that `walk_files` lists.

    Attributes:
        path: absolute path, as the system spells it; `/` at the end of a folder that cannot be
            listed.
        problem: why the file is not to be opened, or None.
    """

    path: str
    problem: str | None = None


def is_run_folder(folder: str) -> bool:
    """Return whether a folder holds runs or reports of Nightshift, by its name and content."""
    mark = _RUN_FOLDER_MARKS.get(os.path.basename(folder))
    return mark is not None and any(Path(folder).glob(f"*/{mark}"))


def is_ignored_file(name: str) -> bool:
    """Return whether a file is hidden or left behind by an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILE_NAMES


def walk_files(root: Path, should_follow_links: bool = False) -> Iterator[ListedFile]:
    """Yield every file below `root`, sorted by name within its folder.

    Ignored files and runs of Nightshift are left out. Links to folders are followed if they stay
    inside `root` (or anywhere, with `should_follow_links`) and form no loop. A folder that cannot
    be listed is yielded with its problem.

    Raises:
        InputError: `root` itself cannot be listed.
    """
    real_root = os.path.realpath(root)
    link_visits = Counter[str]()
    pending: list[tuple[str, tuple[str, ...]]] = [(os.path.abspath(root), (real_root,))]
    while pending:
        folder, real_ancestors = pending.pop()
        is_root = len(real_ancestors) == 1
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            reason = f"cannot be listed: {error.strerror}"
            if is_root:
                raise InputError(f"ingest.data: {folder}: {reason}") from error
            yield ListedFile(folder + "/", f"a folder that {reason}")
            continue
        subfolders = []
        for entry in entries:
            if is_ignored_file(entry.name) or (is_root and is_run_folder(entry.path)):
                continue
            is_folder = _is_folder(entry)
            problem = None
            if entry.is_symlink():
                real_path = os.path.realpath(entry.path)
                link_visits[real_path] += 1
                problem = _find_link_problem(
                    real_path, real_ancestors, should_follow_links, is_folder
                )
                if problem is None and is_folder and link_visits[real_path] > _MAX_FOLDER_VISITS:
                    problem = "linked from too many places"
            else:
                real_path = f"{real_ancestors[-1]}/{entry.name}"
            if is_folder and problem is None:
                subfolders.append((entry.path, (*real_ancestors, real_path)))
            else:
                yield ListedFile(entry.path, problem)
        pending.extend(reversed(subfolders))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _find_link_problem(
    real_path: str, real_ancestors: tuple[str, ...], should_follow_links: bool, is_folder: bool
) -> str | None:
    real_root = real_ancestors[0]
    is_inside = real_path == real_root or real_path.startswith(real_root.rstrip("/") + "/")
    if not is_inside and not should_follow_links:
        return OUTSIDE_REASON
    return LOOP_REASON if is_folder and real_path in real_ancestors else None
