"""Where the file names of a manifest lead: pipeline/data/reading/path_resolution.py."""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.path_resolution import PathResolver, index_image_stems
from tests.data.pictures import labels, lay, listed


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
def test_names_are_shifted_to_where_the_images_are(
    tmp_path: Path, form: str, shift: tuple[str, str]
) -> None:
    lay(tmp_path, *(f"deep/images/{n}.jpg" for n in range(6)))
    names = [form.format(n=n) for n in range(6)]
    images, rejected = listed(_table(tmp_path, [*names, form.format(n="gone")]))
    assert PathResolver(FileTree(tmp_path), "", [*names]).prefix_shift == shift
    assert labels(images) == {
        f"deep/images/{n}.jpg": (("cat", "dog")[n % 2], None) for n in range(6)
    }
    assert len(rejected) == 1
    assert any(why in next(iter(rejected.values())) for why in ("no such file", "leads out"))


def test_one_name_that_leads_to_a_image_forbids_a_shift(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg", *(f"images/{n}.jpg" for n in range(6)))
    assert (
        PathResolver(
            FileTree(tmp_path), "", ["a.jpg", *(f"{n}.jpg" for n in range(6))]
        ).prefix_shift
        is None
    )


def test_two_shifts_that_serve_equally_are_none(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{folder}/{n}.jpg" for n in range(4) for folder in ("left", "right")))
    assert PathResolver(FileTree(tmp_path), "", [f"{n}.jpg" for n in range(4)]).prefix_shift is None
    assert (
        PathResolver(
            FileTree(tmp_path), "", ["left/9.jpg", *(f"x{n}.jpg" for n in range(9))]
        ).prefix_shift
        is None
    )
    assert PathResolver(FileTree(tmp_path), "", []).prefix_shift is None


def test_no_shift_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    lay(tmp_path, "away/secret.jpg", "data/cat/1.jpg")
    (tmp_path / "data" / "cat" / "link.jpg").symlink_to(tmp_path / "away" / "secret.jpg")
    images, rejected = listed(
        _table(tmp_path / "data", ["link.jpg", "../away/secret.jpg", "secret.jpg"])
    )
    assert images == {}
    assert {"link.jpg", "../away/secret.jpg", "secret.jpg", "cat/1.jpg"} <= set(rejected)


def test_images_that_differ_in_suffix_alone_have_no_name_without_it() -> None:
    assert index_image_stems(["a/1.jpg", "a/1.png", "b/1.jpg", "notes.txt"]) == {"b/1": "b/1.jpg"}


PARTS = st.lists(
    st.sampled_from(["a", "b", "1", "..", "C:", "", "x.jpg"]), min_size=1, max_size=3
).map("/".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PARTS, max_size=6),
    st.lists(st.sampled_from(["a/1", "a/b/1", "b", "b/x", "1"]), max_size=4),
)
def test_a_shift_leads_only_to_images_that_are_there(names: list[str], images: list[str]) -> None:
    there = frozenset(f"{image}.jpg" for image in images)
    with tempfile.TemporaryDirectory() as folder:
        lay(Path(folder), "notes.png", "other/notes.png", *there)
        places = PathResolver(FileTree(Path(folder)), "", [*names])
        as_listed = [posixpath.normpath(name) if name else "" for name in names]
        moved = [path for path, plain in zip(places.paths, as_listed, strict=True) if path != plain]
        assert places.prefix_shift is not None or not moved
        assert set(moved) <= there
