"""The checks of a config's sections: paths, overrides, and errors in one line."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from pipeline.contracts import InputError
from pipeline.renamed_settings import describe_renamed_key

MAX_YAML_DEPTH = 20
"""Nesting of a config; the deepest setting takes five levels."""
MAX_YAML_BYTES = 1_000_000
"""Size of a config. The costs of a thousand classes take 100 kB."""
_KEY_PATTERN = re.compile(r"[A-Za-z_][\w-]*(\.[^.=\s]+){0,9}")
_quoter = reprlib.Repr()
_quoter.maxstring, _quoter.maxother, _quoter.maxlong, _quoter.maxlevel = 200, 200, 50, 3
PATH_SETTING: JsonDict = {"is_path": True}
"""`json_schema_extra` of a text setting that may hold a path, such as `train.weights`."""


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which make gigabytes of 500 bytes, and of bounded nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return a node.

        Raises:
            ComposerError: it is an alias, or nested too deeply.
        """
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases (*NAME) are refused", mark)
        if self.depth >= MAX_YAML_DEPTH:
            problem = f"nested more than {MAX_YAML_DEPTH} levels deep"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    >>> parse_yaml("{epochs: 3}")
    {'epochs': 3}

    Raises:
        YAMLError: it is no YAML, contains aliases, or is nested too deeply.
        ValueError: it is too long, or a number or a date in it is impossible.
    """
    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"longer than {MAX_YAML_BYTES:,} characters")
    try:
        return yaml.load(text, _PlainLoader)  # a SafeLoader
    except (RecursionError, OverflowError, TypeError, AttributeError) as error:
        raise ValueError(f"no plain values ({type(error).__name__})") from error


def quote_value(value: Any) -> str:
    """Return a value as a message quotes it, cut where it is long or deep.

    >>> quote_value({"a": [1, 2]})
    "{'a': [1, 2]}"
    """
    return _quoter.repr(value)


def _may_hold_path(field: FieldInfo) -> bool:
    return field.annotation is Path or Path in get_args(field.annotation)


def join_path(value: str, folder: Path) -> str:
    """Return `value` as an absolute path that starts at `folder`, and an address unchanged.

    >>> join_path("../data", Path("/project/configs"))
    '/project/data'
    >>> join_path("torchvision:CIFAR10", Path("/project/configs"))
    'torchvision:CIFAR10'
    """
    path = os.path.abspath(folder / value)
    return value if ":" in value and not os.path.exists(path) else path


def _anchor_path(field: FieldInfo, value: Any, folder: Path) -> Any:
    """Return a setting's value with a relative path joined to `folder`."""
    if not isinstance(value, str) or not value:
        return value
    is_file_name = "/" in value or bool(Path(value).suffix)
    if _may_hold_path(field) or (field.json_schema_extra == PATH_SETTING and is_file_name):
        return join_path(value, folder)
    return value


def anchor_paths(tree: Any, settings_class: type[BaseModel], folder: Path) -> Any:
    """Return a section with its relative paths joined to `folder`, as absolute paths.

    Args:
        tree: the section as the YAML has it; anything but a mapping is returned unchanged.
        settings_class: its `Config`, which marks the keys that hold paths.
        folder: where relative paths start.
    """
    if not isinstance(tree, Mapping):
        return tree
    fields = settings_class.model_fields
    return {
        key: _anchor_path(fields[key], value, folder) if key in fields else value
        for key, value in tree.items()
    }


def apply_override(tree: dict[str, Any], assignment: str) -> None:
    """Write an override `stage.key=value` into `tree`.

    >>> tree = {"train": {"epochs": 3}}
    >>> apply_override(tree, "train.epochs=5")
    >>> tree
    {'train': {'epochs': 5}}

    Raises:
        InputError: it has no `=`, its value is not YAML, or a parent key holds a value.
    """
    key, equals, value = assignment.partition("=")
    if not equals or not _KEY_PATTERN.fullmatch(key):
        raise InputError(f"{quote_value(assignment)}: write an override as stage.key=value")
    *parents, leaf = key.split(".")
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if branch is None:
            branch = tree[parent] = {}
        if not isinstance(branch, dict):
            raise InputError(f"{key}: {parent} is a value, not a section")
        tree = branch
    try:
        tree[leaf] = parse_yaml(value)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{key}: {quote_value(value)} is not a YAML value") from error


def _join_key(section: str, key: str) -> str:
    return f"{section}.{key}".strip(".")


def _suggest_key(section: str, key: str, known_keys: Mapping[str, Iterable[str]]) -> str:
    """Return a hint: the same key of another section, else the most similar key."""
    own_keys = [_join_key(section, name) for name in known_keys[section]]
    all_keys, same_keys = [], []
    for other_section, names in known_keys.items():
        all_keys += [_join_key(other_section, name) for name in names]
        same_keys += [_join_key(other_section, name) for name in names if name == key]
    wanted = _join_key(section, key)
    similar = (
        same_keys
        or difflib.get_close_matches(wanted, own_keys, n=1, cutoff=0.6)
        or difflib.get_close_matches(wanted, all_keys, n=1, cutoff=0.6)
    )
    return f"did you mean {similar[0]}?" if similar else f"known keys: {', '.join(own_keys)}"


def validate_section(
    settings_class: type[Any],
    section: str,
    tree: Any,
    known_keys: Mapping[str, Iterable[str]],
    origin: str,
) -> Any:
    """Return an instance of `settings_class` made from a section.

    Args:
        settings_class: the section's `Config`.
        section: its name; empty for the top level.
        tree: the section as the YAML has it.
        known_keys: the keys of every section, for hints.
        origin: the file, as the error message names it.

    Raises:
        InputError: one line that names the file and the key.
    """
    if not isinstance(tree, dict):
        raise InputError(
            f"{origin}: {section}: a section is a mapping of keys, not {quote_value(tree)}"
        )
    try:
        return settings_class(**{str(key): value for key, value in tree.items()})
    except ValidationError as error:
        message = _describe_error(error, section, known_keys)
        raise InputError(f"{origin}: {message}") from error


def _describe_error(
    error: ValidationError, section: str, known_keys: Mapping[str, Iterable[str]]
) -> str:
    """Return one line on the first error: the key, the problem, and the value or a hint."""
    first = error.errors()[0]
    *inner, key = (str(part) for part in first["loc"])
    section = ".".join([section, *inner]).strip(".")
    name = _join_key(section, key)
    if first["type"] == "extra_forbidden":
        renamed = describe_renamed_key(section, key)
        return renamed or f"unknown key {name}; {_suggest_key(section, key, known_keys)}"
    reason = first["msg"].replace("Input should", "must").removeprefix("Value error, ")
    value = "" if first["type"] == "literal_secret" else f" (got {quote_value(first['input'])})"
    return f"{name}: {reason}{value}"
