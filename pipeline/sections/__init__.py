"""The report's sections: `pipeline/sections/<name>.py` with `<name>(page: Page) -> Markup` and `TITLE` in it.

A section draws from the artifacts on the page alone. What it returns lies between its heading and the next;
empty Markup leaves the section out. Photos come from `page.photos.img()`, so that each is stored once.
The page's Content-Security-Policy forbids inline styles and handlers: use classes, SVG attributes and `data-*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.evidence import scores
from pipeline.sections.places import lay_close, lay_out
from pipeline.sections.thumbnails import Photos
from pipeline.sections.words import FILTERS

_HERE = Path(__file__).parent
TOP = 3  # likeliest classes told of each photo


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(FILTERS)
    return environment


_ENVIRONMENT = _environment()


def draw(template: str, **values: Any) -> Markup:
    """The template `pipeline/sections/<template>` filled in; everything that is not Markup is escaped."""
    return Markup(_ENVIRONMENT.get_template(template).render(**values))


@dataclass(frozen=True)
class Preview:
    """What a slice's plan makes of a training photo. original: its image id; copies: (dose in words, uint8 [S, S, 3]).

    profile: one row for each pixel attribute with the quartiles low, mid, high of slice, training and treated photos
    (columns such as `slice_mid`); n: how many photos of each were measured. simulator: who drew the copies, in place of
    the original; "" where they are the original, treated.
    """

    slice: str
    remedy: str
    original: str
    copies: Sequence[tuple[str, Any]]
    profile: pd.DataFrame
    n: Mapping[str, int]
    simulator: str = ""


@dataclass(frozen=True)
class Page:
    """What a section may draw from.

    made: the report stage's needs by artifact name (`graph.STAGES`). facts: `config` (YAML text), `versions`
    (name to version), `stages` (name, seconds, notes), any of them absent. contact: photos on a contact sheet.
    reviews: what reviewers decided before this run (`evidence.review.Reviews` as JSON), {} for nothing.
    """

    made: Mapping[str, Any]
    run_id: str
    seed: int
    photos: Photos
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    contact: int = 24
    previews: Sequence[Preview] = ()
    reviews: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, artifact: str) -> Any:
        """The artifact of that name."""
        return self.made[artifact]

    @cached_property
    def classes(self) -> list[str]:
        """Class names; a class index is a position in it."""
        return [str(name) for name in self.made["classes"]["names"]]

    @cached_property
    def images(self) -> pd.DataFrame:
        """`images` indexed by image_id, with the column `split`."""
        splits = self.made["splits"].set_index("image_id")["split"]
        images = pd.DataFrame(self.made["images"]).set_index("image_id", drop=False).rename_axis(None)
        return images.assign(split=splits.reindex(images.index))

    @cached_property
    def flips(self) -> pd.DataFrame:
        """`flips` indexed by image_id, with class indices `true`, `was`, `now` (int) and the column `group`."""
        flips = pd.DataFrame(self.made["flips"]).set_index("image_id", drop=False).rename_axis(None)
        index = {name: i for i, name in enumerate(self.classes)}
        pairs = (("true", "label"), ("was", "before"), ("now", "after"))
        numbers = {to: flips[of].map(index).astype(int) for to, of in pairs}
        return flips.assign(**numbers, group=self.images["group"].reindex(flips.index))

    @cached_property
    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The confusion matrices of validation before and after, int64 [classes, classes]: rows are the truth."""
        before, after = (scores.confusion(self.flips["true"], self.flips[c], len(self.classes)) for c in ("was", "now"))
        return before, after

    @cached_property
    def answers(self) -> dict[str, dict[str, Any]]:
        """The rows of `flips` as plain dicts, by image id."""
        return {str(row["image_id"]): plain(row) for row in self.flips.to_dict("records")}

    @cached_property
    def top(self) -> dict[str, list[list[tuple[int, float]]]]:
        """The three likeliest classes before and after, as (class index, probability), by image id."""
        shares = np.asarray(self.made["answers"])
        order = np.argsort(-shares, axis=2, kind="stable")[:, :, :TOP]
        best = np.take_along_axis(shares, order, axis=2)
        both = zip(self.made["flips"]["image_id"], order.tolist(), best.tolist(), strict=True)
        pairs = ((i, [list(zip(a, b, strict=True)) for a, b in zip(k, p, strict=True)]) for i, k, p in both)
        return {str(image_id): ranked for image_id, ranked in pairs}

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        rows = self.images.index.get_indexer(self.flips.index)
        return np.asarray(self.made["embeddings"][rows], dtype=np.float32)

    @cached_property
    def _wrong(self) -> NDArray[np.bool_]:
        return (self.flips["true"] != self.flips["was"]).to_numpy(bool)

    @cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Places of validation photos on the map, in [0, 1000], by image id."""
        spots = lay_out(self._features, self._wrong, self.seed)
        return {str(self.flips.index[row]): spot for row, spot in spots.items()}

    @cached_property
    def close(self) -> dict[str, tuple[int, int]]:
        """Their places where alike photos lie close together; of some or none of them (`places.lay_close`)."""
        among = self.flips.index.get_indexer(pd.Index(list(self.places))).tolist()
        spots = lay_close(self._features, self._wrong, among, self.seed)
        return {str(self.flips.index[row]): spot for row, spot in spots.items()}

    @cached_property
    def members(self) -> dict[str, list[str]]:
        """The image ids of each slice, by slice; only photos of val."""
        table = self.made["membership"]
        known = table[table["image_id"].isin(self.flips.index)]
        return {str(name): list(rows["image_id"]) for name, rows in known.groupby("slice")}

    @cached_property
    def slices(self) -> list[dict[str, Any]]:
        """`explanations` as plain dicts (null for missing), confirmed ones first, then by rank."""
        order = {"confirmed": 0, "not confirmed": 1, "not testable": 2}
        rows = [plain(row) for row in self.made["explanations"].to_dict("records")]
        return sorted(rows, key=lambda row: (order.get(row["status"], 3), row["rank"]))

    @cached_property
    def confirmed(self) -> list[dict[str, Any]]:
        """The confirmed slices, by rank."""
        return [row for row in self.slices if row["status"] == "confirmed"]

    @cached_property
    def changed(self) -> bool:
        """Whether a repaired candidate was compared at all (otherwise before and after are one model)."""
        return bool((self.made["comparison"].get("val") or {}).get("arms", {}).get("targeted"))

    @cached_property
    def all_notes(self) -> list[dict[str, str]]:
        """What was odd, as {stage, text}: the earlier stages' notes, then this one's."""
        earlier = [(str(s["name"]), str(line)) for s in self.facts.get("stages", ()) for line in s.get("notes", ())]
        return [{"stage": stage, "text": text} for stage, text in [*earlier, *(("report", n) for n in self.notes)]]


def plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A table row as JSON can hold it: numpy scalars unwrapped, NaN and NaT as None."""
    return {str(key): _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
