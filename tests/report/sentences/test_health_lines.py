"""The result of a data set check as lines: pipeline/report/sentences/health_lines.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.data.quality import near_duplicates
from pipeline.data.quality.dataset_health import check_dataset
from pipeline.data.quality.health_limits import HealthLimits, parse_health_limits
from pipeline.data.recognition.read_plan import build_read_plan
from pipeline.report.sentences.health_lines import describe_condition, format_health_lines


def _measure(pixels: np.ndarray) -> tuple[float, float]:
    return float(pixels.mean()), 2.0


def _check_lines(root: Path, *limits: str) -> list[str]:
    plan = build_read_plan(root)
    return format_health_lines(check_dataset(root, plan, _measure, parse_health_limits(limits)))


def _write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(60, 200, (8, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_NEAREST))


def test_some_of_many_broken_files_are_listed(tmp_path: Path) -> None:
    _write_image(tmp_path / "good.png", 1)
    for number in range(9):
        (tmp_path / f"{number}.png").touch()
    lines = [line for line in _check_lines(tmp_path) if line.startswith("  ")]
    assert lines == [
        "  9 empty file",
        *(f"  {number}.png: empty file" for number in range(5)),
        "  ... 4 more; --json and --html list 20",
    ]


def test_classes_with_the_worst_light_come_first(tmp_path: Path) -> None:
    for number in range(7):
        _write_image(tmp_path / f"class{number}" / "a.png", number)
    cv2.imwrite(str(tmp_path / "class4" / "night.png"), np.zeros((60, 60, 3), np.uint8))
    lines = _check_lines(tmp_path)
    first = next(n for n, line in enumerate(lines) if line.startswith("light: ")) + 1
    assert lines[first].startswith("  class4: 50.0% dark")
    assert lines[first + 5] == "  ... 2 more classes; --json and --html list all"


def test_failed_conditions_are_marked(tmp_path: Path) -> None:
    _write_image(tmp_path / "a" / "1.png", 1)
    lines = _check_lines(tmp_path, "min_class_images=2")
    assert "FAILED images of the smallest class: 1, at least 2 (min_class_images)" in lines
    place = lines.index("FAILED classes: 1, at least 2 (min_classes)")
    assert lines[place + 1] == "  a"
    assert "ingest.label" in lines[place + 2]
    assert sum(line.startswith("FAILED") for line in lines) == 2


def test_pairs_show_their_splits_and_labels(tmp_path: Path) -> None:
    _write_image(tmp_path / "train" / "a" / "1.png", 1)
    _write_image(tmp_path / "train" / "b" / "2.png", 2)
    copy = tmp_path / "val" / "b" / "3.png"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((tmp_path / "train" / "a" / "1.png").read_bytes())
    lines = _check_lines(tmp_path)
    pair = "  train/a/1.png = val/b/3.png (exact, across splits, two labels)"
    assert pair in lines
    assert "splits: train 2, val 1" in lines


def test_incomplete_duplicate_search_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_COMPARISONS", 0)
    _write_image(tmp_path / "a" / "1.png", 1)
    image = Image.open(tmp_path / "a" / "1.png").convert("RGB")
    image.save(tmp_path / "a" / "2.jpg", quality=95, subsampling=0)
    assert any("the search ended early" in line for line in _check_lines(tmp_path))


def test_names_that_control_the_terminal_are_escaped(tmp_path: Path) -> None:
    _write_image(tmp_path / "a\x1b[31m" / "1.png", 1)
    assert all(line.isprintable() for line in _check_lines(tmp_path))


@pytest.mark.parametrize(
    "name", [n for n in HealthLimits.model_fields if n.startswith(("max_", "min_"))]
)
def test_every_condition_has_a_text(name: str) -> None:
    if name == "max_aspect_ratio":  # defines an unusual size, and is no condition
        return
    text = describe_condition({"name": name, "value": 0.5, "limit": 0.25})
    assert f"({name})" in text
    assert ("at least" in text) == name.startswith("min_")
