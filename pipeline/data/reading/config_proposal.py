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
from pipeline.data.adapters.manifest import (
    find_manifest_shift,
    find_manifests,
    list_image_stems,
    read_columns,
)
from pipeline.data.dataset_reader import find_adapter, read_dataset
from pipeline.data.reading.column_inference import GROUP_WORDS, infer_columns
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_decoding import ImageError, ImageHeader
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    SPLIT_ALIASES,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    escape_control_characters,
    is_image,
    parse_datetime,
)
from pipeline.data.reading.image_sources import fetch_bytes, read_source_header

HEADER_SAMPLE_SIZE = 400
"""Images whose headers are read, evenly spread over the data set."""
SMALL_CLASS_SIZE = 20
"""Images of a class below which it is called small."""

_SERIES_PATTERN = re.compile(r"^(.*\D)?(\d{1,9})\D{0,3}$")
_WORD_PATTERN = r"(^|[_ -]){}s?([_ -]|$)"


@dataclass(frozen=True)
class ReadPlan:
    """How a data set is read: its adapter, what that is told, and the columns that mean something."""

    adapter: str | None
    options: ReadOptions = DEFAULT_READ_OPTIONS
    group_column: str | None = None
    time_column: str | None = None
    split_column: str | None = None


@dataclass(frozen=True)
class ConfigProposal:
    """What was seen of a data set. lines: for people; config: YAML text; the rest: for machines."""

    adapter: str
    image_count: int
    rejected_count: int
    class_counts: dict[str, int]
    split_counts: dict[str, int]
    group_column: str | None
    read_plan: ReadPlan = field(default_factory=lambda: ReadPlan(""))
    problems: list[str] = field(default_factory=list)
    summary_lines: list[str] = field(default_factory=list)
    config_yaml: str = ""


def find_group_column(records: Sequence[ImageRecord]) -> str | None:
    """The column that by its name may say which images belong together, and has at least ten values, fewer than images.

    None where the data set has a `group` already, or no such column.
    """
    if not records or any(image.group for image in records):
        return None
    columns = list(dict.fromkeys(name for image in records for name in image.columns))
    for word in GROUP_WORDS:
        for column in columns:
            if re.search(_WORD_PATTERN.format(word), column.lower()):
                values = Counter(image.columns.get(column) for image in records)
                if 10 <= len(values) < len(records):
                    return column
    return None


def _read_sample_headers(records: Sequence[ImageRecord]) -> tuple[list[ImageHeader], int]:
    """The headers of a sample, and how many of the sample could not be read."""
    sample = records[:: max(1, len(records) // HEADER_SAMPLE_SIZE)]
    heads, bad = [], 0
    for image in sample:
        try:
            heads.append(read_source_header(image.source, fetch_bytes(image.source)))
        except ImageError:
            bad += 1
    return heads, bad


def _format_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def _format_classes(class_counts: dict[str, int]) -> str:
    shown = [
        f"{name} {count:,}"
        for name, count in sorted(class_counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    middle = shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-3:]]
    return f"{_format_count(len(class_counts), 'class')}: {', '.join(middle)}"


def _format_sizes(headers: Sequence[ImageHeader]) -> str:
    wide, high = [h.width for h in headers], [h.height for h in headers]
    return (
        f"{median(wide):.0f} x {median(high):.0f} px is the median size, "
        f"{min(map(min, wide, high))} to {max(map(max, wide, high))} px the range of sides ({len(headers)} looked at)"
    )


_DEFAULT_COLUMNS = {"file": "file_name", "label": "label", "split": "split"}


def _format_times(records: Sequence[ImageRecord], headers: Sequence[ImageHeader]) -> str:
    times = [image.captured_at for image in records if image.captured_at]
    where = "captured_at"
    if not times:
        times, where = [head.captured_at for head in headers if head.captured_at], "EXIF"
    if not times:
        return "no capture times, so no slice can be named by the hour"
    return f"capture times in {where}, {min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M}"


def find_series(records: Sequence[ImageRecord]) -> tuple[int, str] | None:
    """How many series the file names suggest, and one of them: names that differ in their last number only.

    None where that makes fewer than ten, or hardly any image has a sibling.
    """
    stems = [posixpath.splitext(image.path.partition("#")[0])[0] for image in records]
    starts = Counter(
        found[1]
        for stem in stems
        if (found := _SERIES_PATTERN.match(stem)) and re.search(r"\d", found[1] or "")
    )
    shared = {start: count for start, count in starts.items() if count > 1}
    if len(shared) < 10 or sum(shared.values()) < 0.8 * len(records):
        return None
    return len(shared), max(shared, key=lambda start: (shared[start], start))


def _format_extras(
    records: Sequence[ImageRecord], headers: Sequence[ImageHeader], is_grouped: bool
) -> list[str]:
    """Lines on kinds of image and on groups that are only suspected."""
    lines = []
    if cameras := Counter(head.camera_model for head in headers if head.camera_model):
        lines.append(
            "cameras in EXIF: "
            + ", ".join(f"{name} {count}" for name, count in cameras.most_common(5))
        )
    if kinds := Counter(kind for head in headers for kind in find_unusual_storage(head)):
        lines.append(
            "of these " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        )
    if not is_grouped and (found := find_series(records)):
        lines.append(
            f"file names look like {found[0]:,} series (such as {found[1]}*): if these belong together, "
            "use the line ingest.group_pattern of the config"
        )
    return lines


def find_unusual_storage(image_header: ImageHeader) -> list[str]:
    """What is unusual in how a image is stored."""
    marks = {
        "gray": image_header.mode in ("1", "L", "LA") or image_header.mode.startswith("I;16"),
        "CMYK": image_header.mode == "CMYK",
        "with alpha": image_header.mode in ("RGBA", "LA", "PA"),
        "16 bit": image_header.mode.startswith(("I", "F")),
        "animated": image_header.is_animated,
        "turned by EXIF": image_header.orientation != 1,
    }
    return [name for name, holds in marks.items() if holds]


def build_read_plan(root: Path, should_follow_links: bool = False) -> ReadPlan:
    """How to read `root` when nobody says it. Without an adapter where no form is recognized, but images are there.

    links: those that lead out of it are followed. Raises `InputError` where there are none, or what lists them cannot
    be read.
    """
    options = ReadOptions(should_follow_links=should_follow_links)
    try:
        find_adapter(root, options)
    except InputError:
        if not any(is_image(name) for name in FileTree(root, should_follow_links).file_names):
            raise
        return ReadPlan(None, options)
    plan, _ = _propose_read_plan(root, should_follow_links)
    items = read_dataset(root, plan.adapter, replace(plan.options, is_label_required=False))
    return replace(
        plan,
        group_column=find_group_column([item for item in items if isinstance(item, ImageRecord)]),
    )


def _propose_read_plan(root: Path, should_follow_links: bool = False) -> tuple[ReadPlan, str]:
    """The adapter that recognizes `root`, and the columns of a manifest that look as if they meant something."""
    options = ReadOptions(should_follow_links=should_follow_links)
    adapter, words = find_adapter(root, options)
    if adapter == "coco":
        items = list(read_dataset(root, adapter, options))
        several = sum(
            isinstance(item, RejectedFile) and "several classes" in item.reason for item in items
        )
        return ReadPlan(
            adapter,
            replace(options, boxes=several > sum(isinstance(i, ImageRecord) for i in items)),
        ), words
    if adapter != "manifest":
        return ReadPlan(adapter, options), words
    tree = FileTree(root, should_follow_links)
    name = next(iter(find_manifests(tree)))
    columns = read_columns(tree, name)
    found = infer_columns(columns, list_image_stems(tree))
    if moved := find_manifest_shift(
        tree, name, "file_name" if "file_name" in columns else found["file"] or ""
    ):
        words += f"; {_describe_shift(*moved)}"
    named = {
        key: None if usual in columns else found[key] for key, usual in _DEFAULT_COLUMNS.items()
    }
    time = (
        None
        if any(parse_datetime(value) for value in columns.get("captured_at", []))
        else found["time"]
    )
    options = replace(options, file=named["file"], label=named["label"])
    return ReadPlan(adapter, options, None, time, named["split"]), words


def _describe_shift(old_prefix: str, new_prefix: str) -> str:
    """How a manifest's file names are understood where none leads to a image as it is listed."""
    begin = (
        f"with {new_prefix!r} instead of {old_prefix!r}"
        if old_prefix and new_prefix
        else f"without {old_prefix!r}"
        if old_prefix
        else f"below {new_prefix!r}"
    )
    return f"its images are found {begin if old_prefix or new_prefix else 'by their names without suffix'}"


def _find_similar_names(classes: Iterable[str]) -> list[str]:
    """Classes that differ in case, spaces or underscores only, as one line each."""
    known = defaultdict(list)
    for name in classes:
        known[re.sub(r"[\s_-]+", "", name).casefold()].append(name)
    return [" / ".join(map(repr, names)) for names in known.values() if len(names) > 1]


def _find_problems(
    records: Sequence[ImageRecord],
    rejected: Sequence[RejectedFile],
    class_counts: dict[str, int],
    unreadable_count: int,
) -> list[str]:
    found = [
        f"{_format_count(n, 'file')} set aside: {why}"
        for why, n in Counter(r.reason for r in rejected).most_common(5)
    ]
    if unreadable_count:
        found.append(
            f"{_format_count(unreadable_count, 'image')} of the sample cannot be read; ingest lists each with its reason"
        )
    if len(class_counts) == 1:
        found.append("one class only: a classifier needs at least two")
    if alike := _find_similar_names(class_counts):
        found.append(
            f"classes whose names hardly differ, perhaps one class: {', '.join(alike[:5])}"
        )
    if small := sorted(name for name, count in class_counts.items() if count < SMALL_CLASS_SIZE):
        found.append(
            f"under {SMALL_CLASS_SIZE} images in {_format_count(len(small), 'class')}: {', '.join(small[:8])}"
        )
    for split in sorted({image.split for image in records if image.split}):
        absent = sorted(
            set(class_counts) - {image.label for image in records if image.split == split}
        )
        if absent:
            found.append(f"no image of {', '.join(absent[:8])} in {split}")
    return found


def _format_yaml_line(key: str, value: object, comment: str = "") -> str:
    return f"{yaml.safe_dump({key: value}, allow_unicode=True, width=10_000).strip()}{comment}"


def _format_config(
    root: Path, title: str, plan: ReadPlan, group_value_count: int, records: Sequence[ImageRecord]
) -> str:
    """A config that holds what differs from the defaults, and a few suggestions as comments."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.name or root.resolve().name).strip("-") or "run"
    parts = [
        f"# {title}. What is not written here stands at its default.",
        _format_yaml_line("name", name),
        "",
        "ingest:",
    ]
    parts.append(
        "  " + _format_yaml_line("data", root.as_posix(), "  # relative to the folder you run in")
    )
    written = {
        "file": (plan.options.file, "the image's path or address"),
        "label": (plan.options.label, "the class"),
        "boxes": (plan.options.boxes or None, "each annotated box is a image of its own"),
        "links": (
            plan.options.should_follow_links or None,
            "links that lead out of the folder are followed",
        ),
        "group": (
            plan.group_column,
            f"{group_value_count:,} values; images that share one stay in one split",
        ),
        "time": (plan.time_column, "when the image was taken"),
        "split": (plan.split_column, "train, val or test"),
    }
    parts += [
        "  " + _format_yaml_line(key, value, f"  # {why}")
        for key, (value, why) in written.items()
        if value is not None
    ]
    if not plan.group_column and not any(image.group for image in records) and find_series(records):
        parts.append(r"  # group_pattern: '^(.*\D)\d+\D*$'  # keeps a series together")
    parts += [
        "  # side: 96  # px; the default, 64, is faster and sees less",
        "",
        "# split:",
        '#   train_where: "luminance >= 70"  # trains on those only; val and test stay whole',
        "#   by: time  # train on the past; or by: site, with site: COLUMN",
    ]
    return "\n".join(parts) + "\n"


def _count_splits(records: Sequence[ImageRecord], plan: ReadPlan) -> dict[str, int]:
    values = (
        str(p.columns.get(plan.split_column)).lower() if plan.split_column else p.split
        for p in records
    )
    return dict(
        Counter(SPLIT_ALIASES.get(value, value) for value in values if value and value != "none")
    )


def propose_config(root: Path, should_follow_links: bool = False) -> ConfigProposal:
    """Look at the data set in `root`: headers of a sample, no pixels. Raises `InputError` where there is none.

    links: those that lead out of it are followed.
    """
    plan, words = _propose_read_plan(root, should_follow_links)
    items = list(read_dataset(root, plan.adapter, plan.options))
    images = [item for item in items if isinstance(item, ImageRecord) and item.label]
    rejected = [item for item in items if isinstance(item, RejectedFile)]
    if not images:
        why = Counter(item.reason for item in rejected).most_common(1)
        most = f"; most often: {why[0][0]}" if why else ""
        raise InputError(f"{root}: {words}, but no labeled image in it{most}")
    classes = dict(sorted(Counter(str(image.label) for image in images).items()))
    heads, bad = _read_sample_headers(images)
    group = find_group_column(images)
    plan = replace(plan, group_column=group)
    splits = _count_splits(images, plan)
    values = len({image.columns.get(group) for image in images}) if group else 0
    lines = [
        f"{plan.adapter}: {words}",
        _format_count(len(images), "image"),
        _format_classes(classes),
    ]
    lines += [_format_sizes(heads)] if heads else []
    lines += (
        ["given split: " + ", ".join(f"{k} {v:,}" for k, v in splits.items())] if splits else []
    )
    for key, column in (
        ("file", plan.options.file),
        ("label", plan.options.label),
        ("split", plan.split_column),
    ):
        lines += (
            [f"column {column} looks like the {key}: ingest.{key} is set to it"] if column else []
        )
    lines += (
        ["most images show several classes: ingest.crop_boxes makes each box a image"]
        if plan.options.boxes
        else []
    )
    lines += (
        [f"column {group} ({values:,} values) looks like a group: ingest.group is set to it"]
        if group
        else []
    )
    where = f"capture times in column {plan.time_column}: ingest.time is set to it"
    grouped = bool(group) or any(image.group for image in images)
    lines += [
        where if plan.time_column else _format_times(images, heads),
        *_format_extras(images, heads, grouped),
    ]
    problems = _find_problems(images, rejected, classes, bad)
    title = f"{_format_count(len(images), 'image')} of {_format_count(len(classes), 'class')}, read as {plan.adapter}"
    config = _format_config(root, title, plan, values, images)
    lines = [
        escape_control_characters(line)
        for line in [*lines, *(f"problem: {line}" for line in problems)]
    ]
    return ConfigProposal(
        str(plan.adapter),
        len(images),
        len(rejected),
        classes,
        splits,
        group,
        plan,
        problems,
        lines,
        config,
    )
