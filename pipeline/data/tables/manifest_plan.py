"""Which tables of a data set give its images and labels, and which add splits and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.contracts import InputError
from pipeline.data.layout.folder_layout import recognize_tree_layout
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    TABLE_SUFFIXES,
    ReadOptions,
    suggest_name,
)
from pipeline.data.tables.column_inference import InferredColumns, LabelCandidate
from pipeline.data.tables.column_kinds import is_same_partition
from pipeline.data.tables.listing_tables import (
    ListingTable,
    TableSurvey,
    is_submission,
    survey_tables,
)
from pipeline.data.tables.table_files import TableColumns, convert_to_text

MANIFEST_NAMES = (
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
    "metadata.tsv",
    "metadata.xlsx",
    "_classes.csv",  # Roboflow
)
COVERED_SHARE = 0.5
"""Share of a table's rows whose images lie in class folders, for these to be compared with it."""


@dataclass(frozen=True)
class ManifestPlan:
    """The tables that are read.

    Attributes:
        tables: tables that give images and labels.
        splits: the split of each of them, by name; None for no split.
        side_tables: tables that add columns to these images.
        key_tables: tables without images that may add columns by the value of another column.
        split_by_image: split of images that tables list for one split each.
        problem: why no table can be chosen or no label decided, as one sentence.
        candidates: columns that may be the label, with their table.
        rival_tables: tables, one of them to be named.
    """

    tables: Sequence[ListingTable] = ()
    splits: Mapping[str, str | None] = field(default_factory=dict)
    side_tables: Sequence[ListingTable] = ()
    key_tables: Mapping[str, TableColumns] = field(default_factory=dict)
    split_by_image: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    candidates: Sequence[tuple[str, LabelCandidate]] = ()
    rival_tables: Sequence[str] = ()

    def list_settings(self) -> list[str]:
        """Return the settings that would decide the table or the label."""
        if self.rival_tables:
            return [f"table: {name}" for name in self.rival_tables]
        return [
            f"label: {candidate.column}  # {candidate.class_count} values, in {name}"
            for name, candidate in self.candidates
        ]

    @property
    def names(self) -> list[str]:
        """Names of the tables that give images and labels."""
        return [table.name or table.tree.root.name for table in self.tables]


def plan_manifest(tree: FileTree, options: ReadOptions) -> ManifestPlan | None:
    """Return which tables are read, or None if no table lists labeled images.

    Raises:
        InputError: the config names a table that is not there, or a manifest cannot be read.
    """
    key = (plan_manifest, options)
    if key not in tree.findings:
        tree.findings[key] = _plan_manifest(tree, options)
    plan: ManifestPlan | None = tree.findings[key]
    return plan


def _plan_manifest(tree: FileTree, options: ReadOptions) -> ManifestPlan | None:
    if tree.root_kind == "none":
        return None
    if tree.root_kind == "file" and tree.root.suffix.lower() not in TABLE_SUFFIXES:
        return None
    survey = survey_tables(tree, options)
    fixed = _list_fixed_tables(tree, options)
    for name in fixed:
        if name in survey.unreadable:
            raise survey.unreadable[name]
    if fixed:
        tables = [_find_listing(survey, tree, name, options) for name in fixed]
        plan = ManifestPlan(tables, fixed)
    else:
        plan = _choose_tables(survey, options)
    if not plan.tables:
        return plan if plan.problem else None
    if not fixed and _names_no_image(plan, tree, options):
        return None
    plan = _compare_with_folders(plan, tree, options)
    if not plan.tables:
        return None
    return _add_folder_splits(_add_side_tables(plan, survey), tree, options)


def _list_fixed_tables(tree: FileTree, options: ReadOptions) -> dict[str, str | None]:
    """Return the tables that the config or a convention names, with their splits."""
    if tree.root_kind == "file":
        return {"": None}
    file_names = frozenset(tree.file_names)
    if options.table:
        return {_find_table(tree, options.table): None}
    in_root = [name for name in MANIFEST_NAMES if name in file_names]
    if in_root:
        return {in_root[0]: None}
    in_splits = {}
    for folder in sorted(tree.folders):
        split = SPLIT_ALIASES.get(folder.rpartition("/")[2].lower())
        for name in MANIFEST_NAMES if split else ():
            if f"{folder}/{name}" in file_names:
                in_splits[f"{folder}/{name}"] = split
    return dict(in_splits)


def _find_table(tree: FileTree, wanted: str) -> str:
    name = wanted.removeprefix("./")
    base = f"{tree.base_folder}"
    tables = [n for n in tree.file_names if n.lower().endswith(tuple(TABLE_SUFFIXES))]
    found = [n for n in tables if n == name or base + n == name]
    found = found or [n for n in tables if n.rpartition("/")[2] == name]
    if len(found) != 1:
        raise InputError(
            f"ingest.table: no table {wanted!r} in {tree.root}; {suggest_name(wanted, tables)}"
        )
    return found[0]


def _find_listing(
    survey: TableSurvey, tree: FileTree, name: str, options: ReadOptions
) -> ListingTable:
    for table in survey.listing:
        if table.name == name:
            return table
    return ListingTable(tree, name, survey.others.get(name, {}), InferredColumns(), options)


def _choose_tables(survey: TableSurvey, options: ReadOptions) -> ManifestPlan:
    """Return the tables whose labels are read: one, or one for each split."""
    listing = [table for table in survey.listing if not is_submission(table.name)]
    if any(table.rows_by_image for table in listing):
        listing = [table for table in listing if table.rows_by_image]
    labeled = [table for table in listing if table.has_labels]
    if not options.is_label_required and not labeled:
        labeled = listing
    if len(labeled) > 1:
        labeled = [table for table in labeled if not table.has_idle_label] or labeled
    pool = [table for table in labeled if table.is_label_named] or labeled
    if not pool:
        return ManifestPlan()
    if len(pool) == 1:
        return ManifestPlan(pool, {pool[0].name: None})
    whole = _find_whole_table(pool)
    if whole is not None:
        conflict = _find_conflict(whole, pool)
        rivals = [table.name for table in pool] if conflict else []
        return ManifestPlan([whole], {whole.name: None}, problem=conflict, rival_tables=rivals)
    splits = {table.name: table.split for table in pool}
    if None not in splits.values() and _are_disjoint(pool):
        return ManifestPlan(pool, splits)
    names = ", ".join(table.name for table in pool)
    return ManifestPlan(
        pool[:1],
        {pool[0].name: None},
        problem=(
            f"several tables list labeled images ({names}), and their names do not say one split "
            f"each; name one in ingest.table, as in ingest.table={pool[0].name}"
        ),
        rival_tables=[table.name for table in pool],
    )


def _find_whole_table(pool: Sequence[ListingTable]) -> ListingTable | None:
    """Return the table that lists all images that the others list."""
    largest = max(pool, key=lambda table: (len(table.rows_by_image), -pool.index(table)))
    images = set(largest.rows_by_image)
    is_whole = bool(images) and all(images.issuperset(table.rows_by_image) for table in pool)
    return largest if is_whole else None


def _find_conflict(whole: ListingTable, pool: Sequence[ListingTable]) -> str | None:
    """Return a sentence on a table whose labels differ from those of the whole table, or None."""
    for other in pool:
        if other is whole or not (whole.label_column and other.label_column):
            continue
        rows = other.rows_by_image.items()
        first = [whole.columns[whole.label_column][whole.rows_by_image[path]] for path, _ in rows]
        second = [other.columns[other.label_column][row] for _, row in rows]
        if not is_same_partition(first, second):
            return (
                f"{whole.name} ({whole.label_column}) and {other.name} ({other.label_column}) "
                "label the same images differently; name one in ingest.table"
            )
    return None


def _are_disjoint(tables: Sequence[ListingTable]) -> bool:
    images = set[str]()
    for table in tables:
        if not images.isdisjoint(table.rows_by_image):
            return False
        images.update(table.rows_by_image)
    return True


def _compare_with_folders(plan: ManifestPlan, tree: FileTree, options: ReadOptions) -> ManifestPlan:
    """Return the plan with the label decided by class folders where the names do not decide it.

    A table without labels gives way to class folders.
    """
    candidates = [
        (table.name or tree.root.name, candidate)
        for table in plan.tables
        for candidate in table.inferred.candidates
    ]
    plan = replace(plan, candidates=candidates)
    table = plan.tables[0]
    is_decided = all(t.is_label_named for t in plan.tables)
    if is_decided or plan.problem or not options.is_label_required or options.label_column:
        return plan
    by_folder = _read_folder_labels(table, tree, options)
    if by_folder is None:
        is_missing = any(t.label_column is None and t.has_labels for t in plan.tables)
        problem = _describe_candidates(candidates) if is_missing else None
        return replace(plan, problem=problem)
    for candidate in table.inferred.candidates:
        if is_same_partition(by_folder, table.columns[candidate.column]):
            inferred = replace(table.inferred, label=candidate.column)
            return replace(plan, tables=[replace(table, inferred=inferred), *plan.tables[1:]])
    if not table.has_labels:
        return ManifestPlan()
    return replace(
        plan,
        problem=(
            f"{_describe_candidates(candidates)}, and the folders name other classes "
            f"({', '.join(sorted(filter(None, set(by_folder)))[:4])}): ingest.adapter=folder takes "
            "those"
        ),
    )


def _names_no_image(plan: ManifestPlan, tree: FileTree, options: ReadOptions) -> bool:
    """Return whether no table names one image for sure, while folders tell the classes."""
    if any(table.rows_by_image or not table.file_column for table in plan.tables):
        return False
    layout = recognize_tree_layout(tree, options)
    return layout.problem is None and len(layout.class_names) > 1


def _read_folder_labels(
    table: ListingTable, tree: FileTree, options: ReadOptions
) -> list[str | None] | None:
    """Return the class folder of each row; None if the images are in no class folders."""
    if tree.root_kind == "file" or not table.file_column:
        return None
    layout = recognize_tree_layout(tree, options)
    if layout.problem or len(layout.class_names) < 2:
        return None
    labels = []
    for path in table.resolver.paths:
        item = layout.labels.get(path.rpartition("/")[0])
        labels.append(item.label if item else None)
    covered = sum(label is not None for label in labels)
    return labels if covered >= COVERED_SHARE * max(1, len(labels)) else None


def _describe_candidates(candidates: Sequence[tuple[str, LabelCandidate]]) -> str:
    listed = [f"{c.column} ({c.class_count} values)" for _, c in candidates if c.rank < 4]
    listed += [f"{c.column} ({c.class_count} values)" for _, c in candidates if c.rank == 4]
    tables = ", ".join(dict.fromkeys(name for name, _ in candidates))
    return (
        f"{tables}: which column is the label cannot be decided; candidates: "
        f"{', '.join(listed[:8])}; write one into the config, as in ingest.label: "
        f"{listed[0].rpartition(' (')[0]}"
    )


def _add_side_tables(plan: ManifestPlan, survey: TableSurvey) -> ManifestPlan:
    """Return the plan with the tables that add columns and splits to its images."""
    main = {table.name for table in plan.tables}
    listed = set[str]()
    for table in plan.tables:
        if table.file_column:
            listed.update(table.rows_by_image)
    side = []
    by_name: dict[str, str] = {}
    by_column: dict[str, str] = {}
    for table in survey.listing:
        if table.name in main or is_submission(table.name) or not table.file_column:
            continue
        shared = listed.intersection(table.rows_by_image)
        if shared:
            side.append(table)
        by_column |= {
            path: table.splits_by_image[path] for path in shared & set(table.splits_by_image)
        }
        if table.split:
            by_name.update(dict.fromkeys(shared, table.split))
    split_by_image = by_column or (by_name if len(set(by_name.values())) > 1 else {})
    key_tables = {} if plan.tables[0].tree.root_kind == "file" else survey.others
    return replace(plan, side_tables=side, key_tables=key_tables, split_by_image=split_by_image)


def _add_folder_splits(plan: ManifestPlan, tree: FileTree, options: ReadOptions) -> ManifestPlan:
    """Return the plan with the splits of the folders, where no table gives any."""
    has_splits = plan.split_by_image or any(plan.splits.values())
    has_columns = any(t.inferred.split or "split" in t.columns for t in plan.tables)
    if has_splits or has_columns or tree.root_kind == "file" or plan.problem:
        return plan
    layout = recognize_tree_layout(tree, options)
    splits = {folder: item.split for folder, item in layout.labels.items() if item.split}
    found: dict[str, str] = {}
    for table in plan.tables if splits else ():
        for path in table.rows_by_image if table.file_column else ():
            split = splits.get(path.rpartition("/")[0])
            if split:
                found[path] = split
    listed = sum(len(table.rows_by_image) for table in plan.tables if table.file_column)
    is_division = "train" in found.values() and len(set(found.values())) > 1
    return replace(plan, split_by_image=found) if is_division and len(found) == listed else plan


def join_key_tables(columns: TableColumns, key_tables: Mapping[str, TableColumns]) -> TableColumns:
    """Return the columns that tables without images add by the values of one of `columns`.

    A table is joined if one of its columns, with the name of a column of the images, holds each
    value once and nearly all values of that column.
    """
    added: TableColumns = {}
    for table in key_tables.values():
        for key in [name for name in table if name in columns]:
            keys = list(map(convert_to_text, table[key]))
            wanted = list(map(convert_to_text, columns[key]))
            rows = {value: number for number, value in enumerate(keys) if value}
            if len(rows) < len(keys) or not set(wanted) - {None} <= set(rows):
                continue
            for name, values in table.items():
                if name not in columns and name not in added:
                    added[name] = [values[rows[w]] if w is not None else None for w in wanted]
            break
    return added
