import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import InputError, RunBusyError
from pipeline.integrations.remote_folder import RemoteFolder


def test_an_object_is_swapped_only_for_what_was_read(bucket: Any) -> None:
    folder = RemoteFolder.open("s3://gate/all runs/night/")
    assert folder.read("a") is None
    folder.swap("a", b"one", None)
    _, tag = folder.read("a") or (b"", "")
    folder.swap("a", b"two", tag)
    for old in (None, tag):
        with pytest.raises(
            RunBusyError, match="s3://gate/all runs/night/a: another machine moved it"
        ):
            folder.swap("a", b"three", old)
    assert (folder.read("a") or (b"",))[0] == b"two"
    folder.swap("a", b"two", tag)  # the answer to an earlier try was lost: it is in place already
    bucket[0].delete_object(Bucket="gate", Key="all runs/night/a")
    with pytest.raises(RunBusyError):
        folder.swap("a", b"three", tag)


def test_a_folder_that_cannot_be_used_is_one_line(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s3://no-such/runs/a: not found \(.*does not exist"):
        RemoteFolder.open("s3://no-such/runs").swap("a", b"", None)
    with pytest.raises(InputError, match="nope://x: Protocol not known"):
        RemoteFolder.open("nope://x")
    bucket[1]()
    with pytest.raises(ConnectionError, match="s3://gate/runs/a: the store does not answer"):
        RemoteFolder.open("s3://gate/runs").read("a")


def test_what_a_folder_can_do_depends_on_its_file_system(bucket: Any, tmp_path: Path) -> None:
    able = {
        a: RemoteFolder.open(a)
        for a in ("s3://gate/x", "memory://x", str(tmp_path), f"file://{tmp_path}")
    }
    assert [folder.can_swap for folder in able.values()] == [True, False, False, False]
    assert [folder.is_local for folder in able.values()] == [False, False, True, True]


def test_without_the_extra_one_line_names_it() -> None:
    code = "import sys; sys.modules['s3fs'] = None\n"
    code += "from pipeline.integrations.remote_folder import RemoteFolder\nRemoteFolder.open('s3://gate/runs')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    words = "s3://gate/runs: the package for s3:// is not installed: pip install 'nightshift[s3]'"
    assert words in done.stderr
