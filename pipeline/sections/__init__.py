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

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.sections.thumbnails import Photos
from pipeline.sections.words import FILTERS

_HERE = Path(__file__).parent


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
class Page:
    """What a section may draw from.

    made: the report stage's needs by artifact name (`graph.STAGES`). facts: `config` (YAML text), `versions`
    (name to version), `stages` (name, seconds, notes), any of them absent. contact: photos on a contact sheet.
    """

    made: Mapping[str, Any]
    run_id: str
    seed: int
    photos: Photos
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    contact: int = 24

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
    def answers(self) -> dict[str, dict[str, Any]]:
        """The rows of `flips` as plain dicts, by image id."""
        return {str(row["image_id"]): plain(row) for row in self.flips.to_dict("records")}

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
