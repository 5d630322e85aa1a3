"""Measurements of what single planted causes leave out, each on one model."""

from __future__ import annotations

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
from tests.bench.slices.altered_data import CLASS_PAIRS, AlteredModel, Mask
from tests.bench.slices.clean_models import CleanModel, ModelOutputs
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

MIN_WRONG_SHARE = 0.5  # of a slice's failures have wrong labels, if it is made of them
CAUSE_PAIRS = (("dark", "jpeg"), ("defocus_blur", "low_contrast"), ("occlusion", "defocus_blur"))
Row = dict[str, Any]


def build_pair_case(clean: CleanModel, causes: tuple[str, str]) -> tuple[PlantedCase, Mask, Mask]:
    """Return val with two severe causes in separate groups, and the images of each cause.

    The first cause is in 15 % of val, the second in 15 % less the shared groups.
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
    """Return the status of each class with a proposed shortcut."""
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
