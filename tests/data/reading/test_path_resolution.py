"""Resolution of the file names in a manifest: pipeline/data/reading/path_resolution.py."""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.reading.file_tree import FileTree
from pipeline.data.reading.path_resolution import PathResolver, PrefixShift
from tests.data.sample_images import get_labels, list_dataset, write_images


def _write_manifest(root: Path, names: list[str]) -> Path:
    rows = [f"{name},{('cat', 'dog')[n % 2]}" for n, name in enumerate(names)]
    text = "\n".join(["file_name,label", *rows])
    (root / "metadata.csv").write_text(text, encoding="utf-8")
    return root


def _find_shift(root: Path, *names: str) -> PrefixShift | None:
    return PathResolver(FileTree(root), "", list(names)).prefix_shift


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
def test_names_are_shifted_to_the_images(tmp_path: Path, form: str, shift: PrefixShift) -> None:
    numbers = range(6)
    write_images(tmp_path, *(f"deep/images/{n}.jpg" for n in numbers))
    names = [form.format(n=n) for n in numbers]
    images, rejected = list_dataset(_write_manifest(tmp_path, [*names, form.format(n="gone")]))
    assert _find_shift(tmp_path, *names) == shift
    assert get_labels(images) == {
        f"deep/images/{n}.jpg": (("cat", "dog")[n % 2], None) for n in numbers
    }
    (reason,) = rejected.values()
    assert "no such file" in reason or "leads out" in reason


def test_one_name_that_is_a_file_prevents_a_shift(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(6)]
    write_images(tmp_path, "a.jpg", *(f"images/{name}" for name in names))
    assert _find_shift(tmp_path, *names) == ("", "images/")
    assert _find_shift(tmp_path, "a.jpg", *names) is None


def test_two_shifts_with_equally_many_images_are_ambiguous(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(4)]
    for folder in ("left", "right"):
        write_images(tmp_path / folder, *names)
    assert _find_shift(tmp_path, *names) is None


def test_shift_must_fit_half_of_the_names(tmp_path: Path) -> None:
    write_images(tmp_path, "images/9.jpg", "notes.png")
    missing = [f"x{n}.jpg" for n in range(9)]
    assert _find_shift(tmp_path, "9.jpg", missing[0]) == ("", "images/")
    assert _find_shift(tmp_path, "9.jpg", *missing) is None
    assert _find_shift(tmp_path) is None


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    write_images(tmp_path, "away/secret.jpg", "data/cat/1.jpg")
    (tmp_path / "data" / "cat" / "link.jpg").symlink_to(tmp_path / "away" / "secret.jpg")
    names = ["link.jpg", "../away/secret.jpg", "secret.jpg"]
    images, rejected = list_dataset(_write_manifest(tmp_path / "data", names))
    assert images == {}
    assert {*names, "cat/1.jpg"} <= set(rejected)


def test_link_beside_a_single_manifest_is_resolved(tmp_path: Path) -> None:
    write_images(tmp_path, "away/secret.jpg", "data/1.jpg")
    (tmp_path / "data" / "link.jpg").symlink_to(tmp_path / "away" / "secret.jpg")
    manifest = _write_manifest(tmp_path / "data", ["1.jpg", "link.jpg"]) / "metadata.csv"
    resolver = PathResolver(FileTree(manifest), "", ["1.jpg", "link.jpg"])
    assert [resolver.is_linked_outside(path) for path in resolver.paths] == [False, True]
    follower = PathResolver(FileTree(manifest, should_follow_links=True), "", ["link.jpg"])
    assert not follower.is_linked_outside(follower.paths[0])


NAMES = st.lists(
    st.sampled_from(["a", "b", "1", "..", "C:", "", "x.jpg"]), min_size=1, max_size=3
).map("/".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NAMES, max_size=6),
    st.lists(st.sampled_from(["a/1", "a/b/1", "b", "b/x", "1"]), max_size=4),
)
def test_shifted_names_are_existing_images(names: list[str], stems: list[str]) -> None:
    images = {f"{stem}.jpg" for stem in stems}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), "notes.png", "other/notes.png", *images)
        resolver = PathResolver(FileTree(Path(folder)), "", [*names])
    listed = [posixpath.normpath(name) if name else "" for name in names]
    shifted = {path for path, name in zip(resolver.paths, listed, strict=True) if path != name}
    assert resolver.prefix_shift is not None or not shifted
    assert shifted <= images
