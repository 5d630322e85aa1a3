from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.contracts import InputError
from pipeline.settings_validation import (
    MAX_YAML_BYTES,
    anchor_paths,
    apply_override,
    join_path,
    parse_yaml,
    quote_value,
    validate_section,
)


class Section(BaseModel, extra="forbid"):
    data: Path | None = None
    count: int = 1


def test_only_the_keys_of_paths_are_anchored(tmp_path: Path) -> None:
    tree = {"data": "images", "count": 3, "unknown": "a/b"}
    anchored = anchor_paths(tree, Section, tmp_path)
    assert anchored == {"data": str(tmp_path / "images"), "count": 3, "unknown": "a/b"}
    assert anchor_paths(["no mapping"], Section, tmp_path) == ["no mapping"]


def test_an_absolute_path_and_an_existing_path_with_a_colon_are_paths(tmp_path: Path) -> None:
    assert join_path("/data", tmp_path) == "/data"
    (tmp_path / "12:30").mkdir()
    assert join_path("12:30", tmp_path) == str(tmp_path / "12:30")
    assert join_path("12:31", tmp_path) == "12:31"


def test_an_override_makes_its_sections() -> None:
    tree: dict[str, object] = {"train": None}
    apply_override(tree, "train.epochs=5")
    apply_override(tree, "split.costs.a=0.5")
    assert tree == {"train": {"epochs": 5}, "split": {"costs": {"a": 0.5}}}


def test_the_most_similar_key_is_suggested_and_else_all_keys() -> None:
    known_keys = {"": ["part"], "part": ["data", "count"], "other": ["depth"]}
    for key, hint in (
        ("cuont", "did you mean part.count?"),
        ("depth", "did you mean other.depth?"),
        ("qqqqqqqqqqqqqqqq", "known keys: part.data, part.count"),
    ):
        with pytest.raises(InputError, match=r"^file: unknown key") as caught:
            validate_section(Section, "part", {key: 1}, known_keys, "file")
        assert str(caught.value).endswith(hint)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a 1\nb: *a",
        "a: &a {b: 1}\nc: {<<: *a}",
        "[" * 21 + "]" * 21,
        "[" * 100_000,
        "a: " + "9" * 5000,
        "when: 2026-13-41",
        "x" * (MAX_YAML_BYTES + 1),
        "!!python/object/apply:os.getcwd []",
        "? {a: 1}\n: 2",
    ],
)
def test_aliases_depth_and_length_are_bounded_and_objects_are_not_made(text: str) -> None:
    with pytest.raises((yaml.YAMLError, ValueError)) as caught:
        parse_yaml(text)
    assert len(str(caught.value)) < 2000


def test_usual_nesting_and_anchors_that_nobody_repeats_are_read() -> None:
    assert parse_yaml("[" * 19 + "]" * 19) is not None
    assert parse_yaml("train: {epochs: &e 3}") == {"train": {"epochs": 3}}


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_any_override_is_applied_or_refused_in_one_line(text: str) -> None:
    tree: dict[str, object] = {}
    try:
        apply_override(tree, text)
    except InputError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message or "\n" in text
    assert bool(message) != bool(tree)


@pytest.mark.parametrize("text", ["--help", "--help=1", "-c=x", "=1", "a b=1", ".a=1", "a..b=1"])
def test_an_option_is_no_override(text: str) -> None:
    with pytest.raises(InputError, match=r"write an override as stage\.key=value"):
        apply_override({}, text)


def test_a_message_quotes_a_bounded_part_of_a_value() -> None:
    value = {f"key{n}": ["x" * 10_000] * 1000 for n in range(1000)}
    assert len(quote_value(value)) < 5000
    with pytest.raises(InputError) as caught:
        validate_section(Section, "part", {"count": "9" * 100_000}, {"": [], "part": []}, "file")
    assert len(str(caught.value)) < 1000
