"""The health check of a data set: pipeline/data/quality/dataset_health.py."""

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
from pipeline.data.quality.dataset_health import check_dataset, find_suspected_labels
from pipeline.data.quality.health_limits import parse_health_limits
from pipeline.data.recognition.read_plan import ReadPlan, build_read_plan


def _measure(pixels: np.ndarray) -> tuple[float, float]:
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return float(luma.mean()), float(np.log10(1 + cv2.Laplacian(luma, cv2.CV_32F).var()))


def _write_image(
    path: Path, seed: int, light: float = 1.0, size: tuple[int, int] = (64, 48)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(20, 250, (8, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST)
    Image.fromarray((pixels * light).astype(np.uint8)).save(path)


@pytest.fixture
def faulty_dataset(tmp_path: Path) -> Path:
    """Two classes in two splits with one fault of each kind."""
    rows = ["file_name,label,split,visit,captured_at"]
    for n in range(60):
        _write_image(tmp_path / f"{n:02d}.png", n, light=0.1 if n % 10 == 0 else 1.0)
        split = "val" if n % 3 == 0 else "train"
        visit = "v0" if n < 2 else f"v{100 + n}"  # images 0 and 1: one visit in two splits
        rows.append(f"{n:02d}.png,{'ab'[n % 2]},{split},{visit},2024-05-01 {n % 24:02d}:10")
    copied = (tmp_path / "01.png").read_bytes()  # class b, train
    (tmp_path / "copy.png").write_bytes(copied)
    rows.append("copy.png,a,val,v900,2024-05-01 03:00")
    image = Image.open(tmp_path / "05.png").convert("RGB")  # class b, train
    image.save(tmp_path / "near.jpg", quality=95, subsampling=0)
    rows.append("near.jpg,b,val,v901,2024-05-01 03:00")
    _write_image(tmp_path / "long.png", 70, size=(300, 20))
    rows.append("long.png,b,train,v902,2024-05-01 03:00")
    Image.new("L", (50, 50), 240).save(tmp_path / "gray.png")
    rows.append("gray.png,b,train,v903,2024-05-01 03:00")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    rows.append("broken.jpg,b,train,v904,2024-05-01 03:00")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    return tmp_path


def _check(root: Path, *limits: str, **options: Any) -> dict[str, Any]:
    plan = build_read_plan(root)
    health = check_dataset(root, plan, _measure, parse_health_limits(limits), **options)
    assert health["entries"] == health["images"] + health["rejected"]
    serialized: dict[str, Any] = json.loads(json.dumps(health))
    return serialized


def _get_failed(health: dict[str, Any]) -> set[str]:
    return {c["name"] for c in health["conditions"] if not c["passed"]}


def test_every_planted_fault_is_found(faulty_dataset: Path) -> None:
    health = _check(faulty_dataset)
    assert (health["entries"], health["images"]) == (65, 64)
    assert health["reasons"] == {"not an image, or damaged": 1}
    duplicates = health["duplicates"]
    assert (duplicates["exact"], duplicates["near"]) == (1, 1)
    assert (duplicates["cross_split"], duplicates["label_conflicts"]) == (2, 1)
    pairs = {(pair["path"], pair["other_path"], pair["kind"]) for pair in duplicates["examples"]}
    assert pairs == {("01.png", "copy.png", "exact"), ("05.png", "near.jpg", "near")}
    assert health["leaks"]["examples"] == ["v0"]
    assert health["sizes"]["examples"] == ["long.png"]
    assert health["unusual_storage"] == {"gray": 1}
    assert health["light"]["all"]["dark"] == round(6 / 64, 4)
    assert health["light"]["class"]["b"]["dark"] == 0
    assert health["light"]["all"]["bright"] == round(1 / 64, 4)
    assert sum(health["hours"]) == 64
    assert health["classes"] == {"b": 33, "a": 31}
    assert _get_failed(health) == {
        "max_rejected",
        "max_cross_split_pairs",
        "max_label_conflicts",
        "max_split_groups",
        "min_test_images",
    }


def test_limits_decide_what_passes(faulty_dataset: Path) -> None:
    loose = (
        "max_rejected=0.1",
        "max_cross_split_pairs=2",
        "max_label_conflicts=1",
        "max_split_groups=1",
        "min_test_images=0",
    )
    assert not _get_failed(_check(faulty_dataset, *loose))
    strict = _check(faulty_dataset, "min_class_images=32", "max_class_ratio=1")
    assert {"min_class_images", "max_class_ratio"} <= _get_failed(strict)
    assert _check(faulty_dataset, "near_duplicates=-1")["duplicates"]["near"] == 0


def test_unlabeled_images_are_checked(tmp_path: Path) -> None:
    for n in range(5):
        _write_image(tmp_path / f"{n}.png", n)
    (tmp_path / "notes.txt").touch()
    os.symlink("/etc", tmp_path / "etc")
    health = _check(tmp_path)
    assert (health["entries"], health["images"], health["unlabeled"]) == (7, 5, 5)
    assert health["classes"] == {}
    assert {c["name"] for c in health["conditions"]} == {
        "max_rejected",
        "max_duplicate_ratio",
        "max_dark",
        "max_unused_tables",
    }
    names = pd.DataFrame({"file_name": [f"{n}.png" for n in range(5)]})
    names.to_csv(tmp_path / "metadata.csv", index=False)
    health = _check(tmp_path)
    assert (health["images"], health["adapter"]) == (5, "manifest")


def test_data_set_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file in it"):
        check_dataset(tmp_path, ReadPlan(None), _measure, parse_health_limits([]))


def test_data_set_of_one_image_is_checked(tmp_path: Path) -> None:
    _write_image(tmp_path / "a" / "1.png", 0)
    assert _check(tmp_path)["images"] == 1
    (tmp_path / "a" / "1.png").write_bytes(b"")
    assert _check(tmp_path)["rejected"] == 1


def test_suspected_labels_of_a_run_are_matched_by_content(tmp_path: Path) -> None:
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
    for n in range(4):
        _write_image(tmp_path / "ab"[n % 2] / f"{n}.png", n)
    health = _check(tmp_path, run_tables=(images, issues))
    assert health["labels"]["suspected"] == 0
    assert "max_suspected" in {c["name"] for c in health["conditions"]}


def test_documents_are_no_rejected_images(tmp_path: Path) -> None:
    for n in range(4):
        _write_image(tmp_path / "ab"[n % 2] / f"{n}.png", n)
    (tmp_path / "README.md").touch()
    assert "max_rejected" not in _get_failed(_check(tmp_path))
    (tmp_path / "a" / "IMG_1.heic").touch()
    assert "max_rejected" in _get_failed(_check(tmp_path))
