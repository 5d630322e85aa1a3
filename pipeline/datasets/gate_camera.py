"""The demo's cameras: from a planned file to the bytes of a JPEG, with light, tilt, noise and EXIF."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.datasets import gate_figure, gate_scene
from pipeline.datasets.gate_brush import Brush, Floats
from pipeline.datasets.gate_plan import BLACK, Filed

FRAME = 240.0


@dataclass(frozen=True)
class Camera:
    """One camera: picture size, colour balance, lift of the blacks, where it sees people and how obliquely."""

    wide: int
    high: int
    balance: tuple[float, float, float]
    lift: float
    stand: tuple[float, float]
    size: float
    shear: float


CAMERAS = {
    "north": Camera(240, 240, (1.03, 1.0, 0.95), 0.0, (118.0, 96.0), 0.98, 0.0),
    "south": Camera(224, 224, (0.95, 1.01, 1.05), 9.0, (126.0, 84.0), 1.06, -0.07),
}


def _frame(camera: Camera, tilt: float) -> Floats:
    """The map from frame coordinates to pixels, turned about the centre by `tilt` degrees clockwise."""
    turn, scale = np.deg2rad(tilt), camera.wide / FRAME
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    middle = np.array([camera.wide / 2, camera.high / 2])
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, middle - linear @ (FRAME / 2, FRAME / 2)])


def _rngs(filed: Filed, seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Randomness of the visit (the same in all its frames) and of this frame."""
    number = filed.visit.number
    return np.random.default_rng([seed, 21, number]), np.random.default_rng([seed, 22, number, filed.frame])


def _drawn(filed: Filed, seed: int, frame: Floats) -> NDArray[np.uint8]:
    """The scene as paint, before any light falls on it: uint8 [H, W, 3] RGB."""
    visit, camera = filed.visit, CAMERAS[filed.visit.camera]
    lasting, passing = _rngs(filed, seed)
    hour = filed.at.hour + filed.at.minute / 60
    canvas = np.zeros((camera.high, camera.wide, 3), dtype=np.uint8)
    brush = Brush(canvas, frame)
    getattr(gate_scene, visit.camera)(brush, lasting, hour)
    gate_scene.soften(canvas, 1.6)
    who = gate_figure.person(lasting, visit.wears)
    x, y = camera.stand + lasting.normal(0.0, (15.0, 7.0)) + passing.normal(0.0, (6.0, 4.0))
    size = camera.size * np.clip(lasting.normal(1.0, 0.07), 0.86, 1.16) * passing.uniform(0.96, 1.04)
    lean = float(np.clip(passing.normal(0.0, 2.5), -6, 6))
    place = brush.moved(float(x), float(y), float(size), float(size), lean).leaned(camera.shear)
    gate_figure.draw(place, who, gate_figure.pose(passing))
    return canvas


def _away(x: float, y: float, camera: Camera) -> Floats:
    """Squared distance in pixels from (x, y): float32 [H, W, 1]."""
    across = (np.arange(camera.wide, dtype=np.float32) - np.float32(x)) ** 2
    down = (np.arange(camera.high, dtype=np.float32) - np.float32(y)) ** 2
    return (down[:, None] + across[None, :])[:, :, None]


def _colour(*channels: float) -> Floats:
    return np.asarray(channels, dtype=np.float32)


def _daylight(filed: Filed, camera: Camera, rng: np.random.Generator) -> Floats:
    """What the paint is multiplied by: float32 [H, W, 3]; uneven by a few per cent, a little warm or cool."""
    across = np.linspace(-0.5, 0.5, camera.wide, dtype=np.float32) * np.float32(rng.normal(0.0, 0.10))
    down = np.linspace(-0.5, 0.5, camera.high, dtype=np.float32) * np.float32(rng.normal(0.0, 0.10))
    warmth, gain = float(rng.normal(0.0, 0.035)), filed.visit.gain
    return (1 + down[:, None, None] + across[None, :, None]) * _colour(gain * (1 + warmth), gain, gain * (1 - warmth))


def _lamplight(filed: Filed, camera: Camera, frame: Floats) -> Floats:
    """What the paint is multiplied by: float32 [H, W, 3]; the warm cone of the lamp on next to nothing."""
    x, y = frame[:, :2] @ (FRAME / 2, FRAME / 2 + 5) + frame[:, 2]
    cone = 0.5 + 0.65 * np.exp(-_away(x, y, camera) / (0.62 * camera.wide) ** 2)
    lit: Floats = cone * (_colour(1.22, 0.98, 0.66) * np.float32(filed.visit.gain))
    return lit


def _bulb(filed: Filed, camera: Camera, frame: Floats) -> Floats:
    """What the lamp itself adds: float32 [H, W, 3]; nothing where it is out."""
    x, y = frame[:, :2] @ gate_scene.lamp_spot(filed.visit.camera) + frame[:, 2]
    power = min(110.0, 250.0 * filed.visit.gain) if filed.visit.gain > BLACK else 0.0
    glow: Floats = np.exp(-_away(x, y, camera) / 90.0) * _colour(power, 0.86 * power, 0.56 * power)
    return glow


@cache
def _sensor(seed: int) -> Floats:
    return np.random.default_rng([seed, 24]).standard_normal((320, 320, 3), dtype=np.float32)


def _grain(rng: np.random.Generator, seed: int, camera: Camera) -> Floats:
    """Standard normal noise, float32 [H, W, 3]: some window of one large sheet, some way round."""
    row, column = (int(start) for start in rng.integers(0, 320 - camera.high, 2))
    window = _sensor(seed)[row : row + camera.high, column : column + camera.wide]
    return window[:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]


def expose(filed: Filed, seed: int) -> NDArray[np.uint8]:
    """The photo of a planned file: uint8 [H, W, 3] RGB."""
    visit, camera = filed.visit, CAMERAS[filed.visit.camera]
    rng = np.random.default_rng([seed, 23, visit.number, filed.frame])
    frame = _frame(camera, visit.tilt + float(rng.normal(0.0, 1.0)))
    balance = _colour(*camera.balance) * np.float32(1 - camera.lift / 255)
    seen: Floats = _drawn(filed, seed, frame) * balance + camera.lift
    if visit.night:
        seen = seen * _lamplight(filed, camera, frame) + _bulb(filed, camera, frame)
    else:
        seen = seen * _daylight(filed, camera, rng)
    seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), 0.6))
    base, shot = (2.2, 0.14) if visit.night else (1.2, 0.04)
    seen += _grain(rng, seed, camera) * (np.asarray(cv2.sqrt(seen)) * shot + base)
    return np.asarray(cv2.convertScaleAbs(np.maximum(seen, 0, out=seen)), dtype=np.uint8)


def _exif(filed: Filed) -> Image.Exif:
    exif = Image.Exif()
    taken = filed.at.strftime("%Y:%m:%d %H:%M:%S")
    names: dict[int, Any] = {
        ExifTags.Base.Make: "Gatekeeper", ExifTags.Base.Model: filed.visit.camera, ExifTags.Base.DateTime: taken,
    }
    exif.update(names)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    return exif


def develop(filed: Filed, seed: int) -> bytes:
    """The JPEG of a planned file, with capture time and camera in its EXIF; the same bytes for the same seed."""
    memory = io.BytesIO()
    Image.fromarray(expose(filed, seed)).save(memory, "JPEG", quality=88, exif=_exif(filed))
    return memory.getvalue()
