"""The health of a data set: pipeline/data/quality/dataset_health.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.contracts import InputError
from pipeline.data.quality import near_duplicates
from pipeline.data.quality.dataset_health import (
    check_dataset,
    find_suspected_labels,
    format_health_lines,
)
from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.data.reading.config_proposal import ReadPlan, build_read_plan


def _measure(pixels: np.ndarray) -> tuple[float, float]:
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return float(luma.mean()), float(np.log10(1 + cv2.Laplacian(luma, cv2.CV_32F).var()))


def _image(path: Path, seed: int, light: float = 1.0, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(20, 250, (8, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST)
    Image.fromarray((pixels * light).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Two classes in two splits with one planted fault of each kind."""
    rows = ["file_name,label,split,visit,captured_at"]
    for n in range(60):
        _image(tmp_path / f"{n:02d}.png", n, light=0.1 if n % 10 == 0 else 1.0)
        split, label = ("train", "val")[n % 3 == 0], "ab"[n % 2]
        rows.append(
            f"{n:02d}.png,{label},{split},v{n // 2 if n < 2 else 100 + n},2024-05-01 {n % 24:02d}:10"
        )
    copy = (tmp_path / "01.png").read_bytes()  # row 1: class b, train
    (tmp_path / "copy.png").write_bytes(copy)
    rows.append("copy.png,a,val,v900,2024-05-01 03:00")
    Image.open(tmp_path / "05.png").convert("RGB").save(
        tmp_path / "near.jpg", quality=95, subsampling=0
    )
    rows.append("near.jpg,b,val,v901,2024-05-01 03:00")
    _image(tmp_path / "long.png", 70, size=(300, 20))
    rows.append("long.png,b,train,v902,2024-05-01 03:00")
    Image.new("L", (50, 50), 240).save(tmp_path / "gray.png")
    rows.append("gray.png,b,train,v903,2024-05-01 03:00")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    rows.append("broken.jpg,b,train,v904,2024-05-01 03:00")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    return tmp_path


def _found(
    root: Path, *limits: str, plan: ReadPlan | None = None, **options: Any
) -> dict[str, Any]:
    found = check_dataset(
        root, plan or build_read_plan(root), _measure, parse_health_limits(limits), **options
    )
    assert found["seen"] == found["images"] + found["rejected"]
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def test_every_planted_fault_is_found(planted: Path) -> None:
    found = _found(planted)
    assert (found["seen"], found["images"], found["reasons"]) == (
        65,
        64,
        {"not an image, or damaged": 1},
    )
    twins = found["duplicates"]
    assert (twins["exact"], twins["near"], twins["across"], twins["conflicts"]) == (1, 1, 2, 1)
    assert {(p["path"], p["twin"], p["kind"]) for p in twins["examples"]} == {
        ("01.png", "copy.png", "exact"),
        ("05.png", "near.jpg", "near"),
    }
    assert found["leaks"]["examples"] == ["v0"]
    assert found["sizes"]["examples"] == ["long.png"]
    assert found["kinds"] == {"gray": 1}
    assert found["light"]["all"]["dark"] == round(6 / 64, 4)
    assert found["light"]["class"]["b"]["dark"] == 0
    assert found["light"]["all"]["bright"] == round(1 / 64, 4)
    assert sum(found["hours"]) == 64
    assert found["classes"] == {"b": 33, "a": 31}
    failed = {item["name"] for item in found["conditions"] if not item["passed"]}
    assert failed == {"max_rejected", "max_across", "max_conflicts", "max_torn"}
    words = "\n".join(format_health_lines(found))
    assert "FAILED duplicates across splits: 2, at most 0 (max_across)" in words
    assert "1 exact and 1 near pairs, 2 across splits" in words
    assert "  01.png = copy.png (exact, across splits, two labels)" in words
    assert f"light: {6 / 64:.1%} dark, {1 / 64:.1%} bright" in words
    assert "  b: 0.0% dark" in words
    assert "more; --json" not in words


def test_of_many_broken_files_a_few_are_named(tmp_path: Path) -> None:
    _image(tmp_path / "good.png", 1)
    for n in range(9):
        (tmp_path / f"{n}.png").write_bytes(b"")
    said = [line for line in format_health_lines(_found(tmp_path)) if line.startswith("  ")]
    assert said[1:] == [
        *(f"  {n}.png: empty file" for n in range(5)),
        "  ... 4 more; --json and --html list 20",
    ]


def test_the_worst_lit_classes_are_told_first(tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"class{n}").mkdir()
        _image(tmp_path / f"class{n}" / "a.png", n)
        if n == 4:
            cv2.imwrite(str(tmp_path / "class4" / "night.png"), np.zeros((60, 60, 3), np.uint8))
    said = format_health_lines(_found(tmp_path))
    first = said.index(next(line for line in said if line.startswith("light: "))) + 1
    assert said[first].startswith("  class4: 50.0% dark")
    assert said[first + 5] == "  ... 2 more classes; --json and --html list all"


def test_limits_decide(planted: Path) -> None:
    loose = _found(planted, "max_rejected=0.1", "max_across=2", "max_conflicts=1", "max_torn=1")
    assert all(item["passed"] for item in loose["conditions"])
    strict = _found(planted, "min_class=32", "max_imbalance=1")
    assert {"min_class", "max_imbalance"} <= {
        i["name"] for i in strict["conditions"] if not i["passed"]
    }
    assert _found(planted, "near_duplicates=-1")["duplicates"]["near"] == 0


def test_images_that_nobody_labeled(tmp_path: Path) -> None:
    for n in range(5):
        _image(tmp_path / f"{n}.png", n)
    (tmp_path / "notes.txt").touch()
    os.symlink("/etc", tmp_path / "etc")
    found = _found(tmp_path)
    assert (found["seen"], found["images"], found["unlabeled"], found["classes"]) == (7, 5, 5, {})
    assert "no labels: classes are not judged" in format_health_lines(found)
    assert {item["name"] for item in found["conditions"]} == {"max_rejected", "max_copies"}
    pd.DataFrame({"file_name": [f"{n}.png" for n in range(5)]}).to_csv(
        tmp_path / "metadata.csv", index=False
    )
    assert (_found(tmp_path)["images"], _found(tmp_path)["adapter"]) == (5, "manifest")


def test_nothing_and_one(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        build_read_plan(tmp_path)
    with pytest.raises(InputError, match="no file in it"):
        check_dataset(tmp_path, ReadPlan(None), _measure, parse_health_limits([]))
    _image(tmp_path / "a" / "1.png", 0)
    assert _found(tmp_path)["images"] == 1
    (tmp_path / "a" / "1.png").write_bytes(b"")
    assert _found(tmp_path)["rejected"] == 1


def test_a_run_tells_of_suspected_labels(tmp_path: Path) -> None:
    for n in range(4):
        _image(tmp_path / "ab"[n % 2] / f"{n}.png", n)
    table = pd.DataFrame({"content": ["c0", "c1"], "path": ["a/0.png", "b/1.png"]})
    images = pd.DataFrame({"image_id": ["i0", "i1", "i9"], "content_hash": ["c0", "c1", "c9"]})
    issues = pd.DataFrame(
        {
            "image_id": ["i1", "i9", "i0"],
            "label": ["b", "a", "a"],
            "suggested": ["a", "b", "b"],
            "confidence": [0.9, 0.8, 1.0],
            "kind": ["suspected", "suspected", "conflict"],
        }
    )
    expected = [{"path": "b/1.png", "label": "b", "suggested": "a", "confidence": 0.9}]
    assert find_suspected_labels(images, issues, table) == {"suspected": 1, "examples": expected}
    found = _found(tmp_path, run=(images, issues))
    assert found["labels"]["suspected"] == 0
    assert "max_suspected" in {item["name"] for item in found["conditions"]}


def test_a_manifest_that_cannot_be_read_is_no_data_set_without_labels(tmp_path: Path) -> None:
    _image(tmp_path / "a.png", 1)
    (tmp_path / "metadata.csv").write_bytes("file_name,label\na.png,Bär\n".encode("latin-1"))
    with pytest.raises(
        InputError, match=r"metadata\.csv: cannot be read as a table: it is not UTF-8"
    ):
        build_read_plan(tmp_path)


def test_a_readme_is_no_rejected_image(tmp_path: Path) -> None:
    for n in range(4):
        _image(tmp_path / "ab"[n % 2] / f"{n}.png", n)
    (tmp_path / "README.md").touch()
    passed = {item["name"]: item["passed"] for item in _found(tmp_path)["conditions"]}
    assert passed["max_rejected"]
    (tmp_path / "a" / "IMG_1.heic").touch()
    assert not {item["name"]: item["passed"] for item in _found(tmp_path)["conditions"]}[
        "max_rejected"
    ]


def test_a_search_that_was_ended_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_COMPARISONS", 0)
    _image(tmp_path / "a" / "1.png", 1)
    Image.open(tmp_path / "a" / "1.png").convert("RGB").save(
        tmp_path / "a" / "2.jpg", quality=95, subsampling=0
    )
    assert any(
        "so many that the search was ended" in line
        for line in format_health_lines(_found(tmp_path))
    )
