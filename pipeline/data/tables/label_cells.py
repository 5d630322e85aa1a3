"""Labels in the cells of one column: one label, several ones, or a label with boxes."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from pipeline.data.tables.table_files import convert_to_text

STRONG_SEPARATORS = ("|", ";")
"""Separators that hardly occur in the name of one class."""
WEAK_SEPARATORS = (",", "+", "&", "/", " ")
"""Separators that the name of one class may contain."""
COMBINATION_FACTOR = 1.5
"""Distinct cells for each distinct part from which cells are combinations of the parts. Names of
classes have more parts than there are classes."""
MIN_SPREAD_SUBSETS = 2
"""Cells that are others with parts left out in between, from which cells are combinations."""
MAX_COMPARED_CELLS = 300
"""Distinct cells that are compared with each other; the time grows with the square."""
_BOX_PATTERN = re.compile(r"\s*(\S+)((?:\s+-?\d+(?:\.\d+)?){4})(?=\s|$)")
"""A class and four numbers, as in ImageNet's solution files."""
_BOXES_PATTERN = re.compile(rf"({_BOX_PATTERN.pattern})+\s*")
_LIST_PATTERN = re.compile(r"\s*[\[({].*[\])}]\s*", re.DOTALL)


def read_label_cells(values: Sequence[Any]) -> list[list[str]]:
    """Return the labels of each cell: none, one or several, each once and in order.

    A cell may be a list, the text of a list, or labels with a separator. A separator counts if
    some cells are combinations of other cells.

    >>> read_label_cells(["rust", "scab", "scab rust", None])
    [['rust'], ['scab'], ['scab', 'rust'], []]
    >>> read_label_cells(["golden retriever", "tabby cat"])
    [['golden retriever'], ['tabby cat']]
    """
    cells = [_parse_list(value) for value in values]
    known = [cell for cell in cells if cell]
    if all(len(cell) == 1 for cell in known):
        texts = [cell[0] for cell in known]
        split = _choose_splitter(Counter(texts))
        if split is not None:
            cells = [split(cell[0]) if cell else [] for cell in cells]
    return [list(dict.fromkeys(cell)) for cell in cells]


def _parse_list(value: Any) -> list[str]:
    """Return the labels of one cell without regard to separators."""
    if isinstance(value, list | tuple | set):
        return _clean_labels(value)
    text = convert_to_text(value)
    if text is None:
        return []
    if _LIST_PATTERN.fullmatch(text):
        for parse in (json.loads, ast.literal_eval):
            try:
                parsed = parse(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(parsed, dict):  # Label Studio: {"choices": ["cat", "dog"]}
                parsed = parsed.get("choices")
            if isinstance(parsed, list | tuple | set):
                return _clean_labels(parsed)
    return [text]


def _clean_labels(values: Iterable[Any]) -> list[str]:
    return [text for text in map(convert_to_text, values) if text]


def _choose_splitter(counts: Counter[str]) -> Callable[[str], list[str]] | None:
    """Return the function that splits a cell into its labels; None if each cell is one label."""
    texts = list(counts)
    for separator in (*STRONG_SEPARATORS, *WEAK_SEPARATORS):
        parts = {text: split_text(text, separator) for text in texts}
        several = {text: labels for text, labels in parts.items() if len(labels) > 1}
        if several and _are_combinations(several, texts):
            return partial(split_text, separator=separator)
    return None


def read_box_classes(values: list[Any]) -> list[Any]:
    """Return the class of each cell that holds a class and the corners of its box.

    Cells of several classes become tuples. Columns of other cells stay as they are.

    >>> read_box_classes(["n01 1 2 30 40", None, "n01 1 2 3 4 n02 5 6 7 8 "])
    ['n01', None, ('n01', 'n02')]
    """
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts or not all(map(_BOXES_PATTERN.fullmatch, texts)):
        return values
    if all(text.split()[0].isdigit() for text in texts):  # five numbers are no class
        return values
    cells = []
    for value in values:
        names = [match[1] for match in _BOX_PATTERN.finditer(value)] if value else []
        classes = tuple(dict.fromkeys(names))
        cells.append(classes if len(classes) > 1 else next(iter(classes), None))
    return cells


def split_text(text: str, separator: str) -> list[str]:
    """Return the parts of a cell between the separators, without empty ones.

    >>> split_text("Effusion|Mass|", "|")
    ['Effusion', 'Mass']
    """
    return [part.strip() for part in text.split(separator) if part.strip()]


def _are_combinations(several: dict[str, list[str]], texts: Collection[str]) -> bool:
    """Return whether cells with several parts are combinations of labels.

    It is so if the parts of one are cells too, or if few parts make up many cells.
    """
    single = {text.strip() for text in texts if text not in several}
    single |= {labels[0] for labels in map(split_single, texts) if len(labels) == 1}
    for labels in several.values():
        if len(set(labels)) > 1 and single.issuperset(labels):
            return True
    if _count_spread_subsets(list(several.values())) >= MIN_SPREAD_SUBSETS:
        return True
    cells_by_part: dict[str, set[str]] = defaultdict(set)
    for text, labels in several.items():
        for label in labels:
            cells_by_part[label].add(text)
    sizes = {len(labels) for labels in several.values()}
    return len(sizes) > 1 and len(several) >= COMBINATION_FACTOR * len(cells_by_part)


def _count_spread_subsets(cells: Sequence[Sequence[str]]) -> int:
    """Return how many cells are others with parts left out in between: `a c` beside `a b c`.

    Names of classes are longer or shorter at their ends.
    """
    count = 0
    for short in cells[:MAX_COMPARED_CELLS]:
        text = f" {' '.join(short)} "
        for long in cells[:MAX_COMPARED_CELLS]:
            is_subset = len(long) > len(short) and set(short) < set(long)
            if is_subset and text not in f" {' '.join(long)} ":
                count += 1
                break
    return count


def split_single(text: str) -> list[str]:
    """Return the one label of a cell that ends in a strong separator, as in `Effusion|`."""
    return [text.strip().rstrip("".join(STRONG_SEPARATORS))]
