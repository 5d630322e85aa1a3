"""A promoted bundle as one object: photos in, rows out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import chain, compress, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import plugins
from pipeline.contracts import InputError
from pipeline.datasets import ImageError, letterbox
from pipeline.datasets.photo import Photo, Rejected, readable
from pipeline.datasets.picture import Header, alike
from pipeline.datasets.sources import fetch, local, look, pixels_of
from pipeline.predict.bundles import bundle_of
from pipeline.predict.engine import Engine, engine_of
from pipeline.predict.measures import MAX_SIDE, Measures
from pipeline.slicing.admission import admitted_by
from pipeline.slicing.case import LIGHT
from pipeline.slicing.rules import Rule

TOP, BATCH = 3, 64
HANDFUL = 8  # photos that a thread takes at once, since each handing over costs time
Pixels = NDArray[np.uint8]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Seen:
    """A photo that could be read: its small copy, what the rules and the user ask about it, and what is shown of it
    (group, time, attributes)."""

    path: str
    pixels: Pixels
    asked: dict[str, Any]
    shown: tuple[Any, ...]


@dataclass(frozen=True)
class Predictor:
    """The model in force with its decline rule, its corrections, and the image rules of the slices found on val.

    engine: who answers. attributes: which of them the rows show.
    """

    engine: Engine
    attributes: tuple[str, ...] = ()

    @property
    def meta(self) -> Mapping[str, Any]:
        """The bundle: classes, side, policy, slices and more."""
        return self.engine.meta

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row, in order."""
        return self._keys

    @cached_property
    def _keys(self) -> tuple[str, ...]:
        ranked = (f"{part}_{k}" for k in range(1, self._top + 1) for part in ("class", "probability"))
        said = ("path", "predicted", "probability", "decision", "reason", "correction", "slices")
        return (*said, "group", "captured_at", *ranked, *self.attributes, "error")

    @property
    def _top(self) -> int:
        return min(TOP, len(self.meta["classes"]))

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return {s["slice"]: Rule.parse(s["rule"]) for s in self.meta["slices"]}

    @cached_property
    def _told(self) -> dict[str, str]:
        """Each rule in words, without its label; once, since the plug-ins are asked for their wording."""
        return {name: f"{name}: {replace(rule, label=None).words()}" for name, rule in self._rules.items()}

    @cached_property
    def _asked(self) -> set[str]:
        """Every column that a rule asks about, and every attribute that a row shows."""
        ruled = {c.column for rule in self._rules.values() for c in rule.conditions if c.op != "near"}
        return ruled | set(self.attributes) | (set() if self._least is None else {LIGHT})

    @property
    def _least(self) -> float | None:
        """The light below which nobody is answered."""
        least = self.meta["policy"]["decline"].get("light")
        return None if least is None else float(least)

    @cached_property
    def _measures(self) -> Measures:
        return Measures(list(self._rules.values()), self.attributes, self._least)

    def _look(self, photo: Photo | Rejected, data: bytes | None = None) -> _Seen | Row:
        if isinstance(photo, Rejected):
            return self._broken(photo.path, photo.reason)
        try:
            return self._decoded(photo, fetch(photo.source) if data is None else data)
        except (ImageError, MemoryError) as error:
            return self._broken(photo.path, str(error) or "too large to be decoded in this machine's memory")

    def _decoded(self, photo: Photo, data: bytes) -> _Seen:
        head, side = look(photo.source, data), int(self.meta["side"])
        small, taken = pixels_of(photo.source, data, side, head), photo.captured_at or head.taken
        whole = None if alike(head, MAX_SIDE, side) else partial(pixels_of, photo.source, data, MAX_SIDE, head)
        values = self._measures.values(small, head, taken, whole)
        return self._see(photo, small, {"camera": head.camera, **photo.columns, **values}, taken)

    def _see(self, photo: Photo, pixels: Pixels, known: Mapping[str, Any], taken: datetime | None) -> _Seen:
        asked = {name: known.get(name) for name in self._asked}
        when = None if taken is None else taken.isoformat()
        shown = (photo.group, when, *(asked[name] for name in self.attributes))
        return _Seen(photo.path, letterbox(pixels, int(self.meta["side"])), asked, shown)

    def _broken(self, path: str, error: str) -> Row:
        return {**dict.fromkeys(self.columns), "path": path, "decision": "error", "reason": error, "error": error}

    def _rows(self, seen: Sequence[_Seen]) -> list[Row]:
        members = self._members(seen)
        answers = self.engine.answer(np.stack([s.pixels for s in seen]), members)
        best = np.argsort(-answers.chance, axis=1, kind="stable")[:, : self._top]
        chance = np.take_along_axis(answers.chance, best, axis=1).tolist()
        names = [[self.meta["classes"][c] for c in row] for row in best.tolist()]
        inside = zip(*(mask.tolist() for mask in members.values()), strict=True) if members else repeat((), len(seen))
        ranked = (list(zip(*pair, strict=True)) for pair in zip(names, chance, strict=True))
        rows = zip(seen, ranked, answers.sure.tolist(), answers.done, inside, strict=True)
        return [self._row(*row) for row in rows]

    def _members(self, seen: Sequence[_Seen]) -> dict[str, NDArray[np.bool_]]:
        """Which slices admit each photo: bool [N] by name."""
        if not self._rules:
            return {}
        asked = pd.DataFrame({n: [photo.asked[n] for photo in seen] for n in self._asked}, index=range(len(seen)))
        return admitted_by(asked, self._rules, {})

    def _row(self, photo: _Seen, ranked: list[tuple[str, float]], sure: bool, done: str, inside: Iterable[bool]) -> Row:
        decision, reason = self._decision(ranked[0][1], sure, photo.asked.get(LIGHT))
        said = (photo.path, *ranked[0], decision, reason, done, "; ".join(compress(self._told.values(), inside)))
        values = (*said, *photo.shown[:2], *chain.from_iterable(ranked), *photo.shown[2:], None)
        return dict(zip(self._keys, values, strict=True))

    def _decision(self, confidence: float, sure: bool, light: float | None) -> tuple[str, str]:
        """Answer or decline, and why. sure: as the engine has it, which may have measured the light by itself."""
        threshold = self.meta["policy"]["decline"]["threshold"]
        if threshold is None:
            return "decline", "no confidence keeps the error within the target"
        dark = light is not None and self._least is not None and light < self._least
        if dark or (not sure and self._least is not None and confidence >= threshold):
            seen = f" {light:.1f}" if dark else ""  # else the graph has measured it on its small copy
            return "decline", f"light{seen} is below {self._least:.1f}"
        return ("answer", "") if sure else ("decline", f"confidence {confidence:.3f} is below {threshold:.3f}")

    def stream(self, photos: Iterable[Photo | Rejected]) -> Iterator[Row]:
        """One row a photo, in order, a few `BATCH` in memory; a photo that cannot be read is a row with its error.

        Keys: `columns`. decision: answer | decline | error; probability: calibrated; correction: what was done to the
        photo before the model looked; slices: those of the report whose image rule admits it, with that rule; group,
        captured_at (ISO 8601): where the table or the file says them.
        """
        yield from self._answered(self._ahead(photos))

    def _ahead(self, photos: Iterable[Photo | Rejected]) -> Iterator[_Seen | Row]:
        """What `_look` sees, in order, while the model looks at the batch before: at most two batches wait."""
        waiting: deque[Future[list[_Seen | Row]]] = deque()
        rest = iter(photos)
        if len(few := list(islice(rest, HANDFUL))) < HANDFUL:  # a photo by itself waits for no threads to start
            yield from map(self._look, few)
            return
        rest = chain(few, rest)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                while handful := list(islice(rest, HANDFUL)):
                    waiting.append(pool.submit(lambda some: [self._look(photo) for photo in some], handful))
                    if len(waiting) > 2 * BATCH // HANDFUL:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _answered(self, items: Iterable[_Seen | Row]) -> Iterator[Row]:
        rest = iter(items)
        while batch := list(islice(rest, BATCH)):
            seen = [item for item in batch if isinstance(item, _Seen)]
            answers = iter(self._rows(seen) if seen else ())
            yield from (next(answers) if isinstance(item, _Seen) else item for item in batch)

    def predict(self, images: Iterable[str | Path | bytes | Pixels]) -> pd.DataFrame:
        """Answer for photos by path, as a file's bytes, or as pixels uint8 [H, W, 3] RGB: one row each, columns as
        `columns`.

        Pixels have no EXIF: rules that ask for the hour or the camera do not admit them. Raises `TypeError` for
        pixels of another shape or dtype, and for a path by itself.
        """
        if isinstance(images, str | Path | bytes):
            raise TypeError("images: want a list of photos, got one; put it in brackets")
        rows = self._answered(self._open(image, number) for number, image in enumerate(images))
        return pd.DataFrame(list(rows), columns=list(self.columns))

    def _open(self, image: str | Path | bytes | Pixels, number: int) -> _Seen | Row:
        if isinstance(image, bytes):
            return self._look(Photo("", str(number), None), image)
        if not isinstance(image, np.ndarray):
            return self._look(Photo(local(str(Path(image).absolute())), readable(str(image)), None))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise TypeError(f"image {number}: want uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        head = Header(image.shape[1], image.shape[0], "", "RGB", None, None)
        return self._see(Photo("", str(number), None), image, self._measures.values(image, head, None), None)


ELSEWHERE = {"model.pt2": "torch.export.load", "MLmodel": "mlflow.pyfunc.load_model"}
"""Exports that other tools load: by the file that tells them."""


def _exported(path: Path) -> Path | None:
    """An exported file or folder that predict takes: ONNX, or what holds a bundle. Raises `InputError` for others."""
    for file, reader in ELSEWHERE.items():
        if path.name == file or (path / file).is_file():
            raise InputError(f"{path}: is for {reader}; name the run, or an export as safetensors or ONNX")
    if path.suffix == ".onnx":
        return path
    return path / "model.onnx" if (path / "model.onnx").is_file() else None


def load(name: str = "champion", home: Path | str = "runs", attributes: Sequence[str] = ()) -> Predictor:
    """The model in force in a folder of runs, that of a run or of a bundle's folder, or an exported one (safetensors or
    ONNX).

    attributes: shown with each photo, `all` for every one. Raises `InputError` where there is no such model or
    attribute.
    """
    attributes = plugins.names("attributes") if list(attributes) == ["all"] else attributes
    unknown = [a for a in attributes if a not in plugins.names("attributes")]
    if unknown:
        known = ", ".join(plugins.names("attributes"))
        raise InputError(f"--attributes: there is no attribute {unknown[0]!r}; there are: {known}")
    return Predictor(engine_of(_exported(Path(name)) or bundle_of(name, Path(home))), tuple(attributes))
