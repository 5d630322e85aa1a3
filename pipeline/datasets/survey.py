"""What `nightshift init` does: look at a data set, say what was seen, and write a config that runs as it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import yaml

from pipeline.contracts import InputError
from pipeline.datasets import Header, ImageError, Photo, Rejected, header, moment, read, recognise

SAMPLE = 400
"""Photos whose headers are read, evenly spread over the data set."""
FEW = 20
"""Photos of a class below which it is called small."""

_GROUPS = (
    "track", "burst", "sequence", "video", "clip", "session", "series", "person", "subject", "patient", "user", "visit",
    "identity", "scene", "site", "location", "device", "camera",
)
_WORDS = r"(^|[_ -]){}s?([_ -]|$)"


@dataclass(frozen=True)
class Survey:
    """What was seen of a data set. lines: for people; config: YAML text; the rest: for machines."""

    adapter: str
    photos: int
    rejected: int
    classes: dict[str, int]
    splits: dict[str, int]
    group: str | None
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
    for word in _GROUPS:
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
            heads.append(header(Path(photo.source).read_bytes()))
        except (ImageError, OSError):
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


def _time_line(photos: Sequence[Photo], heads: Sequence[Header]) -> str:
    times = [photo.captured_at for photo in photos if photo.captured_at]
    where = "captured_at"
    if not times:
        times, where = [head.taken for head in heads if head.taken], "EXIF"
    if not times:
        return "no capture times, so no slice can be named by the hour"
    return f"capture times in {where}, {min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M}"


def _time_column(photos: Sequence[Photo]) -> str | None:
    """A column named like a time whose values can be read as one; None where `captured_at` is known already."""
    if any(photo.captured_at for photo in photos):
        return None
    for column in dict.fromkeys(name for photo in photos for name in photo.columns):
        if re.search(r"time|date|captured|taken", column.lower()):
            values = [v for photo in photos[:SAMPLE] if (v := photo.columns.get(column)) is not None]
            if values and all(moment(value) for value in values):
                return column
    return None


def _problems(photos: Sequence[Photo], rejected: Sequence[Rejected], classes: dict[str, int], bad: int) -> list[str]:
    found = [f"{_count(n, 'file')} set aside: {why}" for why, n in Counter(r.reason for r in rejected).most_common(5)]
    if bad:
        found.append(f"{_count(bad, 'photo')} of the sample cannot be read; ingest lists each with its reason")
    if len(classes) == 1:
        found.append("one class only: a classifier needs at least two")
    if small := sorted(name for name, count in classes.items() if count < FEW):
        found.append(f"under {FEW} photos in {_count(len(small), 'class')}: {', '.join(small[:8])}")
    for split in sorted({photo.split for photo in photos if photo.split}):
        absent = sorted(set(classes) - {photo.label for photo in photos if photo.split == split})
        if absent:
            found.append(f"no photo of {', '.join(absent[:8])} in {split}")
    return found


def _config(root: Path, title: str, group: str | None, time: str | None, values: int) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.resolve().name).strip("-") or "run"

    def line(key: str, value: str, comment: str = "") -> str:
        return f"{yaml.safe_dump({key: value}, allow_unicode=True, width=10_000).strip()}{comment}"

    parts = [f"# {title}. What is not written here stands at its default.", line("name", name), "", "ingest:"]
    parts.append("  " + line("data", root.as_posix(), "  # relative to the folder you run in"))
    if group:
        parts.append("  " + line("group", group, f"  # {values:,} values; photos that share one stay in one split"))
    if time:
        parts.append("  " + line("time", time, "  # when the photo was taken"))
    parts += [
        "  # side: 96  # px; finer than the default, and slower", "",
        "# split:", '#   train_where: "luminance >= 70"  # trains on those only; val and test stay whole',
    ]
    return "\n".join(parts) + "\n"


def survey(root: Path) -> Survey:
    """Look at the data set in `root`: headers of a sample, no pixels. Raises `InputError` where there is none.

    The config holds only what differs from the defaults, and a few suggestions as comments.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the one that the photos are in")
    adapter, words = recognise(root)
    items = list(read(root, adapter))
    photos = [item for item in items if isinstance(item, Photo) and item.label]
    rejected = [item for item in items if isinstance(item, Rejected)]
    if not photos:
        raise InputError(f"{root}: {words}, but no labelled photo in it")
    classes = dict(sorted(Counter(str(photo.label) for photo in photos).items()))
    splits = dict(Counter(photo.split for photo in photos if photo.split))
    heads, bad = _headers(photos)
    group, time = group_column(photos), _time_column(photos)
    values = len({photo.columns.get(group) for photo in photos}) if group else 0
    lines = [f"{adapter}: {words}", _count(len(photos), "photo"), _classes_line(classes)]
    lines += [_size_line(heads)] if heads else []
    lines += ["given split: " + ", ".join(f"{k} {v:,}" for k, v in splits.items())] if splits else []
    lines += [f"column {group} ({values:,} values) looks like a group: ingest.group is set to it"] if group else []
    lines.append(f"capture times in column {time}: ingest.time is set to it" if time else _time_line(photos, heads))
    problems = _problems(photos, rejected, classes, bad)
    title = f"{_count(len(photos), 'photo')} of {_count(len(classes), 'class')}, read as {adapter}"
    config = _config(root, title, group, time, values)
    lines += [f"problem: {line}" for line in problems]
    return Survey(adapter, len(photos), len(rejected), classes, splits, group, problems, lines, config)
