"""Header and pixels of one encoded image: upright, in RGB, and letterboxed to a square.

Any bytes either decode or raise `ImageError` with a short reason.
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

from pipeline.data.reading.image_record import HAS_HEIC_READER, HEIC_HINT, parse_datetime

if HAS_HEIC_READER:
    import pillow_heif

    pillow_heif.register_heif_opener()

PIXEL_LIMIT = 100_000_000
"""Images of more pixels are rejected: a file of a few kilobytes may unpack to gigabytes."""
SERIAL_DECODE_PIXELS = 12_000_000
"""Images of more pixels are decoded one at a time, so memory is bounded for any thread count."""
Image.init()
READABLE_FORMATS = tuple(
    kind
    for kind in ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")
    if kind in Image.OPEN
)
"""Formats that are read, whatever the suffix. Formats that start other programs (EPS) are not."""

_TRANSPOSED_ORIENTATIONS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
# Brands of HEIC containers; phones may give such files the suffix .jpg.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
_REDUCED_READ_FLAGS = {  # by factor: OpenCV shrinks a JPEG while it decodes
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
_serial_decode_lock = threading.Lock()
# Pillow warns about broken EXIF and the like; the image is either used or rejected anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")


ValueRange = tuple[int, int]
"""Values of a gray image of 16 bits that become black and white."""
_TIFF_STARTS = (b"II*\0", b"MM\0*")
_TIFF_HINT = (
    "a TIFF of a kind that is not read (16-bit color, or a rare compression); convert it to PNG"
)
_PHOTOMETRIC_TAG = 262
_WHITE_IS_ZERO = 0


class ImageError(Exception):
    """The bytes are not a usable image; the message is the reason for the rejected files."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Properties of an image that are known before it is decoded.

    Attributes:
        width: width in pixels after the EXIF rotation.
        height: height in pixels after the EXIF rotation.
        format: name of the format in Pillow.
        mode: color mode in Pillow; RGBA for a palette with transparency.
        captured_at: capture time in EXIF.
        camera_model: camera model in EXIF.
        orientation: EXIF orientation, 1 to 8; 1 is stored upright.
        is_animated: whether the file holds several frames.
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
    """Return capture time, camera model and orientation; a broken EXIF block gives defaults."""
    try:
        exif = _load_exif(image)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        file_time = exif.get(ExifTags.Base.DateTime, "")
        captured_at = parse_datetime(details.get(ExifTags.Base.DateTimeOriginal, file_time))
        camera_model = str(exif.get(ExifTags.Base.Model, "")).strip("\0 ") or None
        orientation = exif.get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises almost any error on malformed bytes
        return None, None, 1
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    return captured_at, camera_model, orientation


def read_header(data: bytes) -> ImageHeader:
    """Return the header of an encoded image.

    Raises:
        ImageError: the bytes are empty, are not an image, or have too many pixels.
    """
    if not data:
        raise ImageError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=READABLE_FORMATS) as image:
            width, height = image.size
            captured_at, camera_model, orientation = _read_exif_fields(image)
            image_format = image.format or ""
            mode = "RGBA" if "transparency" in image.info else image.mode
            # Only these formats: Pillow reads all of a TIFF to count its frames.
            is_animated = image_format in _ANIMATED_FORMATS and bool(
                getattr(image, "is_animated", False)
            )
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too many pixels to be decoded safely") from error
    except Exception as error:  # Pillow raises almost any error on malformed bytes
        raise ImageError(_explain_unreadable(data)) from error
    if width * height > PIXEL_LIMIT:
        raise ImageError(f"too many pixels to be decoded safely ({width} x {height})")
    # Pillow applies the orientation of a TIFF itself.
    if image_format != "TIFF" and orientation in _TRANSPOSED_ORIENTATIONS:
        width, height = height, width
    return ImageHeader(
        width,
        height,
        "JPEG" if image_format == "MPO" else image_format,
        mode,
        captured_at,
        camera_model,
        orientation,
        is_animated,
    )


def _explain_unreadable(data: bytes) -> str:
    """Return why Pillow does not know an image."""
    is_heic = data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS
    if is_heic and not HAS_HEIC_READER:
        return HEIC_HINT
    return _TIFF_HINT if data.startswith(_TIFF_STARTS) else "not an image, or damaged"


def is_deep_gray(mode: str) -> bool:
    """Return whether an image of this mode is gray with more than 8 bits."""
    return mode.startswith("I;16") or mode in ("I", "F")


def read_deep_values(data: bytes) -> NDArray[np.float32]:
    """Return the values of a gray image of more than 8 bits, float32 [H, W].

    Raises:
        ImageError: the image cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=READABLE_FORMATS) as image:
            return np.nan_to_num(np.asarray(image, dtype=np.float32))
    except Exception as error:  # Pillow raises almost any error on malformed bytes
        raise ImageError("damaged: it cannot be decoded") from error


def _convert_to_rgb(
    image: Image.Image, value_range: ValueRange | None, is_inverted: bool
) -> NDArray[np.uint8]:
    if is_deep_gray(image.mode):
        return _convert_deep_gray(image, value_range, is_inverted)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _convert_deep_gray(
    image: Image.Image, value_range: ValueRange | None, is_inverted: bool
) -> NDArray[np.uint8]:
    """Return a gray image of 16 or 32 bits as uint8 [H, W, 3].

    It is scaled from the range of its data set, or without one by its largest value.

    Args:
        image: the image.
        value_range: the values that become black and white.
        is_inverted: whether the largest value is black.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = value_range or (0, _choose_white(float(values.max()), image.mode))
    gray = np.clip((values - low) * (255.0 / max(high - low, 1e-9)), 0, 255).astype(np.uint8)
    if is_inverted:
        gray = 255 - gray
    return np.repeat(gray[:, :, None], 3, axis=2)


def _choose_white(peak: float, mode: str) -> float:
    if peak <= 1 and mode == "F":
        return 1.0
    return 255.0 if peak <= 255 else 65535.0


def _decode_with_pillow(
    data: bytes, max_side: int | None, value_range: ValueRange | None = None
) -> NDArray[np.uint8]:
    """Decode with Pillow, which reads every format and color mode and rejects truncated files."""
    try:
        with Image.open(io.BytesIO(data), formats=READABLE_FORMATS) as image:
            if max_side is not None and image.format == "JPEG":
                scale = max(1, max(image.size) // max_side)
                image.draft(None, (image.size[0] // scale, image.size[1] // scale))
            tags = getattr(image, "tag_v2", {})
            is_inverted = tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO
            return _convert_to_rgb(ImageOps.exif_transpose(image), value_range, is_inverted)
    except Exception as error:  # Pillow raises almost any error on malformed bytes
        is_truncated = "truncated" in str(error)
        raise ImageError(
            "truncated" if is_truncated else "damaged: it cannot be decoded"
        ) from error


def _select_read_flag(image_header: ImageHeader, max_side: int | None) -> int:
    """Return OpenCV's flag for the smallest scale whose longer side is at least `max_side`."""
    if image_header.format != "JPEG" or max_side is None:
        return int(cv2.IMREAD_COLOR)
    max_factor = max(image_header.width, image_header.height) // max(max_side, 1)
    for factor, read_flag in _REDUCED_READ_FLAGS.items():
        if factor <= max_factor:
            return int(read_flag)
    return int(cv2.IMREAD_COLOR)


def _can_opencv_decode(data: bytes, image_header: ImageHeader) -> bool:
    """Return whether the image is complete and in a mode that OpenCV decodes as Pillow does."""
    is_plain = image_header.mode in ("L", "RGB") or (
        image_header.format == "PNG" and image_header.mode.startswith("I")
    )
    if not is_plain or image_header.format not in _END_MARKERS:
        return False
    return data[-64:].rstrip(b"\0\r\n ").endswith(_END_MARKERS[image_header.format])


def decode_image(
    data: bytes,
    max_side: int | None = None,
    image_header: ImageHeader | None = None,
    value_range: ValueRange | None = None,
) -> NDArray[np.uint8]:
    """Return the pixels of an encoded image, upright (EXIF): uint8 [H, W, 3] RGB.

    16 bits are reduced to 8, and transparency is composited on white.

    Args:
        data: the encoded image.
        max_side: a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as
            its longer side is at least this many pixels; None decodes the full size.
        image_header: header of the image, if it was read before.
        value_range: values of a gray image of 16 bits that become black and white; None for 0 and
            the largest value of its type.

    Raises:
        ImageError: the image is empty, not an image, truncated, damaged, or has too many pixels.
    """
    image_header = image_header or read_header(data)
    is_large = image_header.width * image_header.height > SERIAL_DECODE_PIXELS
    with _serial_decode_lock if is_large else nullcontext():
        is_scaled = value_range is not None and is_deep_gray(image_header.mode)
        if not is_scaled and _can_opencv_decode(data, image_header):
            return _decode_with_opencv(data, _select_read_flag(image_header, max_side), max_side)
        return _decode_with_pillow(data, max_side, value_range)


def is_same_decoding(image_header: ImageHeader, first_side: int, second_side: int) -> bool:
    """Return whether `decode_image` gives the same pixels for both values of `max_side`.

    Args:
        image_header: header of the image.
        first_side: one value of `max_side`.
        second_side: the other value.
    """
    first_flag = _select_read_flag(image_header, first_side)
    return first_flag == _select_read_flag(image_header, second_side)


def _decode_with_opencv(data: bytes, read_flag: int, max_side: int | None) -> NDArray[np.uint8]:
    """Decode with OpenCV, which is faster; images that it rejects are decoded with Pillow."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), read_flag)
    except cv2.error:
        pixels = None
    if pixels is None:
        return _decode_with_pillow(data, max_side)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), dtype=np.uint8)


def letterbox_image(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3] fitted into uint8 [side, side, 3] with its proportions kept.

    The bars repeat the edge, so that they change the brightness little. Area averages
    (cv2.INTER_AREA) shrink an image, linear interpolation enlarges it.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = pixels if (width, height) == size else cv2.resize(pixels, size, interpolation=method)
    x, y = side - size[0], side - size[1]
    boxed = cv2.copyMakeBorder(fitted, y // 2, y - y // 2, x // 2, x - x // 2, cv2.BORDER_REPLICATE)
    return np.asarray(boxed, dtype=np.uint8)
