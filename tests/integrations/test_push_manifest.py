import hashlib
from pathlib import Path

import pytest

from pipeline.contracts import InputError
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
