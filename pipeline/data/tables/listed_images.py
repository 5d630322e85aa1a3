"""Images that a list, a JSON file or a MATLAB file names, found among the files of a data set."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipeline.contracts import InputError
from pipeline.data.layout.image_index import ImageIndex, strip_image_suffix
from pipeline.data.layout.split_words import parse_split_words
from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.image_record import (
    SPLIT_ALIASES,
    ImageRecord,
    MetadataValue,
    ReadOptions,
    RejectedFile,
    explain_non_image,
    is_image,
)

_UPLOAD_PATTERN = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""Start of a file name that Label Studio adds when an image is uploaded."""
_SPLIT_WORD_PATTERN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass
class ListedImage:
    """What the lists of a data set say about one image.

    Attributes:
        labels: its labels, each once.
        split: train, val or test; None without one in any list.
        columns: other metadata.
    """

    labels: list[str] = field(default_factory=list)
    split: str | None = None
    columns: dict[str, MetadataValue] = field(default_factory=dict)


class ListedImageFinder:
    """The images of a data set by name, with or without folders and suffix."""

    def __init__(self, names: Iterable[str]) -> None:
        """Index the images among the names."""
        all_images = [name for name in names if is_image(name)]
        self.images = ImageIndex(all_images).images
        """Images without masks, previews and the like."""
        self._own = frozenset(self.images)
        self._exact = frozenset(all_images)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in all_images:
            self._by_stem[strip_image_suffix(posixpath.basename(name))].append(name)

    def has_stem(self, stem: str) -> bool:
        """Return whether an image has this name without folder and suffix."""
        return stem in self._by_stem

    def find_images(self, listed_names: Sequence[str], folder: str = "") -> list[str | None]:
        """Return the image of each listed name, None for those that name none or several.

        A name may lack folders or the suffix, may be an address, and may begin with folders of the
        machine that wrote it. Of equal names in two folders, that counts which shares more
        folders with the listed name, which is no mask or preview, and whose folder holds more
        listed images.

        Args:
            listed_names: names as the list spells them.
            folder: folder of the list.
        """
        candidates = [self._find_candidates(name, folder) for name in listed_names]
        folder_counts = Counter(
            posixpath.dirname(name) for names in candidates for name in names[:20]
        )
        found: list[str | None] = []
        for names in candidates:
            if len(names) > 1:
                counts = [folder_counts[posixpath.dirname(name)] for name in names]
                best = [n for n, c in zip(names, counts, strict=True) if c == max(counts)]
                names = best
            found.append(names[0] if len(names) == 1 else None)
        return found

    def _find_candidates(self, listed_name: str, folder: str) -> list[str]:
        name = normalize_listed_name(listed_name)
        for path in (posixpath.normpath(posixpath.join(folder, name)), name):
            if path in self._exact:
                return [path]
        parts = strip_image_suffix(name).split("/")
        stems = [parts[-1], _UPLOAD_PATTERN.sub("", parts[-1])]
        names = next((self._by_stem[stem] for stem in stems if stem in self._by_stem), [])
        if is_image(name):
            suffix = posixpath.splitext(name)[1].lower()
            same = [n for n in names if posixpath.splitext(n)[1].lower() == suffix]
            names = same or names
        if len(names) < 2:
            return names
        names = _keep_longest_match(names, [*filter(None, folder.split("/")), *parts[:-1]])
        return [name for name in names if name in self._own] or names


def normalize_listed_name(name: str) -> str:
    r"""Return a listed name as a path, without the address of a labeling tool around it.

    >>> normalize_listed_name("/data/local-files/?d=photos/a%201.jpg")
    'photos/a 1.jpg'
    >>> normalize_listed_name(".\\train\\a.jpg")
    'train/a.jpg'
    """
    text = name.strip().strip('"').replace("\\", "/")
    query = re.search(r"[?&]d=([^&]+)", text)
    text = query[1] if query else re.sub(r"\?.*$", "", text)
    if query or "://" in text:
        text = unquote(text)
    text = re.sub(r"^[a-z0-9+]+://", "/", text, flags=re.IGNORECASE)
    return posixpath.normpath(text).lstrip("/") if text else ""


def _keep_longest_match(names: list[str], folders: Sequence[str]) -> list[str]:
    """Return the names that share most of their last folders with the listed name."""
    lengths = []
    for name in names:
        length = 0
        for mine, listed in zip(reversed(name.split("/")[:-1]), reversed(folders), strict=False):
            if mine.lower() != listed.lower():
                break
            length += 1
        lengths.append(length)
    longest = max(lengths)
    return [name for name, length in zip(names, lengths, strict=True) if length == longest]


def parse_list_split(name: str) -> str | None:
    """Return the split that the name of a list or folder states, or None.

    >>> [parse_list_split(n) for n in ("TrainImages.txt", "trainval.txt", "val_list", "images")]
    ['train', 'train', 'val', None]
    """
    stem = posixpath.splitext(posixpath.basename(name))[0]
    words = {word.lower() for word in _SPLIT_WORD_PATTERN.findall(stem)}
    splits = {SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES}
    if words & {"trainval", "trnval"}:
        splits.add("train")
    return splits.pop() if len(splits) == 1 else None


def parse_path_split(path: str) -> str | None:
    """Return the split that the folders of an image state, or None."""
    splits = {SPLIT_ALIASES.get(part.lower()) for part in path.split("/")[:-1]} - {None}
    return splits.pop() if len(splits) == 1 else None


def _find_folder_splits(paths: Iterable[str]) -> dict[str, str]:
    """Return the split of each image by its folders' words, such as `flowers_train`.

    Empty unless the folders of all images state a split, train among them.
    """
    splits: dict[str, str] = {}
    for path in paths:
        stated = {parse_split_words(part)[0] for part in path.split("/")[:-1]} - {None}
        if len(stated) != 1:
            return {}
        splits[path] = str(stated.pop())
    return splits if len({*splits.values()}) > 1 and "train" in splits.values() else {}


def get_class_folder(path: str) -> str | None:
    """Return the folder above an image that may be its class, or None.

    Folders called `images` are stepped over, and splits are no classes.
    """
    for part in reversed(path.split("/")[:-1]):
        if part.lower() in ("images", "image", "imgs", "img"):
            continue
        return None if part.lower() in SPLIT_ALIASES else part
    return None


def build_records(
    tree: FileTree, listed: Mapping[str, ListedImage], options: ReadOptions, sources: Sequence[str]
) -> Iterator[ImageRecord | RejectedFile]:
    """Yield the listed images, and every other file as rejected.

    Images that are not listed are labeled by their folder if its name is a label of the lists.

    Args:
        tree: the data set.
        listed: what the lists say, by path.
        options: read options.
        sources: the lists.

    Raises:
        InputError: images have several labels, and the options do not say which one counts.
    """
    _check_several_labels(tree, listed, options, sources)
    known_labels = {image.labels[0] for image in listed.values() if image.labels}
    has_splits = any(image.split for image in listed.values())
    folder_splits = {} if has_splits else _find_folder_splits(listed)
    yield from tree.rejected_files
    for name in tree.file_names:
        image = listed.get(name)
        if image is None and is_image(name) and get_class_folder(name) in known_labels:
            image = ListedImage([str(get_class_folder(name))])
        if image is None:
            reason = "not listed" if is_image(name) else explain_non_image(name)
            if name not in sources:
                yield RejectedFile(name, reason)
            continue
        label, reason = _choose_label(image, options)
        if label is None and options.is_label_required:
            yield RejectedFile(name, reason)
            continue
        split = image.split or parse_path_split(name) or folder_splits.get(name)
        yield ImageRecord(tree.get_source(name), name, label, split=split, columns=image.columns)


def _choose_label(image: ListedImage, options: ReadOptions) -> tuple[str | None, str]:
    if len(image.labels) == 1:
        return image.labels[0], ""
    if image.labels and options.several_labels == "first":
        return image.labels[0], ""
    if image.labels and options.several_labels == "keep":
        return " ".join(image.labels), ""
    return None, "several labels" if image.labels else "no label"


def _check_several_labels(
    tree: FileTree, listed: Mapping[str, ListedImage], options: ReadOptions, sources: Sequence[str]
) -> None:
    several = {path: image for path, image in listed.items() if len(image.labels) > 1}
    if not several or options.several_labels != "error" or not options.is_label_required:
        return
    examples = [f"{path} has {' and '.join(i.labels[:4])}" for path, i in [*several.items()][:3]]
    raise InputError(
        f"{tree.root}: {len(several):,} of {len(listed):,} images have several labels in "
        f"{', '.join(sources[:3])} ({'; '.join(examples)}); a classifier of one label for each "
        "image is trained here. Write ingest.multi: drop to leave these images out, or "
        "ingest.multi: first to keep the first label of each"
    )
