"""What the plan makes of training photos: an original beside treated copies, and how these compare with the slice."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pipeline.sections import Page, Preview, draw
from pipeline.sections import charts as c
from pipeline.sections.slice_view import headline
from pipeline.sections.words import minus, number, title

TITLE = "What it was trained on"
_WHO = (("slice", "the slice"), ("training", "training photos"), ("treated", "treated copies"))


def augmentation(page: Page) -> Markup:
    """One row of pictures and one table of measures for each slice and remedy of the plan."""
    if not page.previews:
        return Markup("")
    words = {row["slice"]: headline(row["words"])[0] for row in page.slices}
    shown = [_shown(page, preview, words.get(preview.slice, preview.slice)) for preview in page.previews]
    simulated = any(preview.simulator for preview in page.previews)
    photos = int(page["plan"]["image_id"].nunique())
    return draw("augmentation.html", previews=shown, photos=photos, who=_WHO, simulated=simulated)


def _shown(page: Page, preview: Preview, words: str) -> dict[str, Any]:
    path = str(page.images.loc[preview.original, "path"])
    remedy = title(preview.remedy)
    doses = [(minus(dose), pixels) for dose, pixels in preview.copies]
    copies = [(dose, page.photos.picture(pixels, f"{remedy}, {dose}")) for dose, pixels in doses]
    return {
        "slice": preview.slice,
        "title": words,
        "remedy": f"{remedy}, simulated" if preview.simulator else remedy,
        "simulator": preview.simulator,
        "original": page.photos.img(preview.original, path),
        "copies": copies,
        "rows": [_row(row) for row in preview.profile.to_dict("records")],
        "n": preview.n,
        "nearer": _nearer(preview),
    }


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    """An attribute's quartiles in words, and the three middle halves as bars on one line."""
    ends = [float(row[f"{who}_{k}"]) for who, _ in _WHO for k in ("low", "high")]
    axis = c.Axis(min(ends), max(ends), [], "")
    bars = []
    for who, _ in _WHO:
        low, mid, high = (axis.at(float(row[f"{who}_{k}"]), 2, 198) for k in ("low", "mid", "high"))
        bars.append({"x": low, "width": max(round(high - low, 1), 1.0), "mid": mid})
    said = {
        who: f"{number(row[f'{who}_mid'])} ({number(row[f'{who}_low'])} to {number(row[f'{who}_high'])})"
        for who, _ in _WHO
    }
    return {"name": title(str(row["attribute"])), "bars": bars, **said}


def _nearer(preview: Preview) -> list[str]:
    """The attributes, at most three, in which treatment brought training photos clearly nearer to the slice, by how
    much: from more than half of the slice's own spread away to less than half as far as before."""
    table = preview.profile
    spread = (table["slice_high"] - table["slice_low"]).clip(lower=1e-9)
    before = (table["training_mid"] - table["slice_mid"]).abs() / spread
    after = (table["treated_mid"] - table["slice_mid"]).abs() / spread
    won = table.assign(won=before - after)[(before > 0.5) & (after < before / 2)]
    return [title(str(name)) for name in won.sort_values("won", ascending=False)["attribute"].head(3)]
