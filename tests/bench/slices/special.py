"""What single planted causes leave out: causes in pairs, wrong labels, rare subclasses, captions.

    python -m tests.bench.slices.special [--only PREFIX] [--cache FOLDER]

All but the pairs of causes train a small model of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.learning.inference.model_outputs import extract_features_and_layout
from pipeline.learning.inference.suspected_labels import find_suspected_labels
from pipeline.slices.shortcuts.shortcut_detection import detect_shortcuts
from pipeline.slices.shortcuts.shortcut_images import ShortcutImages
from pipeline.stages.evaluate import Config as EvaluateConfig
from pipeline.stages.probe import Config as ProbeConfig
from pipeline.statistics.group_sampling import assign_group_folds
from tests.bench.results_file import format_table, write_section
from tests.bench.slices.altered_data import (
    CAPTION_SHARE,
    CLASS_PAIRS,
    KEPT_RARE_TRACKS,
    SMALL_MODEL_PASSES,
    WRONG_LABEL_SHARE,
    AlteredModel,
    Mask,
)
from tests.bench.slices.clean_models import CleanModel, ModelOutputs
from tests.bench.slices.command_options import (
    build_parser,
    format_command,
    hash_finder_code,
    prepare_process,
)
from tests.bench.slices.finder_runs import (
    CONTEXT,
    FOLD_COUNT,
    build_val,
    compute_jaccard_index,
    find_held_out_rows,
    run_finder,
    score_typical_images,
)
from tests.bench.slices.metrics import compute_top_precisions
from tests.bench.slices.planted_settings import PlantedCase, PlantedSetting, plant_setting

MIN_WRONG_SHARE = 0.5  # of a slice's failures with wrong labels, from which it is a slice of them
CAUSE_PAIRS = (("dark", "jpeg"), ("defocus_blur", "low_contrast"), ("occlusion", "defocus_blur"))
RARE_SIGNS = ("13", "14")  # yield and stop, both of the class priority
Row = dict[str, Any]


def build_pair_case(clean: CleanModel, causes: tuple[str, str]) -> tuple[PlantedCase, Mask, Mask]:
    """Return val with two severe causes in separate groups, and the images of each cause.

    The first cause is in 15 % of val, the second in what is left of as many images.
    """
    first, second = (
        plant_setting(PlantedSetting(clean.name, cause, 1, 0.15, "all"), clean) for cause in causes
    )
    is_first = first.is_planted
    shared_groups = clean.val_groups[is_first]
    is_second = second.is_planted & ~np.isin(clean.val_groups, shared_groups)
    is_probed_second = is_second[clean.probed_mask]
    column = is_second[:, None]
    own, other = first.outputs, second.outputs
    outputs = ModelOutputs(
        np.where(column, other.logits, own.logits),
        np.where(is_probed_second[:, None, None], other.probe_logits, own.probe_logits),
        np.where(column, other.features, own.features),
        own.attributes.where(~pd.Series(is_second), other.attributes),
    )
    pixels = np.where(column[..., None, None], second.pixels, first.pixels)
    case = PlantedCase(
        first.setting, clean, is_first | is_second, outputs, pixels, first.accuracy_loss
    )
    return case, is_first, is_second


def measure_cause_pair(clean: CleanModel, causes: tuple[str, str]) -> list[Row]:
    """Return for each of two causes how well it is found beside the other."""
    case, *planted_masks = build_pair_case(clean, causes)
    held_out_mask = find_held_out_rows(build_val(case))
    scores = score_typical_images(case)[held_out_mask]
    result = run_finder(case, should_name_cause=False)
    members = dict(zip(result.table["slice"], result.members, strict=True))
    rows: list[Row] = []
    for cause, other, is_planted in zip(causes, reversed(causes), planted_masks, strict=True):
        overlaps = {
            name: compute_jaccard_index(members[name], is_planted)
            for name in result.confirmed["slice"]
        }
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        precisions = compute_top_precisions(scores, is_planted[held_out_mask])
        rows.append(
            {
                "data": clean.name,
                "cause": cause,
                "beside": other,
                "images": int(is_planted.sum()),
                "precision": max(precisions),
                "slice": best,
                "overlap": overlaps[best] if best else 0.0,
            }
        )
    has_own_slices = len({row["slice"] for row in rows} - {None}) == len(rows)
    return [{**row, "apart": has_own_slices} for row in rows]


def find_suspected_mask(altered: AlteredModel) -> Mask:
    """Return bool [val]: the images whose labels the product suspects."""
    images = altered.images
    ids = [f"i{row}" for row in range(len(images.labels))]
    image_table = pd.DataFrame(
        {"image_id": ids, "label": images.labels.astype(object), "group": images.groups}
    )
    splits = pd.DataFrame({"split": np.where(images.is_training, "train", "val")})
    labels = pd.Index(images.class_names).get_indexer(pd.Index(images.labels)).astype(np.int64)
    settings = EvaluateConfig.model_validate({})
    issues = find_suspected_labels(
        image_table,
        splits,
        extract_features_and_layout(images.pixels)[1],
        labels,
        min_confidence=settings.label_issue_threshold,
        max_images=settings.label_check_images,
        context=CONTEXT,
    )
    is_suspected = image_table["image_id"].isin(issues["image_id"]).to_numpy()
    return np.asarray(is_suspected[altered.val_rows])


def measure_wrong_labels(altered: AlteredModel) -> Row:
    """Return how many wrong labels of val are suspected, and how many slices are made of them."""
    is_wrong = altered.altered_mask
    is_suspected = find_suspected_mask(altered)
    case = altered.build_case(is_wrong, 0.0)
    result = run_finder(case, should_name_cause=False, excluded_mask=is_suspected)
    is_misclassified = build_val(case).is_misclassified
    wrong_slice_count = 0
    for status, mask in zip(result.table["status"], result.members, strict=True):
        failures = mask & is_misclassified
        wrong_share = float(is_wrong[failures].mean()) if failures.any() else 0.0
        wrong_slice_count += status == "confirmed" and wrong_share >= MIN_WRONG_SHARE
    return {
        "data": altered.name,
        "wrong": int(is_wrong.sum()),
        "flagged": int(is_suspected.sum()),
        "both": int((is_suspected & is_wrong).sum()),
        "images": len(is_suspected),
        "confirmed": len(result.confirmed),
        "of them": int(wrong_slice_count),
    }


def _compute_correctness(model: CleanModel, labels: Any) -> Mask:
    return np.asarray(model.val_outputs.logits.argmax(1) == labels)


def measure_rare_subclass(altered: AlteredModel, clean: CleanModel) -> Row:
    """Return how well a subclass that is rare in training is found, and whether it gets a cause."""
    is_rare = altered.altered_mask
    before = _compute_correctness(clean, clean.val_labels)[is_rare]
    after = _compute_correctness(altered, clean.val_labels)[is_rare]
    accuracy_loss = float(before.mean() - after.mean())
    case = altered.build_case(is_rare, accuracy_loss)
    held_out_mask = find_held_out_rows(build_val(case))
    scores = score_typical_images(case)[held_out_mask]
    precisions = compute_top_precisions(scores, is_rare[held_out_mask])
    row: Row = {
        "data": altered.name,
        "sign": altered.kind.split("-")[1],
        "images": int(is_rare.sum()),
        "groups": len(np.unique(altered.val_groups[is_rare])),
        "drop": accuracy_loss,
        "valid": case.is_valid,
        "first": precisions[0],
        "best": max(precisions),
        "overlap": 0.0,
        "status": "nothing found",
        "cause": None,
    }
    table = run_finder(case).table
    if table.empty:
        return row
    best = table.iloc[int(table["overlap"].argmax())]
    return row | {
        "overlap": float(best["overlap"]),
        "status": str(best["status"]),
        "cause": None if pd.isna(best["cause"]) else str(best["cause"]),
    }


def find_shortcuts(model: CleanModel) -> dict[str, str]:
    """Return the status of each class for which a shortcut is proposed."""
    labels = model.val_labels
    folds = assign_group_folds(labels, model.val_groups, FOLD_COUNT, 0).astype(np.intp)
    images = ShortcutImages(model.images.pixels, model.val_rows, labels, model.val_groups, folds)
    settings = ProbeConfig.model_validate({})
    shortcuts = detect_shortcuts(
        images,
        model.images.class_names,
        lambda pixels: model.predict_logits(pixels).argmax(1),
        grid_size=settings.shortcut_grid,
        max_images=settings.shortcut_images,
        max_predictions=settings.shortcut_predictions,
        seed=0,
    )
    return dict(zip(shortcuts["label"], shortcuts["status"], strict=True))


def measure_captions(altered: AlteredModel) -> Row:
    """Return whether the class with a caption is found, and how many classes without one."""
    statuses = find_shortcuts(altered)
    label = CLASS_PAIRS[altered.name][0]
    status = statuses.pop(label, "nothing proposed")
    false_count = sum(other == "confirmed" for other in statuses.values())
    return {"data": altered.name, "class": label, "status": status, "others confirmed": false_count}


def count_false_shortcuts(model: CleanModel) -> Row:
    """Return for how many classes a shortcut is proposed and confirmed, if none has a caption."""
    statuses = find_shortcuts(model)
    return {
        "model": model.cache.name,
        "classes": len(model.images.class_names),
        "proposed": len(statuses),
        "confirmed": sum(status == "confirmed" for status in statuses.values()),
    }


def list_measurements(cache: Path) -> dict[str, Callable[[], Any]]:
    """Return every measurement by name, as a function that computes it."""
    measurements: dict[str, Callable[[], Any]] = {}

    def add_measurement(
        name: str, measure: Callable[..., Any], *model_kinds: tuple[str, str]
    ) -> None:
        def compute() -> Any:
            models = [
                AlteredModel(data, kind, cache) if kind else CleanModel(data, cache)
                for data, kind in model_kinds
            ]
            return measure(*models)

        measurements[name] = compute

    for data in CLASS_PAIRS:
        add_measurement(f"captions {data}", measure_captions, (data, "caption"))
        add_measurement(f"labels {data}", measure_wrong_labels, (data, "labels"))
    for sign in RARE_SIGNS:
        rare = ("gtsrb", f"rare-{sign}")
        add_measurement(f"rare {sign}", measure_rare_subclass, rare, ("gtsrb", ""))
    for data in CLASS_PAIRS:
        for causes in CAUSE_PAIRS:
            name = f"two {data} {' '.join(causes)}"
            add_measurement(name, partial(measure_cause_pair, causes=causes), (data, ""))
        add_measurement(f"leans {data}", count_false_shortcuts, (data, ""))
        add_measurement(f"leans {data} labels", count_false_shortcuts, (data, "labels"))
    for sign in RARE_SIGNS:
        add_measurement(f"leans {sign}", count_false_shortcuts, ("gtsrb", f"rare-{sign}"))
    return measurements


HEADINGS = {
    "two": (
        "Two causes at once, severe, in groups of their own: is each found, and by a slice of its "
        "own?"
    ),
    "labels": (
        f"{WRONG_LABEL_SHARE:.0%} of the labels of one class are another's, in training and val: "
        "flagged, and no slice?"
    ),
    "rare": (
        f"All but {KEPT_RARE_TRACKS} track of one sign taken out of training: a slice with no "
        "transform as its cause"
    ),
    "captions": (
        f"A line of print on {CAPTION_SHARE:.0%} of the images of one class: found as a shortcut?"
    ),
    "leans": "The same search without a caption",
}


def write_special_results(path: Path, results: dict[str, Any], command: str) -> None:
    """Write the section.

    Args:
        path: the result file.
        results: a row or a list of rows by name of the measurement.
        command: the command that was run.
    """
    parts = [
        f"{time.strftime('%Y-%m-%d')}, `{command}`: small models of {SMALL_MODEL_PASSES:,} passes "
        "but for the two causes."
    ]
    for kind, heading in HEADINGS.items():
        rows: list[Row] = []
        for name, result in results.items():
            if name.split()[0] == kind:
                rows += result if isinstance(result, list) else [result]
        if rows:
            parts += [f"### {heading}", format_table([_round_figures(row) for row in rows])]
    write_section(path, "Slices beyond single causes", "\n\n".join(parts))


def _round_figures(row: Row) -> Row:
    return {
        key: f"{value:.2f}" if isinstance(value, float) else value for key, value in row.items()
    }


def main() -> None:
    """Measure what is not in the cache, and write the results after each measurement."""
    parser = build_parser(__doc__)
    parser.add_argument("--only", default="", help="only measurements that begin with this")
    options = parser.parse_args()
    prepare_process()
    command = format_command("tests.bench.slices.special")
    version = hash_finder_code("cluster", "explain", "probe", "evaluate")
    results = {}
    for name, compute in list_measurements(options.cache).items():
        file = options.cache / "special" / f"{name}-{version}.json"
        if not file.exists() and name.startswith(options.only):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(compute()))
        if file.exists():
            results[name] = json.loads(file.read_text())
            print(f"{name}: {results[name]}", flush=True)
            write_special_results(options.results, results, command)


if __name__ == "__main__":
    main()
