"""The images of a data set by name, to find those that a table means."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from pipeline.data.layout.side_folders import find_side_folders
from pipeline.data.reading.image_record import is_image

_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")
"""Prefix that annotation tools put before the name of an uploaded file."""


def strip_image_suffix(name: str) -> str:
    """Return the name of an image without its suffix; other names stay as they are."""
    return os.path.splitext(name)[0] if is_image(name) else name


def get_base_stem(name: str) -> str:
    """Return the name of an image without its folder and its suffix."""
    return strip_image_suffix(name).rpartition("/")[2]


def clean_listed_name(text: str) -> str:
    """Return a name in a table with `/` as separator, without the query of an address."""
    name = text.strip().replace("\\", "/")
    return name.partition("?")[0] if "://" in name else name


class ImageIndex:
    """Images of a data set by path and by name. Masks and previews are left out.

    Attributes:
        file_names: every file of the data set.
        files_by_folder: names of the image files by the path of their folder.
        other_files: every file that is no image.
    """

    def __init__(self, file_names: Sequence[str], image_folder: str | None = None) -> None:
        """Index the images among `file_names`, only those in `image_folder` if it is given."""
        self.file_names = frozenset(file_names)
        below = f"{image_folder.strip('/')}/" if image_folder else ""
        self.files_by_folder: dict[str, list[str]] = {}
        self.other_files: list[str] = []
        folder, names = None, []
        for path in file_names:  # those of one folder mostly follow each other
            if not is_image(path):
                self.other_files.append(path)
            elif path.startswith(below):
                own_folder, _, name = path.rpartition("/")
                if own_folder != folder:
                    folder, names = own_folder, self.files_by_folder.setdefault(own_folder, [])
                names.append(name)

    @cached_property
    def images(self) -> list[str]:
        """Paths of the images, without those in folders of masks, previews and the like."""
        side, _ = find_side_folders(self.files_by_folder)
        images = []
        for folder, names in self.files_by_folder.items():
            is_side = any(folder == path or folder.startswith(f"{path}/") for path in side)
            if not is_side:
                images += [f"{folder}/{name}" for name in names] if folder else names
        return images

    @cached_property
    def images_by_stem(self) -> dict[str, list[str]]:
        """Paths of the images by name without folder and suffix."""
        by_stem = defaultdict(list)
        for path in self.images:
            by_stem[get_base_stem(path)].append(path)
        return dict(by_stem)

    @cached_property
    def stem_paths(self) -> dict[str, str]:
        """Paths of the images by path without suffix; ambiguous ones are left out."""
        by_stem = defaultdict(list)
        for path in self.images:
            by_stem[strip_image_suffix(path)].append(path)
        return {stem: paths[0] for stem, paths in by_stem.items() if len(paths) == 1}

    def find_by_name(self, listed_name: str) -> list[str]:
        """Return the images whose name, without folder and suffix, is that of a listed name."""
        stem = get_base_stem(clean_listed_name(listed_name))
        found = self.images_by_stem.get(stem)
        if found is None:
            found = self.images_by_stem.get(_UPLOAD_PREFIX.sub("", stem), [])
        return found
