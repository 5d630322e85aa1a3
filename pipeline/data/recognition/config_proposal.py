"""The work of `nightshift init`: a summary of a data set, and a config that runs as it is."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.layout.undecided_data import UndecidedDataError
from pipeline.data.reading.image_decoding import ImageHeader
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    RejectedFile,
    escape_control_characters,
)
from pipeline.data.recognition.dataset_summary import (
    find_series,
    format_classes,
    format_count,
    format_counts,
    format_extras,
    format_sizes,
    format_times,
    read_sample_headers,
)
from pipeline.data.recognition.read_plan import ReadPlan, infer_read_plan
from pipeline.data.tables.group_columns import find_group_candidates, find_group_column

SMALL_CLASS_SIZE = 20
"""Images of a class below which it is called small: a 95 % interval of its error rate may be 44
points wide."""
_LISTED_REASONS = 5
_LISTED_CLASSES = 8


@dataclass(frozen=True)
class ConfigProposal:
    """A summary of a data set and a config for it.

    Attributes:
        adapter: name of the adapter.
        image_count: number of labeled images.
        rejected_count: number of rejected files.
        class_counts: images by class.
        split_counts: images by given split.
        group_column: column that gives the group.
        read_plan: how the data set is read.
        problems: problems of the data set, one line each.
        summary_lines: summary for people, problems included.
        config_yaml: the config as YAML.
        undecided: what the config must still decide before it can run, as one sentence, or None.
    """

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
    undecided: str | None = None


def propose_config(
    root: Path, should_follow_links: bool = False, config_folder: Path | None = None
) -> ConfigProposal:
    """Return a summary of the data set in `root`, and a config for it.

    All files are listed, and the headers of a sample are read; no pixels are decoded.

    Args:
        root: the data set.
        should_follow_links: whether links out of its folder are followed.
        config_folder: folder of the config's file, to which its paths are relative; None for an
            absolute path.

    Raises:
        InputError: there is no data set, or no labeled image in it.

    A data set that can be read in several ways gets a config that lists the choices in comments.
    """
    try:
        plan, description = infer_read_plan(root, should_follow_links)
        items = list(read_dataset(root, plan.adapter, plan.options))
    except UndecidedDataError as error:
        return _propose_choice(root, config_folder, str(error), error.settings)
    images = [item for item in items if isinstance(item, ImageRecord) and item.label]
    rejected = [item for item in items if isinstance(item, RejectedFile)]
    if not images:
        raise InputError(_explain_missing_labels(root, description, rejected))
    class_counts = dict(sorted(Counter(str(image.label) for image in images).items()))
    if len(class_counts) == 1:
        message = (
            f"{root}: {description}, but all {len(images):,} images are of one class, "
            f"{images[0].label!r}; a classifier needs two"
        )
        settings = [f"label: {column}" for column in plan.rivals.get("label", ())]
        return _propose_choice(root, config_folder, message, settings or ["label: COLUMN"])
    headers, unreadable_count = read_sample_headers(images)
    plan = replace(plan, group_column=find_group_column(images))
    split_counts = _count_splits(images, plan)
    problems = _find_problems(images, rejected, class_counts, unreadable_count)
    lines = [
        f"{plan.adapter}: {description}",
        format_count(len(images), "image"),
        format_classes(class_counts),
        *_format_properties(images, headers, plan, split_counts),
        *(f"problem: {problem}" for problem in problems),
    ]
    title = (
        f"{format_count(len(images), 'image')} of {format_count(len(class_counts), 'class')}, "
        f"read as {plan.adapter}"
    )
    return ConfigProposal(
        adapter=str(plan.adapter),
        image_count=len(images),
        rejected_count=len(rejected),
        class_counts=class_counts,
        split_counts=split_counts,
        group_column=plan.group_column,
        read_plan=plan,
        problems=problems,
        summary_lines=list(map(escape_control_characters, lines)),
        config_yaml=_format_config(root, config_folder, title, plan, images),
    )


def _propose_choice(
    root: Path, config_folder: Path | None, message: str, settings: Sequence[str]
) -> ConfigProposal:
    """Return a proposal whose config lists, in comments, the settings that decide."""
    lines = [
        "# This config is not complete: choose one of the lines in comments.",
        _format_yaml_line("name", _format_name(root)),
        "",
        "ingest:",
        "  " + _format_yaml_line("data", _format_data_path(root, config_folder)),
        *(f"  # {escape_control_characters(line)}" for line in settings),
    ]
    return ConfigProposal(
        adapter="",
        image_count=0,
        rejected_count=0,
        class_counts={},
        split_counts={},
        group_column=None,
        config_yaml="\n".join(lines) + "\n",
        undecided=escape_control_characters(message),
    )


def _explain_missing_labels(root: Path, description: str, rejected: list[RejectedFile]) -> str:
    reasons = Counter(file.reason for file in rejected).most_common(1)
    frequent = f"; most often: {reasons[0][0]}" if reasons else ""
    return f"{root}: {description}, but no labeled image in it{frequent}"


def _count_splits(records: Sequence[ImageRecord], plan: ReadPlan) -> dict[str, int]:
    counts = Counter[str]()
    for record in records:
        if plan.split_column:
            split = str(record.columns.get(plan.split_column)).lower()
        else:
            split = record.split or ""
        if split and split != "none":
            counts[SPLIT_ALIASES.get(split, split)] += 1
    return dict(counts)


def _count_groups(records: Sequence[ImageRecord], group_column: str) -> int:
    return len({record.columns.get(group_column) for record in records})


def _format_properties(
    records: Sequence[ImageRecord],
    headers: Sequence[ImageHeader],
    plan: ReadPlan,
    split_counts: dict[str, int],
) -> list[str]:
    """Return the lines on sizes, splits, inferred columns, times, storage and series."""
    lines = []
    if headers:
        lines.append(format_sizes(headers))
    if split_counts:
        lines.append(f"given split: {format_counts(split_counts.items())}")
        missing = [name for name in ("val", "test") if name not in split_counts]
        if missing:
            lines.append(f"no {' and no '.join(missing)} is given: a run draws it from the others")
    inferred = {
        "file": plan.options.file_column,
        "label": plan.options.label_column,
        "split": plan.split_column,
    }
    for key, column in inferred.items():
        others = plan.rivals.get(key, ())
        if column:
            also = f" (also possible: {', '.join(others[:4])})" if others else ""
            lines.append(f"column {column} looks like the {key}: ingest.{key} is set to it{also}")
    if plan.options.should_crop_boxes:
        lines.append("most images show several classes: ingest.crop_boxes makes each box an image")
    group = plan.group_column
    if group:
        rivals = [c.column for c in find_group_candidates(records) if c.column != group]
        also = f" (also possible: {', '.join(rivals[:4])})" if rivals else ""
        lines.append(
            f"column {group} ({_count_groups(records, group):,} values) looks like a group: "
            f"ingest.group is set to it{also}"
        )
    if plan.time_column:
        lines.append(f"capture times in column {plan.time_column}: ingest.time is set to it")
    else:
        lines.append(format_times(records, headers))
    is_grouped = bool(group) or any(record.group for record in records)
    return [*lines, *format_extras(records, headers, is_grouped)]


def _find_similar_names(class_names: Iterable[str]) -> list[str]:
    """Return classes that differ only in case, spaces, hyphens or underscores, one line each."""
    names_by_key = defaultdict(list)
    for name in class_names:
        names_by_key[re.sub(r"[\s_-]+", "", name).casefold()].append(name)
    return [" / ".join(map(repr, names)) for names in names_by_key.values() if len(names) > 1]


def _find_problems(
    records: Sequence[ImageRecord],
    rejected: Sequence[RejectedFile],
    class_counts: dict[str, int],
    unreadable_count: int,
) -> list[str]:
    problems = []
    reasons = Counter(file.reason for file in rejected)
    for reason, count in reasons.most_common(_LISTED_REASONS):
        problems.append(f"{format_count(count, 'file')} rejected: {reason}")
    if unreadable_count:
        problems.append(
            f"{format_count(unreadable_count, 'image')} of the sample cannot be read; ingest lists "
            "each with its reason"
        )
    trained = {record.label for record in records if record.split == "train"}
    if len(trained) == 1:
        problems.append(
            f"the given training part holds one class, {trained.pop()}; ingest.given_split: ignore "
            "draws a new split"
        )
    similar_names = _find_similar_names(class_counts)
    if similar_names:
        problems.append(
            "classes whose names hardly differ, perhaps one class: "
            f"{', '.join(similar_names[:_LISTED_REASONS])}"
        )
    small = sorted(name for name, count in class_counts.items() if count < SMALL_CLASS_SIZE)
    if small:
        problems.append(
            f"under {SMALL_CLASS_SIZE} images in {format_count(len(small), 'class')}: "
            f"{', '.join(small[:_LISTED_CLASSES])}"
        )
    return [*problems, *_find_missing_classes(records, set(class_counts))]


def _find_missing_classes(records: Sequence[ImageRecord], class_names: set[str]) -> list[str]:
    """Return one line for each given split that lacks images of a class."""
    classes_by_split = defaultdict(set)
    for record in records:
        if record.split:
            classes_by_split[record.split].add(record.label)
    problems = []
    for split in sorted(classes_by_split):
        missing = sorted(class_names - classes_by_split[split])
        if missing:
            problems.append(f"no image of {', '.join(missing[:_LISTED_CLASSES])} in {split}")
    return problems


def _format_yaml_line(key: str, value: object, comment: str = "") -> str:
    return f"{yaml.safe_dump({key: value}, allow_unicode=True, width=10_000).strip()}{comment}"


def _format_name(root: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", root.name or root.resolve().name).strip("-") or "run"


def _format_data_path(root: Path, config_folder: Path | None) -> str:
    """Return the data set's path as a config in `config_folder` names it."""
    if not root.exists():  # an address, such as torchvision:NAME
        return root.as_posix()
    if config_folder is None:
        return root.absolute().as_posix()
    return Path(os.path.relpath(root, config_folder)).as_posix()


def _format_config(
    root: Path,
    config_folder: Path | None,
    title: str,
    plan: ReadPlan,
    records: Sequence[ImageRecord],
) -> str:
    """Return a config with the settings that differ from the defaults, and a few suggestions."""
    lines = [
        f"# {title}. Settings that are not written here have their defaults.",
        _format_yaml_line("name", _format_name(root)),
        "",
        "ingest:",
        "  "
        + _format_yaml_line(
            "data", _format_data_path(root, config_folder), "  # relative to this file"
        ),
    ]
    for key, value, comment in _list_settings(plan, records):
        if value:
            lines.append("  " + _format_yaml_line(key, value, f"  # {comment}"))
    has_groups = plan.group_column or any(record.group for record in records)
    if not has_groups and find_series(records):
        lines.append(r"  # group_pattern: '^(.*\D)\d+\D*$'  # keeps a series together")
    lines += [
        "  # side: 96  # px; by default the largest up to 224 whose training fits train.minutes",
        "",
        "# split:",
        '#   train_where: "luminance >= 70"  # trains on these only; val and test keep all images',
        "#   strategy: time  # train on the past; or strategy: site, with site_column: COLUMN",
    ]
    return "\n".join(lines) + "\n"


def _list_settings(
    plan: ReadPlan, records: Sequence[ImageRecord]
) -> list[tuple[str, str | bool | None, str]]:
    """Return key, value and comment of the settings of ingest that the plan may change."""
    group = plan.group_column
    group_count = _count_groups(records, group) if group else 0
    return [
        ("table", plan.options.table, "the table that lists the images"),
        ("file", plan.options.file_column, "the image's path or address"),
        ("label", plan.options.label_column, "the class"),
        ("crop_boxes", plan.options.should_crop_boxes, "each annotated box is an image"),
        ("follow_links", plan.options.should_follow_links, "links out of the folder are followed"),
        ("group", group, f"{group_count:,} values; images that share one stay in one split"),
        ("time", plan.time_column, "when the image was taken"),
        ("split", plan.split_column, "train, val or test"),
    ]
