"""One image's bytes: its header, its pixels upright and in RGB, and the square copy of them.

Whatever the bytes are, the worst that happens is an `ImageError` with a short reason.
"""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from pipeline.data.reading.image_record import HEIC_HINT, parse_datetime

PIXEL_LIMIT = 100_000_000
"""A image that claims more pixels is set aside: a file of a few kilobytes may unpack to gigabytes."""
SERIAL_DECODE_PIXELS = 12_000_000
"""Images of more pixels are decoded one at a time, so that memory stays bounded with any number of threads."""
Image.init()
READABLE_FORMATS = tuple(
    kind
    for kind in ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF")
    if kind in Image.OPEN
)
"""What is read, whatever the file is called. Formats that start other programs (EPS) are not among them."""

_TRANSPOSED_ORIENTATIONS = (5, 6, 7, 8)
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_HEIC_BRANDS = (
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"mif1",
    b"msf1",
)  # brands; phones call such files .jpg too
_ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
_serial_decode_lock = threading.Lock()
warnings.filterwarnings(
    "ignore", module=r"PIL\."
)  # of broken EXIF and the like: the image is used or set aside


class ImageError(Exception):
    """The bytes are no image that can be used; the message is a short reason for the list of rejected files."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a image says of itself before it is decoded: size in pixels (upright), EXIF time and camera model.

    orientation: EXIF's, 1 to 8 (1: upright as stored). mode: Pillow's, with RGBA for a palette with transparency.
    """

    width: int
    height: int
    format: str
    mode: str
    captured_at: datetime | None
    camera_model: str | None
    orientation: int = 1
    is_animated: bool = False


def _load_exif(image: Image.Image) -> Image.Exif:
    if image.format not in _END_MARKERS:
        return image.getexif()
    exif = Image.Exif()  # Pillow's own getexif would decode a whole PNG to look for a late chunk
    if "exif" in image.info:
        exif.load(image.info["exif"])
    return exif


def _read_exif_fields(image: Image.Image) -> tuple[datetime | None, str | None, int]:
    """Time, camera and orientation by EXIF; a broken block costs these, not the image."""
    try:
        exif = _load_exif(image)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        taken = parse_datetime(
            details.get(ExifTags.Base.DateTimeOriginal, exif.get(ExifTags.Base.DateTime, ""))
        )
        camera = str(exif.get(ExifTags.Base.Model, "")).strip("\0 ") or None
        turned = exif.get(ExifTags.Base.Orientation)
        return taken, camera, turned if isinstance(turned, int) and 1 <= turned <= 8 else 1
    except Exception:  # on malformed bytes Pillow raises almost anything
        return None, None, 1


def read_header(data: bytes) -> ImageHeader:
    """Read the header of an encoded image; raises `ImageError` (empty, no image, too many pixels)."""
    if not data:
        raise ImageError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=READABLE_FORMATS) as image:
            width, height = image.size
            taken, camera, turned = _read_exif_fields(image)
            kind, mode = image.format or "", "RGBA" if "transparency" in image.info else image.mode
            animated = kind in _ANIMATED_FORMATS and bool(getattr(image, "is_animated", False))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too many pixels to be decoded safely") from error
    except Exception as error:  # on malformed bytes Pillow raises almost anything
        heic = data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS
        raise ImageError(HEIC_HINT if heic else "not an image, or damaged") from error
    if width * height > PIXEL_LIMIT:
        raise ImageError(f"too many pixels to be decoded safely ({width} x {height})")
    if kind != "TIFF" and turned in _TRANSPOSED_ORIENTATIONS:  # Pillow turns a TIFF by itself
        width, height = height, width
    return ImageHeader(
        width, height, "JPEG" if kind == "MPO" else kind, mode, taken, camera, turned, animated
    )


def _convert_to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = (
            1.0
            if values.max() <= 1 and image.mode == "F"
            else 255.0
            if values.max() <= 255
            else 65535.0
        )
        gray = np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _decode_with_pillow(data: bytes, max_side: int | None) -> NDArray[np.uint8]:
    """Pillow's decoder: strict on truncated files, and at home in every format and color mode."""
    try:
        with Image.open(io.BytesIO(data), formats=READABLE_FORMATS) as image:
            if max_side is not None and image.format == "JPEG":
                scale = max(1, max(image.size) // max_side)
                image.draft(None, (image.size[0] // scale, image.size[1] // scale))
            return _convert_to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # on malformed bytes Pillow raises almost anything
        raise ImageError(
            "truncated" if "truncated" in str(error) else "damaged: it cannot be decoded"
        ) from error


def _select_read_flag(image_header: ImageHeader, max_side: int | None) -> int:
    if image_header.format != "JPEG" or max_side is None:
        return int(cv2.IMREAD_COLOR)
    spare = max(image_header.width, image_header.height) // max(max_side, 1)
    flags = {
        8: cv2.IMREAD_REDUCED_COLOR_8,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        2: cv2.IMREAD_REDUCED_COLOR_2,
    }
    return int(next((flag for factor, flag in flags.items() if spare >= factor), cv2.IMREAD_COLOR))


def decode_image(
    data: bytes, max_side: int | None = None, image_header: ImageHeader | None = None
) -> NDArray[np.uint8]:
    """Decode a image: uint8 [H, W, 3] RGB, upright (EXIF), 16 bit brought to 8, transparency laid on white.

    max_side: a JPEG may come at a half, a quarter or an eighth of its size, its longer side never below this.
    Raises `ImageError` with a reason (empty, no image, truncated, damaged, too many pixels).
    """
    image_header = image_header or read_header(data)
    plain = image_header.mode in ("L", "RGB") or (
        image_header.format == "PNG" and image_header.mode.startswith("I")
    )
    whole = image_header.format in _END_MARKERS and data[-64:].rstrip(b"\0\r\n ").endswith(
        _END_MARKERS[image_header.format]
    )
    with (
        _serial_decode_lock
        if image_header.width * image_header.height > SERIAL_DECODE_PIXELS
        else nullcontext()
    ):
        return (
            _decode_with_opencv(data, _select_read_flag(image_header, max_side), max_side)
            if plain and whole
            else _decode_with_pillow(data, max_side)
        )


def is_same_decoding(image_header: ImageHeader, first_side: int, second_side: int) -> bool:
    """Whether `decode` gives the same pixels for both of these values of `max_side`."""
    return _select_read_flag(image_header, first_side) == _select_read_flag(
        image_header, second_side
    )


def _decode_with_opencv(data: bytes, read_flag: int, max_side: int | None) -> NDArray[np.uint8]:
    """OpenCV's decoder, which takes whole files of the usual modes only; what it refuses is left to Pillow."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), read_flag)
    except cv2.error:
        pixels = None
    if pixels is None:
        return _decode_with_pillow(data, max_side)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), dtype=np.uint8)


def letterbox_image(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Fit uint8 [H, W, 3] into [side, side, 3], proportions kept; the bars repeat the edge, so brightness is kept too.

    Shrinks by area averages (cv2.INTER_AREA), enlarges linearly.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = pixels if (width, height) == size else cv2.resize(pixels, size, interpolation=how)
    x, y = side - size[0], side - size[1]
    boxed = cv2.copyMakeBorder(fitted, y // 2, y - y // 2, x // 2, x - x // 2, cv2.BORDER_REPLICATE)
    return np.asarray(boxed, dtype=np.uint8)
