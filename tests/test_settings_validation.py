from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.contracts import InputError
from pipeline.settings_validation import anchor_paths, apply_override, join_path, validate_section


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
