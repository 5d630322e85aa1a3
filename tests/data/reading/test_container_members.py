"""Bytes inside a container: pipeline/data/reading/container_members.py."""

from __future__ import annotations

import io
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
from pipeline.data.reading.container_members import encode_netpbm, load_idx_array, read_zip
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_record import ImageRecord, RejectedFile
from pipeline.data.reading.image_sources import build_member_source, fetch_bytes, open_image
from tests.data.pictures import encoded, packed


def test_a_zip_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    with pytest.raises(ImageError, match="too large"):
        read_zip(str(tmp_path / "a.zip"), "a.png", 1000)
    place = data.rindex(struct.pack("<I", 1_000_000))
    data[place : place + 4] = struct.pack("<I", 10)  # the directory lies
    (tmp_path / "b.zip").write_bytes(bytes(data))
    with pytest.raises(ImageError, match=r"cannot be read from b\.zip|too large"):
        fetch_bytes(build_member_source("zip", str(tmp_path / "b.zip"), "a.png"))


def test_what_is_not_in_it_or_is_no_container(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"nothing of use" * 50)
    for kind in container_members.MEMBER_READERS:
        with pytest.raises(ImageError, match=r"cannot be read from a\.bin"):
            fetch_bytes(build_member_source(kind, str(tmp_path / "a.bin"), "x/1"))
        with pytest.raises(ImageError, match="cannot be read from gone"):
            fetch_bytes(build_member_source(kind, str(tmp_path / "gone"), "x/1"))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
def test_an_array_becomes_a_image(shape: tuple[int, ...]) -> None:
    from pipeline.data.reading.image_decoding import decode_image

    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert (
        decode_image(encode_netpbm(pixels)) == np.broadcast_to(pixels.reshape(4, 5, -1), (4, 5, 3))
    ).all()


@pytest.mark.parametrize(
    "array", [np.zeros((4, 5, 2), np.uint8), np.zeros((4, 5)), np.zeros(4, np.uint8)]
)
def test_an_array_that_is_no_image(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="is no image"):
        encode_netpbm(array)


def test_an_idx_file_that_claims_too_much(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**31, 1000, 1000))
    with pytest.raises(ValueError, match="claims"):
        load_idx_array(str(tmp_path / "a"))


def _idx(root: Path) -> None:
    for name, values in (
        ("images-idx3", np.arange(48).reshape(3, 4, 4)),
        ("labels-idx1", np.arange(3)),
    ):
        head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        (root / f"train-{name}-ubyte").write_bytes(head + values.astype(np.uint8).tobytes())


def _npz(root: Path) -> None:
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    np.savez_compressed(root / "a.npz", train_images=images, train_labels=[0, 1, 0])


def _shards(root: Path) -> None:
    with tarfile.open(root / "train.tar", "w") as archive:
        for name, data in (
            ("1.png", encoded(1)),
            ("1.cls", b"0"),
            ("2.png", encoded(2)),
            ("2.cls", b"1"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def _arrow(root: Path) -> None:
    table = pa.table(
        {"image": [{"bytes": encoded(n), "path": None} for n in range(3)], "label": ["a", "b", "a"]}
    )
    with (
        pa.OSFile(str(root / "data.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table)
    (root / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (root / "dataset_info.json").write_text(
        '{"features": {"image": {"_type": "Image"}, "label": {"_type": "Value"}}}'
    )


def _damaged(whole: bytes, number: int) -> bytes:
    """Cut off, or with some bytes of it changed, by turns."""
    rng = np.random.default_rng(number)
    if number % 2:
        return whole[: int(rng.integers(len(whole)))]
    data = bytearray(whole)
    for place in rng.integers(0, len(data), 1 + number // 2):
        data[place] = rng.integers(256)
    return bytes(data)


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("lay", [_idx, _npz, _shards, _arrow])
def test_a_damaged_archive_of_a_container(
    tmp_path: Path, form: str, lay: Callable[[Path], None], recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "data").mkdir()
    lay(tmp_path / "data")
    archive = packed(tmp_path / "data", form)
    whole, ended = archive.read_bytes(), set()
    for number in range(24):
        archive.write_bytes(_damaged(whole, number))
        try:
            items = list(read_dataset(archive))
        except InputError as error:
            ended.add("refused" if "\n" not in str(error) else "refused in several lines")
            continue
        for item in items:
            assert isinstance(item, ImageRecord | RejectedFile)
            if isinstance(item, ImageRecord):
                try:
                    assert open_image(item.source).dtype == np.uint8
                    ended.add("used")
                except ImageError:
                    ended.add("set aside")
    assert "refused" in ended <= {"refused", "used", "set aside"}
