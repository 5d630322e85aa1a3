import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.engine import published_pages
from pipeline.engine.published_pages import (
    REPORTS_FILE,
    has_image,
    list_all_pages,
    list_pages,
    list_reports_folders,
    register_reports_folder,
    remove_leftovers,
    remove_page,
)


def _write_page(folder: Path, run_id: str | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("a page")
    pd.DataFrame({"image_id": ["a"], "path": ["a.png"]}).to_parquet(folder / "images.parquet")
    (folder / "summary.json").write_text(json.dumps({"run_id": run_id or folder.name}))
    return folder


def test_folders_of_reports_are_listed_once_and_move_with_the_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    for _ in range(2):
        register_reports_folder(home / "runs", home / "reports")
    assert list_reports_folders(home / "runs") == [home / "reports"]
    moved = home.rename(tmp_path / "moved")
    assert list_reports_folders(moved / "runs") == [moved / "reports"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folders": 3}', '{"folders": [3, "a\\u0000"]}'])
def test_a_damaged_list_lists_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / REPORTS_FILE).write_text(text)
    assert list_reports_folders(tmp_path) == []


def test_only_a_page_that_names_its_run_is_removed(tmp_path: Path) -> None:
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    runs.mkdir()
    register_reports_folder(runs, reports)
    page, other = _write_page(reports / "r1"), _write_page(reports / "Documents", "r7")
    (reports / "bare").mkdir()
    (reports / "link").symlink_to(page)
    assert list_all_pages(runs) == [page]
    assert list_pages(runs, "Documents") == list_pages(runs, "bare") == []
    for folder in (page, other, reports / "bare", reports / "link"):
        remove_page(folder)
    assert not page.exists()
    assert (other / "index.html").exists()
    assert (reports / "bare").is_dir()


def test_a_page_that_is_partly_removed_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = _write_page(tmp_path / "r1")

    def be_killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(published_pages, "remove_folder", be_killed)
        with pytest.raises(KeyboardInterrupt):
            remove_page(page)
    remove_page(page)
    assert not page.exists()


def test_a_page_has_the_images_of_its_table_and_an_unreadable_one_may_have_any(
    tmp_path: Path,
) -> None:
    page = _write_page(tmp_path / "r1")
    assert has_image(page, {"a.png"})
    assert has_image(page, {"a"})
    assert not has_image(page, {"b"})
    (page / "images.parquet").write_bytes(b"cut")
    assert has_image(page, {"b"})


def test_what_killed_commands_left_is_removed_and_a_download_at_work_is_not(tmp_path: Path) -> None:
    from pipeline.storage.artifact_store import RunFolder

    lines: list[str] = []
    for name in (".pruned-r1", ".pull-old", ".pull-new"):
        (tmp_path / name).mkdir()
    with RunFolder(tmp_path / ".pull-new").hold_lock():
        assert not remove_leftovers(tmp_path, lines.append)
    assert [path.name for path in tmp_path.iterdir()] == [".pull-new"]
    assert "another process downloads a run" in lines[0]
    assert remove_leftovers(tmp_path, lines.append)
    assert not list(tmp_path.iterdir())
