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

from pipeline.contracts import InputError, Track, silent
from pipeline.datasets import Header, ImageError, Photo, Rejected, Tree, Value, moment, read
from pipeline.datasets.conditions import Conditions, judge
from pipeline.datasets.intake import Shelf, identity, in_order
from pipeline.datasets.likeness import exact_pairs, near_pairs
from pipeline.datasets.photo import SPLITS, is_image, no_image, printable
from pipeline.datasets.picture import letterbox
from pipeline.datasets.sources import fetch, look, pixels_of
from pipeline.datasets.survey import Plan, kinds_of

SIDE = 64
"""Side of the copies that are compared for near-duplicates, in px."""
LOOK = 128
"""Longest side of the copy on which light and sharpness are measured, in px: so that photos of all sizes compare."""
MANY = 50_000
"""Photos up to which near-duplicates are sought."""
SHOWN = 20
"""Examples of each finding that are listed."""

NAMED = 5
"""Of these, how many are named in the lines for people."""

Measure = Callable[[NDArray[np.uint8]], tuple[float, float]]
"""Luminance (0 to 255) and sharpness (log10 of 1 + variance of the Laplacian) of uint8 [H, W, 3]."""


@dataclass(frozen=True)
class _Seen:
    photo: Photo
    content: str
    head: Header
    luminance: float
    sharpness: float


def _look(photo: Photo, measure: Measure) -> tuple[_Seen, NDArray[np.uint8]] | Rejected:
    try:
        data = fetch(photo.source)
        head = look(photo.source, data)
        pixels = pixels_of(photo.source, data, LOOK, head)
        shrunk = pixels if max(pixels.shape) <= LOOK else letterbox(pixels, LOOK)
        return _Seen(photo, identity(photo, data)[1], head, *measure(shrunk)), letterbox(pixels, SIDE)
    except ImageError as error:
        return Rejected(photo.path, str(error))


def _items(root: Path, plan: Plan) -> Iterator[Photo | Rejected]:
    """What the adapter lists; photos that nobody labelled where none recognises the folder."""
    options = replace(plan.options, labelled=False)
    if plan.adapter is not None:
        yield from read(root, plan.adapter, options)
        return
    tree = Tree(root, options.links)
    yield from tree.problems
    for name in tree.names:
        yield Photo(tree.source(name), name, None) if is_image(name) else Rejected(name, no_image(name))


def _table(seen: Sequence[_Seen], plan: Plan) -> pd.DataFrame:
    """One row a photo: path, content, label, split, group, hour, width, height, luminance, sharpness."""

    def named(column: str | None, photo: Photo, own: Value) -> str | None:
        value = photo.columns.get(column) if column else own
        return None if value is None else str(value)

    rows = []
    for item in seen:
        photo, head = item.photo, item.head
        split = named(plan.split, photo, photo.split)
        told = moment(photo.columns.get(plan.time)) if plan.time else None
        time = told or photo.captured_at or head.taken
        rows.append({
            "path": photo.path, "content": item.content, "label": photo.label,
            "split": SPLITS.get(split.lower()) if split else None, "group": named(plan.group, photo, photo.group),
            "hour": None if time is None else time.hour, "width": head.width, "height": head.height,
            "luminance": item.luminance, "sharpness": item.sharpness,
        })
    columns = ["path", "content", "label", "split", "group", "hour", "width", "height", "luminance", "sharpness"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"label": "str", "split": "str", "group": "str", "luminance": "float", "sharpness": "float"})


def _counts(values: Iterable[Any]) -> dict[str, int]:
    return {str(k): int(n) for k, n in sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))}


def _pairs(table: pd.DataFrame, pixels: NDArray[np.uint8], bits: int) -> tuple[pd.DataFrame, bool]:
    """Exact and near-duplicate pairs: one, other (rows), kind, across (given splits), clash (two labels).

    And whether near ones were sought among all photos.
    """
    exact = exact_pairs(table["content"], table["label"].fillna("")).assign(kind="exact")
    near = pd.DataFrame({"one": [], "other": [], "distance": []}, dtype="int64").assign(kind="near")
    if 1 < len(table) <= MANY and bits >= 0:
        near = near_pairs(pixels, pd.factorize(table["content"])[0].astype(np.int64), bits).assign(kind="near")
    whole = len(table) <= MANY and bool(near.attrs.get("whole", True))
    pairs = pd.concat([exact, near], ignore_index=True)
    one, other = (table.iloc[pairs[side].astype(int)].reset_index(drop=True) for side in ("one", "other"))
    across = one["split"].notna() & other["split"].notna() & (one["split"] != other["split"])
    clash = one["label"].notna() & other["label"].notna() & (one["label"] != other["label"])
    across, clash = across.astype(bool), clash.astype(bool)
    return pairs.assign(path=one["path"], twin=other["path"], across=across, clash=clash), whole


def _twins(pairs: pd.DataFrame) -> dict[str, Any]:
    exact = pairs["kind"] == "exact"
    shown = pairs.sort_values(["across", "clash", "distance"], ascending=[False, False, True]).head(SHOWN)
    return {
        "exact": int(exact.sum()), "near": int((~exact).sum()), "across": int(pairs["across"].sum()),
        "conflicts": int((exact & pairs["clash"]).sum()), "near_conflicts": int((~exact & pairs["clash"]).sum()),
        "examples": [
            {key: plain if isinstance(plain := row[key], str) else bool(plain) for key in
             ("path", "twin", "kind", "across", "clash")} for row in shown.to_dict("records")
        ],
    }


def _leaks(table: pd.DataFrame) -> dict[str, Any]:
    parts = table.dropna(subset=["group", "split"]).groupby("group")["split"].nunique()
    torn = parts[parts > 1]
    names = [str(name) for name in torn.index[:SHOWN]]
    return {"groups": int(table["group"].nunique()), "torn": len(torn), "examples": names}


def _light(table: pd.DataFrame, limits: Conditions) -> dict[str, Any]:
    """Shares of dark, bright and blurred photos, overall, by split and by class."""
    marks = pd.DataFrame({
        "dark": table["luminance"] < limits.dark_below, "bright": table["luminance"] > limits.bright_above,
        "blurred": table["sharpness"] < limits.blurred_below,
    })

    def shares(column: str) -> dict[str, dict[str, float]]:
        means = marks.groupby(table[column]).mean()
        return {str(name): {str(k): round(float(v), 4) for k, v in row.items()} for name, row in means.iterrows()}

    overall = {name: round(float(marks[name].mean()), 4) if len(marks) else 0.0 for name in marks}
    return {"all": overall, "split": shares("split"), "class": shares("label")}


def _sizes(table: pd.DataFrame, limits: Conditions) -> dict[str, Any]:
    if table.empty:
        return {}
    ratio = np.maximum(table["width"], table["height"]) / np.minimum(table["width"], table["height"])
    odd = table[(ratio > limits.odd_ratio) | (table[["width", "height"]].min(axis=1) < limits.small_below)]
    return {
        "median": [int(median(table["width"])), int(median(table["height"]))],
        "least": int(table[["width", "height"]].min().min()), "most": int(table[["width", "height"]].max().max()),
        "odd": len(odd), "examples": odd["path"].head(SHOWN).tolist(),
    }


def suspects(run_images: pd.DataFrame, issues: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The suspected wrong labels that a finished run found among these photos (its `images` and `label_issues`)."""
    known = issues[issues["kind"] == "suspected"].merge(run_images[["image_id", "content_hash"]], on="image_id")
    found = known.merge(table[["content", "path"]], left_on="content_hash", right_on="content")
    found = found.sort_values("confidence", ascending=False).drop_duplicates("path")
    examples = found[["path", "label", "suggested", "confidence"]].head(SHOWN).to_dict("records")
    return {"suspected": len(found), "examples": examples}


def check(
    root: Path, plan: Plan, measure: Measure, limits: Conditions, track: Track = silent,
    run: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> dict[str, Any]:
    """Look at every photo of a data set: counts, duplicates, leaks, sizes, light, hours and `conditions`, as JSON.

    run: `images` and `label_issues` of a finished run, for suspected labels. seen = photos + rejected always. Raises
    `InputError` where there is no photo at all.
    """
    items = list(_items(root, plan))
    photos = [item for item in items if isinstance(item, Photo)]
    rejected = [item for item in items if isinstance(item, Rejected) and not item.path.endswith("/")]
    entries, seen = len(photos) + len(rejected), list[_Seen]()
    with tempfile.TemporaryDirectory() as folder, Shelf(Path(folder), SIDE) as shelf:
        for item in track(in_order(photos, partial(_look, measure=measure)), total=len(photos), what="photos"):
            if isinstance(item, Rejected):
                rejected.append(item)
            else:
                seen.append(item[0])
                shelf.add(item[0].content[:16], item[1])
        shelf.flush()
        table = _table(seen, plan)
        pairs, whole = _pairs(table, shelf.mapped(), limits.near_duplicates)
    if not entries:
        raise InputError(f"{root}: no file in it")
    found: dict[str, Any] = {
        "data": str(root), "adapter": plan.adapter, "seen": entries, "photos": len(seen),
        "rejected": len(rejected), "reasons": _counts(item.reason for item in rejected),
        "rejected_examples": [{"path": item.path, "reason": item.reason} for item in rejected[:SHOWN]],
        "classes": _counts(table["label"].dropna()), "unlabelled": int(table["label"].isna().sum()),
        "splits": _counts(table["split"].dropna()), "duplicates": _twins(pairs), "leaks": _leaks(table),
        "kinds": _counts(kind for item in seen for kind in kinds_of(item.head)),
        "sizes": _sizes(table, limits), "light": _light(table, limits),
        "hours": [int((table["hour"] == hour).sum()) for hour in range(24)],
        "labels": suspects(*run, table) if run else None, "near_sought": whole,
    }
    return found | {"conditions": judge(found, limits)}


def _named(examples: Iterable[str], count: int) -> list[str]:
    """The first few files of a finding, and where the others are."""
    shown = [f"  {text}" for text in islice(examples, NAMED)]
    return shown if count <= NAMED else [*shown, f"  ... {count - NAMED:,} more; --json and --html list {SHOWN}"]


def _lit(light: Mapping[str, Any]) -> list[str]:
    """How many photos are dark, bright and blurred: of all, of each split, and of the few worst classes."""
    def shares(part: Mapping[str, float]) -> str:
        return ", ".join(f"{share:.1%} {name}" for name, share in part.items())

    worst = sorted(light["class"].items(), key=lambda item: -sum(item[1].values()))
    said = [f"light: {shares(light['all'])}", *(f"  {name}: {shares(part)}" for name, part in light["split"].items())]
    said += [f"  {name}: {shares(part)}" for name, part in worst[:NAMED]]
    left = len(worst) - NAMED
    return [*said, f"  ... {left:,} more classes; --json and --html list all"] if left > 0 else said


def lines(found: Mapping[str, Any]) -> list[str]:
    """The result for people, a line each."""
    twins, sizes, classes = found["duplicates"], found["sizes"], found["classes"]
    said = [f"{found['photos']:,} photos of {found['seen']:,} entries, {found['rejected']:,} set aside"]
    said += [f"  {count:,} {reason}" for reason, count in list(found["reasons"].items())[:SHOWN]]
    said += _named((f"{item['path']}: {item['reason']}" for item in found["rejected_examples"]), found["rejected"])
    shown = ", ".join(f"{name} {count:,}" for name, count in list(classes.items())[:12])
    more = ", ..." if len(classes) > 12 else ""
    said.append(f"classes: {shown}{more}" if classes else "no labels: classes are not judged")
    said += [f"{found['unlabelled']:,} photos have no label"] if classes and found["unlabelled"] else []
    said += ["splits: " + ", ".join(f"{k} {v:,}" for k, v in found["splits"].items())] if found["splits"] else []
    why = f"sought up to {MANY:,} photos" if found["photos"] > MANY else "so many that the search was ended"
    sought = "" if found["near_sought"] else f" (near-duplicates are {why})"
    said.append(f"duplicates: {twins['exact']:,} exact and {twins['near']:,} near pairs, {twins['across']:,} across "
                f"splits, {twins['conflicts']:,} exact ones under two labels{sought}")
    said += _named(
        (f"{pair['path']} = {pair['twin']} ({pair['kind']}{', across splits' if pair['across'] else ''}"
         f"{', two labels' if pair['clash'] else ''})" for pair in twins["examples"]), twins["exact"] + twins["near"])
    said += [f"groups: {found['leaks']['groups']:,}, {found['leaks']['torn']:,} of them torn between splits"]
    said += [f"sizes: median {' x '.join(map(str, sizes['median']))} px, {sizes['odd']:,} odd ones"] if sizes else []
    said += ["stored: " + ", ".join(f"{v:,} {k}" for k, v in found["kinds"].items())] if found["kinds"] else []
    said += _lit(found["light"])
    hours = [f"{hour}h {count:,}" for hour, count in enumerate(found["hours"]) if count]
    said.append("hours: " + (", ".join(hours) or "no capture times"))
    labels = found["labels"]
    said.append(f"suspected wrong labels: {labels['suspected']:,}" if labels else
                "suspected wrong labels: name a finished run with --run to see them")
    for item in found["conditions"]:
        said.append(f"{'ok    ' if item['passed'] else 'FAILED'} {item['words']}")
    return [printable(line) for line in said]
