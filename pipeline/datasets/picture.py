"""One photo's bytes: its header, its pixels upright and in RGB, and the square copy of them.

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

from pipeline.datasets.photo import HEIC_HINT, moment

PIXEL_LIMIT = 100_000_000
"""A photo that claims more pixels is set aside: a file of a few kilobytes may unpack to gigabytes."""
HEAVY = 12_000_000
"""Photos of more pixels are decoded one at a time, so that memory stays bounded with any number of threads."""
Image.init()
FORMATS = tuple(
    kind for kind in ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF") if kind in Image.OPEN
)
"""What is read, whatever the file is called. Formats that start other programs (EPS) are not among them."""

_SIDEWAYS = (5, 6, 7, 8)
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # brands; phones call such files .jpg too
_MOVING = ("GIF", "WEBP", "PNG", "AVIF")
_one_at_a_time = threading.Lock()
warnings.filterwarnings("ignore", module=r"PIL\.")  # of broken EXIF and the like: the photo is used or set aside


class ImageError(Exception):
    """The bytes are no photo that can be used; the message is a short reason for the list of rejected files."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a photo says of itself before it is decoded: size in pixels (upright), EXIF time and camera model.

    orientation: EXIF's, 1 to 8 (1: upright as stored). mode: Pillow's, with RGBA for a palette with transparency.
    """

    width: int
    height: int
    format: str
    mode: str
    taken: datetime | None
    camera: str | None
    orientation: int = 1
    animated: bool = False


def _exif(image: Image.Image) -> Image.Exif:
    if image.format not in _ENDS:
        return image.getexif()
    exif = Image.Exif()  # Pillow's own getexif would decode a whole PNG to look for a late chunk
    if "exif" in image.info:
        exif.load(image.info["exif"])
    return exif


def _told(image: Image.Image) -> tuple[datetime | None, str | None, int]:
    """Time, camera and orientation by EXIF; a broken block costs these, not the photo."""
    try:
        exif = _exif(image)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        taken = moment(details.get(ExifTags.Base.DateTimeOriginal, exif.get(ExifTags.Base.DateTime, "")))
        camera = str(exif.get(ExifTags.Base.Model, "")).strip("\0 ") or None
        turned = exif.get(ExifTags.Base.Orientation)
        return taken, camera, turned if isinstance(turned, int) and 1 <= turned <= 8 else 1
    except Exception:  # on malformed bytes Pillow raises almost anything
        return None, None, 1


def header(data: bytes) -> Header:
    """Read the header of an encoded photo; raises `ImageError` (empty, no image, too many pixels)."""
    if not data:
        raise ImageError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            taken, camera, turned = _told(image)
            kind, mode = image.format or "", "RGBA" if "transparency" in image.info else image.mode
            animated = kind in _MOVING and bool(getattr(image, "is_animated", False))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too many pixels to be decoded safely") from error
    except Exception as error:  # on malformed bytes Pillow raises almost anything
        heic = data[4:8] == b"ftyp" and data[8:12] in _HEIC
        raise ImageError(HEIC_HINT if heic else "not an image, or damaged") from error
    if width * height > PIXEL_LIMIT:
        raise ImageError(f"too many pixels to be decoded safely ({width} x {height})")
    if kind != "TIFF" and turned in _SIDEWAYS:  # Pillow turns a TIFF by itself
        width, height = height, width
    return Header(width, height, "JPEG" if kind == "MPO" else kind, mode, taken, camera, turned, animated)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = 1.0 if values.max() <= 1 and image.mode == "F" else 255.0 if values.max() <= 255 else 65535.0
        grey = np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _slowly(data: bytes, max_side: int | None) -> NDArray[np.uint8]:
    """Pillow's decoder: strict on truncated files, and at home in every format and colour mode."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if max_side is not None and image.format == "JPEG":
                scale = max(1, max(image.size) // max_side)
                image.draft(None, (image.size[0] // scale, image.size[1] // scale))
            return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # on malformed bytes Pillow raises almost anything
        raise ImageError("truncated" if "truncated" in str(error) else "damaged: it cannot be decoded") from error


def _reduced(head: Header, max_side: int | None) -> int:
    if head.format != "JPEG" or max_side is None:
        return int(cv2.IMREAD_COLOR)
    spare = max(head.width, head.height) // max(max_side, 1)
    flags = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    return int(next((flag for factor, flag in flags.items() if spare >= factor), cv2.IMREAD_COLOR))


def decode(data: bytes, max_side: int | None = None, head: Header | None = None) -> NDArray[np.uint8]:
    """Decode a photo: uint8 [H, W, 3] RGB, upright (EXIF), 16 bit brought to 8, transparency laid on white.

    max_side: a JPEG may come at a half, a quarter or an eighth of its size, its longer side never below this.
    Raises `ImageError` with a reason (empty, no image, truncated, damaged, too many pixels).
    """
    head = head or header(data)
    plain = head.mode in ("L", "RGB") or (head.format == "PNG" and head.mode.startswith("I"))
    whole = head.format in _ENDS and data[-64:].rstrip(b"\0\r\n ").endswith(_ENDS[head.format])
    with _one_at_a_time if head.width * head.height > HEAVY else nullcontext():
        return _quickly(data, _reduced(head, max_side), max_side) if plain and whole else _slowly(data, max_side)


def alike(head: Header, side: int, other: int) -> bool:
    """Whether `decode` gives the same pixels for both of these values of `max_side`."""
    return _reduced(head, side) == _reduced(head, other)


def _quickly(data: bytes, flag: int, max_side: int | None) -> NDArray[np.uint8]:
    """OpenCV's decoder, which takes whole files of the usual modes only; what it refuses is left to Pillow."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        pixels = None
    if pixels is None:
        return _slowly(data, max_side)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), dtype=np.uint8)


def letterbox(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
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
