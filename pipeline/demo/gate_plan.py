"""The demo's schedule: who comes to the gate, when, at which camera, and in what light.

Everything that is planted is decided here, visit by visit, before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

CAMERA_NAMES = ("north", "south")
FIRST_DAY = datetime(2025, 3, 3)
TILT_START = datetime(2025, 4, 14)
"""From this day on the north camera hangs tilted; the south camera never does."""
LAST_DAY = datetime(2025, 5, 12)
DUSK_HOUR, DAWN_HOUR = 21.0, 5.0
BLACK_GAIN = 0.01
"""At this gain and below no gray level of the badge is left."""

EMPLOYEE_CARD = "employee"
VISITOR_CARDS = ("visitor",)
COURIER_CARDS = ("rising", "falling", "orange", "round", "armband")


@dataclass(frozen=True)
class SplitShares:
    """The content of one split, as shares.

    Attributes:
        photo_share: share of all photos.
        night_share: share of its visits at night.
        tilted_share: share of its visits with a tilted camera.
        tilted_night_share: share of its visits at night with a tilted camera.
    """

    photo_share: float
    night_share: float
    tilted_share: float
    tilted_night_share: float


SPLIT_SHARES = {
    "train": SplitShares(0.54, 0.010, 0.0, 0.0),
    "val": SplitShares(0.26, 0.215, 0.165, 0.025),
    "test": SplitShares(0.20, 0.215, 0.165, 0.025),
}


@dataclass(frozen=True)
class GateVisit:
    """One visit of a person at the gate.

    Attributes:
        number: number of the visit, by time.
        split: train | val | test.
        camera: name of the camera.
        started_at: time of the first frame.
        worn_card: employee, a courier's kind, or visitor.
        is_night: whether it is at night.
        is_tilted: whether the camera is tilted.
        light_gain: gain of the light; 1 by day.
        tilt_degrees: tilt of the camera, clockwise.
        frame_count: number of frames.
    """

    number: int
    split: str
    camera: str
    started_at: datetime
    worn_card: str
    is_night: bool
    is_tilted: bool
    light_gain: float
    tilt_degrees: float
    frame_count: int

    @property
    def label(self) -> str:
        """Return the correct class."""
        return "badge" if self.worn_card == EMPLOYEE_CARD else "no_badge"


@dataclass(frozen=True)
class PlannedPhoto:
    """One file of the data set: a frame of a visit, with its label as stored."""

    file_name: str
    visit: GateVisit
    frame_index: int
    label: str
    copied_from: str | None = None

    @property
    def taken_at(self) -> datetime:
        """Return the time of the frame, some seconds after the one before."""
        return self.visit.started_at + timedelta(seconds=3 * self.frame_index)


def _sample_frame_counts(rng: np.random.Generator, photo_count: int) -> list[int]:
    """Return visits of two or three frames that add up to `photo_count`.

    A visit has one or four frames only if the count requires it.
    """
    counts = [2] * (photo_count // 2)
    while sum(counts) + 0.3 * len(counts) > photo_count and len(counts) > 1:
        counts.pop()
    for index in rng.permutation(len(counts))[: photo_count - sum(counts)]:
        counts[index] += 1
    return counts + [1] * (photo_count - sum(counts))


def _sample_time(
    rng: np.random.Generator, is_night: bool, is_tilted: bool, is_straight: bool
) -> datetime:
    """Return a date (late if tilted, early if the camera is straight) and a time."""
    first = TILT_START if is_tilted else FIRST_DAY
    last = TILT_START if is_straight else LAST_DAY
    day = first + timedelta(days=int(rng.integers((last - first).days)))
    if is_night:
        hour = (DUSK_HOUR + rng.uniform(0.0, 24.0 - DUSK_HOUR + DAWN_HOUR)) % 24.0
    else:
        rush = rng.choice([7.5, 12.5, 17.0, 13.0], p=[0.35, 0.2, 0.3, 0.15])
        hour = float(np.clip(rng.normal(rush, 1.6), DAWN_HOUR + 0.1, DUSK_HOUR - 0.1))
    return day + timedelta(seconds=int(hour * 3600))


def _sample_gain(rng: np.random.Generator, is_night: bool, hour: float) -> float:
    """Return the light: clouds and low sun by day.

    By night from a good lamp to none (every eighth visit).
    """
    if not is_night:
        low_sun = np.interp(hour, [5.0, 7.0, 18.5, 21.0], [0.72, 1.0, 1.0, 0.72])
        return float(low_sun * np.clip(rng.normal(1.0, 0.13), 0.74, 1.3))
    if rng.random() < 0.125:
        return float(rng.uniform(0.002, BLACK_GAIN * 0.8))
    return float(np.exp(rng.uniform(np.log(0.09), np.log(0.36))))


def _sample_card(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return EMPLOYEE_CARD
    kinds = VISITOR_CARDS + COURIER_CARDS
    return kinds[int(rng.choice(len(kinds), p=[0.34, 0.18, 0.18, 0.12, 0.10, 0.08]))]


def _sample_visit(
    rng: np.random.Generator, split: str, is_night: bool, is_tilted: bool, frame_count: int
) -> GateVisit:
    is_north = is_tilted or rng.random() < 0.5
    started_at = _sample_time(rng, is_night, is_tilted, is_straight=is_north and not is_tilted)
    tilt = rng.uniform(19.0, 28.0) if is_tilted else rng.normal(0.0, 1.2)
    gain = _sample_gain(rng, is_night, started_at.hour + started_at.minute / 60)
    camera = CAMERA_NAMES[0] if is_north else CAMERA_NAMES[1]
    return GateVisit(
        0,
        split,
        camera,
        started_at,
        _sample_card(rng),
        is_night,
        is_tilted,
        gain,
        float(tilt),
        frame_count,
    )


def _count_visits(share: float, visit_count: int) -> int:
    """Return the visits of a share, at least one if the share is not 0."""
    return round(share * visit_count) or int(share > 0)


def _sample_visits(rng: np.random.Generator, photo_count: int) -> list[GateVisit]:
    """Return all visits by time, numbered from 1."""
    targets = {name: round(share.photo_share * photo_count) for name, share in SPLIT_SHARES.items()}
    targets["train"] += photo_count - sum(targets.values())
    visits = []
    for split, target in targets.items():
        frames = _sample_frame_counts(rng, target)
        shares = SPLIT_SHARES[split]
        night = _count_visits(shares.night_share, len(frames))
        tilted = _count_visits(shares.tilted_share, len(frames))
        both = _count_visits(shares.tilted_night_share, len(frames))
        for index, count in enumerate(frames):
            is_night = index < night + both
            is_tilted = night <= index < night + both + tilted
            visits.append(_sample_visit(rng, split, is_night, is_tilted, count))
    return [
        replace(v, number=n)
        for n, v in enumerate(sorted(visits, key=lambda v: (v.started_at, v.split)), start=1)
    ]


def _mislabel_photos(rng: np.random.Generator, files: list[PlannedPhoto]) -> Iterator[PlannedPhoto]:
    """Yield the files, with the other label for about one in a hundred of each split, at least one.

    Photos without light keep their label.
    """
    wrong = set[int]()
    for split in SPLIT_SHARES:
        own = [
            i
            for i, file in enumerate(files)
            if file.visit.split == split and file.visit.light_gain > BLACK_GAIN
        ]
        wrong.update(rng.choice(own, size=max(1, round(0.01 * len(own))), replace=False).tolist())
    for index, file in enumerate(files):
        other = "no_badge" if file.label == "badge" else "badge"
        yield replace(file, label=other) if index in wrong else file


def plan_photos(photo_count: int, seed: int) -> list[PlannedPhoto]:
    """Return every file of the data set by time, then second copies of earlier files."""
    rng = np.random.default_rng([seed, 20])
    copies = max(1, photo_count // 240)
    files = [
        PlannedPhoto(
            f"photos/{v.camera}/{v.started_at:%m%d}/v{v.number:04d}_{frame + 1}.jpg",
            v,
            frame,
            v.label,
        )
        for v in _sample_visits(rng, photo_count - copies)
        for frame in range(v.frame_count)
    ]
    files = list(_mislabel_photos(rng, files))
    clean = [
        file
        for file in files
        if file.label == file.visit.label and file.visit.light_gain > BLACK_GAIN
    ]
    duplicated = [
        clean[i] for i in sorted(rng.choice(len(clean), size=copies, replace=False).tolist())
    ]
    return files + [
        replace(
            f, file_name=f"photos/refiled/{f.file_name.rsplit('/', 1)[1]}", copied_from=f.file_name
        )
        for f in duplicated
    ]
