"""The demo's cameras.

From a planned photo to the bytes of a JPEG, with light, tilt, noise and EXIF.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.demo import gate_figure, gate_person, gate_scene
from pipeline.demo.gate_brush import FloatArray, SceneBrush
from pipeline.demo.gate_plan import BLACK_GAIN, PlannedPhoto

FRAME_SIDE = 240.0


@dataclass(frozen=True)
class GateCamera:
    """One camera.

    Attributes:
        width: width of the photo, in pixels.
        height: height of the photo, in pixels.
        color_balance: gain of each channel.
        black_level: level of black.
        person_position: position of a person, in frame coordinates.
        person_scale: scale of a person.
        person_shear: shear of a person, for an oblique view.
    """

    width: int
    height: int
    color_balance: tuple[float, float, float]
    black_level: float
    person_position: tuple[float, float]
    person_scale: float
    person_shear: float


CAMERA_SETTINGS = {
    "north": GateCamera(240, 240, (1.03, 1.0, 0.95), 0.0, (118.0, 96.0), 0.98, 0.0),
    "south": GateCamera(224, 224, (0.95, 1.01, 1.05), 9.0, (126.0, 84.0), 1.06, -0.07),
}


def _build_frame(camera: GateCamera, tilt_degrees: float) -> FloatArray:
    """Return the map from frame coordinates to pixels, rotated clockwise about the center."""
    turn, scale = np.deg2rad(tilt_degrees), camera.width / FRAME_SIDE
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    middle = np.array([camera.width / 2, camera.height / 2])
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, middle - linear @ (FRAME_SIDE / 2, FRAME_SIDE / 2)])


def _create_generators(
    photo: PlannedPhoto, seed: int
) -> tuple[np.random.Generator, np.random.Generator]:
    """Return the random generators of the visit (the same in all its frames) and of this frame."""
    number = photo.visit.number
    return np.random.default_rng([seed, 21, number]), np.random.default_rng(
        [seed, 22, number, photo.frame_index]
    )


def _draw_scene(photo: PlannedPhoto, seed: int, frame: FloatArray) -> NDArray[np.uint8]:
    """Return the scene before any light, uint8 [H, W, 3] RGB."""
    visit, camera = photo.visit, CAMERA_SETTINGS[photo.visit.camera]
    lasting, passing = _create_generators(photo, seed)
    hour = photo.taken_at.hour + photo.taken_at.minute / 60
    canvas = np.zeros((camera.height, camera.width, 3), dtype=np.uint8)
    brush = SceneBrush(canvas, frame)
    getattr(gate_scene, f"draw_{visit.camera}")(brush, lasting, hour)
    gate_scene.blur_canvas(canvas, 1.6)
    person = gate_person.sample_person(lasting, visit.worn_card)
    x, y = (
        camera.person_position + lasting.normal(0.0, (15.0, 7.0)) + passing.normal(0.0, (6.0, 4.0))
    )
    size = (
        camera.person_scale
        * np.clip(lasting.normal(1.0, 0.07), 0.86, 1.16)
        * passing.uniform(0.96, 1.04)
    )
    lean = float(np.clip(passing.normal(0.0, 2.5), -6, 6))
    place = brush.move_frame(float(x), float(y), float(size), float(size), lean).shear_frame(
        camera.person_shear
    )
    gate_figure.draw_person(place, person, gate_person.sample_pose(passing))
    return canvas


def _compute_squared_distance(x: float, y: float, camera: GateCamera) -> FloatArray:
    """Return the squared distance in pixels from (x, y), float32 [H, W, 1]."""
    across = (np.arange(camera.width, dtype=np.float32) - np.float32(x)) ** 2
    down = (np.arange(camera.height, dtype=np.float32) - np.float32(y)) ** 2
    return (down[:, None] + across[None, :])[:, :, None]


def _build_color(*channels: float) -> FloatArray:
    return np.asarray(channels, dtype=np.float32)


def _compute_daylight(
    photo: PlannedPhoto, camera: GateCamera, rng: np.random.Generator
) -> FloatArray:
    """Return the daylight that multiplies the scene, float32 [H, W, 3].

    Slightly uneven, warm or cool.
    """
    across = np.linspace(-0.5, 0.5, camera.width, dtype=np.float32) * np.float32(
        rng.normal(0.0, 0.10)
    )
    down = np.linspace(-0.5, 0.5, camera.height, dtype=np.float32) * np.float32(
        rng.normal(0.0, 0.10)
    )
    warmth, gain = float(rng.normal(0.0, 0.035)), photo.visit.light_gain
    return (1 + down[:, None, None] + across[None, :, None]) * _build_color(
        gain * (1 + warmth), gain, gain * (1 - warmth)
    )


def _compute_lamplight(photo: PlannedPhoto, camera: GateCamera, frame: FloatArray) -> FloatArray:
    """Return the lamplight that multiplies the scene, float32 [H, W, 3]: a warm cone."""
    x, y = frame[:, :2] @ (FRAME_SIDE / 2, FRAME_SIDE / 2 + 5) + frame[:, 2]
    cone = 0.5 + 0.65 * np.exp(
        -_compute_squared_distance(x, y, camera) / (0.62 * camera.width) ** 2
    )
    lit: FloatArray = cone * (_build_color(1.22, 0.98, 0.66) * np.float32(photo.visit.light_gain))
    return lit


def _compute_lamp_glow(photo: PlannedPhoto, camera: GateCamera, frame: FloatArray) -> FloatArray:
    """Return the light of the bulb itself, float32 [H, W, 3]; zero if it is out."""
    x, y = frame[:, :2] @ gate_scene.get_lamp_position(photo.visit.camera) + frame[:, 2]
    power = (
        min(110.0, 250.0 * photo.visit.light_gain) if photo.visit.light_gain > BLACK_GAIN else 0.0
    )
    glow: FloatArray = np.exp(-_compute_squared_distance(x, y, camera) / 90.0) * _build_color(
        power, 0.86 * power, 0.56 * power
    )
    return glow


@cache
def _sample_sensor_noise(seed: int) -> FloatArray:
    return np.random.default_rng([seed, 24]).standard_normal((320, 320, 3), dtype=np.float32)


def _sample_grain(rng: np.random.Generator, seed: int, camera: GateCamera) -> FloatArray:
    """Return standard normal noise, float32 [H, W, 3]: a random window of one large sheet."""
    row, column = rng.integers(0, 320 - camera.height, 2).tolist()
    window = _sample_sensor_noise(seed)[row : row + camera.height, column : column + camera.width]
    return window[:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]


def render_photo(photo: PlannedPhoto, seed: int) -> NDArray[np.uint8]:
    """Return a planned photo, uint8 [H, W, 3] RGB."""
    visit, camera = photo.visit, CAMERA_SETTINGS[photo.visit.camera]
    rng = np.random.default_rng([seed, 23, visit.number, photo.frame_index])
    frame = _build_frame(camera, visit.tilt_degrees + float(rng.normal(0.0, 1.0)))
    balance = _build_color(*camera.color_balance) * np.float32(1 - camera.black_level / 255)
    light: FloatArray = _draw_scene(photo, seed, frame) * balance + camera.black_level
    if visit.is_night:
        light = light * _compute_lamplight(photo, camera, frame) + _compute_lamp_glow(
            photo, camera, frame
        )
    else:
        light = light * _compute_daylight(photo, camera, rng)
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), 0.6))
    read_noise, shot_noise = (2.2, 0.14) if visit.is_night else (1.2, 0.04)
    light += _sample_grain(rng, seed, camera) * (
        np.asarray(cv2.sqrt(light)) * shot_noise + read_noise
    )
    return np.asarray(cv2.convertScaleAbs(np.maximum(light, 0, out=light)), dtype=np.uint8)


def _build_exif(photo: PlannedPhoto) -> Image.Exif:
    exif = Image.Exif()
    taken = photo.taken_at.strftime("%Y:%m:%d %H:%M:%S")
    names: dict[int, Any] = {
        ExifTags.Base.Make: "Gatekeeper",
        ExifTags.Base.Model: photo.visit.camera,
        ExifTags.Base.DateTime: taken,
    }
    exif.update(names)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    return exif


def encode_photo(photo: PlannedPhoto, seed: int) -> bytes:
    """Return the JPEG of a planned photo, with capture time and camera in its EXIF.

    The same seed gives the same bytes.
    """
    memory = io.BytesIO()
    Image.fromarray(render_photo(photo, seed)).save(
        memory, "JPEG", quality=88, exif=_build_exif(photo)
    )
    return memory.getvalue()
