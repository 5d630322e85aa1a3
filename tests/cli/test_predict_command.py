import json
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.command_line import (
    COMMAND,
    build_environment,
    call_nightshift,
    draw_class_folders,
    save_bundle,
)


def test_it_counts_decisions_and_fails_if_it_could_read_no_image(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    save_bundle(tmp_path / "bundle")
    draw_class_folders(tmp_path / "data", {"a": 2})
    arguments = ["predict", "bundle", "data", "broken.png", "-o", "rows.csv"]
    good = call_nightshift(*arguments, folder=tmp_path)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "rows.csv")
    assert "2 answered, 0 declined, 1 could not be read" in good.stderr
    assert call_nightshift("predict", "bundle", "broken.png", folder=tmp_path).returncode == 1


def test_a_bundle_of_version_0_1_is_refused_in_one_line(tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / "bundle.json"
    record = json.loads(path.read_text())
    del record["bundle_format"]
    path.write_text(json.dumps(record))
    draw_class_folders(tmp_path / "data", {"a": 1})
    result = call_nightshift("predict", "bundle", "data", folder=tmp_path)
    assert result.returncode == 2
    assert "a model of another version of nightshift" in result.stderr.splitlines()[-1]


def _watch_until_killed(folder: Path, row_count: int) -> None:
    """Watch the folder until the file has that many rows, then kill the process."""
    rows = folder / "rows.jsonl"
    process = subprocess.Popen(
        [*COMMAND, "predict", "bundle", "landing", "-o", "rows.jsonl", "--watch"],
        cwd=folder,
        env=build_environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            if rows.exists() and rows.read_bytes().count(b"\n") >= row_count:
                break
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(180)
def test_arriving_images_are_predicted_once_each_though_the_watch_is_killed_twice(
    tmp_path: Path,
) -> None:
    save_bundle(tmp_path / "bundle")
    landing, rows_file = tmp_path / "landing", tmp_path / "rows.jsonl"
    landing.mkdir()
    for number in range(12):
        Image.new("RGB", (40, 40), (number * 20, 90, 90)).save(landing / f"{number:02d}.png")
    (landing / "05.jpg").write_bytes(b"no image")
    _watch_until_killed(tmp_path, 4)
    with rows_file.open("ab") as file:
        file.write(b'{"path": "landing/11.p')  # a row that a power cut left unfinished
    Image.new("RGB", (40, 40), "red").save(landing / "late.png")
    _watch_until_killed(tmp_path, 14)
    rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    expected_paths = sorted(str(image.resolve()) for image in landing.iterdir())
    assert sorted(row["path"] for row in rows) == expected_paths
    failed = [row["path"] for row in rows if row["decision"] == "error"]
    assert failed == [str(landing.resolve() / "05.jpg")]
