import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.contracts import InputError, RunBusyError
from pipeline.engine.change_detection import (
    MAX_SETTLE_PERIODS,
    DatasetChange,
    WatchedDataset,
    accept_changes,
    detect_changes,
    drop_file_names,
    hold_dataset,
    note_failure,
    read_failure,
    read_watched_dataset,
)

ROOT = Path(__file__).resolve().parents[2]
SETTLE = 100


@pytest.fixture
def dataset(tmp_path: Path) -> WatchedDataset:
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


def _check_later(dataset: WatchedDataset, seconds: float = SETTLE + 1) -> DatasetChange:
    return detect_changes(dataset, time.time() + seconds)


def _accept(dataset: WatchedDataset) -> None:
    assert accept_changes(dataset, _check_later(dataset).mark)


def test_a_data_set_is_changed_until_a_run_uses_it(dataset: WatchedDataset) -> None:
    first = _check_later(dataset)
    assert (first.state, first.words) == ("changed", "3 added, 0 changed, 0 removed, of 3 files")
    assert _check_later(dataset) == first, "until a run uses it"
    assert accept_changes(dataset, first.mark)
    assert _check_later(dataset) == DatasetChange("unchanged", first.mark, "3 files")


def test_files_that_are_being_written_are_waited_for(dataset: WatchedDataset) -> None:
    _accept(dataset)
    _write(dataset.data_path / "badge/4.png", "half")
    os.utime(
        dataset.data_path / "badge/4.png", (0, 0)
    )  # a copier that keeps times changes the inode's time
    assert detect_changes(dataset).state == "settling"
    assert _check_later(dataset, SETTLE - 5).state == "settling"
    assert _check_later(dataset).words == "1 added, 0 changed, 0 removed, of 4 files"


def test_files_that_never_stop_changing_are_used_after_a_limit(
    dataset: WatchedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _accept(dataset)
    _write(dataset.data_path / "badge/4.png", "new")
    _write(dataset.data_path / "badge/5.png", "newer")
    later = time.time() + MAX_SETTLE_PERIODS * SETTLE
    os.utime(dataset.data_path / "badge/5.png", (later, later))  # it came just now
    assert detect_changes(dataset, later - 5).state == "settling"
    assert detect_changes(dataset, later + 5).state == "changed"


@pytest.mark.parametrize("change", ["content", "removed", "renamed", "same size"])
def test_a_change_of_content_or_name_is_detected(dataset: WatchedDataset, change: str) -> None:
    _accept(dataset)
    image = dataset.data_path / "badge/1.png"
    if change == "removed":
        image.unlink()
    elif change == "renamed":
        image.rename(image.with_name("9.png"))
    else:
        image.write_text("badge/7.png" if change == "same size" else "another length")
    found = _check_later(dataset)
    expected = {
        "removed": "0 added, 0 changed, 1 removed, of 2",
        "renamed": "1 added, 0 changed, 1 removed, of 3",
    }
    assert found.state == "changed"
    assert found.words.startswith(expected.get(change, "0 added, 1 changed, 0 removed, of 3"))


def test_a_touched_file_or_an_equal_copy_is_not_a_change_and_is_read_once(
    dataset: WatchedDataset,
) -> None:
    _accept(dataset)
    image = dataset.data_path / "badge/1.png"
    copy = image.with_name("copy")
    copy.write_bytes(image.read_bytes())
    copy.replace(image)
    assert _check_later(dataset).words == "3 files, some touched, with the same content"
    assert _check_later(dataset).words == "3 files", "the index has its new time"


def test_a_file_added_after_the_check_is_found_by_the_next_one(dataset: WatchedDataset) -> None:
    first = _check_later(dataset)
    _write(dataset.data_path / "badge/4.png", "between look and run")
    assert accept_changes(dataset, first.mark)
    assert _check_later(dataset).words == "1 added, 0 changed, 0 removed, of 4 files"


def test_an_outdated_check_is_not_accepted(dataset: WatchedDataset) -> None:
    first = _check_later(dataset)
    (dataset.data_path / "badge/1.png").unlink()
    second = _check_later(dataset)
    assert not accept_changes(dataset, first.mark)
    assert accept_changes(dataset, second.mark)
    assert not accept_changes(dataset, second.mark), "once"


def test_a_missing_data_set_is_changed_once(dataset: WatchedDataset) -> None:
    _accept(dataset)
    dataset.data_path.rename(dataset.data_path.with_name("elsewhere"))
    assert _check_later(dataset).words == "0 added, 0 changed, 3 removed, of 0 files"
    _accept(dataset)
    assert _check_later(dataset).state == "unchanged"


def test_a_damaged_index_counts_every_file_as_new(dataset: WatchedDataset) -> None:
    _accept(dataset)
    dataset.get_index_path("seen").write_text('{"badge/1.png": [1')
    assert _check_later(dataset).state == "changed"


def test_a_file_is_watched_as_a_folder_is(tmp_path: Path) -> None:
    _write(tmp_path / "images.zip", "first")
    _write(tmp_path / "c.yaml", f"runs: {tmp_path}/runs\ningest: {{data: {tmp_path}/images.zip}}\n")
    dataset = read_watched_dataset(tmp_path / "c.yaml")
    assert accept_changes(dataset, _check_later(dataset, 1000).mark)
    assert _check_later(dataset, 1000).state == "unchanged"
    _write(tmp_path / "images.zip", "second")
    assert _check_later(dataset, 1000).words == "0 added, 1 changed, 0 removed, of 1 files"


@pytest.mark.parametrize("data", ["huggingface:beans", "s3://bucket/images", "null", "[a]"])
def test_an_address_or_no_data_is_refused(tmp_path: Path, data: str) -> None:
    _write(
        tmp_path / "c.yaml",
        f"ingest: {{data: '{data}'}}\n" if ":" in data else f"ingest: {{data: {data}}}\n",
    )
    with pytest.raises(InputError, match=r"c\.yaml: ingest\.data: "):
        read_watched_dataset(tmp_path / "c.yaml")


def test_a_file_dated_in_the_future_does_not_block_for_ever(dataset: WatchedDataset) -> None:
    for name in ("badge/1.png", "badge/4.png"):
        _write(dataset.data_path / name, f"of a camera with a wrong clock: {name}")
        os.utime(dataset.data_path / name, (4e9, 4e9))
    assert detect_changes(dataset).state == "settling", "by the time of the inode"
    assert _check_later(dataset).state == "changed"
    _accept(dataset)
    assert _check_later(dataset).state == "unchanged"


def test_one_process_at_a_time_runs_on_a_change(dataset: WatchedDataset) -> None:
    with (
        hold_dataset(dataset),
        pytest.raises(RunBusyError, match="another process is at work"),
        hold_dataset(dataset),
    ):
        pass


def test_a_failure_is_remembered_until_the_data_or_the_config_change(
    dataset: WatchedDataset,
) -> None:
    mark = _check_later(dataset).mark
    note_failure(dataset, mark, "no image can be read")
    assert read_failure(dataset, mark) == "no image can be read"
    assert read_failure(dataset, "another") == ""
    assert read_failure(replace(dataset, config_hash="another"), mark) == ""
    dataset.get_index_path("failed").write_text("[]")
    assert read_failure(dataset, mark) == ""


def test_names_are_dropped_from_the_indexes(dataset: WatchedDataset) -> None:
    _accept(dataset)
    _write(dataset.data_path / "badge/4.png", "new")
    _check_later(dataset)
    drop_file_names(dataset.general.runs, {"badge/1.png"})
    for name in ("seen", "next"):
        index = json.loads(dataset.get_index_path(name).read_text())
        assert "badge/1.png" not in index
        assert "badge/2.png" in index


def test_a_check_imports_no_torch() -> None:
    code = (
        "import sys, pipeline.engine.change_detection; "
        "print(*{'torch', 'timm', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_the_command_line_runs_only_when_the_data_changed(tmp_path: Path) -> None:
    """As in a crontab: a failed run is begun again when the data or the config change."""
    _write(tmp_path / "images/cat/1.png", "no image")
    _write(
        tmp_path / "c.yaml", "name: gate\nschedule: {settle_seconds: 0}\ningest: {data: images}\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}

    def call(*words: str) -> tuple[int, str]:
        line = [sys.executable, "-m", "nightshift", *words]
        done = subprocess.run(
            line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    failed, _ = call("run", "-c", "c.yaml", "--when-changed")
    assert failed == 2, "no image in it can be read"
    code, output = call("run", "-c", "c.yaml", "--when-changed")
    assert (code, output.split(":")[0]) == (0, "unchanged since a run failed")
    code, output = call("datasets", "changed", "-c", "c.yaml", "--json")
    assert (code, json.loads(output)["state"]) == (0, "changed")
    assert call("datasets", "changed", "-c", "c.yaml", "--take", json.loads(output)["mark"])[0] == 0
    assert call("datasets", "changed", "-c", "c.yaml") == (1, "unchanged: 1 files\n")
    assert call("run", "-c", "c.yaml", "--when-changed") == (0, "unchanged: 1 files\n")
