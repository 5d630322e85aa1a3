"""Every form of labels, in every table, nesting and neighborhood: read rightly, or a stop.

A reading is right if every image that it yields has its label and its split.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.recognition.read_plan import infer_read_plan
from tests.data.sample_images import encode_image

CLASSES = ("daisy", "rose", "tulip")
COUNT = 24
NAMES = [f"IMG_{n:04d}" for n in range(COUNT)]
LABELS = {name: CLASSES[n % 3] for n, name in enumerate(NAMES)}
SPLITS = {name: "test" if n >= 18 else "train" for n, name in enumerate(NAMES)}
IMAGE = encode_image()


def _fill(root: Path, paths: dict[str, str]) -> None:
    for path in paths.values():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(IMAGE)


NESTINGS: dict[str, Callable[[str], str]] = {
    "beside": lambda name: f"{name}.png",
    "images": lambda name: f"images/{name}.png",
    "deep": lambda name: f"data/raw/images/{name}.png",
    "by split": lambda name: f"{SPLITS[name]}/{name}.png",
}


def _make_frame(form: str, names: list[str], paths: dict[str, str]) -> pd.DataFrame | None:
    """Return a table in a form of labels, None for forms that are no tables."""
    labels = [LABELS[name] for name in names]
    frame = pd.DataFrame({"file": [f"{name}.png" for name in names]})
    if form == "class":
        return frame.assign(label=labels)
    if form == "path":
        return pd.DataFrame({"filepath": [paths[name] for name in names], "class": labels})
    if form == "stem":
        return pd.DataFrame({"image_id": names, "category": labels})
    if form == "one-hot":
        return frame.assign(**{c: [int(v == c) for v in labels] for c in CLASSES})
    if form == "probabilities":
        return frame.assign(**{c: [0.9 if v == c else 0.05 for v in labels] for c in CLASSES})
    if form == "text list":
        return frame.assign(label=[f"['{label}']" for label in labels])
    if form == "boxes":
        return frame.assign(PredictionString=[f"{label} 1 2 30 40 " for label in labels])
    if form == "tool":
        uploads = [f"/data/upload/3/{n:08x}-{name}.png" for n, name in enumerate(names)]
        return pd.DataFrame({"annotator": 1, "image": uploads, "choice": labels})
    return None


def _write_other(root: Path, form: str, parts: dict[str, list[str]], paths: dict[str, str]) -> None:
    """Write labels in a form that is no table, one file for each part."""
    for part, names in parts.items():
        stem = part or "labels"
        if form == "list":
            lines = [f"{paths[name]} {CLASSES.index(LABELS[name])}" for name in names]
            (root / f"{stem}.txt").write_text("\n".join(lines))
        elif form == "mapping":
            (root / f"{stem}.json").write_text(json.dumps({n: LABELS[n] for n in names}))
        elif form == "studio":
            tasks = []
            for name in names:
                result = [{"type": "choices", "value": {"choices": [LABELS[name]]}}]
                data = {"image": f"/data/upload/1/0a1b2c3d-{name}.png"}
                tasks.append({"data": data, "annotations": [{"result": result}]})
            (root / f"{stem}.json").write_text(json.dumps(tasks))
        elif form == "fiftyone":
            numbers = {name: CLASSES.index(LABELS[name]) for name in names}
            content = {"classes": CLASSES, "labels": numbers}
            (root / f"{stem}.json").write_text(json.dumps(content))


TABLE_FORMS = ("class", "path", "stem", "one-hot", "probabilities", "text list", "boxes", "tool")
OTHER_FORMS = ("list", "mapping", "studio", "fiftyone")


def _add_neighbor(root: Path, neighbor: str, paths: dict[str, str]) -> None:
    if neighbor == "masks":
        _fill(root, {name: f"annotations/masks/{name}.png" for name in NAMES})
    elif neighbor == "submission":
        rows = [f"{name}.png,daisy" for name in NAMES]
        (root / "sample_submission.csv").write_text("\n".join(["file,label", *rows]))
    elif neighbor == "documents":
        (root / "README.md").write_text("Flowers.")
        (root / "LICENSE.txt").write_text("CC0")
    elif neighbor == "previews":
        _fill(root, {name: f"thumbnails/{name}.png" for name in NAMES})


CASES = list(
    itertools.product(
        (*TABLE_FORMS, *OTHER_FORMS),
        NESTINGS,
        ("none", "files"),
        ("none", "masks", "submission", "documents", "previews"),
    )
)


def _build(root: Path, form: str, nesting: str, split: str, neighbor: str) -> dict[str, str]:
    """Write a data set and return the path of each image."""
    paths = {name: NESTINGS[nesting](name) for name in NAMES}
    _fill(root, paths)
    parts: dict[str, list[str]] = {"": NAMES}
    if split == "files":
        parts = {s: [n for n in NAMES if SPLITS[n] == s] for s in ("train", "test")}
    for part, names in parts.items():
        frame = _make_frame(form, names, paths)
        if frame is not None:
            frame.to_csv(root / f"{part or 'labels'}.csv", index=False)
    if form in OTHER_FORMS:
        _write_other(root, form, parts, paths)
    _add_neighbor(root, neighbor, paths)
    return paths


def _judge(root: Path, form: str, split: str, nesting: str) -> str:
    """Return right, stop, or what is wrong with the reading."""
    try:
        plan, _ = infer_read_plan(root)
        items = list(read_dataset(root, plan.adapter, plan.options))
    except InputError:
        return "stop"
    images = [item for item in items if isinstance(item, ImageRecord)]
    names = [Path(image.path).stem for image in images]
    if sorted(names) != NAMES:
        return f"{plan.adapter}: {len(images)} images"
    codes = {str(n): c for n, c in enumerate(CLASSES)} if form == "list" else {}
    for name, image in zip(names, images, strict=True):
        if codes.get(str(image.label), image.label) != LABELS[name]:
            return f"{plan.adapter}: {name} is {image.label}"
        is_split = split == "files" or nesting == "by split"
        if is_split and not plan.split_column and image.split not in (SPLITS[name], None):
            return f"{plan.adapter}: {name} in {image.split}"
        if split == "files" and image.split is None:
            return f"{plan.adapter}: the split is lost"
    return "right"


@pytest.mark.parametrize("form", [*TABLE_FORMS, *OTHER_FORMS])
def test_no_reading_is_wrong_in_silence(tmp_path: Path, form: str) -> None:
    outcomes: dict[Any, str] = {}
    for number, case in enumerate(case for case in CASES if case[0] == form):
        root = tmp_path / str(number)
        root.mkdir()
        _build(root, *case)
        outcomes[case] = _judge(root, form, case[2], case[1])
    wrong = {
        case: outcome for case, outcome in outcomes.items() if outcome not in ("right", "stop")
    }
    assert wrong == {}
    assert list(outcomes.values()).count("right") >= 0.8 * len(outcomes), outcomes


def test_the_matrix_is_large() -> None:
    assert len(CASES) >= 300
