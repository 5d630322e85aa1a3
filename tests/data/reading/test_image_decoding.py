"""One image's bytes: pipeline/data/reading/image_decoding.py."""

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
    letterbox_image,
    read_header,
)
from pipeline.data.reading.image_sources import open_image


def _picture(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth, and different in each quarter, so that a turned or mirrored copy is another picture."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.stack([x * 255, y * 255, x * y * 200], axis=2).astype(np.uint8))


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_in_every_format(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _encoded(_picture(), kind, exif=exif)
    expected = np.asarray(
        ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    ).astype(int)
    pixels = decode_image(data)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 3
    assert (read_header(data).height, read_header(data).width) == pixels.shape[:2]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("side", "factor"), [(300, 1), (150, 2), (70, 4), (30, 8), (5, 8)])
def test_jpeg_decodes_at_the_smallest_scale_that_suffices(
    orientation: int, side: int, factor: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _encoded(_picture(320, 160), "JPEG", exif=exif, quality=95)
    small, whole = decode_image(data, side), decode_image(data)
    assert small.shape[0] == whole.shape[0] // factor
    assert abs(small.mean() - whole.mean()) < 1
    assert max(small.shape) >= min(side, 320)


def test_transparency_is_laid_on_white_and_grey_becomes_rgb() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (decode_image(_encoded(clear, "PNG")) == 255).all()
    gray = decode_image(_encoded(Image.new("L", (4, 4), 77), "PNG"))
    assert gray.shape == (4, 4, 3)
    assert (gray == 77).all()
    palette = _picture().convert("P")
    assert (
        np.abs(
            decode_image(_encoded(palette, "PNG")).astype(int) - np.asarray(palette.convert("RGB"))
        ).max()
        == 0
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(kind: str) -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16))
    pixels = decode_image(_encoded(ramp, kind))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[:, :, 0].ravel() - np.linspace(0, 255, 600)).max() <= 1


def test_cmyk_keeps_its_colors() -> None:
    pixels = decode_image(_encoded(_picture().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - np.asarray(_picture())).mean() < 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 0.97])
def test_cut_off_files_are_refused_with_a_reason(kind: str, share: float) -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    data = _encoded(noisy, kind)
    with pytest.raises(
        ImageError, match="empty file" if share == 0 else "truncated|not an image|damaged"
    ):
        decode_image(data[: int(len(data) * share)])


def test_text_is_no_image_and_too_many_pixels_are_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ImageError, match="not an image"):
        decode_image(b"hello" * 100)
    monkeypatch.setattr(image_decoding, "PIXEL_LIMIT", 2000)
    with pytest.raises(ImageError, match=r"too many pixels.*60 x 40"):
        decode_image(_encoded(_picture(), "PNG"))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="too many pixels"):
        read_header(_encoded(_picture(), "PNG"))


def test_open_image_reads_a_file_and_names_why_it_cannot(tmp_path: Path) -> None:
    _picture().save(tmp_path / "a.png")
    assert (open_image(tmp_path / "a.png") == np.asarray(_picture())).all()
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        open_image(tmp_path / "b.png")


def test_header_reads_time_and_camera() -> None:
    exif = Image.Exif()
    exif[0x0110] = "Gate 2"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:31 22:40:01"
    head = read_header(_encoded(_picture(), "JPEG", exif=exif))
    assert (head.captured_at, head.camera_model) == (datetime(2024, 5, 31, 22, 40, 1), "Gate 2")
    assert read_header(_encoded(_picture(), "JPEG")).captured_at is None


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
