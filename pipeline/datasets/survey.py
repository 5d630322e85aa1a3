"""What `nightshift init` does: look at a data set, say what was seen, and write a config that runs as it is."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import yaml

from pipeline.contracts import InputError
from pipeline.datasets import Header, ImageError, Photo, Rejected, Tree, moment, read, recognise
from pipeline.datasets.guess import GROUPS, guess_columns
from pipeline.datasets.manifest import columns_of, endings, manifests, shift
from pipeline.datasets.photo import DEFAULTS, SPLITS, Options, is_image, printable
from pipeline.datasets.sources import fetch, look

SAMPLE = 400
"""Photos whose headers are read, evenly spread over the data set."""
FEW = 20
"""Photos of a class below which it is called small."""

_SERIES = re.compile(r"^(.*\D)?(\d{1,9})\D{0,3}$")
_WORDS = r"(^|[_ -]){}s?([_ -]|$)"


@dataclass(frozen=True)
class Plan:
    """How a data set is read: its adapter, what that is told, and the columns that mean something."""

    adapter: str | None
    options: Options = DEFAULTS
    group: str | None = None
    time: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Survey:
    """What was seen of a data set. lines: for people; config: YAML text; the rest: for machines."""

    adapter: str
    photos: int
    rejected: int
    classes: dict[str, int]
    splits: dict[str, int]
    group: str | None
    plan: Plan = field(default_factory=lambda: Plan(""))
    problems: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    config: str = ""


def group_column(photos: Sequence[Photo]) -> str | None:
    """The column that by its name may say which photos belong together, and has at least ten values, fewer than photos.

    None where the data set has a `group` already, or no such column.
    """
    if not photos or any(photo.group for photo in photos):
        return None
    columns = list(dict.fromkeys(name for photo in photos for name in photo.columns))
    for word in GROUPS:
        for column in columns:
            if re.search(_WORDS.format(word), column.lower()):
                values = Counter(photo.columns.get(column) for photo in photos)
                if 10 <= len(values) < len(photos):
                    return column
    return None


def _headers(photos: Sequence[Photo]) -> tuple[list[Header], int]:
    """The headers of a sample, and how many of the sample could not be read."""
    sample = photos[:: max(1, len(photos) // SAMPLE)]
    heads, bad = [], 0
    for photo in sample:
        try:
            heads.append(look(photo.source, fetch(photo.source)))
        except ImageError:
            bad += 1
    return heads, bad


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"


def _classes_line(classes: dict[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in sorted(classes.items(), key=lambda item: (-item[1], item[0]))]
    middle = shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-3:]]
    return f"{_count(len(classes), 'class')}: {', '.join(middle)}"


def _size_line(heads: Sequence[Header]) -> str:
    wide, high = [h.width for h in heads], [h.height for h in heads]
    return (
        f"{median(wide):.0f} x {median(high):.0f} px is the median size, "
        f"{min(map(min, wide, high))} to {max(map(max, wide, high))} px the range of sides ({len(heads)} looked at)"
    )


_USUAL = {"file": "file_name", "label": "label", "split": "split"}


def _time_line(photos: Sequence[Photo], heads: Sequence[Header]) -> str:
    times = [photo.captured_at for photo in photos if photo.captured_at]
    where = "captured_at"
    if not times:
        times, where = [head.taken for head in heads if head.taken], "EXIF"
    if not times:
        return "no capture times, so no slice can be named by the hour"
    return f"capture times in {where}, {min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M}"


def series(photos: Sequence[Photo]) -> tuple[int, str] | None:
    """How many series the file names suggest, and one of them: names that differ in their last number only.

    None where that makes fewer than ten, or hardly any photo has a sibling.
    """
    stems = [posixpath.splitext(photo.path.partition("#")[0])[0] for photo in photos]
    starts = Counter(found[1] for stem in stems if (found := _SERIES.match(stem)) and re.search(r"\d", found[1] or ""))
    shared = {start: count for start, count in starts.items() if count > 1}
    if len(shared) < 10 or sum(shared.values()) < 0.8 * len(photos):
        return None
    return len(shared), max(shared, key=lambda start: (shared[start], start))


def _extras(photos: Sequence[Photo], heads: Sequence[Header], grouped: bool) -> list[str]:
    """Lines on kinds of photo and on groups that are only suspected."""
    lines = []
    if cameras := Counter(head.camera for head in heads if head.camera):
        lines.append("cameras in EXIF: " + ", ".join(f"{name} {count}" for name, count in cameras.most_common(5)))
    if kinds := Counter(kind for head in heads for kind in kinds_of(head)):
        lines.append("of these " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()))
    if not grouped and (found := series(photos)):
        lines.append(
            f"file names look like {found[0]:,} series (such as {found[1]}*): if these belong together, "
            "use the line ingest.group_pattern of the config"
        )
    return lines


def kinds_of(head: Header) -> list[str]:
    """What is unusual in how a photo is stored."""
    marks = {
        "grey": head.mode in ("1", "L", "LA") or head.mode.startswith("I;16"), "CMYK": head.mode == "CMYK",
        "with alpha": head.mode in ("RGBA", "LA", "PA"), "16 bit": head.mode.startswith(("I", "F")),
        "animated": head.animated, "turned by EXIF": head.orientation != 1,
    }
    return [name for name, holds in marks.items() if holds]


def plan_of(root: Path, links: bool = False) -> Plan:
    """How to read `root` when nobody says it. Without an adapter where no form is recognised, but photos are there.

    links: those that lead out of it are followed. Raises `InputError` where there are none, or what lists them cannot
    be read.
    """
    options = Options(links=links)
    try:
        recognise(root, options)
    except InputError:
        if not any(is_image(name) for name in Tree(root, links).names):
            raise
        return Plan(None, options)
    plan, _ = _plan(root, links)
    items = read(root, plan.adapter, replace(plan.options, labelled=False))
    return replace(plan, group=group_column([item for item in items if isinstance(item, Photo)]))


def _plan(root: Path, links: bool = False) -> tuple[Plan, str]:
    """The adapter that recognises `root`, and the columns of a manifest that look as if they meant something."""
    options = Options(links=links)
    adapter, words = recognise(root, options)
    if adapter == "coco":
        items = list(read(root, adapter, options))
        several = sum(isinstance(item, Rejected) and "several classes" in item.reason for item in items)
        return Plan(adapter, replace(options, boxes=several > sum(isinstance(i, Photo) for i in items))), words
    if adapter != "manifest":
        return Plan(adapter, options), words
    tree = Tree(root, links)
    name = next(iter(manifests(tree)))
    columns = columns_of(tree, name)
    found = guess_columns(columns, endings(tree))
    if moved := shift(tree, name, "file_name" if "file_name" in columns else found["file"] or ""):
        words += f"; {_moved_words(*moved)}"
    named = {key: None if usual in columns else found[key] for key, usual in _USUAL.items()}
    time = None if any(moment(value) for value in columns.get("captured_at", [])) else found["time"]
    options = replace(options, file=named["file"], label=named["label"])
    return Plan(adapter, options, None, time, named["split"]), words


def _moved_words(old: str, new: str) -> str:
    """How a manifest's file names are understood where none leads to a photo as it is listed."""
    begin = f"with {new!r} instead of {old!r}" if old and new else f"without {old!r}" if old else f"below {new!r}"
    return f"its photos are found {begin if old or new else 'by their names without suffix'}"


def _spelt_alike(classes: Iterable[str]) -> list[str]:
    """Classes that differ in case, spaces or underscores only, as one line each."""
    known = defaultdict(list)
    for name in classes:
        known[re.sub(r"[\s_-]+", "", name).casefold()].append(name)
    return [" / ".join(map(repr, names)) for names in known.values() if len(names) > 1]


def _problems(photos: Sequence[Photo], rejected: Sequence[Rejected], classes: dict[str, int], bad: int) -> list[str]:
    found = [f"{_count(n, 'file')} set aside: {why}" for why, n in Counter(r.reason for r in rejected).most_common(5)]
    if bad:
        found.append(f"{_count(bad, 'photo')} of the sample cannot be read; ingest lists each with its reason")
    if len(classes) == 1:
        found.append("one class only: a classifier needs at least two")
    if alike := _spelt_alike(classes):
        found.append(f"classes whose names hardly differ, perhaps one class: {', '.join(alike[:5])}")
    if small := sorted(name for name, count in classes.items() if count < FEW):
        found.append(f"under {FEW} photos in {_count(len(small), 'class')}: {', '.join(small[:8])}")
    for split in sorted({photo.split for photo in photos if photo.split}):
        absent = sorted(set(classes) - {photo.label for photo in photos if photo.split == split})
        if absent:
            found.append(f"no photo of {', '.join(absent[:8])} in {split}")
    return found


def _line(key: str, value: object, comment: str = "") -> str:
    return f"{yaml.safe_dump({key: value}, allow_unicode=True, width=10_000).strip()}{comment}"


def _config(root: Path, title: str, plan: Plan, values: int, sample: Sequence[Photo]) -> str:
    """A config that holds what differs from the defaults, and a few suggestions as comments."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.name or root.resolve().name).strip("-") or "run"
    parts = [f"# {title}. What is not written here stands at its default.", _line("name", name), "", "ingest:"]
    parts.append("  " + _line("data", root.as_posix(), "  # relative to the folder you run in"))
    written = {
        "file": (plan.options.file, "the photo's path or address"), "label": (plan.options.label, "the class"),
        "boxes": (plan.options.boxes or None, "each annotated box is a photo of its own"),
        "links": (plan.options.links or None, "links that lead out of the folder are followed"),
        "group": (plan.group, f"{values:,} values; photos that share one stay in one split"),
        "time": (plan.time, "when the photo was taken"), "split": (plan.split, "train, val or test"),
    }
    parts += ["  " + _line(key, value, f"  # {why}") for key, (value, why) in written.items() if value is not None]
    if not plan.group and not any(photo.group for photo in sample) and series(sample):
        parts.append(r"  # group_pattern: '^(.*\D)\d+\D*$'  # keeps a series together")
    parts += [
        "  # side: 96  # px; the default, 64, is faster and sees less", "",
        "# split:", '#   train_where: "luminance >= 70"  # trains on those only; val and test stay whole',
        "#   by: time  # train on the past; or by: site, with site: COLUMN",
    ]
    return "\n".join(parts) + "\n"


def _splits(photos: Sequence[Photo], plan: Plan) -> dict[str, int]:
    values = (str(p.columns.get(plan.split)).lower() if plan.split else p.split for p in photos)
    return dict(Counter(SPLITS.get(value, value) for value in values if value and value != "none"))


def survey(root: Path, links: bool = False) -> Survey:
    """Look at the data set in `root`: headers of a sample, no pixels. Raises `InputError` where there is none.

    links: those that lead out of it are followed.
    """
    plan, words = _plan(root, links)
    items = list(read(root, plan.adapter, plan.options))
    photos = [item for item in items if isinstance(item, Photo) and item.label]
    rejected = [item for item in items if isinstance(item, Rejected)]
    if not photos:
        why = Counter(item.reason for item in rejected).most_common(1)
        most = f"; most often: {why[0][0]}" if why else ""
        raise InputError(f"{root}: {words}, but no labelled photo in it{most}")
    classes = dict(sorted(Counter(str(photo.label) for photo in photos).items()))
    heads, bad = _headers(photos)
    group = group_column(photos)
    plan = replace(plan, group=group)
    splits = _splits(photos, plan)
    values = len({photo.columns.get(group) for photo in photos}) if group else 0
    lines = [f"{plan.adapter}: {words}", _count(len(photos), "photo"), _classes_line(classes)]
    lines += [_size_line(heads)] if heads else []
    lines += ["given split: " + ", ".join(f"{k} {v:,}" for k, v in splits.items())] if splits else []
    for key, column in (("file", plan.options.file), ("label", plan.options.label), ("split", plan.split)):
        lines += [f"column {column} looks like the {key}: ingest.{key} is set to it"] if column else []
    lines += ["most photos show several classes: ingest.boxes makes each box a photo"] if plan.options.boxes else []
    lines += [f"column {group} ({values:,} values) looks like a group: ingest.group is set to it"] if group else []
    where = f"capture times in column {plan.time}: ingest.time is set to it"
    grouped = bool(group) or any(photo.group for photo in photos)
    lines += [where if plan.time else _time_line(photos, heads), *_extras(photos, heads, grouped)]
    problems = _problems(photos, rejected, classes, bad)
    title = f"{_count(len(photos), 'photo')} of {_count(len(classes), 'class')}, read as {plan.adapter}"
    config = _config(root, title, plan, values, photos)
    lines = [printable(line) for line in [*lines, *(f"problem: {line}" for line in problems)]]
    return Survey(str(plan.adapter), len(photos), len(rejected), classes, splits, group, plan, problems, lines, config)
