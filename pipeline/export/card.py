"""The model card, written from the run: `README.md` with the metadata that Hugging Face reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pipeline import __version__
from pipeline.learning.settings import PROGRAM
from pipeline.sections.words import FILTERS, count, interval, percent, points, title

TEMPLATE = Path(__file__).with_name("card.md")
Tree = Mapping[str, Any]


def share(value: Tree | None) -> str:
    """A share with its interval, as in "92.3 % (88.3 to 95.0 %)"."""
    if value is None:
        return percent(None)
    return f"{percent(value['value'])} ({interval((value['low'], value['high']))})"


def _shown(summary: Tree) -> str:
    """The split that the figures are from: the sealed test where it was opened."""
    return "test" if "test" in summary["metrics"] else "val"


def _row(words: str, part: Tree, arm: str) -> dict[str, Any]:
    return {**{k: part[k] for k in ("n", "groups", "before", "control")}, "now": part[arm], "words": words}


def _scores(summary: Tree, arm: str) -> list[dict[str, Any]]:
    names = {"all": "all", "planned": "slices with a remedy, together", "others": "all others"}
    split = _shown(summary)
    parts = summary["metrics"].get(split, {"parts": []})["parts"]
    return [_row(f"{split}: {names.get(p['what']) or p['slice']}", p, arm) for p in parts]


def _outcome(name: str, summary: Tree, promoted: bool) -> str:
    """What became of a slice, in a sentence."""
    if not promoted:
        return "Not fixed: this is the model from before."
    split = _shown(summary)
    part = next((p for p in summary["metrics"][split]["parts"] if p["slice"] == name), None)
    if part is None or part["gain"] is None:
        return f"Whether that helped could not be judged on {split}."
    gain = part["gain"]
    told = f"{points(gain['value'])} over the control on {split}, {interval((gain['low'], gain['high']), 'points')}"
    return f"It gained: {told}." if gain["low"] > 0 else f"Not shown to be fixed: {told}."


def _drawn(planned: Tree) -> str:
    return f", simulated by {planned['simulator']}," if planned.get("simulator") else ""


def _done(remedy: Tree | None, promoted: bool) -> str:
    """What this model was taught about a slice, in a sentence."""
    taught = [
        f"{title(p['remedy'])}{_drawn(p)} at dose {p['dose_low']:.3g} to {p['dose_high']:.3g} "
        f"({count(p['photos'], 'photo')})"
        for p in (remedy["training"] if remedy else [])
    ]
    if promoted and taught:
        return f"It was trained with {' and '.join(taught)}."
    return "Nothing was trained against it." + ("" if taught else " More such photos are to be collected.")


def _slices(summary: Tree, promoted: bool) -> list[dict[str, Any]]:
    remedies = {r["slice"]: r for r in summary["remedies"]}
    confirmed = [s for s in summary["slices"] if s["status"] == "confirmed"]
    told = [(_done(remedies.get(s["slice"]), promoted), _outcome(s["slice"], summary, promoted)) for s in confirmed]
    return [{**s, "done": done, "outcome": outcome} for s, (done, outcome) in zip(confirmed, told, strict=True)]


def _metadata(summary: Tree, bundle: Tree, source: str, arm: str) -> ModelCardData:
    split = _shown(summary)
    value = (summary["metrics"].get(split, {}).get("accuracy", {}).get(arm) or {}).get("value")
    kind = [bundle["backbone"]] if bundle["backbone"] == PROGRAM else ["timm", bundle["backbone"]]
    result = EvalResult(
        task_type="image-classification",
        dataset_type="imagefolder",
        dataset_name=source,
        dataset_split=split,
        metric_type="accuracy",
        metric_value=value,
    )
    return ModelCardData(
        library_name="nightshift",
        pipeline_tag="image-classification",
        tags=["image-classification", "nightshift", *kind],
        metrics=["accuracy"],
        model_name=str(summary["run_id"]),
        eval_results=[result] if value is not None else None,
    )


def write_card(summary: Tree, bundle: Tree, corrections: Sequence[Tree], source: str) -> str:
    """The whole card as text. summary, bundle: of the run; corrections: as `carried` tells them,
    with `gains` by split; source: the data."""
    promoted = bundle["arm"] == "targeted"
    arm, slices = ("after" if promoted else "before"), _slices(summary, promoted)
    split = summary["metrics"].get(_shown(summary))
    page = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    page.filters.update(FILTERS)
    text = page.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        name=summary["run_id"],
        version=__version__,
        promoted=promoted,
        headline=summary["verdict"]["headline"],
        data={**summary["data"], "source": source},
        scores=_scores(summary, arm),
        level=percent(1 - split["alpha"], 1) if split else "95 %",
        slices=slices,
        unconfirmed=len(summary["slices"]) - len(slices),
        corrections=corrections,
        decline=bundle["policy"]["decline"],
        limits=summary["verdict"]["limits"],
        share=share,
        **{key: bundle[key] for key in ("classes", "backbone", "side", "run_id", "seed")},
    )
    card = ModelCard(f"---\n{_metadata(summary, bundle, source, arm).to_yaml()}\n---\n\n{text}")
    return str(card.content)
