"""Images at addresses: pipeline/data/reading/remote_files.py."""

from __future__ import annotations

import gzip
import http.server
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pipeline.data.reading import remote_files
from pipeline.data.reading.image_decoding import ImageError
from pipeline.data.reading.image_sources import open_image
from pipeline.data.reading.remote_files import LOCAL_ADDRESSES_VARIABLE, fetch_remote_bytes
from tests.data.sample_images import draw_image, encode_image

IMAGE = encode_image(3)
MAX_BYTES = 200_000
Reply = Callable[["_Handler"], None]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    reply: ClassVar[Reply]
    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.close_connection = True
        self.requests.append(self.path)
        type(self).reply(self)

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], str]]:
    """Start a server on this machine, which is allowed, with one reply to every request."""
    monkeypatch.setenv(LOCAL_ADDRESSES_VARIABLE, "1")
    _Handler.requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def begin(reply: Reply) -> str:
            _Handler.reply = staticmethod(reply)
            return f"http://127.0.0.1:{server.server_port}/a.png"

        yield begin
        server.shutdown()
        thread.join()


def _list_cache(folder: Path) -> list[Path]:
    return sorted((folder / "remote").glob("*"))


def _send_in_pieces(handler: _Handler, data: bytes, write: Callable[[bytes], object]) -> None:
    for start in range(0, len(data), 500):
        write(data[start : start + 500])
        handler.wfile.flush()


def _reply_until_closed(handler: _Handler) -> None:
    handler.begin(Connection="close")
    _send_in_pieces(handler, IMAGE, handler.wfile.write)


def _reply_in_chunks(handler: _Handler) -> None:
    handler.begin(Transfer_Encoding="chunked")
    _send_in_pieces(
        handler, IMAGE, lambda part: handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    )
    handler.wfile.write(b"0\r\n\r\n")


def _reply_compressed(handler: _Handler) -> None:
    body = gzip.compress(IMAGE)
    handler.begin(Content_Encoding="gzip", Content_Length=str(len(body)))
    handler.wfile.write(body)


@pytest.mark.parametrize("reply", [_reply_until_closed, _reply_in_chunks, _reply_compressed])
def test_a_body_of_any_framing_is_read_to_its_end(
    reply: Reply, serve: Callable[[Reply], str], cache_folder: Path
) -> None:
    address = serve(reply)
    for _ in range(2):
        assert fetch_remote_bytes(address, MAX_BYTES) == IMAGE
    assert (open_image(address) == np.asarray(draw_image(3))).all()
    assert len(_Handler.requests) == 1


def _reply_cut_off(handler: _Handler) -> None:
    handler.begin(Content_Length=str(len(IMAGE)))
    handler.wfile.write(IMAGE[:-9])


def _reply_cut_off_in_a_chunk(handler: _Handler) -> None:
    handler.begin(Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%s" % (len(IMAGE), IMAGE[:-9]))


def _reply_cut_off_and_compressed(handler: _Handler) -> None:
    handler.begin(Content_Encoding="gzip", Connection="close")
    handler.wfile.write(gzip.compress(IMAGE)[:-9])


def _reply_half_an_image(handler: _Handler) -> None:
    handler.begin(Connection="close")
    handler.wfile.write(IMAGE[: len(IMAGE) // 2])


def _reply_with_an_error_page(handler: _Handler) -> None:
    page = b"<html>sign in</html>"
    handler.begin(Content_Length=str(len(page)), Content_Type="text/html")
    handler.wfile.write(page)


def _reply_without_end(handler: _Handler) -> None:
    handler.begin(Transfer_Encoding="chunked")
    with suppress(OSError):
        while True:
            handler.wfile.write(b"%x\r\n%s\r\n" % (50_000, bytes(50_000)))


def _reply_with_a_bomb(handler: _Handler) -> None:
    handler.begin(Content_Encoding="gzip", Connection="close")
    with suppress(OSError):
        handler.wfile.write(gzip.compress(bytes(50_000_000)))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (_reply_cut_off, "cut off after"),
        (_reply_cut_off_in_a_chunk, "cannot be fetched"),
        (_reply_cut_off_and_compressed, "cannot be fetched: its compressed body is cut off"),
        (_reply_half_an_image, "truncated|damaged"),
        (_reply_with_an_error_page, "not an image"),
        (_reply_without_end, "too large"),
        (_reply_with_a_bomb, "too large"),
        (lambda handler: handler.begin(403, Content_Length="0"), "cannot be fetched: .*403"),
        (lambda handler: handler.begin(204), "empty file|cannot be fetched"),
    ],
)
def test_anything_but_a_whole_image_is_refused_and_not_kept(
    reply: Reply, reason: str, serve: Callable[[Reply], str], cache_folder: Path
) -> None:
    with pytest.raises(ImageError, match=reason):
        fetch_remote_bytes(serve(reply), MAX_BYTES)
    assert not _list_cache(cache_folder)


def _redirect(target: str) -> Reply:
    return lambda handler: handler.begin(302, Location=target, Content_Length="0")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a.png", "data:image/png;base64,AA", "/again"]
)
def test_redirects_to_other_schemes_or_without_end_are_refused(
    target: str, serve: Callable[[Reply], str], cache_folder: Path
) -> None:
    with pytest.raises(ImageError, match="cannot be fetched"):
        fetch_remote_bytes(serve(_redirect(target)), MAX_BYTES)
    assert len(_Handler.requests) < 10
    assert not _list_cache(cache_folder)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_addresses_of_this_machine_are_refused_unless_allowed(
    host: str, serve: Callable[[Reply], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer of the connection decides, so a name of this machine is refused too."""
    address = serve(_reply_in_chunks).replace("127.0.0.1", host)
    monkeypatch.delenv(LOCAL_ADDRESSES_VARIABLE)
    with pytest.raises(ImageError, match=f"{LOCAL_ADDRESSES_VARIABLE}=1|cannot be fetched"):
        fetch_remote_bytes(address, MAX_BYTES)
    assert not _Handler.requests


@pytest.mark.parametrize("peer", ["169.254.169.254", "fe80::1%eth0", "::1", "::ffff:127.0.0.9"])
def test_services_of_the_network_card_are_refused(peer: str) -> None:
    class Connection(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return peer, 80

    with Connection() as connection, pytest.raises(ImageError, match="allows it"):
        remote_files._require_allowed_peer(connection)


def test_a_login_is_sent_to_its_host_alone(serve: Callable[[Reply], str]) -> None:
    seen: list[str | None] = []

    def reply(handler: _Handler) -> None:
        seen.append(handler.headers.get("Authorization"))
        if len(seen) == 1:
            _, port = handler.headers["Host"].split(":")
            handler.begin(302, Location=f"http://localhost:{port}/b.png", Content_Length="0")
        else:
            _reply_in_chunks(handler)

    address = serve(reply).replace("http://", "http://gate:p%40ss@")
    assert fetch_remote_bytes(address, MAX_BYTES) == IMAGE
    assert seen == ["Basic Z2F0ZTpwQHNz", None]


def test_a_damaged_cache_entry_is_fetched_again(
    serve: Callable[[Reply], str], cache_folder: Path
) -> None:
    address = serve(_reply_until_closed)
    fetch_remote_bytes(address, MAX_BYTES)
    (entry,) = _list_cache(cache_folder)
    entry.write_bytes(entry.read_bytes()[:-50])
    assert fetch_remote_bytes(address, MAX_BYTES) == IMAGE
    assert len(_Handler.requests) == 2
    assert _list_cache(cache_folder) == [entry]


def test_entries_have_the_rights_that_the_umask_leaves(
    serve: Callable[[Reply], str], cache_folder: Path
) -> None:
    before = os.umask(0o027)
    try:
        fetch_remote_bytes(serve(_reply_until_closed), MAX_BYTES)
    finally:
        os.umask(before)
    (entry,) = _list_cache(cache_folder)
    assert stat.S_IMODE(entry.stat().st_mode) == 0o640


_FETCH = """
import sys
from pipeline.data.reading.remote_files import fetch_remote_bytes
for k in range(20):
    sys.stdout.buffer.write(fetch_remote_bytes(f"{sys.argv[1]}?{k}", 10**6)[:8])
"""


def test_processes_that_fetch_at_the_same_time_get_whole_images(
    serve: Callable[[Reply], str], cache_folder: Path
) -> None:
    address = serve(_reply_until_closed)
    command = [sys.executable, "-c", _FETCH, address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [process.communicate()[0] for process in processes]
    assert outputs == [IMAGE[:8] * 20] * 3
    entries = _list_cache(cache_folder)
    assert len(entries) == 20
    assert all(entry.read_bytes()[32:] == IMAGE for entry in entries)
