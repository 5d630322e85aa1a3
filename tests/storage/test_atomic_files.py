import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from pipeline.contracts import InputError, RunBusyError
from pipeline.storage.atomic_files import (
    lock_file,
    open_lock_file,
    read_json,
    read_json_object,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_text_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\udcff")
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": "\udcff"}', "nul\0"])
def test_a_damaged_file_is_one_line_with_its_name_and_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"a\.json: cannot be read .*; restore it") as caught:
        read_json(path, "restore it")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[], 3, "text", None])
def test_another_kind_of_value_is_no_object(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"a\.json: holds a \w+, not an object"):
        read_json_object(tmp_path / "a.json")


def _add_numbers(path: Path, first: int) -> None:
    for number in range(first, first + 10):
        with lock_file(path):
            write_json(path, [*read_json(path), number])


def test_four_processes_lose_no_entry(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [])
    context = multiprocessing.get_context("spawn")
    processes = []
    for first in range(0, 40, 10):
        processes.append(context.Process(target=_add_numbers, args=(tmp_path / "a.json", first)))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(read_json(tmp_path / "a.json")) == list(range(40))


def test_a_held_file_is_busy_for_a_process_that_does_not_wait(tmp_path: Path) -> None:
    with (
        lock_file(tmp_path / "a"),
        pytest.raises(RunBusyError),
        lock_file(tmp_path / "a", should_wait=False),
    ):
        pass
    with lock_file(tmp_path / "a", should_wait=False):
        pass


def test_a_lock_file_that_is_a_link_leaves_its_target(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("content")
    (tmp_path / ".a.lock").symlink_to(target)
    with pytest.raises(InputError, match=r"\.a\.lock: a lock file must be a plain file"):
        open_lock_file(tmp_path / ".a.lock")
    assert target.read_text() == "content"


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_files_and_locks_have_the_modes_of_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with lock_file(tmp_path / "a"):
            write_text(tmp_path / "a", "text")
    finally:
        os.umask(before)
    for name in ("a", ".a.lock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~mask
