"""The health of a data set on its own, before anything is trained: what `nightshift datasets check` measures."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import InputError, ProgressTracker, iterate_silently
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.quality.health_limits import HealthLimits, evaluate_limits
from pipeline.data.quality.near_duplicates import find_exact_duplicates, find_near_duplicates
from pipeline.data.reading.config_proposal import ReadPlan, find_unusual_storage
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError, ImageHeader, letterbox_image
from pipeline.data.reading.image_intake import PixelStore, hash_image, map_in_order
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    RejectedFile,
    escape_control_characters,
    explain_non_image,
    is_image,
    parse_datetime,
)
from pipeline.data.reading.image_sources import decode_source, fetch_bytes, read_source_header

COMPARISON_SIDE = 64
"""Side of the copies that are compared for near-duplicates, in px."""
MEASUREMENT_SIDE = 128
"""Longest side of the copy on which light and sharpness are measured, in px: so that images of all sizes compare."""
MAX_COMPARED_IMAGES = 50_000
"""Images up to which near-duplicates are sought."""
EXAMPLE_COUNT = 20
"""Examples of each finding that are listed."""

PRINTED_EXAMPLE_COUNT = 5
"""Of these, how many are named in the lines for people."""

MeasureFunction = Callable[[NDArray[np.uint8]], tuple[float, float]]
"""Luminance (0 to 255) and sharpness (log10 of 1 + variance of the Laplacian) of uint8 [H, W, 3]."""


@dataclass(frozen=True)
class _ExaminedImage:
    record: ImageRecord
    content_hash: str
    header: ImageHeader
    luminance: float
    sharpness: float


def _examine_image(
    record: ImageRecord, measure: MeasureFunction
) -> tuple[_ExaminedImage, NDArray[np.uint8]] | RejectedFile:
    try:
        data = fetch_bytes(record.source)
        head = read_source_header(record.source, data)
        pixels = decode_source(record.source, data, MEASUREMENT_SIDE, head)
        shrunk = (
            pixels
            if max(pixels.shape) <= MEASUREMENT_SIDE
            else letterbox_image(pixels, MEASUREMENT_SIDE)
        )
        return _ExaminedImage(
            record, hash_image(record, data)[1], head, *measure(shrunk)
        ), letterbox_image(pixels, COMPARISON_SIDE)
    except ImageError as error:
        return RejectedFile(record.path, str(error))


def _list_entries(root: Path, plan: ReadPlan) -> Iterator[ImageRecord | RejectedFile]:
    """What the adapter lists; images that nobody labeled where none recognizes the folder."""
    options = replace(plan.options, is_label_required=False)
    if plan.adapter is not None:
        yield from read_dataset(root, plan.adapter, options)
        return
    tree = FileTree(root, options.should_follow_links)
    yield from tree.rejected_files
    for name in tree.file_names:
        yield (
            ImageRecord(tree.get_source(name), name, None)
            if is_image(name)
            else RejectedFile(name, explain_non_image(name))
        )


def _build_image_table(examined_images: Sequence[_ExaminedImage], plan: ReadPlan) -> pd.DataFrame:
    """One row a image: path, content, label, split, group, hour, width, height, luminance, sharpness."""

    def named(column: str | None, image: ImageRecord, own: MetadataValue) -> str | None:
        value = image.columns.get(column) if column else own
        return None if value is None else str(value)

    rows = []
    for item in examined_images:
        image, head = item.record, item.header
        split = named(plan.split_column, image, image.split)
        told = parse_datetime(image.columns.get(plan.time_column)) if plan.time_column else None
        time = told or image.captured_at or head.captured_at
        rows.append(
            {
                "path": image.path,
                "content": item.content_hash,
                "label": image.label,
                "split": SPLIT_ALIASES.get(split.lower()) if split else None,
                "group": named(plan.group_column, image, image.group),
                "hour": None if time is None else time.hour,
                "width": head.width,
                "height": head.height,
                "luminance": item.luminance,
                "sharpness": item.sharpness,
            }
        )
    columns = [
        "path",
        "content",
        "label",
        "split",
        "group",
        "hour",
        "width",
        "height",
        "luminance",
        "sharpness",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(
        {"label": "str", "split": "str", "group": "str", "luminance": "float", "sharpness": "float"}
    )


def _count_values(values: Iterable[Any]) -> dict[str, int]:
    return {
        str(k): int(n)
        for k, n in sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))
    }


def _find_duplicates(
    table: pd.DataFrame, pixels: NDArray[np.uint8], max_distance: int
) -> tuple[pd.DataFrame, bool]:
    """Exact and near-duplicate pairs: one, other (rows), kind, across (given splits), clash (two labels).

    And whether near ones were sought among all images.
    """
    exact = find_exact_duplicates(table["content"], table["label"].fillna("")).assign(kind="exact")
    near = pd.DataFrame({"one": [], "other": [], "distance": []}, dtype="int64").assign(kind="near")
    if 1 < len(table) <= MAX_COMPARED_IMAGES and max_distance >= 0:
        near = find_near_duplicates(
            pixels, pd.factorize(table["content"])[0].astype(np.int64), max_distance
        ).assign(kind="near")
    whole = len(table) <= MAX_COMPARED_IMAGES and bool(near.attrs.get("whole", True))
    pairs = pd.concat([exact, near], ignore_index=True)
    one, other = (
        table.iloc[pairs[side].astype(int)].reset_index(drop=True) for side in ("one", "other")
    )
    across = one["split"].notna() & other["split"].notna() & (one["split"] != other["split"])
    clash = one["label"].notna() & other["label"].notna() & (one["label"] != other["label"])
    across, clash = across.astype(bool), clash.astype(bool)
    return pairs.assign(path=one["path"], twin=other["path"], across=across, clash=clash), whole


def _summarize_duplicates(pairs: pd.DataFrame) -> dict[str, Any]:
    exact = pairs["kind"] == "exact"
    shown = pairs.sort_values(["across", "clash", "distance"], ascending=[False, False, True]).head(
        EXAMPLE_COUNT
    )
    return {
        "exact": int(exact.sum()),
        "near": int((~exact).sum()),
        "across": int(pairs["across"].sum()),
        "conflicts": int((exact & pairs["clash"]).sum()),
        "near_conflicts": int((~exact & pairs["clash"]).sum()),
        "examples": [
            {
                key: plain if isinstance(plain := row[key], str) else bool(plain)
                for key in ("path", "twin", "kind", "across", "clash")
            }
            for row in shown.to_dict("records")
        ],
    }


def _summarize_leaks(table: pd.DataFrame) -> dict[str, Any]:
    parts = table.dropna(subset=["group", "split"]).groupby("group")["split"].nunique()
    torn = parts[parts > 1]
    names = [str(name) for name in torn.index[:EXAMPLE_COUNT]]
    return {"groups": int(table["group"].nunique()), "torn": len(torn), "examples": names}


def _summarize_light(table: pd.DataFrame, limits: HealthLimits) -> dict[str, Any]:
    """Shares of dark, bright and blurred images, overall, by split and by class."""
    marks = pd.DataFrame(
        {
            "dark": table["luminance"] < limits.dark_below,
            "bright": table["luminance"] > limits.bright_above,
            "blurred": table["sharpness"] < limits.blurred_below,
        }
    )

    def shares(column: str) -> dict[str, dict[str, float]]:
        means = marks.groupby(table[column]).mean()
        return {
            str(name): {str(k): round(float(v), 4) for k, v in row.items()}
            for name, row in means.iterrows()
        }

    overall = {name: round(float(marks[name].mean()), 4) if len(marks) else 0.0 for name in marks}
    return {"all": overall, "split": shares("split"), "class": shares("label")}


def _summarize_sizes(table: pd.DataFrame, limits: HealthLimits) -> dict[str, Any]:
    if table.empty:
        return {}
    ratio = np.maximum(table["width"], table["height"]) / np.minimum(
        table["width"], table["height"]
    )
    odd = table[
        (ratio > limits.max_aspect_ratio)
        | (table[["width", "height"]].min(axis=1) < limits.small_side_below)
    ]
    return {
        "median": [int(median(table["width"])), int(median(table["height"]))],
        "least": int(table[["width", "height"]].min().min()),
        "most": int(table[["width", "height"]].max().max()),
        "odd": len(odd),
        "examples": odd["path"].head(EXAMPLE_COUNT).tolist(),
    }


def find_suspected_labels(
    run_images: pd.DataFrame, issues: pd.DataFrame, table: pd.DataFrame
) -> dict[str, Any]:
    """The suspected wrong labels that a finished run found among these images (its `images` and `label_issues`)."""
    known = issues[issues["kind"] == "suspected"].merge(
        run_images[["image_id", "content_hash"]], on="image_id"
    )
    found = known.merge(table[["content", "path"]], left_on="content_hash", right_on="content")
    found = found.sort_values("confidence", ascending=False).drop_duplicates("path")
    examples = (
        found[["path", "label", "suggested", "confidence"]].head(EXAMPLE_COUNT).to_dict("records")
    )
    return {"suspected": len(found), "examples": examples}


def check_dataset(
    root: Path,
    plan: ReadPlan,
    measure: MeasureFunction,
    limits: HealthLimits,
    track: ProgressTracker = iterate_silently,
    run_tables: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> dict[str, Any]:
    """Look at every image of a data set: counts, duplicates, leaks, sizes, light, hours and `conditions`, as JSON.

    run: `images` and `label_issues` of a finished run, for suspected labels. seen = images + rejected always. Raises
    `InputError` where there is no image at all.
    """
    items = list(_list_entries(root, plan))
    images = [item for item in items if isinstance(item, ImageRecord)]
    rejected = [
        item for item in items if isinstance(item, RejectedFile) and not item.path.endswith("/")
    ]
    entries, seen = len(images) + len(rejected), list[_ExaminedImage]()
    with (
        tempfile.TemporaryDirectory() as folder,
        PixelStore(Path(folder), COMPARISON_SIDE) as shelf,
    ):
        for item in track(
            map_in_order(images, partial(_examine_image, measure=measure)),
            total=len(images),
            unit="images",
        ):
            if isinstance(item, RejectedFile):
                rejected.append(item)
            else:
                seen.append(item[0])
                shelf.add_copy(item[0].content[:16], item[1])
        shelf.flush_files()
        table = _build_image_table(seen, plan)
        pairs, whole = _find_duplicates(table, shelf.map_pixels(), limits.near_duplicates)
    if not entries:
        raise InputError(f"{root}: no file in it")
    found: dict[str, Any] = {
        "data": str(root),
        "adapter": plan.adapter,
        "seen": entries,
        "images": len(seen),
        "rejected": len(rejected),
        "reasons": _count_values(item.reason for item in rejected),
        "rejected_examples": [
            {"path": item.path, "reason": item.reason} for item in rejected[:EXAMPLE_COUNT]
        ],
        "classes": _count_values(table["label"].dropna()),
        "unlabeled": int(table["label"].isna().sum()),
        "splits": _count_values(table["split"].dropna()),
        "duplicates": _summarize_duplicates(pairs),
        "leaks": _summarize_leaks(table),
        "kinds": _count_values(kind for item in seen for kind in find_unusual_storage(item.header)),
        "sizes": _summarize_sizes(table, limits),
        "light": _summarize_light(table, limits),
        "hours": [int((table["hour"] == hour).sum()) for hour in range(24)],
        "labels": find_suspected_labels(*run_tables, table) if run_tables else None,
        "near_sought": whole,
    }
    return found | {"conditions": evaluate_limits(found, limits)}


def _format_examples(examples: Iterable[str], count: int) -> list[str]:
    """The first few files of a finding, and where the others are."""
    shown = [f"  {text}" for text in islice(examples, PRINTED_EXAMPLE_COUNT)]
    return (
        shown
        if count <= PRINTED_EXAMPLE_COUNT
        else [
            *shown,
            f"  ... {count - PRINTED_EXAMPLE_COUNT:,} more; --json and --html list {EXAMPLE_COUNT}",
        ]
    )


def _format_light(light: Mapping[str, Any]) -> list[str]:
    """How many images are dark, bright and blurred: of all, of each split, and of the few worst classes."""

    def shares(part: Mapping[str, float]) -> str:
        return ", ".join(f"{share:.1%} {name}" for name, share in part.items())

    worst = sorted(light["class"].items(), key=lambda item: -sum(item[1].values()))
    said = [
        f"light: {shares(light['all'])}",
        *(f"  {name}: {shares(part)}" for name, part in light["split"].items()),
    ]
    said += [f"  {name}: {shares(part)}" for name, part in worst[:PRINTED_EXAMPLE_COUNT]]
    left = len(worst) - PRINTED_EXAMPLE_COUNT
    return [*said, f"  ... {left:,} more classes; --json and --html list all"] if left > 0 else said


def format_health_lines(health: Mapping[str, Any]) -> list[str]:
    """The result for people, a line each."""
    twins, sizes, classes = health["duplicates"], health["sizes"], health["classes"]
    said = [
        f"{health['images']:,} images of {health['seen']:,} entries, {health['rejected']:,} set aside"
    ]
    said += [
        f"  {count:,} {reason}" for reason, count in list(health["reasons"].items())[:EXAMPLE_COUNT]
    ]
    said += _format_examples(
        (f"{item['path']}: {item['reason']}" for item in health["rejected_examples"]),
        health["rejected"],
    )
    shown = ", ".join(f"{name} {count:,}" for name, count in list(classes.items())[:12])
    more = ", ..." if len(classes) > 12 else ""
    said.append(f"classes: {shown}{more}" if classes else "no labels: classes are not judged")
    said += (
        [f"{health['unlabeled']:,} images have no label"] if classes and health["unlabeled"] else []
    )
    said += (
        ["splits: " + ", ".join(f"{k} {v:,}" for k, v in health["splits"].items())]
        if health["splits"]
        else []
    )
    why = (
        f"sought up to {MAX_COMPARED_IMAGES:,} images"
        if health["images"] > MAX_COMPARED_IMAGES
        else "so many that the search was ended"
    )
    sought = "" if health["near_sought"] else f" (near-duplicates are {why})"
    said.append(
        f"duplicates: {twins['exact']:,} exact and {twins['near']:,} near pairs, {twins['across']:,} across "
        f"splits, {twins['conflicts']:,} exact ones under two labels{sought}"
    )
    said += _format_examples(
        (
            f"{pair['path']} = {pair['twin']} ({pair['kind']}{', across splits' if pair['across'] else ''}"
            f"{', two labels' if pair['clash'] else ''})"
            for pair in twins["examples"]
        ),
        twins["exact"] + twins["near"],
    )
    said += [
        f"groups: {health['leaks']['groups']:,}, {health['leaks']['torn']:,} of them torn between splits"
    ]
    said += (
        [f"sizes: median {' x '.join(map(str, sizes['median']))} px, {sizes['odd']:,} odd ones"]
        if sizes
        else []
    )
    said += (
        ["stored: " + ", ".join(f"{v:,} {k}" for k, v in health["kinds"].items())]
        if health["kinds"]
        else []
    )
    said += _format_light(health["light"])
    hours = [f"{hour}h {count:,}" for hour, count in enumerate(health["hours"]) if count]
    said.append("hours: " + (", ".join(hours) or "no capture times"))
    labels = health["labels"]
    said.append(
        f"suspected wrong labels: {labels['suspected']:,}"
        if labels
        else "suspected wrong labels: name a finished run with --run to see them"
    )
    for item in health["conditions"]:
        said.append(f"{'ok    ' if item['passed'] else 'FAILED'} {item['words']}")
    return [escape_control_characters(line) for line in said]
