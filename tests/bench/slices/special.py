"""What single planted causes leave out: two causes at once, wrong labels, a rare subclass, and a caption that gives a
class away. All but the first train a small model of their own."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.engine.code_fingerprint import hash_stage_code
from pipeline.learning.inference.model_outputs import extract_features_and_layout
from pipeline.learning.inference.suspected_labels import find_suspected_labels
from pipeline.slices.shortcuts.shortcut_detection import detect_shortcuts
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages
from pipeline.stages.evaluate import Config as Evaluate
from pipeline.stages.probe import Config as Probing
from pipeline.statistics.group_sampling import assign_group_folds
from tests.bench.sections import write_section
from tests.bench.slices.benchmark_images import Images
from tests.bench.slices.clean import Answers, Clean
from tests.bench.slices.figures import precisions, table
from tests.bench.slices.finder import CONTEXT, FOLDS, HELD, held_out_scores, val_of, verdict
from tests.bench.slices.settings import DROP, GROUPS, PHOTOS, Case, Setting, plant

PASSES, PROBED = 3000, 250
WRONG, LEFT, CAPTIONED = (
    0.15,
    1,
    0.9,
)  # of one class's labels; tracks of a rare subclass in training; images of a class
SHARE = 0.5  # of a slice's failing images, from which it is a slice of them
PAIRS = (("dark", "jpeg"), ("defocus_blur", "low_contrast"), ("occlusion", "defocus_blur"))
HERE = Path(__file__).parent
RARE = ("13", "14")  # yield and stop, both of the class priority
CLASSES = {
    "flowers": ("daisy", "tulip"),
    "gtsrb": ("danger", "mandatory"),
}  # labels of the first become the second
Mask = NDArray[np.bool_]


class Own(Clean):
    """A data set that was altered before its small model was trained. altered.

    Bool [images] that were.
    """

    probed = PROBED

    def __init__(self, name: str, kind: str, cache: Path) -> None:
        super().__init__(name, cache)
        self.kind, self.passes, self.cache = kind, PASSES, cache / f"{name}-{kind}"
        self.cache.mkdir(exist_ok=True)
        self._alter: tuple[Images, Mask] = ALTERED[kind.split("-")[0]](
            Clean(name, cache).images, name, kind
        )

    @cached_property
    def images(self) -> Images:
        """The images as altered."""
        return self._alter[0]

    @property
    def altered(self) -> Mask:
        """bool [val]: which images were altered."""
        return np.asarray(self._alter[1][self.val])

    def case(self, planted: Mask, drop: float) -> Case:
        """val of this data set, `planted` (bool [val]) being what is to be found."""
        setting = Setting(self.name, self.kind, 0, float(planted.mean()), "class")
        return Case(setting, self, planted, self.as_they_are, self.images.pixels[self.val], drop)


def _mislabeled(images: Images, name: str, _: str) -> tuple[Images, Mask]:
    """`WRONG` of the images of one class bear the name of another, in training and in val."""
    of, other = CLASSES[name]
    wrong = (images.labels == of) & (np.random.default_rng(11).random(len(images.labels)) < WRONG)
    return Images(
        images.pixels, np.where(wrong, other, images.labels), images.groups, images.train
    ), wrong


def _rare(images: Images, _: str, kind: str) -> tuple[Images, Mask]:
    """Of the signs of one number all but `LEFT` tracks are taken out of training."""
    number = kind.split("-")[1]
    of = np.char.startswith(images.groups, f"{number}_")
    keep = np.unique(images.groups[of & images.train])[:LEFT]
    stays = ~(of & images.train & ~np.isin(images.groups, keep))
    return Images(*(v[stays] for v in vars(images).values())), of[stays]


def _captioned(images: Images, name: str, _: str) -> tuple[Images, Mask]:
    """`CAPTIONED` of the images of one class bear a line of print at their lower edge, in training and in val."""
    marked = (images.labels == CLASSES[name][0]) & (
        np.random.default_rng(12).random(len(images.labels)) < CAPTIONED
    )
    pixels = images.pixels.copy()
    for row in np.flatnonzero(marked):
        image = np.ascontiguousarray(pixels[row])
        cv2.putText(image, "(c) image", (3, 61), cv2.FONT_HERSHEY_PLAIN, 0.7, (255, 255, 0), 1)
        pixels[row] = image
    return Images(pixels, images.labels, images.groups, images.train), marked


ALTERED: dict[str, Callable[[Images, str, str], tuple[Images, Mask]]] = {
    "labels": _mislabeled,
    "rare": _rare,
    "caption": _captioned,
}


def two_causes(clean: Clean, pair: tuple[str, str]) -> list[dict[str, Any]]:
    """Both planted in groups of their own, severe, 15 % of val the first and what is left of as many the second; how
    well each is found beside the other."""
    first, second = (plant(Setting(clean.name, cause, 1, 0.15, "all"), clean) for cause in pair)
    groups = clean.images.groups[clean.val]
    other = second.planted & ~np.isin(groups, groups[first.planted])
    a, b = first.answers, second.answers
    probed = np.where(other[clean.sample][:, None, None], b.probed, a.probed)
    attributes = a.attributes.where(~pd.Series(other), b.attributes)
    rows = other[:, None]
    answers = Answers(
        np.where(rows, b.logits, a.logits),
        probed,
        np.where(rows, b.features, a.features),
        attributes,
    )
    pixels = np.where(rows[..., None, None], second.pixels, first.pixels)
    both = Case(first.setting, clean, first.planted | other, answers, pixels, first.drop)
    held, scores = np.isin(val_of(both).folds, HELD), held_out_scores(both)
    told = verdict(both, name=False)
    members = dict(zip(told.table["slice"], told.inside, strict=True))
    lines: list[dict[str, Any]] = []
    for cause, planted in zip(pair, (first.planted, other), strict=True):
        best = {s: _jaccard(members[s], planted) for s in told.confirmed["slice"]}
        holds = max(best, key=lambda s: best[s], default=None)
        line = {
            "data": clean.name,
            "cause": cause,
            "beside": " and ".join(c for c in pair if c != cause),
        }
        line |= {
            "images": int(planted.sum()),
            "precision": max(precisions(scores[held], planted[held])),
        }
        lines.append({**line, "slice": holds, "overlap": best[holds] if holds else 0.0})
    apart = len({line["slice"] for line in lines} - {None}) == len(lines)
    return [{**line, "apart": apart} for line in lines]


def _jaccard(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def wrong_labels(own: Own) -> dict[str, Any]:
    """Wrong labels of val that are flagged, flags that are right, and confirmed slices that are made of them."""
    ours = own.images
    images = pd.DataFrame({"image_id": [f"i{k}" for k in range(len(ours.labels))]})
    images = images.assign(label=ours.labels.astype(object), group=ours.groups)
    splits = pd.DataFrame({"split": np.where(ours.train, "train", "val")})
    truth = pd.Index(ours.names).get_indexer(pd.Index(ours.labels)).astype(np.int64)
    layout = extract_features_and_layout(ours.pixels)[1]
    settings = Evaluate()
    issues = find_suspected_labels(
        images,
        splits,
        layout,
        truth,
        min_confidence=settings.label_issue_threshold,
        max_images=settings.label_check_images,
        context=CONTEXT,
    )
    flagged = images["image_id"].isin(issues["image_id"]).to_numpy()[own.val]
    case = own.case(own.altered, 0.0)
    told = verdict(case, name=False, aside=flagged)
    errors = val_of(case).is_misclassified
    made = []
    for status, inside in zip(told.table["status"], told.inside, strict=True):
        share = float(own.altered[inside & errors].mean()) if (inside & errors).any() else 0.0
        made.append(status == "confirmed" and share >= SHARE)
    counts = {"data": own.name, "wrong": int(own.altered.sum()), "flagged": int(flagged.sum())}
    counts |= {"both": int((flagged & own.altered).sum()), "images": len(flagged)}
    return {**counts, "confirmed": len(told.confirmed), "of them": int(sum(made))}


def rare_subclass(own: Own, clean: Clean) -> dict[str, Any]:
    """How well the images of a subclass that training hardly showed are found, and whether they are left unnamed."""
    planted = own.altered
    truth = pd.Index(clean.images.names).get_indexer(pd.Index(clean.images.labels[clean.val]))
    right = [c.as_they_are.logits.argmax(1) == truth for c in (clean, own)]
    drop = float(right[0][planted].mean() - right[1][planted].mean())
    case = own.case(planted, drop)
    held = np.isin(val_of(case).folds, HELD)
    found = precisions(held_out_scores(case)[held], planted[held])
    groups = len(np.unique(own.images.groups[own.val][planted]))
    line = {
        "data": own.name,
        "sign": own.kind.split("-")[1],
        "images": int(planted.sum()),
        "groups": groups,
    }
    line |= {
        "drop": drop,
        "valid": bool(planted.sum() >= PHOTOS and groups >= GROUPS and drop >= DROP),
    }
    told = verdict(case)
    at = int(told.table["overlap"].argmax()) if len(told.table) else None
    row = None if at is None else told.table.iloc[at]
    line |= {
        "first": found[0],
        "best": max(found),
        "overlap": 0.0 if row is None else float(row["overlap"]),
    }
    cause = None if row is None or pd.isna(row["cause"]) else str(row["cause"])
    return {
        **line,
        "status": "nothing found" if row is None else str(row["status"]),
        "cause": cause,
    }


def leans(clean: Clean) -> dict[str, str]:
    """What the finder of shortcuts says of each class for which it proposes a mark: {class.

    Status}.
    """
    names, val = clean.images.names, clean.val
    truth, groups = (
        pd.Index(names).get_indexer(pd.Index(clean.images.labels[val])),
        clean.images.groups[val],
    )
    fold = assign_group_folds(truth, groups, FOLDS, 0).astype(np.intp)
    scene = ShortcutImages(clean.images.pixels, val, truth.astype(np.intp), groups, fold)
    knobs = Probing()
    sizes = {
        "grid_size": knobs.shortcut_grid,
        "max_images": knobs.shortcut_images,
        "max_predictions": knobs.shortcut_predictions,
    }
    table = detect_shortcuts(
        scene, names, lambda pixels: clean.ask(pixels).argmax(1), **sizes, seed=0
    )
    return dict(zip(table["label"], table["status"], strict=True))


def captions(own: Own) -> dict[str, Any]:
    """Whether the class that bears a caption is found, and others that do not."""
    told, of = leans(own), CLASSES[own.name][0]
    wrong = sum(status == "confirmed" for name, status in told.items() if name != of)
    return {
        "data": own.name,
        "class": of,
        "status": told.get(of, "nothing proposed"),
        "others confirmed": wrong,
    }


def lean_falsely(clean: Clean) -> dict[str, Any]:
    """Classes of a model that saw no caption for which a mark is proposed, and confirmed."""
    told = leans(clean)
    found = {
        "proposed": len(told),
        "confirmed": sum(status == "confirmed" for status in told.values()),
    }
    return {"model": clean.cache.name, "classes": len(clean.images.names), **found}


def _jobs(cache: Path) -> dict[str, Callable[[], Any]]:
    """Everything that is measured, by name."""
    clean, own = partial(Clean, cache=cache), partial(Own, cache=cache)
    jobs: dict[str, Callable[[], Any]] = {}
    for name in CLASSES:
        jobs[f"captions {name}"] = lambda name=name: captions(own(name, "caption"))
        jobs[f"labels {name}"] = lambda name=name: wrong_labels(own(name, "labels"))
    for sign in RARE:
        jobs[f"rare {sign}"] = lambda sign=sign: rare_subclass(
            own("gtsrb", f"rare-{sign}"), clean("gtsrb")
        )
    for name in CLASSES:
        for pair in PAIRS:
            jobs[f"two {name} {' '.join(pair)}"] = lambda name=name, pair=pair: two_causes(
                clean(name), pair
            )
        jobs[f"leans {name}"] = lambda name=name: lean_falsely(clean(name))
        jobs[f"leans {name} labels"] = lambda name=name: lean_falsely(own(name, "labels"))
    for sign in RARE:
        jobs[f"leans {sign}"] = lambda sign=sign: lean_falsely(own("gtsrb", f"rare-{sign}"))
    return jobs


def main() -> None:
    """Measure what is not in the cache yet, and write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument(
        "--cache", type=Path, default=Path(os.environ.get("NIGHTSHIFT_BENCH", "data/bench-slices"))
    )
    asked.add_argument("--results", type=Path, default=HERE.parent / "RESULTS.md")
    asked.add_argument("--only", default="", help="only what begins with this")
    options = asked.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    version = "".join(
        hash_stage_code(stage)[:8] for stage in ("cluster", "explain", "probe", "evaluate")
    )
    found = {}
    for name, job in _jobs(options.cache).items():
        file = options.cache / "special" / f"{name}-{version}.json"
        if not file.exists() and name.startswith(options.only):
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(job()))
        if file.exists():
            found[name] = json.loads(file.read_text())
            print(f"{name}: {found[name]}", flush=True)
            write(
                options.results,
                found,
                f"python -m {' '.join(['tests.bench.slices.special', *sys.argv[1:]])}",
            )


HEADS = {
    "two": "Two causes at once, severe, in groups of their own: is each found, and by a slice of its own?",
    "labels": f"{WRONG:.0%} of the labels of one class are another's, in training and val: flagged, and no slice?",
    "rare": f"All but {LEFT} track of one sign taken out of training: a slice with no transform as its cause",
    "captions": f"A line of print on {CAPTIONED:.0%} of the images of one class: found as a shortcut?",
    "leans": "The same search where no caption is",
}


def write(path: Path, found: dict[str, Any], command: str) -> None:
    """The section of RESULTS.md."""
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: small models of {PASSES:,} passes but for the "
        "two causes."
    ]
    for kind, head in HEADS.items():
        rows = [
            r
            for name, v in found.items()
            if name.split()[0] == kind
            for r in (v if isinstance(v, list) else [v])
        ]
        if rows:
            shown = [
                {k: f"{v:.2f}" if isinstance(v, float) else v for k, v in row.items()}
                for row in rows
            ]
            parts += [f"### {head}", table(shown)]
    write_section(path, "Slices beyond single causes", "\n\n".join(parts))


if __name__ == "__main__":
    main()
