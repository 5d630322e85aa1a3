"""A folder of more than a thousand broken, odd or malicious files, with the outcome of each."""

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

USED = "used"
REJECTED = "rejected"
EITHER = "either"
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
RED = (220, 30, 30)
HostileFile = tuple[bytes, bytes, str]
"""Path below the data set (bytes, as the system stores it), content, and required outcome."""


def draw_marked_image(width: int = 48, height: int = 32) -> Image.Image:
    """Return a green image with a red top left quarter, which shows any rotation."""
    pixels = np.full((height, width, 3), GREEN, np.uint8)
    pixels[: max(1, height // 2), : max(1, width // 2)] = RED
    return Image.fromarray(pixels)


def encode_image(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return an image, by default the marked one, in a format of Pillow."""
    file = io.BytesIO()
    (image or draw_marked_image()).save(file, kind, **options)
    return file.getvalue()


def _get_suffix(kind: str) -> str:
    return SUFFIXES.get(kind, kind.lower())


def _make_truncated(rng: np.random.Generator) -> Iterator[HostileFile]:
    noise = Image.fromarray(rng.integers(0, 255, (32, 48, 3), dtype=np.uint8))
    for kind in FORMATS:
        data, end = encode_image(kind, noise), _get_suffix(kind)
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
            damaged = bytearray(data)
            for position in rng.integers(0, len(damaged), 1 + n):
                damaged[position] = rng.integers(256)
            yield f"cut/noise_{kind}_{n}.{end}".encode(), bytes(damaged), EITHER
    data = encode_image("JPEG", noise)
    yield b"cut/truncated.jpg", data[: len(data) // 2], REJECTED
    yield b"cut/truncated.png", encode_image("PNG", noise)[:-200], REJECTED


def _make_misnamed() -> Iterator[HostileFile]:
    for kind in FORMATS:
        for end in ("jpg", "jpeg", "png", "gif", "bmp", "webp", "tif", "tiff", "JPG", "Png"):
            yield f"suffix/{kind}.{end}".encode(), encode_image(kind), USED
        yield f"suffix/{kind}.txt".encode(), encode_image(kind), REJECTED
    texts = {
        "html": b"<!doctype html><title>404</title>",
        "text": b"no image",
        "svg": b"<svg/>",
        "eps": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch /tmp/owned) (w) file\n"
        ),
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


def _build_png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _build_png(width: int, height: int, *chunks: bytes) -> bytes:
    head = _build_png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _build_png_chunk(b"IEND", b"")


def _make_bombs() -> Iterator[HostileFile]:
    rows = zlib.compress(bytes(20_001 * 6_000), 9)
    yield b"bomb/real.png", _build_png(20_000, 6_000, _build_png_chunk(b"IDAT", rows)), REJECTED
    yield (
        b"bomb/claim.png",
        _build_png(60_000, 60_000, _build_png_chunk(b"IDAT", zlib.compress(b"\0"))),
        REJECTED,
    )
    yield b"bomb/most.png", _build_png(2**31 - 1, 2**31 - 1), REJECTED
    yield b"bomb/none.png", _build_png(0, 0), REJECTED
    yield (
        b"bomb/text.png",
        _build_png(4, 4, _build_png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))),
        REJECTED,
    )
    yield b"bomb/claim.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20), REJECTED
    yield (
        b"bomb/claim.bmp",
        encode_image("BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + encode_image("BMP")[26:],
        REJECTED,
    )
    yield b"bomb/claim.ppm", b"P6 99999 99999 255\n" + bytes(100), REJECTED
    jpeg = bytearray(encode_image("JPEG"))
    position = jpeg.index(b"\xff\xc0") + 5
    jpeg[position : position + 4] = struct.pack(">HH", 65500, 65500)
    yield b"bomb/claim.jpg", bytes(jpeg), REJECTED
    yield (
        b"bomb/large.png",
        _build_png(9_000, 9_000, _build_png_chunk(b"IDAT", zlib.compress(bytes(9_001 * 9_000), 9))),
        USED,
    )


def _make_shapes() -> Iterator[HostileFile]:
    for kind in FORMATS:
        for width, height in ((1, 1), (1, 200), (200, 1), (3, 3), (300, 7)):
            yield (
                f"shape/{width}x{height}.{_get_suffix(kind)}".encode(),
                encode_image(kind, draw_marked_image(width, height)),
                USED,
            )
    for kind in ("JPEG", "PNG"):
        for width, height in ((30_000, 3), (3, 30_000)):
            yield (
                f"shape/{width}x{height}.{_get_suffix(kind)}".encode(),
                encode_image(kind, draw_marked_image(width, height)),
                USED,
            )


def _make_modes() -> Iterator[HostileFile]:
    green = draw_marked_image()
    yield b"mode/cmyk.jpg", encode_image("JPEG", green.convert("CMYK"), quality=95), USED
    yield b"mode/cmyk.tif", encode_image("TIFF", green.convert("CMYK")), USED
    for mode in ("1", "L", "P", "LA", "RGBA"):
        yield f"mode/{mode}.png".encode(), encode_image("PNG", green.convert(mode)), USED
    yield (
        b"mode/clear.png",
        encode_image("PNG", green.convert("P"), transparency=b"\xff\x80\x00" * 20),
        USED,
    )
    yield b"mode/one.png", encode_image("PNG", green.convert("P"), transparency=0), USED
    deep = (np.asarray(green).astype(np.uint16) * 257)[:, :, ::-1]
    for name, pixels in (
        ("rgb16", deep),
        ("gray16", deep[:, :, 1]),
        ("rgba16", np.dstack([deep, deep[:, :, 0]])),
    ):
        for end in ("png", "tif"):
            yield f"mode/{name}.{end}".encode(), cv2.imencode(f".{end}", pixels)[1].tobytes(), USED
    for value in (np.nan, np.inf, -1.0, 0.5, 1e30):
        yield (
            f"mode/float_{value}.tif".encode(),
            encode_image("TIFF", Image.fromarray(np.full((9, 9), value, np.float32))),
            USED,
        )
    yield (
        b"mode/int.tif",
        encode_image("TIFF", Image.fromarray(np.full((9, 9), 70_000, np.int32))),
        USED,
    )
    frames = [green.rotate(90 * n) for n in range(3)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        moving = encode_image(kind, frames[0], save_all=True, append_images=frames[1:])
        yield f"mode/moving.{_get_suffix(kind)}".encode(), moving, USED


def _make_exif(rng: np.random.Generator) -> Iterator[HostileFile]:
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
    ]  # as a camera stores it, so that the orientation restores it
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        for orientation, turn in enumerate(turns, start=1):
            stored = draw_marked_image() if turn is None else draw_marked_image().transpose(turn)
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield (
                f"turned/{orientation}.{_get_suffix(kind)}".encode(),
                encode_image(kind, stored, exif=exif),
                USED,
            )
    for kind in ("JPEG", "PNG", "WEBP"):
        for orientation in (0, 9, 255, 60_000):
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield (
                f"exif/odd_{orientation}.{_get_suffix(kind)}".encode(),
                encode_image(kind, exif=exif),
                USED,
            )
        for n in range(25):
            block = b"Exif\0\0II*\0" + rng.integers(0, 256, 40 + n, dtype=np.uint8).tobytes()
            yield (
                f"exif/broken_{n}.{_get_suffix(kind)}".encode(),
                encode_image(kind, exif=block),
                USED,
            )


def _make_names() -> Iterator[HostileFile]:
    data = encode_image("PNG")
    odd_names = [
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
    for name in odd_names:
        yield b"name/" + name, data, REJECTED if name.startswith(b".") else USED
    for byte in range(128, 256):
        yield b"name/byte_" + bytes([byte]) + b".png", data, USED


def iterate_files(seed: int = 0) -> Iterator[HostileFile]:
    """Yield every regular file of the corpus."""
    rng = np.random.default_rng(seed)
    yield from _make_truncated(rng)
    yield from _make_misnamed()
    yield from _make_bombs()
    yield from _make_shapes()
    yield from _make_modes()
    yield from _make_exif(rng)
    yield from _make_names()
    for n in range(20):
        yield f"good/{n}.jpg".encode(), encode_image("JPEG", draw_marked_image(60 + n, 50)), USED


def _make_special(folder: bytes, outside: Path) -> Iterator[tuple[bytes, str]]:
    """Make links, a FIFO, a socket and a folder named like images; yield their outcomes."""
    os.mkdir(folder)
    os.mkfifo(folder + b"/fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        working_folder = os.getcwd()
        os.chdir(folder)
        server.bind("socket.jpg")
        os.chdir(working_folder)
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


def build_corpus(root: Path) -> dict[bytes, str]:
    """Write the corpus to `root`/data and a file outside it; return the outcome by path."""
    outside, data = root / "outside", root / "data"
    outside.mkdir()
    data.mkdir()
    (outside / "secret.png").write_bytes(encode_image("PNG"))
    outcomes: dict[bytes, str] = {}
    for name, content, outcome in iterate_files():
        path = os.fsencode(data) + b"/" + name
        if not os.path.isdir(os.path.dirname(path)):
            os.mkdir(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(content)
        if not os.path.basename(name).startswith(b"."):  # hidden files are passed over
            outcomes[name] = outcome
    outcomes |= dict(_make_special(os.fsencode(data / "special"), outside))
    return outcomes
