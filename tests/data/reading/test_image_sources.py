"""Sources of images: pipeline/data/reading/image_sources.py."""

from __future__ import annotations

import http.server
import os
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import StageContext
from pipeline.data.reading import image_sources
from pipeline.data.reading.image_decoding import ImageError, letterbox_image
from pipeline.data.reading.image_sources import (
    build_crop_source,
    build_file_source,
    build_member_source,
    fetch_bytes,
    get_local_path,
    open_image,
    parse_crop_box,
    read_file,
    read_source_header,
)
from pipeline.data.reading.remote_files import LOCAL_ADDRESSES_VARIABLE
from pipeline.stages import ingest
from tests.data.file_rights import drop_root_rights
from tests.data.sample_images import draw_image, encode_image, write_images


@given(st.binary(min_size=1, max_size=60).filter(lambda name: 0 not in name))
def test_source_keeps_any_path(raw: bytes) -> None:
    path = "/" + os.fsdecode(raw)
    source = build_file_source(path)
    assert source.encode()
    assert get_local_path(source) == path
    assert get_local_path(build_member_source("zip", path, path)) == path
    assert parse_crop_box(source) is None
    crop = build_crop_source(source, (1, 2, 3, 4))
    assert parse_crop_box(crop) == (1, 2, 3, 4)
    assert get_local_path(crop) == path


@given(st.text(max_size=60))
def test_text_that_is_no_source_raises_image_error(text: str) -> None:
    if not image_sources.REMOTE_PATTERN.match(text):
        with pytest.raises(ImageError):
            fetch_bytes(text)


def test_box_is_cut_from_the_image(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    source = build_crop_source(str(tmp_path / "a.png"), (20, 3, 9, 4))
    assert (open_image(source) == np.asarray(draw_image())[3:7, 20:24]).all()
    header = read_source_header(source, fetch_bytes(source))
    assert (header.width, header.height) == (4, 4)


def test_fifos_and_devices_are_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", tmp_path, Path("/dev/zero")):
        with pytest.raises(ImageError, match=r"not a regular file|Is a directory"):
            read_file(str(path))


def test_name_with_nul_is_rejected() -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_file("/a\0b")


def test_too_large_file_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_sources, "MAX_FILE_BYTES", 100)
    (tmp_path / "a.png").write_bytes(bytes(101))
    with pytest.raises(ImageError, match=r"too large \(101 bytes\)"):
        read_file(str(tmp_path / "a.png"))


def test_reading_allocates_no_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(1000))
    tracemalloc.start()
    assert read_file(str(tmp_path / "a.png")) == bytes(1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000, "allocating the limit for each image takes time"


def test_file_without_permission_is_rejected() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = write_images(Path(name), "a.png") / "a.png"
        os.chmod(path, 0)
        with (
            drop_root_rights(),
            pytest.raises(ImageError, match="cannot be read: Permission denied"),
        ):
            read_file(str(path))


class _ImageHandler(http.server.BaseHTTPRequestHandler):
    requested_paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requested_paths.append(self.path)
        exists = self.path.startswith("/good")
        data = encode_image(3) if exists else b"gone"
        self.send_response(200 if exists else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv(LOCAL_ADDRESSES_VARIABLE, "1")
    _ImageHandler.requested_paths = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _ImageHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_address_is_fetched_once(server_address: str, cache_folder: Path) -> None:
    address = f"{server_address}/good.png?size=1#x"
    assert (open_image(address) == np.asarray(draw_image(3))).all()
    request_count = len(_ImageHandler.requested_paths)
    assert (open_image(address) == np.asarray(draw_image(3))).all()
    assert len(_ImageHandler.requested_paths) == request_count
    assert len(list((cache_folder / "remote").iterdir())) == 1


def test_address_without_an_image_is_rejected(server_address: str, cache_folder: Path) -> None:
    for address in (
        f"{server_address}/gone.png",
        "http://127.0.0.1:9/a.png",
        "az://no/such.png",
        "hf://x",
    ):
        with pytest.raises(ImageError, match=r"cannot be (fetched|read)"):
            open_image(address)
    assert not list(cache_folder.glob("remote/*"))


def test_address_in_s3_is_fetched_once(bucket: Any, cache_folder: Path) -> None:
    client, stop_server = bucket
    names = ("cam 1/a.png", "nächte/b.png")
    for n, name in enumerate(names):
        client.put_object(Bucket="gate", Key=name, Body=encode_image(n))
    for name in ("gate/gone.png", "nowhere/a.png"):
        with pytest.raises(ImageError, match=r"cannot be fetched: .*(gone|does not exist)"):
            open_image(f"s3://{name}")
    for _ in range(2):
        for n, name in enumerate(names):
            assert (open_image(f"s3://gate/{name}") == np.asarray(draw_image(n))).all()
        stop_server()  # the second round reads the cache
    assert len(list((cache_folder / "remote").iterdir())) == 2


def test_manifest_of_addresses_in_s3_is_ingested(bucket: Any, tmp_path: Path) -> None:
    client, _ = bucket
    addresses = [f"s3://gate/{n}.png" for n in range(8)]
    client.put_object(Bucket="gate", Key="0.png", Body=b"no image")
    for n in range(1, 6):
        client.put_object(Bucket="gate", Key=f"{n}.png", Body=encode_image(n))
    rows = [f"{address},{('badge', 'none')[n % 2]}" for n, address in enumerate(addresses)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]))
    (tmp_path / "run").mkdir()
    context = StageContext("s3", 0, tmp_path / "run", tmp_path)
    outputs = ingest.run(ingest.Config(data=tmp_path / "metadata.csv"), context)
    assert list(outputs["images"]["path"]) == addresses[1:6]
    assert set(outputs["rejected"]["path"]) == {addresses[0], *addresses[6:]}
    side = outputs["pixels"].shape[1]
    expected = letterbox_image(np.asarray(draw_image(5)), side)
    assert (outputs["pixels"][4] == expected).all()


def test_any_file_system_of_fsspec_is_read() -> None:
    with fsspec.open("memory://bucket/a.png", "wb") as file:
        file.write(encode_image(5))
    assert (open_image("memory://bucket/a.png") == np.asarray(draw_image(5))).all()
