"""A folder of more than a thousand files that are broken, odd or malicious, and what must become of each."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, features

USED, REJECTED, EITHER = "used", "rejected", "either"
FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "WEBP",
    "TIFF",
    "PPM",
    *(("AVIF",) if features.check("avif") else ()),
)
SUFFIXES = {"JPEG": "jpg", "TIFF": "tif"}
GREEN = (30, 200, 60)
File = tuple[bytes, bytes, str]
"""Name below the class folder (bytes, as the system has it), content, what must become of it."""


def image(width: int = 48, height: int = 32) -> Image.Image:
    """Green, with a red top left quarter: whoever turns it can be seen."""
    pixels = np.full((height, width, 3), GREEN, np.uint8)
    pixels[: max(1, height // 2), : max(1, width // 2)] = (220, 30, 30)
    return Image.fromarray(pixels)


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (image or photo()).save(file, kind, **options)
    return file.getvalue()


def _suffix(kind: str) -> str:
    return SUFFIXES.get(kind, kind.lower())


def _cut(rng: np.random.Generator) -> Iterator[File]:
    noise = Image.fromarray(rng.integers(0, 255, (32, 48, 3), dtype=np.uint8))
    for kind in FORMATS:
        data, end = encoded(kind, noise), _suffix(kind)
        for n, share in enumerate(np.linspace(0.01, 0.97, 15)):
            yield f"cut/{kind}_{n}.{end}".encode(), data[: int(len(data) * share)], EITHER
        for n in range(30):
            yield f"cut/head_{kind}_{n}.{end}".encode(), data[:n], REJECTED
        for n in range(4):
            half = data[: len(data) * (n + 1) // 5]
            yield (
                f"cut/zeros_{kind}_{n}.{end}".encode(),
                half + bytes(len(data) - len(half)),
                EITHER,
            )
        for n in range(25):
            bad = bytearray(data)
            for place in rng.integers(0, len(bad), 1 + n):
                bad[place] = rng.integers(256)
            yield f"cut/noise_{kind}_{n}.{end}".encode(), bytes(bad), EITHER
    data = encoded("JPEG", noise)
    yield b"cut/truncated.jpg", data[: len(data) // 2], REJECTED
    yield b"cut/truncated.png", encoded("PNG", noise)[:-200], REJECTED


def _misnamed() -> Iterator[File]:
    for kind in FORMATS:
        for end in ("jpg", "jpeg", "png", "gif", "bmp", "webp", "tif", "tiff", "JPG", "Png"):
            yield f"suffix/{kind}.{end}".encode(), encoded(kind), USED
        yield f"suffix/{kind}.txt".encode(), encoded(kind), REJECTED
    texts = {
        "html": b"<!doctype html><title>404</title>",
        "text": b"no image",
        "svg": b"<svg/>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch /tmp/owned) (w) file\n",
        "zeros": bytes(4096),
        "pdf": b"%PDF-1.7\n",
        "zip": b"PK\x03\x04" + bytes(60),
        "elf": b"\x7fELF" + bytes(60),
        "empty": b"",
        "lfs": b"version https://git-lfs.github.com/spec/v1\n",
        "bom": b"\xef\xbb\xbf",
        "nul": b"\0",
    }
    for name, data in texts.items():
        for end in ("jpg", "png", "tif", "ppm", "avif"):
            yield f"text/{name}.{end}".encode(), data, REJECTED
    yield b"text/film.mp4", b"\0\0\0\x18ftypmp42", REJECTED


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


def _bombs() -> Iterator[File]:
    rows = zlib.compress(bytes(20_001 * 6_000), 9)
    yield b"bomb/real.png", _png(20_000, 6_000, _chunk(b"IDAT", rows)), REJECTED
    yield b"bomb/claim.png", _png(60_000, 60_000, _chunk(b"IDAT", zlib.compress(b"\0"))), REJECTED
    yield b"bomb/most.png", _png(2**31 - 1, 2**31 - 1), REJECTED
    yield b"bomb/none.png", _png(0, 0), REJECTED
    yield (
        b"bomb/text.png",
        _png(4, 4, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))),
        REJECTED,
    )
    yield b"bomb/claim.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20), REJECTED
    yield (
        b"bomb/claim.bmp",
        encoded("BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + encoded("BMP")[26:],
        REJECTED,
    )
    yield b"bomb/claim.ppm", b"P6 99999 99999 255\n" + bytes(100), REJECTED
    jpeg = bytearray(encoded("JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 65500, 65500)
    yield b"bomb/claim.jpg", bytes(jpeg), REJECTED
    yield (
        b"bomb/large.png",
        _png(9_000, 9_000, _chunk(b"IDAT", zlib.compress(bytes(9_001 * 9_000), 9))),
        USED,
    )


def _shapes() -> Iterator[File]:
    for kind in FORMATS:
        for width, height in ((1, 1), (1, 200), (200, 1), (3, 3), (300, 7)):
            yield (
                f"shape/{width}x{height}.{_suffix(kind)}".encode(),
                encoded(kind, image(width, height)),
                USED,
            )
    for kind in ("JPEG", "PNG"):
        for width, height in ((30_000, 3), (3, 30_000)):
            yield (
                f"shape/{width}x{height}.{_suffix(kind)}".encode(),
                encoded(kind, image(width, height)),
                USED,
            )


def _modes() -> Iterator[File]:
    green = image()
    yield b"mode/cmyk.jpg", encoded("JPEG", green.convert("CMYK"), quality=95), USED
    yield b"mode/cmyk.tif", encoded("TIFF", green.convert("CMYK")), USED
    for mode in ("1", "L", "P", "LA", "RGBA"):
        yield f"mode/{mode}.png".encode(), encoded("PNG", green.convert(mode)), USED
    yield (
        b"mode/clear.png",
        encoded("PNG", green.convert("P"), transparency=b"\xff\x80\x00" * 20),
        USED,
    )
    yield b"mode/one.png", encoded("PNG", green.convert("P"), transparency=0), USED
    deep = (np.asarray(green).astype(np.uint16) * 257)[:, :, ::-1]
    for name, pixels in (
        ("rgb16", deep),
        ("grey16", deep[:, :, 1]),
        ("rgba16", np.dstack([deep, deep[:, :, 0]])),
    ):
        for end in ("png", "tif"):
            yield f"mode/{name}.{end}".encode(), cv2.imencode(f".{end}", pixels)[1].tobytes(), USED
    for value in (np.nan, np.inf, -1.0, 0.5, 1e30):
        yield (
            f"mode/float_{value}.tif".encode(),
            encoded("TIFF", Image.fromarray(np.full((9, 9), value, np.float32))),
            USED,
        )
    yield b"mode/int.tif", encoded("TIFF", Image.fromarray(np.full((9, 9), 70_000, np.int32))), USED
    frames = [green.rotate(90 * n) for n in range(3)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        moving = encoded(kind, frames[0], save_all=True, append_images=frames[1:])
        yield f"mode/moving.{_suffix(kind)}".encode(), moving, USED


def _exif(rng: np.random.Generator) -> Iterator[File]:
    turns = [
        None,
        *(
            getattr(Image.Transpose, name)
            for name in (
                "FLIP_LEFT_RIGHT",
                "ROTATE_180",
                "FLIP_TOP_BOTTOM",
                "TRANSPOSE",
                "ROTATE_90",
                "TRANSVERSE",
                "ROTATE_270",
            )
        ),
    ]  # what a camera stores, so that the orientation brings it back
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        for orientation, turn in enumerate(turns, start=1):
            stored = image() if turn is None else image().transpose(turn)
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield (
                f"turned/{orientation}.{_suffix(kind)}".encode(),
                encoded(kind, stored, exif=exif),
                USED,
            )
    for kind in ("JPEG", "PNG", "WEBP"):
        for odd in (0, 9, 255, 60_000):
            exif = Image.Exif()
            exif[0x0112] = odd
            yield f"exif/odd_{odd}.{_suffix(kind)}".encode(), encoded(kind, exif=exif), USED
        for n in range(25):
            block = b"Exif\0\0II*\0" + rng.integers(0, 256, 40 + n, dtype=np.uint8).tobytes()
            yield f"exif/broken_{n}.{_suffix(kind)}".encode(), encoded(kind, exif=block), USED


def _names() -> Iterator[File]:
    data = encoded("PNG")
    odd = [
        b"\xff\xfe.png",
        b"caf\xe9.png",
        b"\xf0\x28\x8c\x28.png",
        b"a\xc3.png",
        b"quote'\".png",
        b"new\nline.png",
        b"tab\t.png",
        b"cr\r.png",
        b"<script>alert(1)</script>.png".replace(b"/", b"\xe2\x88\x95"),
        b"%00.png",
        b"a%2f..%2fb.png",
        b"-rf.png",
        b"~.png",
        b"*.png",
        b"a;b&c|d.png",
        b"$(touch x).png",
        b"a#b.png",
        b"a?b.png",
        b"a!b.png",
        b"a::b.png",
        b" lead.png",
        b"trail .png",
        b"back\\slash.png",
        "‮gnp.exe.png".encode(),
        "日本語🦊.png".encode(),
        "e\u0301.png".encode(),
        b"n" * 246 + b".png",
        b"\x01\x02\x1b[31m.png",
        b"s3:x.png",
        b"file:x.png",
        b"..png",
        b"a..png",
        b"https:x.png",
        b"C:x.png",
        b"con.png",
        b"{{7*7}}.png",
        b"zip:a!b.png",
    ]
    for name in odd:
        yield b"name/" + name, data, REJECTED if name.startswith(b".") else USED
    for byte in range(128, 256):
        yield b"name/byte_" + bytes([byte]) + b".png", data, USED


def files(seed: int = 0) -> Iterator[File]:
    """Every regular file of the corpus."""
    rng = np.random.default_rng(seed)
    yield from _cut(rng)
    yield from _misnamed()
    yield from _bombs()
    yield from _shapes()
    yield from _modes()
    yield from _exif(rng)
    yield from _names()
    for n in range(20):
        yield f"good/{n}.jpg".encode(), encoded("JPEG", image(60 + n, 50)), USED


def _special(folder: bytes, outside: Path) -> Iterator[tuple[bytes, str]]:
    """What is no regular file; the socket stays behind when its maker is gone."""
    os.mkdir(folder)
    os.mkfifo(folder + b"/fifo.jpg")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder)
        made.bind("socket.jpg")
        os.chdir(here)
    os.mkdir(folder + b"/folder.jpg")
    links = {
        "self.jpg": "self.jpg",
        "gone.jpg": "nothing.jpg",
        "out.jpg": str(outside / "secret.png"),
        "etc": "/etc",
        "up": "..",
        "root": "/",
        "relative.jpg": "../../../outside/secret.png",
        "pair_a": "pair_b",
        "pair_b": "pair_a",
        "zero.jpg": "/dev/zero",
        "mem.jpg": "/proc/self/mem",
        "here": ".",
    }
    for name, target in links.items():
        os.symlink(target, folder + b"/" + name.encode())
        yield b"special/" + name.encode(), REJECTED
    os.symlink("../good/0.jpg", folder + b"/inside.jpg")
    yield b"special/inside.jpg", USED
    yield b"special/fifo.jpg", REJECTED
    yield b"special/socket.jpg", REJECTED


def build(root: Path) -> dict[bytes, str]:
    """Write the corpus into `root`/data, with a secret beside it; returns what must become of each file, by path."""
    outside, data = root / "outside", root / "data"
    outside.mkdir()
    data.mkdir()
    (outside / "secret.png").write_bytes(encoded("PNG"))
    fates: dict[bytes, str] = {}
    for name, content, fate in files():
        path = os.fsencode(data) + b"/" + name
        if not os.path.isdir(os.path.dirname(path)):
            os.mkdir(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(content)
        if not os.path.basename(name).startswith(b"."):  # hidden files are passed over
            fates[name] = fate
    fates |= dict(_special(os.fsencode(data / "special"), outside))
    return fates
