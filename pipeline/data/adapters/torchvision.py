"""`torchvision:NAME`: a data set that torchvision downloads.

Names: https://docs.pytorch.org/vision/stable/datasets.html
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.data.adapters import folder as folder_adapter
from pipeline.data.reading.file_cache import get_cache_folder
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import ImageRecord, RejectedFile, suggest_name

NAME_PREFIX = "torchvision:"


def can_read(root: Path) -> str | None:
    """Return the name after `torchvision:`, or None."""
    return f"torchvision's {_parse_name(root)}" if str(root).startswith(NAME_PREFIX) else None


def _parse_name(root: Path) -> str:
    return str(root).partition(":")[2].strip()


def _list_split_arguments(dataset_class: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the splits of a data set class, train | val | test | all, with their arguments."""
    parameters = inspect.signature(dataset_class).parameters
    if "train" in parameters:
        return [("train", {"train": True}), ("test", {"train": False})]
    if "split" in parameters:
        return [
            ("train", {"split": "train"}),
            ("val", {"split": "val"}),
            ("test", {"split": "test"}),
        ]
    return [("all", {})]


def _open_splits(dataset_class: Any, name: str, cache_root: Path) -> Iterator[tuple[str, Any]]:
    """Yield each split that the class offers, downloaded if necessary."""
    opened_count = 0
    for split, arguments in _list_split_arguments(dataset_class):
        parameters = inspect.signature(dataset_class).parameters
        arguments |= {"root": cache_root} if "root" in parameters else {}
        arguments |= {"download": True} if "download" in parameters else {}
        try:
            opened = dataset_class(**arguments)
        except ValueError:  # this class has no such split
            continue
        except Exception as error:  # network, disk and missing packages raise many types
            raise InputError(
                f"ingest.data: torchvision:{name}: {' '.join(str(error).split())[:300]}"
            ) from error
        opened_count += 1
        yield split, opened
    if not opened_count:
        raise InputError(
            f"ingest.data: torchvision:{name}: none of its splits is called train, val or test"
        )


def _get_class_name(dataset: Any, target: Any) -> str:
    if not isinstance(target, int) and not hasattr(target, "item"):
        raise InputError("ingest.data: its targets are no classes, but " + type(target).__name__)
    names = getattr(dataset, "classes", None) or []
    number = int(target)
    class_name = str(names[number]) if 0 <= number < len(names) else f"{number:03d}"
    return re.sub(r"[/\0]+", "-", class_name).strip(". ") or f"{number:03d}"


def _write_class_folders(name: str, cache_root: Path) -> Path:
    """Return the data set as class folders of PNG files, written once to the cache folder."""
    from torchvision import datasets

    cached_folder = cache_root / "images" / name
    if cached_folder.is_dir():
        return cached_folder
    dataset_class = getattr(datasets, name, None)
    if not inspect.isclass(dataset_class):
        raise InputError(
            f"ingest.data: torchvision has no data set {name!r}; "
            f"{suggest_name(name, datasets.__all__)}"
        )
    partial_folder = cached_folder.with_name(f".{name}.{os.getpid()}")
    for split, opened in _open_splits(dataset_class, name, cache_root):
        for number in range(len(opened)):
            image, target = opened[number][:2]
            path = (
                partial_folder
                / ("" if split == "all" else split)
                / _get_class_name(opened, target)
                / f"{number:06d}.png"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, compress_level=1)
    shutil.rmtree(cached_folder, ignore_errors=True)
    partial_folder.rename(cached_folder)
    return cached_folder


def read_images(root: Path) -> Iterator[ImageRecord | RejectedFile]:
    """Yield images of a torchvision data set by its name, such as `torchvision:CIFAR10`.

    It is downloaded once to the cache folder.

    Raises:
        InputError: torchvision has no such data set, it cannot be downloaded, or its targets are no
            classes.
    """
    return folder_adapter.read_images(
        FileTree(_write_class_folders(_parse_name(root), get_cache_folder() / "torchvision"))
    )
