"""Walk through folders: pipeline/data/reading/folder_walk.py."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.reading.folder_walk import LOOP_REASON, OUTSIDE_REASON, walk_files
from tests.data.file_rights import drop_root_rights
from tests.data.sample_images import write_images


def _walk(root: Path, should_follow_links: bool = False) -> dict[str, str | None]:
    """Return the problem of each listed file, by relative path."""
    files = walk_files(root, should_follow_links)
    return {Path(file.path).relative_to(root).as_posix(): file.problem for file in files}


def test_hidden_and_system_files_are_ignored(tmp_path: Path) -> None:
    names = ("b/x.jpg", "a/.hidden", ".git/y.jpg", "a/z.jpg", "a/Thumbs.db", "__MACOSX/w.jpg")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert _walk(tmp_path) == {"a/z.jpg": None, "b/x.jpg": None}


def test_loop_of_links_ends(tmp_path: Path) -> None:
    write_images(tmp_path, "a/z.jpg")
    os.symlink(tmp_path, tmp_path / "a" / "loop")
    assert _walk(tmp_path) == {"a/loop": LOOP_REASON, "a/z.jpg": None}


def test_links_to_folders_outside_are_followed_only_on_request(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", "all/1.jpg", "all/2.jpg")
    write_images(tmp_path / "elsewhere", "3.jpg")
    (root / "train").mkdir()
    os.symlink("../all", root / "train" / "cat")
    os.symlink(tmp_path / "elsewhere", root / "train" / "dog")
    inside = dict.fromkeys(("all/1.jpg", "all/2.jpg", "train/cat/1.jpg", "train/cat/2.jpg"))
    assert _walk(root) == {**inside, "train/dog": OUTSIDE_REASON}
    assert _walk(root, should_follow_links=True) == {**inside, "train/dog/3.jpg": None}


def test_root_may_be_a_link(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", "1.jpg")
    os.symlink(root, tmp_path / "link")
    assert _walk(tmp_path / "link") == {"1.jpg": None}


def test_folders_that_link_to_each_other_are_bounded(tmp_path: Path) -> None:
    for source in range(8):
        (tmp_path / f"f{source}").mkdir()
        for target in range(8):
            os.symlink(f"../f{target}", tmp_path / f"f{source}" / f"to{target}")
    assert len(list(walk_files(tmp_path))) < 2000


def test_folder_that_cannot_be_listed_is_a_problem() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's folder is closed to other users
        root = write_images(Path(name), "cat/1.png", "dog/2.png")
        os.chmod(root, 0o755)
        os.chmod(root / "dog", 0)
        with drop_root_rights():
            problems = _walk(root)
            with pytest.raises(
                InputError, match=r"ingest\.data: .*cannot be listed: Permission denied"
            ):
                list(walk_files(root / "dog"))
        os.chmod(root / "dog", 0o755)
    assert problems == {
        "cat/1.png": None,
        "dog": "a folder that cannot be listed: Permission denied",
    }


@pytest.mark.parametrize(("folder", "mark"), [("runs", "run.json"), ("reports", "summary.json")])
def test_runs_of_nightshift_are_ignored(tmp_path: Path, folder: str, mark: str) -> None:
    write_images(tmp_path, "cat/1.png", f"{folder}/20260101-x/2.png")
    assert len(_walk(tmp_path)) == 2
    (tmp_path / folder / "20260101-x" / mark).touch()
    assert _walk(tmp_path) == {"cat/1.png": None}
