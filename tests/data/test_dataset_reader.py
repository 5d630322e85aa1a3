"""Choice of the adapter: pipeline/data/dataset_reader.py."""

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
from pipeline.data.reading.image_record import ImageRecord, ReadOptions, RejectedFile
from tests.data.sample_images import write_images

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE_PLUGIN = REPOSITORY / "tests" / "example_plugin"


def test_first_adapter_that_recognizes_the_data_reads_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one folder a class"):
        find_adapter(tmp_path)
    write_images(tmp_path, "cat/1.png")
    assert find_adapter(tmp_path)[0] == "folder"
    records = [item for item in read_dataset(tmp_path) if isinstance(item, ImageRecord)]
    assert [record.label for record in records] == ["cat"]


def test_unknown_adapter_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    write_images(tmp_path, "cat/1.png")
    with pytest.raises(InputError, match=r"ingest\.adapter.*'foldr'; did you mean folder"):
        read_dataset(tmp_path, "foldr")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (ReadOptions(label_column="species"), "label"),
        (ReadOptions(file_column="name"), "file"),
        (ReadOptions(should_crop_boxes=True), "crop_boxes"),
    ],
)
def test_option_that_the_adapter_does_not_use_is_refused(
    tmp_path: Path, options: ReadOptions, key: str
) -> None:
    write_images(tmp_path, "cat/1.png")
    with pytest.raises(InputError, match=rf"ingest\.{key}: the adapter folder"):
        read_dataset(tmp_path, "folder", options)


def test_videos_are_rejected_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").touch()
    with pytest.raises(InputError, match=r"holds videos and no images.*ffmpeg"):
        find_adapter(tmp_path)
    write_images(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "2.avi").touch()
    rejected = [item for item in read_dataset(tmp_path) if isinstance(item, RejectedFile)]
    reasons = {file.path: file.reason for file in rejected}
    assert "ffmpeg" in reasons["cat/2.avi"]


def test_missing_path_and_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        find_adapter(tmp_path / "gone")
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match="no data set of a known format"):
        find_adapter(tmp_path / "a.doc")


def test_adapter_of_another_package_is_installed_and_used(tmp_path: Path) -> None:
    source, site, data = tmp_path / "source", tmp_path / "site", tmp_path / "data"
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(EXAMPLE_PLUGIN, source, ignore=ignored)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    write_images(data, "a.png", "b.png")
    (data / "a.txt").write_text("cat\n")
    (data / "b.txt").write_text("dog\n")
    os.symlink("/etc/hostname", data / "c.png")  # a link out of the folder
    (data / "c.txt").write_text("cat")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.app", "datasets", "check", str(data), "--json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    health = json.loads(done.stdout)
    assert (health["adapter"], health["classes"]) == ("pairs", {"cat": 1, "dog": 1})
    assert "leads out" in health["rejected_examples"][0]["reason"]
    assert len((EXAMPLE_PLUGIN / "nightshift_pairs.py").read_text().splitlines()) < 25
