"""Images at addresses, fetched once into the cache and kept only if they decode.

Addresses come with manifests, so they are not trusted: a manifest of a stranger must not reach the
services of this machine or its cloud's metadata. Every body is read to its end and bounded by what
arrives, whatever its headers declare.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import os
import socket
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from pipeline.data.reading.file_cache import get_cache_folder, write_cache_file
from pipeline.data.reading.image_decoding import ImageError, decode_image

LOCAL_ADDRESSES_VARIABLE = "NIGHTSHIFT_LOCAL_ADDRESSES"
"""Environment variable that allows addresses of this machine, with the value 1."""
_SOCKET_TIMEOUT_SECONDS = 20.0
_TOTAL_TIMEOUT_SECONDS = 120.0
"""Enough for a large image on a slow line; a server that drips bytes does not stop a run."""
_MAX_REDIRECTS = 5
_BLOCK_BYTES = 1 << 20
_DIGEST_BYTES = hashlib.sha256().digest_size
_COMPRESSIONS = ("gzip", "x-gzip", "deflate")
_AUTO_DETECTED_WINDOW = 47
"""zlib's number for a stream of gzip or zlib."""


def _require_allowed_peer(connection: socket.socket) -> None:
    """Raise `ImageError` if the peer of a connection is this machine or a link-local service.

    The peer is checked, not the name: a name may resolve to anything at any moment.
    """
    peer = ipaddress.ip_address(connection.getpeername()[0].partition("%")[0])
    address = getattr(peer, "ipv4_mapped", None) or peer
    is_local = address.is_loopback or address.is_link_local or address.is_unspecified
    if is_local and os.environ.get(LOCAL_ADDRESSES_VARIABLE) != "1":
        raise ImageError(
            f"cannot be fetched: {address} is an address of this machine or its network card; "
            f"{LOCAL_ADDRESSES_VARIABLE}=1 allows it"
        )


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _require_allowed_peer(self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _require_allowed_peer(self.sock)


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    max_redirections = _MAX_REDIRECTS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urlsplit(urljoin(req.full_url, newurl)).scheme
        if scheme not in (req.type, "https"):
            raise ImageError(f"cannot be fetched: it redirects from {req.type} to {scheme}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _build_opener() -> urllib.request.OpenerDirector:
    """Return an opener of http and https alone, without proxies of the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Handler(),
        _SecureHandler(),
        _RedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _build_request(address: str) -> urllib.request.Request:
    """Return the request of an address; a login in it becomes a header for its host alone."""
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    host = host if host.isascii() else host.encode("idna").decode()
    plain = parts._replace(netloc=host, fragment="").geturl()
    request = urllib.request.Request(quote(plain, safe="%/:=&?~+!$,;'@()*[]|"))
    if login:
        token = base64.b64encode(unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _iterate_blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body as it arrives.

    Raises:
        ImageError: it takes too long, or ends before its declared length.
    """
    deadline = time.monotonic() + _TOTAL_TIMEOUT_SECONDS
    declared = response.headers.get("Content-Length", "")
    received = 0
    while block := response.read1(_BLOCK_BYTES):
        received += len(block)
        yield block
        if time.monotonic() > deadline:
            raise ImageError("cannot be fetched: it takes too long")
    if declared.isdigit() and not response.chunked and received != int(declared):
        raise ImageError(f"cannot be fetched: cut off after {received:,} of {declared} bytes")


def _decompress_blocks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(_AUTO_DETECTED_WINDOW)
    for block in blocks:
        while block:
            yield decompressor.decompress(block, _BLOCK_BYTES)
            block = decompressor.unconsumed_tail
    if not decompressor.eof:
        raise ImageError("cannot be fetched: its compressed body is cut off")


def _join_blocks(blocks: Iterator[bytes], max_bytes: int) -> bytes:
    """Return all blocks as one.

    Raises:
        ImageError: they are more than `max_bytes`.
    """
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > max_bytes:
            raise ImageError(f"the file is too large (over {max_bytes:,} bytes)")
    return bytes(data)


def _download_over_http(address: str, max_bytes: int) -> bytes:
    with _build_opener().open(_build_request(address), timeout=_SOCKET_TIMEOUT_SECONDS) as response:
        blocks = _iterate_blocks(response)
        if response.headers.get("Content-Encoding", "").lower() in _COMPRESSIONS:
            blocks = _decompress_blocks(blocks)
        return _join_blocks(blocks, max_bytes)


def _download_from_store(address: str, max_bytes: int) -> bytes:
    import fsspec  # slow to import and seldom needed

    with fsspec.open(address, "rb") as file:
        return _join_blocks(iter(lambda: file.read(_BLOCK_BYTES), b""), max_bytes)


def _download_bytes(address: str, max_bytes: int) -> bytes:
    is_http = address.lower().startswith(("http://", "https://"))
    download = _download_over_http if is_http else _download_from_store
    try:
        return download(address, max_bytes)
    except ImageError:
        raise
    except Exception as error:  # each protocol has its own errors
        reason = getattr(error, "reason", None)
        if isinstance(reason, ImageError):
            raise reason from error
        raise ImageError(f"cannot be fetched: {describe_error(error)}") from error


def describe_error(error: Exception) -> str:
    """Return an error in a few words."""
    text = " ".join(str(error).split())[:120]
    strerror: Any = getattr(error, "strerror", None)
    return str(strerror or text or type(error).__name__)


def _read_cache_entry(path: Path) -> bytes | None:
    """Return the image of a cache entry, None if there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return data if hashlib.sha256(data).digest() == digest else None


def fetch_remote_bytes(address: str, max_bytes: int) -> bytes:
    """Return the encoded image at an address; it is fetched once and kept if it decodes.

    An entry of the cache is the hash of the image and the image: a damaged one is fetched again.

    Args:
        address: an address of http, https or a store that fsspec knows.
        max_bytes: largest file.

    Raises:
        ImageError: it cannot be fetched, is too large, or is no image.
    """
    name = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
    path = get_cache_folder() / "remote" / name
    kept = _read_cache_entry(path)
    if kept is not None:
        return kept
    data = _download_bytes(address, max_bytes)
    decode_image(data)
    content = hashlib.sha256(data).digest() + data
    write_cache_file(path, lambda target: target.write_bytes(content))
    return data
