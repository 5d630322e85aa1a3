"""JSON files of labels: pipeline/data/adapters/json_labels.py."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.image_record import ReadOptions
from tests.data.sample_images import list_dataset, write_images

LABELS = ["cat", "dog", "fox"]
NAMES = [f"{n:06d}" for n in range(12)]
LABEL_OF = {name: LABELS[n % 3] for n, name in enumerate(NAMES)}


def _task(name: str, *choices: str, is_cancelled: bool = False) -> dict[str, Any]:
    result = [{"type": "choices", "value": {"choices": list(choices)}}]
    return {
        "data": {"image": f"/data/upload/1/0a1b2c3d-{name}.jpg"},
        "annotations": [{"was_cancelled": is_cancelled, "result": result}],
    }


FORMS: dict[str, Any] = {
    "fiftyone": {"classes": LABELS, "labels": {n: LABELS.index(v) for n, v in LABEL_OF.items()}},
    "mapping": {f"data/{name}.jpg": label for name, label in LABEL_OF.items()},
    "classes": {c: [n for n in NAMES if LABEL_OF[n] == c] for c in LABELS},
    "pairs": [[f"{name}.jpg", label] for name, label in LABEL_OF.items()],
    "objects": [{"file_name": f"{n}.jpg", "label": v, "width": 24} for n, v in LABEL_OF.items()],
    "wrapped": {
        "info": 1,
        "images": [{"image": f"{n}.jpg", "label": v} for n, v in LABEL_OF.items()],
    },
    "samples": {
        "samples": [
            {"filepath": f"/home/x/data/{n}.jpg", "ground_truth": {"label": v}, "tags": []}
            for n, v in LABEL_OF.items()
        ]
    },
    "label studio": [_task(name, label) for name, label in LABEL_OF.items()],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_labels(tmp_path: Path, form: str) -> None:
    write_images(tmp_path, *[f"data/{name}.jpg" for name in NAMES])
    (tmp_path / "labels.json").write_text(json.dumps(FORMS[form]))
    assert find_adapter(tmp_path)[0] == "json_labels"
    images, rejected = list_dataset(tmp_path)
    assert rejected == {}
    assert {Path(p).stem: image.label for p, image in images.items()} == LABEL_OF


def test_splits_in_keys_names_and_tags(tmp_path: Path) -> None:
    write_images(tmp_path, *[f"{LABEL_OF[name]}/{name}.jpg" for name in NAMES])
    parts = {"train": NAMES[:9], "test": NAMES[9:]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    images, _ = list_dataset(tmp_path)
    assert Counter(image.split for image in images.values()) == {"train": 9, "test": 3}
    assert {image.label for image in images.values()} == set(LABELS)
    (tmp_path / "split.json").unlink()
    for split, names in parts.items():
        (tmp_path / f"{split}.json").write_text(json.dumps({n: LABEL_OF[n] for n in names}))
    images, _ = list_dataset(tmp_path)
    assert Counter(image.split for image in images.values()) == {"train": 9, "test": 3}


def test_several_choices_stop_and_canceled_ones_do_not_count(tmp_path: Path) -> None:
    write_images(tmp_path, *[f"data/{name}.jpg" for name in NAMES])
    tasks = [_task(name, label) for name, label in LABEL_OF.items()]
    tasks[0] = _task(NAMES[0], "cat", "dog")
    tasks[1] = _task(NAMES[1], "dog", is_cancelled=True)
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    with pytest.raises(InputError, match=r"cat and dog.*ingest\.multi: drop"):
        list(read_dataset(tmp_path))
    _, rejected = list_dataset(tmp_path, several_labels="drop")
    assert rejected == {"data/000000.jpg": "several labels", "data/000001.jpg": "no label"}
    with pytest.raises(InputError, match="does not use it"):
        list(read_dataset(tmp_path, "folder", ReadOptions(several_labels="drop")))


def test_json_that_labels_no_image_is_left_to_others(tmp_path: Path) -> None:
    write_images(tmp_path, *[f"{name}/{n}.jpg" for name in "ab" for n in range(4)])
    (tmp_path / "info.json").write_text('{"a": 1, "license": "x"}')
    (tmp_path / "broken.json").write_text("{")
    assert find_adapter(tmp_path)[0] == "folder"
    with pytest.raises(InputError, match="no JSON file in it labels"):
        list(read_dataset(tmp_path, "json_labels"))
