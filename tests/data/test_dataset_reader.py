"""Choosing the adapter: pipeline/data/dataset_reader.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_record import ImageRecord, ReadOptions
from tests.data.pictures import lay


def test_recognize_and_read_choose_the_adapter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one folder a class"):
        find_adapter(tmp_path)
    (tmp_path / "cat").mkdir()
    lay(tmp_path, "cat/1.png")
    assert find_adapter(tmp_path) == ("folder", "1 class folder (cat)")
    assert [item.label for item in read_dataset(tmp_path) if isinstance(item, ImageRecord)] == [
        "cat"
    ]
    with pytest.raises(InputError, match=r"ingest\.adapter.*'foldr'; did you mean folder"):
        read_dataset(tmp_path, "foldr")
    with pytest.raises(InputError, match=r"ingest\.label"):
        read_dataset(tmp_path, "folder", ReadOptions(label="species"))


def test_videos_are_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").touch()
    with pytest.raises(InputError, match=r"holds videos and no images.*ffmpeg"):
        find_adapter(tmp_path)
    lay(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "2.avi").touch()
    assert (
        "ffmpeg"
        in {item.path: getattr(item, "reason", "") for item in read_dataset(tmp_path)}["cat/2.avi"]
    )


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        find_adapter(tmp_path / "gone")
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match="no data set of a kind known"):
        find_adapter(tmp_path / "a.doc")


EXAMPLE = Path(__file__).resolve().parents[1] / "example_plugin"


def test_a_package_of_ones_own_is_installed_and_used(tmp_path: Path) -> None:
    """The example is copied, installed as pip does it, and read by a process that knows nothing else of it."""
    source, site, data = tmp_path / "source", tmp_path / "site", tmp_path / "data"
    shutil.copytree(
        EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run(
        [*install, "--target", str(site), str(source)], check=True, capture_output=True, timeout=120
    )
    lay(data, "a.png", "b.png")
    for name, label in (("a", "cat"), ("b", "dog")):
        (data / f"{name}.txt").write_text(f"{label}\n")
    os.symlink("/etc/hostname", data / "c.png")  # a image that a link takes out of the folder
    (data / "c.txt").write_text("cat")
    root = Path(__file__).resolve().parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(site)])}
    command = [sys.executable, "-m", "pipeline.cli.app", "datasets", "check", str(data), "--json"]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    found = json.loads(done.stdout)
    assert (found["adapter"], found["classes"]) == ("pairs", {"cat": 1, "dog": 1})
    assert "leads out" in found["rejected_examples"][0]["reason"]
    assert len((EXAMPLE / "nightshift_pairs.py").read_text().splitlines()) < 20
