import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

import fsspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.integrations.object_store import pull_run
from pipeline.integrations.push_manifest import (
    MANIFEST,
    PushedFile,
    PushManifest,
    check_names,
    list_pushed_files,
)

HOSTILE_NAMES = [
    "../evil",
    "a/../../evil",
    "/tmp/evil",
    "..",
    ".",
    "",
    "a\\..\\evil",
    "a//b",
    "./a",
    "a/",
    ".lock",
    "a/.work-x/b",
    "a\n",
    "x" * 300,
    "a\0b",
    "run.json/evil",
]


def _build_manifest(*names: str, run_id: str = "r") -> PushManifest:
    files = tuple(PushedFile(name=name, size=4, sha256="0" * 64) for name in names)
    return PushManifest(run_id=run_id, files=files)


def test_visible_files_are_listed_with_size_and_hash(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "b.txt").write_text("one")
    (tmp_path / "a.txt").write_text("two!")
    for hidden in (".lock", MANIFEST, "stage/.work"):
        (tmp_path / hidden).write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    files = list_pushed_files(tmp_path)
    assert [(file.name, file.size) for file in files] == [("a.txt", 4), ("stage/b.txt", 3)]
    assert files[0].sha256 == hashlib.sha256(b"two!").hexdigest()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"s3://b/r/push\.json: .*below the run's folder"):
        check_names(_build_manifest("run.json", name), "s3://b/r")


def test_repeated_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'run\.json' is not the name of a file"):
        check_names(_build_manifest("run.json", "run.json"), "s3://b/r")


def test_plain_names_are_accepted() -> None:
    check_names(_build_manifest("run.json", "stage/a b.txt", "stage/é.txt"), "s3://b/r")


@pytest.mark.parametrize("run_id", ["..", ".hidden", "/tmp/r", "a/b", "", "other"])
def test_run_id_must_be_the_name_of_its_folder(run_id: str) -> None:
    with pytest.raises(InputError, match="is not the plain name of this folder"):
        check_names(_build_manifest(run_id=run_id), "s3://b/r")


@example(".", "a")
@given(st.text(alphabet="./\\ab\0\n~", max_size=9), st.text(alphabet="./\\ab\0", max_size=6))
def test_every_accepted_name_stays_below_the_folder(name: str, run_id: str) -> None:
    """Whatever a manifest in a store names: it is refused, or it is a visible file of the run."""
    with suppress(InputError):
        check_names(_build_manifest(name, run_id=run_id), f"s3://bucket/{run_id}")
        folder = PurePosixPath("/runs", run_id)
        assert folder.parent == PurePosixPath("/runs")
        assert run_id not in ("", ".", "..")
        target = os.path.normpath(folder / name)
        assert target.startswith(f"{folder}/")
        assert not any(part.startswith(".") for part in PurePosixPath(name).parts)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(st.one_of(_JSON, st.fixed_dictionaries({"run_id": _JSON, "files": _JSON, "push": _JSON})))
def test_any_manifest_in_a_store_is_read_or_one_line(manifest: object) -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/runs/r/push.json", json.dumps(manifest).encode())
    with tempfile.TemporaryDirectory() as folder:
        with suppress(InputError):  # any other error is a defect
            pull_run("memory://runs/r", Path(folder))
        assert not list(Path(folder).glob("*"))


def test_a_deeply_nested_manifest_is_one_line(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/runs/r/push.json", b"[" * 100_000)
    with pytest.raises(InputError, match="not a pushed run"):
        pull_run("memory://runs/r", tmp_path)
