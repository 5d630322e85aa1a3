import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.engine.change_detection import (
    MAX_SETTLE_PERIODS,
    DatasetChange,
    WatchedDataset,
    accept_changes,
    detect_changes,
    read_watched_dataset,
)

ROOT = Path(__file__).resolve().parents[1]
SETTLE = 100


@pytest.fixture
def what(tmp_path: Path) -> WatchedDataset:
    for name in ("badge/1.png", "badge/2.png", "none/3.png"):
        _write(tmp_path / "images" / name, name)
    path = tmp_path / "c.yaml"
    text = (
        f"name: gate\nruns: {tmp_path}/runs\nschedule: {{when: data, settle_seconds: {SETTLE}}}\n"
    )
    path.write_text(text + f"ingest: {{data: {tmp_path}/images, unread: here}}\n")
    return read_watched_dataset(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _later(what: WatchedDataset, seconds: float = SETTLE + 1) -> DatasetChange:
    return detect_changes(what, time.time() + seconds)


def _taken(what: WatchedDataset) -> None:
    assert accept_changes(what, _later(what).mark)


def test_a_first_look_is_a_change_and_a_second_is_none(what: WatchedDataset) -> None:
    first = _later(what)
    assert (first.state, first.words) == ("changed", "3 came, 0 changed, 0 went, of 3 files")
    assert _later(what) == first, "until a run takes it"
    assert accept_changes(what, first.mark)
    assert _later(what) == DatasetChange("unchanged", first.mark, "3 files, all as they were")


def test_what_is_still_being_written_is_waited_for(what: WatchedDataset) -> None:
    _taken(what)
    _write(what.data_path / "badge/4.png", "half")
    os.utime(
        what.data_path / "badge/4.png", (0, 0)
    )  # as a copier does that keeps times: the inode's stands
    assert detect_changes(what).state == "settling"
    assert _later(what, SETTLE - 5).state == "settling"
    assert _later(what).words == "1 came, 0 changed, 0 went, of 4 files"


def test_images_that_never_stop_coming_are_not_waited_for_for_ever(
    what: WatchedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _taken(what)
    _write(what.data_path / "badge/4.png", "new")
    _write(what.data_path / "badge/5.png", "newer")
    later = time.time() + MAX_SETTLE_PERIODS * SETTLE
    os.utime(what.data_path / "badge/5.png", (later, later))  # it came just now
    assert detect_changes(what, later - 5).state == "settling"
    assert detect_changes(what, later + 5).state == "changed"


@pytest.mark.parametrize("change", ["content", "went", "renamed", "same size"])
def test_a_change_of_content_or_name_is_seen(what: WatchedDataset, change: str) -> None:
    _taken(what)
    image = what.data_path / "badge/1.png"
    if change == "went":
        image.unlink()
    elif change == "renamed":
        image.rename(image.with_name("9.png"))
    else:
        image.write_text("badge/7.png" if change == "same size" else "another length")
    found = _later(what)
    expected = {
        "went": "0 came, 0 changed, 1 went, of 2",
        "renamed": "1 came, 0 changed, 1 went, of 3",
    }
    assert found.state == "changed"
    assert found.words.startswith(expected.get(change, "0 came, 1 changed, 0 went, of 3"))


def test_a_touch_or_an_equal_copy_is_no_change_and_is_read_once(what: WatchedDataset) -> None:
    _taken(what)
    image = what.data_path / "badge/1.png"
    copy = image.with_name("copy")
    copy.write_bytes(image.read_bytes())
    copy.replace(image)
    assert _later(what).words == "3 files with the content that they had"
    assert _later(what).words == "3 files, all as they were", "the book knows its new time"


def test_what_came_after_the_look_is_seen_by_the_next_one(what: WatchedDataset) -> None:
    first = _later(what)
    _write(what.data_path / "badge/4.png", "between look and run")
    assert accept_changes(what, first.mark)
    assert _later(what).words == "1 came, 0 changed, 0 went, of 4 files"


def test_a_look_that_was_overtaken_is_not_taken(what: WatchedDataset) -> None:
    first = _later(what)
    (what.data_path / "badge/1.png").unlink()
    second = _later(what)
    assert not accept_changes(what, first.mark)
    assert accept_changes(what, second.mark)
    assert not accept_changes(what, second.mark), "once"


def test_a_data_set_that_is_gone_starts_one_run_that_says_so(what: WatchedDataset) -> None:
    _taken(what)
    what.data_path.rename(what.data_path.with_name("elsewhere"))
    assert _later(what).words == "0 came, 0 changed, 3 went, of 0 files"
    _taken(what)
    assert _later(what).state == "unchanged"


def test_a_book_that_was_cut_short_is_no_book(what: WatchedDataset) -> None:
    _taken(what)
    what.get_index_path("seen").write_text('{"badge/1.png": [1')
    assert _later(what).state == "changed"


def test_a_file_is_watched_as_a_folder_is(tmp_path: Path) -> None:
    _write(tmp_path / "images.zip", "first")
    _write(tmp_path / "c.yaml", f"runs: {tmp_path}/runs\ningest: {{data: {tmp_path}/images.zip}}\n")
    what = read_watched_dataset(tmp_path / "c.yaml")
    assert accept_changes(what, _later(what, 1000).mark)
    assert _later(what, 1000).state == "unchanged"
    _write(tmp_path / "images.zip", "second")
    assert _later(what, 1000).words == "0 came, 1 changed, 0 went, of 1 files"


@pytest.mark.parametrize("data", ["huggingface:beans", "s3://bucket/images", "null", "[a]"])
def test_what_cannot_be_watched_is_said(tmp_path: Path, data: str) -> None:
    _write(
        tmp_path / "c.yaml",
        f"ingest: {{data: '{data}'}}\n" if ":" in data else f"ingest: {{data: {data}}}\n",
    )
    with pytest.raises(InputError, match=r"c\.yaml: ingest\.data: "):
        read_watched_dataset(tmp_path / "c.yaml")


def test_a_look_imports_no_torch() -> None:
    code = "import sys, pipeline.engine.change_detection; print(*{'torch', 'timm', 'sklearn'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_the_command_line_runs_only_when_the_data_changed(tmp_path: Path) -> None:
    """What a user of cron writes: a failed run leaves the change for the next one."""
    _write(tmp_path / "images/cat/1.png", "no image")
    _write(
        tmp_path / "c.yaml", "name: gate\nschedule: {settle_seconds: 0}\ningest: {data: images}\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}

    def call(*words: str) -> tuple[int, str]:
        line = [sys.executable, "-m", "pipeline.cli.app", *words]
        done = subprocess.run(
            line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    failed, _ = call("run", "-c", "c.yaml", "--when-changed")
    assert failed == 2, "a image that is none"
    code, said = call("datasets", "changed", "-c", "c.yaml", "--json")
    assert (code, json.loads(said)["state"]) == (0, "changed")
    assert call("datasets", "changed", "-c", "c.yaml", "--take", json.loads(said)["mark"])[0] == 0
    assert call("datasets", "changed", "-c", "c.yaml") == (
        1,
        "unchanged: 1 files, all as they were\n",
    )
    assert call("run", "-c", "c.yaml", "--when-changed") == (
        0,
        "unchanged: 1 files, all as they were\n",
    )
