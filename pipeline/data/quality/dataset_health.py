"""Health check of a data set before training: the measurements of `nightshift datasets check`."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import InputError, ProgressTracker, iterate_silently
from pipeline.data.quality.dataset_faults import (
    compute_equal_share,
    find_label_folders,
    find_split_difference,
    find_unjudged_classes,
    find_untrained_classes,
    find_unused_tables,
)
from pipeline.data.quality.health_limits import HealthLimits, evaluate_limits
from pipeline.data.quality.image_examination import (
    COMPARISON_SIDE,
    ExaminedImage,
    MeasureFunction,
    build_image_table,
    examine_image,
    list_entries,
)
from pipeline.data.quality.near_duplicates import find_exact_duplicates, find_near_duplicates
from pipeline.data.quality.value_ranges import find_value_range, scale_records
from pipeline.data.reading.image_intake import PixelStore
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.ordered_threads import map_in_order
from pipeline.data.recognition.dataset_summary import find_unusual_storage
from pipeline.data.recognition.read_plan import ReadPlan

EXAMPLE_COUNT = 20
"""Examples that the result lists for each finding."""


def check_dataset(
    root: Path,
    plan: ReadPlan,
    measure: MeasureFunction,
    limits: HealthLimits,
    track: ProgressTracker = iterate_silently,
    run_tables: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> dict[str, Any]:
    """Examine every image of a data set and return its health as JSON.

    Args:
        root: the data set.
        plan: how it is read.
        measure: returns luminance and sharpness of an image.
        limits: limits of the conditions.
        track: reports the progress.
        run_tables: `images` and `label_issues` of a finished run, for suspected labels.

    Returns:
        Counts, duplicates, leaks, sizes, light, hours and `conditions`; the number of entries is
        always the sum of images and rejected files.

    Raises:
        InputError: the data set holds no file.
    """
    records = []
    rejected = []
    for item in list_entries(root, plan):
        if isinstance(item, ImageRecord):
            records.append(item)
        elif not item.path.endswith("/"):  # an empty class folder is no entry
            rejected.append(item)
    if not records and not rejected:
        raise InputError(f"{root}: no file in it")
    records = scale_records(records, plan.value_range or find_value_range(records))
    with (
        tempfile.TemporaryDirectory() as folder,
        PixelStore(Path(folder), COMPARISON_SIDE) as store,
    ):
        examined: list[ExaminedImage] = []
        results = map_in_order(records, partial(examine_image, measure=measure))
        for result in track(results, total=len(records), unit="images"):
            if isinstance(result, RejectedFile):
                rejected.append(result)
            else:
                examined.append(result[0])
                store.add_copy(result[0].content_hash[:16], result[1])
        store.flush_files()
        table = build_image_table(examined, plan)
        pixels = store.map_pixels()
        pairs, is_complete = _find_duplicates(table, pixels, limits.near_duplicates)
        equal_share = compute_equal_share(pixels)
    health = {
        "data": str(root),
        "adapter": plan.adapter,
        **_summarize_entries(table, rejected),
        "duplicates": _summarize_duplicates(pairs),
        "is_duplicate_search_complete": is_complete,
        "leaks": _summarize_leaks(table),
        "unusual_storage": _count_unusual_storage(examined),
        "sizes": _summarize_sizes(table, limits),
        "light": _summarize_light(table, limits),
        "hours": [int((table["hour"] == hour).sum()) for hour in range(24)],
        "labels": find_suspected_labels(*run_tables, table) if run_tables else None,
    }
    health["faults"] = _summarize_faults(root, plan, table, health) | {"equal_share": equal_share}
    return health | {"conditions": evaluate_limits(health, limits)}


def _summarize_faults(
    root: Path, plan: ReadPlan, table: pd.DataFrame, health: dict[str, Any]
) -> dict[str, Any]:
    """Return the counts of faults, and examples of each by the name of its condition."""
    untrained, unjudged = find_untrained_classes(table), find_unjudged_classes(table)
    tables = find_unused_tables(root, plan)
    folders = find_label_folders(table, plan)
    difference = find_split_difference(health["light"], health["splits"])
    examples = {
        "min_classes": list(health["classes"]),
        "max_untrained_classes": [f"{name}: {count} images" for name, count in untrained.items()],
        "max_unjudged_classes": [f"{name}: {count} images" for name, count in unjudged.items()],
        "max_unused_tables": tables,
        "max_label_folders": folders,
        "max_split_groups": health["leaks"]["examples"],
    }
    if difference:
        examples["max_split_difference"] = [
            f"{difference['mark']}: {difference['train']:.1%} of train, "
            f"{difference['other']:.1%} of {difference['split']}"
        ]
    return {
        "untrained_classes": len(untrained),
        "unjudged_classes": len(unjudged),
        "unused_tables": len(tables),
        "label_folders": len(folders),
        "split_difference": difference,
        "examples": {name: items[:EXAMPLE_COUNT] for name, items in examples.items() if items},
    }


def _summarize_entries(table: pd.DataFrame, rejected: Sequence[RejectedFile]) -> dict[str, Any]:
    """Return the numbers of entries, images, rejected files, classes and splits."""
    return {
        "entries": len(table) + len(rejected),
        "images": len(table),
        "rejected": len(rejected),
        "reasons": _count_values(file.reason for file in rejected),
        "rejected_examples": [
            {"path": file.path, "reason": file.reason} for file in rejected[:EXAMPLE_COUNT]
        ],
        "classes": _count_values(table["label"].dropna()),
        "unlabeled": int(table["label"].isna().sum()),
        "splits": _count_values(table["split"].dropna()),
    }


def _count_values(values: Iterable[Any]) -> dict[str, int]:
    """Return the number of times that each value occurs, the most frequent first."""
    ordered = sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))
    return {str(value): int(count) for value, count in ordered}


def _count_unusual_storage(examined: Sequence[ExaminedImage]) -> dict[str, int]:
    counts = Counter[str]()
    for image in examined:
        counts.update(find_unusual_storage(image.header))
    return _count_values(counts.elements())


def _find_duplicates(
    table: pd.DataFrame, pixels: NDArray[np.uint8], max_distance: int
) -> tuple[pd.DataFrame, bool]:
    """Return exact and near-duplicate pairs, and whether all images were compared.

    The columns are one, other (rows), kind, path, other_path, is_cross_split (both splits are given
    and differ) and has_two_labels.
    """
    exact = find_exact_duplicates(table["content"], table["label"].fillna("")).assign(kind="exact")
    near = pd.DataFrame({"one": [], "other": [], "distance": []}, dtype="int64").assign(kind="near")
    is_complete = True
    if len(table) > 1 and max_distance >= 0:
        content_ids = pd.factorize(table["content"])[0].astype(np.int64)
        near = find_near_duplicates(pixels, content_ids, max_distance).assign(kind="near")
        is_complete = bool(near.attrs.get("is_complete", True))
    pairs = pd.concat([exact, near], ignore_index=True)
    first = table.iloc[pairs["one"].astype(int)].reset_index(drop=True)
    second = table.iloc[pairs["other"].astype(int)].reset_index(drop=True)
    pairs = pairs.assign(
        path=first["path"],
        other_path=second["path"],
        is_cross_split=_find_differences(first["split"], second["split"]),
        has_two_labels=_find_differences(first["label"], second["label"]),
    )
    return pairs, is_complete


def _find_differences(first: pd.Series[str], second: pd.Series[str]) -> pd.Series[bool]:
    """Return where both values are known and differ."""
    return (first.notna() & second.notna() & (first != second)).astype(bool)


def _summarize_duplicates(pairs: pd.DataFrame) -> dict[str, Any]:
    is_exact = pairs["kind"] == "exact"
    examples = pairs.sort_values(
        ["is_cross_split", "has_two_labels", "distance"], ascending=[False, False, True]
    ).head(EXAMPLE_COUNT)
    return {
        "exact": int(is_exact.sum()),
        "near": int((~is_exact).sum()),
        "cross_split": int(pairs["is_cross_split"].sum()),
        "label_conflicts": int((is_exact & pairs["has_two_labels"]).sum()),
        "near_label_conflicts": int((~is_exact & pairs["has_two_labels"]).sum()),
        "examples": [
            {
                "path": row["path"],
                "other_path": row["other_path"],
                "kind": row["kind"],
                "is_cross_split": bool(row["is_cross_split"]),
                "has_two_labels": bool(row["has_two_labels"]),
            }
            for row in examples.to_dict("records")
        ],
    }


def _summarize_leaks(table: pd.DataFrame) -> dict[str, Any]:
    """Return the number of groups, and the groups that are in several splits."""
    known = table.dropna(subset=["group", "split"])
    split_counts = known.groupby("group")["split"].nunique()
    split_groups = split_counts.index[split_counts > 1]
    return {
        "groups": int(table["group"].nunique()),
        "split_groups": len(split_groups),
        "examples": list(map(str, split_groups[:EXAMPLE_COUNT])),
    }


def _summarize_light(table: pd.DataFrame, limits: HealthLimits) -> dict[str, Any]:
    """Return the shares of dark, bright and blurred images: overall, by split and by class."""
    marks = pd.DataFrame(
        {
            "dark": table["luminance"] < limits.dark_below,
            "bright": table["luminance"] > limits.bright_above,
            "blurred": table["sharpness"] < limits.blurred_below,
        }
    )
    overall = marks.mean() if len(marks) else pd.Series(0.0, marks.columns)
    return {
        "all": overall.astype(float).round(4).to_dict(),
        "split": _average_marks(marks, table["split"]),
        "class": _average_marks(marks, table["label"]),
    }


def _average_marks(marks: pd.DataFrame, keys: pd.Series[str]) -> dict[str, dict[Any, Any]]:
    shares = marks.groupby(keys).mean().astype(float).round(4)
    return {str(key): row for key, row in shares.to_dict("index").items()}


def _summarize_sizes(table: pd.DataFrame, limits: HealthLimits) -> dict[str, Any]:
    """Return median size, range of sides, and the images that are tiny or long."""
    if table.empty:
        return {}
    sides = table[["width", "height"]]
    short_side = sides.min(axis=1)
    long_side = sides.max(axis=1)
    is_long = long_side / short_side > limits.max_aspect_ratio
    unusual = table[is_long | (short_side < limits.small_side_below)]
    return {
        "median": [int(table["width"].median()), int(table["height"].median())],
        "min_side": int(short_side.min()),
        "max_side": int(long_side.max()),
        "unusual": len(unusual),
        "examples": unusual["path"].head(EXAMPLE_COUNT).tolist(),
    }


def find_suspected_labels(
    run_images: pd.DataFrame, issues: pd.DataFrame, table: pd.DataFrame
) -> dict[str, Any]:
    """Return the suspected wrong labels of a finished run that are among the examined images.

    Args:
        run_images: the artifact `images` of the run.
        issues: its artifact `label_issues`.
        table: the examined images.
    """
    suspected = issues[issues["kind"] == "suspected"].merge(
        run_images[["image_id", "content_hash"]], on="image_id"
    )
    matched = suspected.merge(
        table[["content", "path"]], left_on="content_hash", right_on="content"
    )
    matched = matched.sort_values("confidence", ascending=False).drop_duplicates("path")
    examples = matched[["path", "label", "suggested", "confidence"]].head(EXAMPLE_COUNT)
    return {"suspected": len(matched), "examples": examples.to_dict("records")}
