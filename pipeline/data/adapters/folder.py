"""Class folders, with or without train / val / test folders above them.

It is the layout of ImageFolder and of YOLO's classifiers. It is the last resort, so it reads only
folders that can be nothing but classes (`pipeline.data.layout.folder_layout`).
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.data.layout.folder_layout import (
    NOT_IN_CLASS_REASON,
    FolderLayout,
    recognize_tree_layout,
)
from pipeline.data.layout.undecided_data import UndecidedDataError
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    DEFAULT_READ_OPTIONS,
    ImageRecord,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
)
from pipeline.data.tables.folder_tables import FolderTables, find_folder_tables
from pipeline.data.tables.image_lists import find_image_lists

SUPPORTED_OPTIONS = ("class_level", "photos")


def can_read(tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS) -> str | None:
    """Return how many class folders with images there are, and their splits; None without any.

    Raises:
        UndecidedDataError: a file lists the images with other classes, or lists images that no
            folder labels.
    """
    layout = recognize_tree_layout(tree, options)
    classes = layout.class_names
    if not classes and not layout.problem:
        return None
    if classes and not layout.problem and options.is_label_required:
        problem = find_folder_tables(tree, layout, options).problem
        if problem:
            raise UndecidedDataError(f"ingest.data: {tree.root}: {problem}", ["adapter: folder"])
    class_text = ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
    split_text = f" in {', '.join(layout.splits)}" if layout.splits else ""
    return (
        f"{len(classes)} class folder{'s' if len(classes) > 1 else ''} ({class_text}){split_text}"
    )


def read_images(
    tree: FileTree, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of class folders, labeled by the folder's name.

    A folder above or below may be the split. Tables that list the images add their columns.
    Rejected with a reason: files that are no images, images outside class folders, in folders of
    masks, previews, copies or unlabeled images, class folders without an image.

    Raises:
        UndecidedDataError: the folders may be read in several ways.
    """
    layout = recognize_tree_layout(tree, options)
    if layout.problem:
        raise UndecidedDataError(
            f"ingest.data: {tree.root}: labels by folder are not sure: {layout.problem}"
            f"{_name_lists(tree, options)}",
            _list_settings(layout),
        )
    tables = find_folder_tables(tree, layout, options)
    yield from tree.rejected_files
    used = set[str]()
    for path in tree.file_names:
        if is_image(path):
            item = _read_image(tree, path, layout, tables)
            if isinstance(item, ImageRecord):
                used.add(path.rpartition("/")[0])
            yield item
        elif path not in tables.names:
            yield RejectedFile(path, explain_non_image(path))
    yield from _reject_empty_folders(tree, layout, used)


def _name_lists(tree: FileTree, options: ReadOptions) -> str:
    """Return a half-sentence on the files that list images and are not read."""
    names = [image_list.name for image_list in find_image_lists(tree, options.image_folder)]
    return f"; {', '.join(names[:3])} lists images and is not read" if names else ""


def _list_settings(layout: FolderLayout) -> list[str]:
    """Return the settings that decide the level of the class, with the classes of each."""
    last = max(layout.level_counts, default=0)
    lines = []
    for level, counts in layout.level_counts.items():
        name = {1: "top", last: "leaf"}.get(level, str(level))
        listed = ", ".join(f"{label} {count}" for label, count in list(counts.items())[:8])
        lines.append(f"class_level: {name}  # {len(counts)} classes: {listed}")
    return lines or ["class_level: top", "adapter: folder"]


def _read_image(
    tree: FileTree, path: str, layout: FolderLayout, tables: FolderTables
) -> ImageRecord | RejectedFile:
    folder = path.rpartition("/")[0]
    item = layout.labels.get(folder)
    if item is None or item.label is None or path in layout.set_aside:
        return RejectedFile(path, _find_reason(path, layout))
    return ImageRecord(
        tree.get_source(path),
        path,
        item.label,
        group=item.group,
        split=item.split or tables.splits.get(path),
        columns=tables.get_columns(path),
    )


def _find_reason(path: str, layout: FolderLayout) -> str:
    """Return why an image is not used: by itself or by the nearest folder above it."""
    while path:
        if path in layout.set_aside:
            return layout.set_aside[path]
        path = path.rpartition("/")[0]
    return NOT_IN_CLASS_REASON


def _reject_empty_folders(
    tree: FileTree, layout: FolderLayout, used: set[str]
) -> Iterator[RejectedFile]:
    """Yield the folders beside class folders that hold no image and no folder."""
    parents = {folder.rpartition("/")[0] for folder in used}
    with_content = {name.rpartition("/")[0] for name in tree.file_names}
    above = {folder.rpartition("/")[0] for folder in tree.folders}
    for path in sorted(tree.folders):
        is_beside = path.rpartition("/")[0] in parents
        if is_beside and path not in above and path not in with_content:
            yield RejectedFile(f"{path}/", f"class folder {path} holds no images")
