"""Columns whose equal values belong together, found by values and names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pipeline.data.reading.dataset_listing import ColumnNames
from pipeline.data.reading.image_record import ImageRecord, MetadataValue
from pipeline.data.tables.column_kinds import is_date
from pipeline.data.tables.group_words import rank_group_name

MIN_GROUPS = 10
"""Groups below which a column is not proposed: splits by so few groups would be too coarse."""
MIN_MEAN_SIZE = 1.2
"""Images of a group on average, below which nearly every image has a value of its own."""
MAX_GROUP_SHARE = 0.2
"""Share of the images in the largest group above which a column without a group's name is none."""
PURE_SHARE = 0.95
"""Share of images with their group's most frequent label, from which groups are one thing each."""
MIN_PURITY_GAIN = 0.2
"""By how much that share exceeds the one that labels drawn at random would reach."""
SHORT_TIME_SHARE = 0.1
"""Median duration of a group, as a share of the data set's, below which it is a burst or visit."""
_KEY_PATTERN = re.compile(r"[A-Za-z_-]*\d[\w.:-]*")


@dataclass(frozen=True)
class GroupCandidate:
    """A column whose equal values may belong together.

    Attributes:
        column: its name.
        group_count: number of its values.
        name_rank: position of its name among the words for groups, or None.
    """

    column: str
    group_count: int
    name_rank: int | None


def find_group_candidates(records: Sequence[ImageRecord]) -> list[GroupCandidate]:
    """Return the columns that may be the group, the likeliest first.

    Every column is examined. One that is named as a group is a candidate if its values repeat. Any
    other must look like keys and be nearly constant in label or short in time, and its values must
    not follow from the label.
    """
    candidates = []
    for column in dict.fromkeys(name for record in records for name in record.columns):
        values = [record.columns.get(column) for record in records]
        known: Counter[MetadataValue] = Counter(value for value in values if value is not None)
        if not MIN_GROUPS <= len(known) < known.total():
            continue
        rank = rank_group_name(column)
        if rank is not None or _looks_like_groups(records, values, known):
            candidates.append(GroupCandidate(column, len(known), rank))
    return sorted(candidates, key=lambda c: (c.name_rank is None, c.name_rank or 0, -c.group_count))


def _looks_like_groups(
    records: Sequence[ImageRecord], values: Sequence[MetadataValue], known: Counter[MetadataValue]
) -> bool:
    """Return whether a column without a group's name holds keys that tie images together."""
    if known.total() < MIN_MEAN_SIZE * len(known):
        return False
    if max(known.values()) > MAX_GROUP_SHARE * known.total():
        return False
    if any(isinstance(value, float | bool) for value in known):
        return False
    if not all(_KEY_PATTERN.fullmatch(str(value)) for value in known):
        return False
    if any(map(is_date, map(str, known))):
        return False
    by_value = defaultdict(list)
    for record, value in zip(records, values, strict=True):
        if value is not None:
            by_value[value].append(record)
    repeated = [group for group in by_value.values() if len(group) > 1]
    return _is_pure(repeated) or _is_short(repeated, records)


def _is_pure(groups: Sequence[Sequence[ImageRecord]]) -> bool:
    """Return whether groups have one label each, and not because each label has one group."""
    labels = Counter(record.label for group in groups for record in group)
    if len(labels) < 2 or len(groups) < MIN_GROUPS:
        return False
    most_common = sum(Counter(r.label for r in group).most_common(1)[0][1] for group in groups)
    share = most_common / labels.total()
    chance = max(labels.values()) / labels.total()
    is_finer = len(groups) >= 3 * len(labels)
    return is_finer and share >= PURE_SHARE and share - chance >= MIN_PURITY_GAIN


def _is_short(groups: Sequence[Sequence[ImageRecord]], records: Sequence[ImageRecord]) -> bool:
    """Return whether the images of a group were taken at nearly one time."""
    times = [record.captured_at for record in records if record.captured_at]
    if len(times) < len(records) or len(groups) < MIN_GROUPS:
        return False
    whole = (max(times) - min(times)).total_seconds()
    durations = []
    for group in groups:
        own = [record.captured_at for record in group if record.captured_at]
        durations.append((max(own) - min(own)).total_seconds())
    return whole > 0 and median(durations) < SHORT_TIME_SHARE * whole


def find_group_column(records: Sequence[ImageRecord]) -> str | None:
    """Return the likeliest column of groups, or None if the data set defines groups itself."""
    if not records or any(record.group for record in records):
        return None
    candidates = find_group_candidates(records)
    return candidates[0].column if candidates else None


def find_group_warnings(records: Sequence[ImageRecord], columns: ColumnNames) -> list[str]:
    """Return a line if a column looks like a group, and the config sets none."""
    if columns.group is not None or columns.group_pattern is not None:
        return []
    column = find_group_column(records)
    if column is None:
        return []
    return [
        f"column {column} looks like a group, and its images may be torn over the splits; "
        f"ingest.group={column} keeps them together"
    ]
