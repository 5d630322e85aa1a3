"""Members of archives: pipeline/data/reading/container_members.py."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.contracts import InputError
from pipeline.data.dataset_reader import read_dataset
from pipeline.data.reading import container_members
from pipeline.data.reading.container_members import read_zip
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import ImageRecord
from pipeline.data.reading.image_sources import build_member_source, fetch_bytes, open_image
from tests.data.sample_images import ARCHIVE_FORMATS, encode_image, pack_folder

ARRAY_NAMES = ("images-idx3", "labels-idx1")


def test_member_beyond_the_limit_is_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1_000_000))
    with pytest.raises(ImageError, match="too large"):
        read_zip(str(tmp_path / "a.zip"), "a.png", 1000)


def test_member_that_claims_a_smaller_size_is_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    position = data.rindex(struct.pack("<I", 1_000_000))  # the size in the zip's directory
    data[position : position + 4] = struct.pack("<I", 10)
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(ImageError, match=r"cannot be read from a\.zip|too large"):
        fetch_bytes(build_member_source("zip", str(tmp_path / "a.zip"), "a.png"))


@pytest.mark.parametrize("kind", container_members.MEMBER_READERS)
def test_file_of_another_format_is_rejected(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.bin").write_bytes(b"nothing of use" * 50)
    with pytest.raises(ImageError, match=r"cannot be read from a\.bin"):
        fetch_bytes(build_member_source(kind, str(tmp_path / "a.bin"), "x/1"))
    with pytest.raises(ImageError, match="cannot be read from gone"):
        fetch_bytes(build_member_source(kind, str(tmp_path / "gone"), "x/1"))


def test_archive_is_unpacked_once(tmp_path: Path, cache_folder: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        _add_member(archive, "a.png", encode_image(1))
    source = build_member_source("tar", str(tmp_path / "a.tar.gz"), "a.png")
    for _ in range(2):
        assert fetch_bytes(source) == encode_image(1)
    assert len(list((cache_folder / "unpacked").iterdir())) == 1


def test_changed_archive_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    source = build_member_source("zip", str(path), "a.png")
    for content in (b"first", b"second one"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.png", content)
        assert fetch_bytes(source) == content


def _add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _write_idx(root: Path) -> None:
    for name, values in zip(
        ARRAY_NAMES, (np.arange(48).reshape(3, 4, 4), np.arange(3)), strict=True
    ):
        head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        (root / f"train-{name}-ubyte").write_bytes(head + values.astype(np.uint8).tobytes())


def _write_npz(root: Path) -> None:
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    np.savez_compressed(root / "a.npz", train_images=images, train_labels=[0, 1, 0])


def _write_shards(root: Path) -> None:
    with tarfile.open(root / "train.tar", "w") as archive:
        for number in (1, 2):
            _add_member(archive, f"{number}.png", encode_image(number))
            _add_member(archive, f"{number}.cls", str(number - 1).encode())


def _write_arrow(root: Path) -> None:
    cells = [{"bytes": encode_image(n), "path": None} for n in range(3)]
    table = pa.table({"image": cells, "label": ["a", "b", "a"]})
    with (
        pa.OSFile(str(root / "data.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table)
    (root / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (root / "dataset_info.json").write_text(
        '{"features": {"image": {"_type": "Image"}, "label": {"_type": "Value"}}}'
    )


def _damage(data: bytes, number: int) -> bytes:
    """Return the data cut off (odd numbers) or with some bytes changed (even numbers)."""
    rng = np.random.default_rng(number)
    if number % 2:
        return data[: int(rng.integers(len(data)))]
    damaged = bytearray(data)
    for position in rng.integers(0, len(damaged), 1 + number // 2):
        damaged[position] = rng.integers(256)
    return bytes(damaged)


def _read_outcomes(archive: Path) -> set[str]:
    """Return what happens when a damaged archive is read: refused, used, rejected."""
    try:
        items = list(read_dataset(archive))
    except InputError as error:
        return {"refused with several lines" if "\n" in str(error) else "refused"}
    outcomes = set()
    for item in items:
        if isinstance(item, ImageRecord):
            try:
                assert open_image(item.source).dtype == np.uint8
                outcomes.add("used")
            except ImageError:
                outcomes.add("rejected")
    return outcomes


@pytest.mark.parametrize("form", ARCHIVE_FORMATS)
@pytest.mark.parametrize("write", [_write_idx, _write_npz, _write_shards, _write_arrow])
def test_damaged_archives_of_containers_raise_no_other_error(
    tmp_path: Path, form: str, write: Callable[[Path], None], recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    archive = pack_folder(tmp_path / "data", form)
    intact = archive.read_bytes()
    outcomes = set()
    for number in range(24):
        archive.write_bytes(_damage(intact, number))
        outcomes |= _read_outcomes(archive)
    assert "refused" in outcomes <= {"refused", "used", "rejected"}


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
    ],
)
def test_devices_links_and_folders_of_a_tar_are_left_out(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a.png")
        member.type, member.linkname = kind, "/etc/passwd"
        member.devmajor, member.devminor = 1, 5  # /dev/zero
        archive.addfile(member)
    assert container_members.list_tar_names(str(path)) == []
    with pytest.raises(KeyError):
        container_members.read_tar(str(path), "a.png", 100)


@pytest.mark.parametrize("dtype", [object, "O", "datetime64[s]"])
def test_arrays_of_objects_are_not_unpickled(dtype: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3, dtype), allow_pickle=True)
    source = build_member_source("npz", str(tmp_path / "a.npz"), "x/0")
    with pytest.raises(ImageError):
        fetch_bytes(source)


@pytest.mark.parametrize("kind", ["zip", "tar", "idx", "npz", "arrow"])
def test_a_fifo_or_device_is_no_container(kind: str, tmp_path: Path) -> None:
    """It would be waited for, or never end."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("fifo", "device"):
        with pytest.raises(ImageError, match="not a regular file"):
            fetch_bytes(build_member_source(kind, str(tmp_path / name), "x/0"))
