"""Header and pixels of one image: pipeline/data/reading/image_decoding.py."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data.reading import image_decoding
from pipeline.data.reading.image_decoding import (
    ImageError,
    decode_image,
    is_same_decoding,
    letterbox_image,
    read_header,
)
from pipeline.data.reading.image_record import HAS_HEIC_READER
from pipeline.data.reading.image_sources import open_image


def _draw_image(width: int = 60, height: int = 40) -> Image.Image:
    """Return a smooth image that differs from all its rotations and mirror images."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.stack([x * 255, y * 255, x * y * 200], axis=2).astype(np.uint8))


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_in_every_format(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _encode(_draw_image(), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expected = np.asarray(upright.convert("RGB")).astype(int)
    pixels = decode_image(data)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 3
    assert (read_header(data).height, read_header(data).width) == pixels.shape[:2]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("side", "factor"), [(300, 1), (150, 2), (70, 4), (30, 8), (5, 8)])
def test_jpeg_is_decoded_at_the_smallest_sufficient_scale(
    orientation: int, side: int, factor: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _encode(_draw_image(320, 160), "JPEG", exif=exif, quality=95)
    small = decode_image(data, side)
    full = decode_image(data)
    assert small.shape[0] == full.shape[0] // factor
    assert abs(small.mean() - full.mean()) < 1
    assert max(small.shape) >= min(side, 320)


def test_transparency_is_composited_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (decode_image(_encode(clear, "PNG")) == 255).all()


def test_gray_becomes_rgb() -> None:
    gray = decode_image(_encode(Image.new("L", (4, 4), 77), "PNG"))
    assert gray.shape == (4, 4, 3)
    assert (gray == 77).all()


def test_palette_becomes_rgb() -> None:
    palette = _draw_image().convert("P")
    decoded = decode_image(_encode(palette, "PNG"))
    assert (decoded == np.asarray(palette.convert("RGB"))).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_reduced_to_8(kind: str) -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16))
    pixels = decode_image(_encode(ramp, kind))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[:, :, 0].ravel() - np.linspace(0, 255, 600)).max() <= 1


def test_cmyk_keeps_its_colors() -> None:
    pixels = decode_image(_encode(_draw_image().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - np.asarray(_draw_image())).mean() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 0.97])
def test_truncated_files_are_rejected_with_a_reason(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    data = _encode(Image.fromarray(noise), kind)
    reason = "empty file" if share == 0 else "truncated|not an image|damaged"
    with pytest.raises(ImageError, match=reason):
        decode_image(data[: int(len(data) * share)])


def test_text_is_rejected() -> None:
    with pytest.raises(ImageError, match="not an image"):
        decode_image(b"hello" * 100)


def test_too_many_pixels_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_decoding, "PIXEL_LIMIT", 2000)
    with pytest.raises(ImageError, match=r"too many pixels.*60 x 40"):
        decode_image(_encode(_draw_image(), "PNG"))


def test_decompression_bomb_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="too many pixels"):
        read_header(_encode(_draw_image(), "PNG"))


def test_heic_is_rejected_with_a_hint() -> None:
    reason = "damaged" if HAS_HEIC_READER else r"nightshift\[heic\].*heif-convert"
    with pytest.raises(ImageError, match=reason):
        read_header(bytes(4) + b"ftypheic" + bytes(20))


@pytest.mark.skipif(not HAS_HEIC_READER, reason="pillow-heif (extra heic) is not installed")
def test_heic_is_read_with_the_extra() -> None:
    decoded = decode_image(_encode(_draw_image(), "HEIF", quality=95))
    assert np.abs(decoded.astype(int) - np.asarray(_draw_image())).mean() < 8


def test_a_palette_with_a_transparent_entry_is_composited_on_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    assert (decode_image(_encode(palette, "PNG", transparency=1)) == 255).all()
    assert (decode_image(_encode(palette, "PNG", transparency=0)) == [200, 10, 10]).all()


def test_gray_with_alpha_is_composited_on_white() -> None:
    layer = Image.merge("LA", (Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 128)))
    assert abs(int(decode_image(_encode(layer, "PNG"))[0, 0, 0]) - 127) <= 1


def test_an_unknown_tiff_is_refused_with_what_to_do() -> None:
    with pytest.raises(ImageError, match="convert it to PNG"):
        decode_image(b"II*\0" + bytes(200))


@pytest.mark.parametrize(("kind", "is_same"), [("JPEG", False), ("PNG", True)])
def test_same_decoding_depends_on_the_format(kind: str, is_same: bool) -> None:
    data = _encode(_draw_image(320, 160), kind)
    header = read_header(data)
    assert is_same_decoding(header, 300, 200)
    assert is_same_decoding(header, 300, 100) == is_same
    equal_shapes = decode_image(data, 300).shape == decode_image(data, 100).shape
    assert equal_shapes == is_same


def test_open_image_reads_a_file_or_raises_the_reason(tmp_path: Path) -> None:
    _draw_image().save(tmp_path / "a.png")
    assert (open_image(tmp_path / "a.png") == np.asarray(_draw_image())).all()
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        open_image(tmp_path / "b.png")


def test_header_has_time_and_camera() -> None:
    exif = Image.Exif()
    exif[0x0110] = "Gate 2"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:31 22:40:01"
    header = read_header(_encode(_draw_image(), "JPEG", exif=exif))
    assert header.captured_at == datetime(2024, 5, 31, 22, 40, 1)
    assert header.camera_model == "Gate 2"
    assert read_header(_encode(_draw_image(), "JPEG")).captured_at is None


@pytest.mark.parametrize(
    ("width", "height"), [(200, 100), (100, 200), (1, 500), (30, 20), (64, 64)]
)
def test_letterbox_keeps_proportions_and_brightness(width: int, height: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2 or 1] = 200
    boxed = letterbox_image(pixels, 64)
    assert boxed.shape == (64, 64, 3)
    assert abs(boxed.mean() - pixels.mean()) < 6
    flat = letterbox_image(np.full((height, width, 3), 90, np.uint8), 64)
    assert (flat == 90).all()
