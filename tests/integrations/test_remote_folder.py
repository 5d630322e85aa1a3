import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import InputError, RunBusyError
from pipeline.integrations.remote_folder import RemoteFolder


def test_object_is_swapped_only_for_the_version_that_was_read(bucket: Any) -> None:
    folder = RemoteFolder.open("s3://gate/all runs/night/")
    assert folder.read("a") is None
    folder.swap("a", b"one", None)
    stored = folder.read("a")
    assert stored is not None
    tag = stored[1]
    folder.swap("a", b"two", tag)
    for old_tag in (None, tag):
        with pytest.raises(RunBusyError, match="s3://gate/all runs/night/a: another machine"):
            folder.swap("a", b"three", old_tag)
    assert (folder.read("a") or (b"",))[0] == b"two"
    folder.swap("a", b"two", tag)  # the response to an earlier try was lost: nothing to do
    bucket[0].delete_object(Bucket="gate", Key="all runs/night/a")
    with pytest.raises(RunBusyError):
        folder.swap("a", b"three", tag)


def test_unusable_folder_is_one_line(bucket: Any) -> None:
    with pytest.raises(InputError, match=r"s3://no-such/runs/a: not found \(.*does not exist"):
        RemoteFolder.open("s3://no-such/runs").swap("a", b"", None)
    with pytest.raises(InputError, match="nope://x: Protocol not known"):
        RemoteFolder.open("nope://x")
    stop_server = bucket[1]
    stop_server()
    with pytest.raises(ConnectionError, match="s3://gate/runs/a: the store does not respond"):
        RemoteFolder.open("s3://gate/runs").read("a")


def test_full_disk_is_no_fault_of_the_store(tmp_path: Path) -> None:
    folder = RemoteFolder.open(str(tmp_path))
    with pytest.raises(OSError, match="full") as full, folder.translate_errors("a"):
        raise OSError(28, "full")
    assert not isinstance(full.value, ConnectionError)
    with pytest.raises(ConnectionError, match="broken pipe"), folder.translate_errors("a"):
        raise OSError(32, "broken pipe")


def test_abilities_depend_on_the_file_system(bucket: Any, tmp_path: Path) -> None:
    remote = RemoteFolder.open("s3://gate/x")
    assert (remote.can_swap, remote.is_local) == (True, False)
    memory = RemoteFolder.open("memory://x")
    assert (memory.can_swap, memory.is_local) == (False, False)
    for address in (str(tmp_path), f"file://{tmp_path}"):
        local = RemoteFolder.open(address)
        assert (local.can_swap, local.is_local) == (False, True)


def test_missing_package_is_an_error_with_the_command_to_install_it() -> None:
    code = "import sys; sys.modules['s3fs'] = None\n"
    code += "from pipeline.integrations.remote_folder import RemoteFolder\n"
    code += "RemoteFolder.open('s3://gate/runs')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "InputError: s3://gate/runs: " in done.stderr
    assert "pip install 'nightshift[s3]'" in done.stderr
