"""Who comes to the demo's gate, when, before which camera, and in what light: drawn up before anything is drawn.

Everything that is planted is decided here, visit by visit, and written to the truth file from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

CAMERAS = ("north", "south")
FIRST_DAY = datetime(2025, 3, 3)
TILT_FROM = datetime(2025, 4, 14)
"""From this day on the north camera hangs tilted; the south camera never does."""
LAST_DAY = datetime(2025, 5, 12)
DUSK, DAWN = 21.0, 5.0
BLACK = 0.01
"""At this gain and below no grey level of the badge is left."""

EMPLOYEE = "employee"
VISITORS = ("visitor",)
COURIERS = ("rising", "falling", "orange", "round", "armband")


@dataclass(frozen=True)
class Share:
    """What one split holds, as shares: of all photos, and of its visits the night, tilted, and tilted night ones."""

    photos: float
    night: float
    tilted: float
    both: float


SHARES = {
    "train": Share(0.54, 0.010, 0.0, 0.0),
    "val": Share(0.26, 0.215, 0.165, 0.025),
    "test": Share(0.20, 0.215, 0.165, 0.025),
}


@dataclass(frozen=True)
class Visit:
    """One person before the gate. gain: of the light, 1 by day; tilt: of the camera, in degrees clockwise."""

    number: int
    split: str
    camera: str
    at: datetime
    wears: str
    night: bool
    tilted: bool
    gain: float
    tilt: float
    frames: int

    @property
    def label(self) -> str:
        """The true class."""
        return "badge" if self.wears == EMPLOYEE else "no_badge"


@dataclass(frozen=True)
class Filed:
    """One file of the data set: a frame of a visit, under the label it was filed with."""

    name: str
    visit: Visit
    frame: int
    label: str
    copy_of: str | None = None

    @property
    def at(self) -> datetime:
        """When the frame was taken: some seconds after the one before."""
        return self.visit.at + timedelta(seconds=3 * self.frame)


def _frames(rng: np.random.Generator, photos: int) -> list[int]:
    """Visits of two or three frames that sum to `photos` (one or four only where the count asks for it)."""
    counts = [2] * (photos // 2)
    while sum(counts) + 0.3 * len(counts) > photos and len(counts) > 1:
        counts.pop()
    for index in rng.permutation(len(counts))[: photos - sum(counts)]:
        counts[index] += 1
    return counts + [1] * (photos - sum(counts))


def _moment(rng: np.random.Generator, night: bool, tilted: bool, straight: bool) -> datetime:
    """A date (late where tilted, early where the camera must hang straight) and a time of the shift."""
    first = TILT_FROM if tilted else FIRST_DAY
    last = TILT_FROM if straight else LAST_DAY
    day = first + timedelta(days=int(rng.integers((last - first).days)))
    if night:
        hour = (DUSK + rng.uniform(0.0, 24.0 - DUSK + DAWN)) % 24.0
    else:
        rush = rng.choice([7.5, 12.5, 17.0, 13.0], p=[0.35, 0.2, 0.3, 0.15])
        hour = float(np.clip(rng.normal(rush, 1.6), DAWN + 0.1, DUSK - 0.1))
    return day + timedelta(seconds=int(hour * 3600))


def _gain(rng: np.random.Generator, night: bool, hour: float) -> float:
    """By day cloud and low sun; by night anything from a good lamp to none at all (every eighth visit)."""
    if not night:
        low_sun = np.interp(hour, [5.0, 7.0, 18.5, 21.0], [0.72, 1.0, 1.0, 0.72])
        return float(low_sun * np.clip(rng.normal(1.0, 0.13), 0.74, 1.3))
    if rng.random() < 0.125:
        return float(rng.uniform(0.002, BLACK * 0.8))
    return float(np.exp(rng.uniform(np.log(0.09), np.log(0.36))))


def _wears(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return EMPLOYEE
    kinds = VISITORS + COURIERS
    return kinds[int(rng.choice(len(kinds), p=[0.34, 0.18, 0.18, 0.12, 0.10, 0.08]))]


def _visit(rng: np.random.Generator, split: str, night: bool, tilted: bool, frames: int) -> Visit:
    north = tilted or rng.random() < 0.5
    at = _moment(rng, night, tilted, straight=north and not tilted)
    tilt = rng.uniform(19.0, 28.0) if tilted else rng.normal(0.0, 1.2)
    gain = _gain(rng, night, at.hour + at.minute / 60)
    camera = CAMERAS[0] if north else CAMERAS[1]
    return Visit(0, split, camera, at, _wears(rng), night, tilted, gain, float(tilt), frames)


def _visits(rng: np.random.Generator, photos: int) -> list[Visit]:
    """All visits in order of time, numbered from 1."""
    targets = {name: round(share.photos * photos) for name, share in SHARES.items()}
    targets["train"] += photos - sum(targets.values())
    found = []
    for split, target in targets.items():
        frames, share = _frames(rng, target), SHARES[split]
        night, tilted, both = (
            round(part * len(frames)) or int(part > 0) for part in (share.night, share.tilted, share.both)
        )
        for index, count in enumerate(frames):
            is_night = index < night + both
            is_tilted = night <= index < night + both + tilted
            found.append(_visit(rng, split, is_night, is_tilted, count))
    return [replace(v, number=n) for n, v in enumerate(sorted(found, key=lambda v: (v.at, v.split)), start=1)]


def _mislabel(rng: np.random.Generator, files: list[Filed]) -> Iterator[Filed]:
    """About one in a hundred of each split, at least one, gets the other label; never where nobody could tell."""
    wrong = set[int]()
    for split in SHARES:
        own = [i for i, file in enumerate(files) if file.visit.split == split and file.visit.gain > BLACK]
        wrong.update(rng.choice(own, size=max(1, round(0.01 * len(own))), replace=False).tolist())
    for index, file in enumerate(files):
        other = "no_badge" if file.label == "badge" else "badge"
        yield replace(file, label=other) if index in wrong else file


def plan(photos: int, seed: int) -> list[Filed]:
    """Every file of the data set, in order of time; the last ones are second copies of files before them."""
    rng = np.random.default_rng([seed, 20])
    copies = max(1, photos // 240)
    files = [
        Filed(f"photos/{v.camera}/{v.at:%m%d}/v{v.number:04d}_{frame + 1}.jpg", v, frame, v.label)
        for v in _visits(rng, photos - copies)
        for frame in range(v.frames)
    ]
    files = list(_mislabel(rng, files))
    clean = [file for file in files if file.label == file.visit.label and file.visit.gain > BLACK]
    twice = [clean[i] for i in sorted(rng.choice(len(clean), size=copies, replace=False).tolist())]
    return files + [replace(f, name=f"photos/refiled/{f.name.rsplit('/', 1)[1]}", copy_of=f.name) for f in twice]
