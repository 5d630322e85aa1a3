"""Where bytes are: pipeline/data/reading/image_sources.py."""

from __future__ import annotations

import http.server
import os
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

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
from pipeline.stages import ingest
from tests.data.pictures import encoded, lay, picture


@given(st.binary(min_size=1, max_size=60).filter(lambda b: 0 not in b))
def test_every_path_comes_back(raw: bytes) -> None:
    path = "/" + os.fsdecode(raw)
    source = build_file_source(path)
    assert source.encode()
    assert get_local_path(source) == path
    assert get_local_path(build_member_source("zip", path, path)) == path
    assert parse_crop_box(source) is None
    assert (
        parse_crop_box(build_crop_source(source, (1, 2, 3, 4))),
        get_local_path(build_crop_source(source, (1, 2, 3, 4))),
    ) == ((1, 2, 3, 4), path)


@given(st.text(max_size=60))
def test_any_text_is_a_source_or_an_image_error(text: str) -> None:
    if not image_sources.REMOTE_PATTERN.match(text):
        with pytest.raises(ImageError):
            fetch_bytes(text)


def test_a_box_is_cut_out_of_the_upright_image(tmp_path: Path) -> None:
    lay(tmp_path, "a.png")
    source = build_crop_source(str(tmp_path / "a.png"), (20, 3, 9, 4))
    assert (open_image(source) == np.asarray(picture())[3:7, 20:24]).all()
    head = read_source_header(source, fetch_bytes(source))
    assert (head.width, head.height) == (4, 4)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", tmp_path, Path("/dev/zero")):
        with pytest.raises(ImageError, match=r"not a regular file|Is a directory"):
            read_file(str(path))
    with pytest.raises(ImageError, match="cannot be read"):
        read_file("/a\0b")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_sources, "MAX_FILE_BYTES", 100)
    (tmp_path / "a.png").write_bytes(bytes(101))
    with pytest.raises(ImageError, match=r"too large \(101 bytes\)"):
        read_file(str(tmp_path / "a.png"))


def test_no_more_memory_is_asked_for_than_the_file_is_large(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(1000))
    tracemalloc.start()
    assert read_file(str(tmp_path / "a.png")) == bytes(1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000, "room for the largest file that is read is slow to get, for each image"


def test_a_file_that_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = lay(Path(name), "a.png") / "a.png"
        os.chmod(path, 0)
        if os.geteuid() == 0:  # root may read everything, so this is tried as nobody
            os.seteuid(65534)
        try:
            with pytest.raises(ImageError, match="cannot be read: Permission denied"):
                read_file(str(path))
        finally:
            if os.getuid() == 0:
                os.seteuid(0)


class _Handler(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        good = self.path.startswith("/good")
        data = encoded(3) if good else b"gone"
        self.send_response(200 if good else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Handler.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_an_address_is_fetched_once(server: str, cache: Path) -> None:
    address = f"{server}/good.png?size=1#x"
    assert (open_image(address) == np.asarray(picture(3))).all()
    asked = len(_Handler.asked)
    assert (open_image(address) == np.asarray(picture(3))).all()
    assert len(_Handler.asked) == asked
    assert len(list((cache / "remote").iterdir())) == 1


def test_an_address_that_leads_nowhere(server: str, cache: Path) -> None:
    for address in (f"{server}/gone.png", "http://127.0.0.1:9/a.png", "az://no/such.png", "hf://x"):
        with pytest.raises(ImageError, match=r"cannot be (fetched|read)"):
            open_image(address)
    assert not list((cache / "remote").iterdir())


def test_an_address_in_s3_is_fetched_once(bucket: Any, cache: Path) -> None:
    client, stop = bucket
    names = ("cam 1/a.png", "nächte/b.png")
    for n, name in enumerate(names):
        client.put_object(Bucket="gate", Key=name, Body=encoded(n))
    for name in ("gate/gone.png", "nowhere/a.png"):
        with pytest.raises(ImageError, match=r"cannot be fetched: .*(gone|does not exist)"):
            open_image(f"s3://{name}")
    for _ in range(2):
        for n, name in enumerate(names):
            assert (open_image(f"s3://gate/{name}") == np.asarray(picture(n))).all()
        stop()  # what was fetched is on this machine now
    assert len(list((cache / "remote").iterdir())) == 2


def test_a_manifest_of_addresses_in_s3_is_taken_in(bucket: Any, tmp_path: Path) -> None:
    client, _ = bucket
    rows = [(f"s3://gate/{n}.png", ("badge", "none")[n % 2]) for n in range(8)]
    for n in range(6):
        client.put_object(Bucket="gate", Key=f"{n}.png", Body=encoded(n) if n else b"no image")
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *map(",".join, rows)]))
    (tmp_path / "run").mkdir()
    made = ingest.run(
        ingest.Config(data=tmp_path / "metadata.csv"),
        StageContext("s3", 0, tmp_path / "run", tmp_path),
    )
    assert list(made["images"]["path"]) == [f"s3://gate/{n}.png" for n in range(1, 6)]
    assert set(made["rejected"]["path"]) == {f"s3://gate/{n}.png" for n in (0, 6, 7)}
    assert (
        made["pixels"][4].sum(axis=(0, 1))
        == letterbox_image(np.asarray(picture(5)), 64).sum(axis=(0, 1))
    ).all()


def test_any_file_system_of_fsspec(cache: Path) -> None:
    import fsspec

    with fsspec.open("memory://bucket/a.png", "wb") as file:
        file.write(encoded(5))
    assert (open_image("memory://bucket/a.png") == np.asarray(picture(5))).all()
