"""Where the file names of a manifest lead: pipeline/datasets/places.py."""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.places import Places, bare_names
from pipeline.datasets.tree import Tree
from tests.datasets.pictures import labels, lay, listed


def _table(root: Path, names: list[str], header: str = "file_name,label") -> Path:
    rows = [f"{name},{('cat', 'dog')[n % 2]}" for n, name in enumerate(names)]
    (root / "metadata.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("form", "shift"),
    [
        ("{n}.jpg", ("", "deep/images/")),
        ("{n}", ("", "deep/images/")),
        ("images/{n}.jpg", ("", "deep/")),
        ("C:\\Users\\me\\data\\deep\\images\\{n}.jpg", ("C:/Users/me/data/", "")),
        ("/home/me/pets/images/{n}.jpg", ("/home/me/pets/", "deep/")),
        ("deep/images/{n}", ("", "")),
        ("other/{n}.jpg", ("other/", "deep/images/")),
    ],
)
def test_names_are_shifted_to_where_the_photos_are(tmp_path: Path, form: str, shift: tuple[str, str]) -> None:
    lay(tmp_path, *(f"deep/images/{n}.jpg" for n in range(6)))
    names = [form.format(n=n) for n in range(6)]
    photos, rejected = listed(_table(tmp_path, [*names, form.format(n="gone")]))
    assert Places(Tree(tmp_path), "", [*names]).shift == shift
    assert labels(photos) == {f"deep/images/{n}.jpg": (("cat", "dog")[n % 2], None) for n in range(6)}
    assert len(rejected) == 1
    assert any(why in next(iter(rejected.values())) for why in ("no such file", "leads out"))


def test_one_name_that_leads_to_a_photo_forbids_a_shift(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg", *(f"images/{n}.jpg" for n in range(6)))
    assert Places(Tree(tmp_path), "", ["a.jpg", *(f"{n}.jpg" for n in range(6))]).shift is None


def test_two_shifts_that_serve_equally_are_none(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{folder}/{n}.jpg" for n in range(4) for folder in ("left", "right")))
    assert Places(Tree(tmp_path), "", [f"{n}.jpg" for n in range(4)]).shift is None
    assert Places(Tree(tmp_path), "", ["left/9.jpg", *(f"x{n}.jpg" for n in range(9))]).shift is None
    assert Places(Tree(tmp_path), "", []).shift is None


def test_no_shift_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    lay(tmp_path, "away/secret.jpg", "data/cat/1.jpg")
    (tmp_path / "data" / "cat" / "link.jpg").symlink_to(tmp_path / "away" / "secret.jpg")
    photos, rejected = listed(_table(tmp_path / "data", ["link.jpg", "../away/secret.jpg", "secret.jpg"]))
    assert photos == {}
    assert {"link.jpg", "../away/secret.jpg", "secret.jpg", "cat/1.jpg"} <= set(rejected)


def test_photos_that_differ_in_suffix_alone_have_no_name_without_it() -> None:
    assert bare_names(["a/1.jpg", "a/1.png", "b/1.jpg", "notes.txt"]) == {"b/1": "b/1.jpg"}


PARTS = st.lists(st.sampled_from(["a", "b", "1", "..", "C:", "", "x.jpg"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(PARTS, max_size=6), st.lists(st.sampled_from(["a/1", "a/b/1", "b", "b/x", "1"]), max_size=4))
def test_a_shift_leads_only_to_photos_that_are_there(names: list[str], photos: list[str]) -> None:
    there = frozenset(f"{photo}.jpg" for photo in photos)
    with tempfile.TemporaryDirectory() as folder:
        lay(Path(folder), "notes.png", "other/notes.png", *there)
        places = Places(Tree(Path(folder)), "", [*names])
        as_listed = [posixpath.normpath(name) if name else "" for name in names]
        moved = [path for path, plain in zip(places.paths, as_listed, strict=True) if path != plain]
        assert places.shift is not None or not moved
        assert set(moved) <= there
