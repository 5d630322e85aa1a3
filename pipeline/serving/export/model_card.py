"""The model card, written from the run: `README.md` with the metadata that Hugging Face reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pipeline import __version__
from pipeline.learning.training_settings import PROGRAM_BACKBONE
from pipeline.report.number_format import (
    TEMPLATE_FILTERS,
    format_count,
    format_interval,
    format_percent,
    format_plugin_name,
    format_points,
)

CARD_TEMPLATE_PATH = Path(__file__).with_name("model_card.md")
JsonObject = Mapping[str, Any]


def format_share(value: JsonObject | None) -> str:
    """A share with its interval, as in "92.3 % (88.3 to 95.0 %)"."""
    if value is None:
        return format_percent(None)
    return f"{format_percent(value['value'])} ({format_interval((value['low'], value['high']))})"


def _select_split(summary: JsonObject) -> str:
    """The split that the figures are from: the sealed test where it was opened."""
    return "test" if "test" in summary["metrics"] else "val"


def _build_score_row(words: str, subset_record: JsonObject, arm: str) -> dict[str, Any]:
    return {
        **{k: subset_record[k] for k in ("n", "groups", "before", "control")},
        "now": subset_record[arm],
        "words": words,
    }


def _list_score_rows(summary: JsonObject, arm: str) -> list[dict[str, Any]]:
    names = {"all": "all", "planned": "slices with a remedy, together", "others": "all others"}
    split = _select_split(summary)
    parts = summary["metrics"].get(split, {"parts": []})["parts"]
    return [
        _build_score_row(f"{split}: {names.get(p['what']) or p['slice']}", p, arm) for p in parts
    ]


def _describe_outcome(slice_name: str, summary: JsonObject, is_promoted: bool) -> str:
    """What became of a slice, in a sentence."""
    if not is_promoted:
        return "Not fixed: this is the model from before."
    split = _select_split(summary)
    part = next((p for p in summary["metrics"][split]["parts"] if p["slice"] == slice_name), None)
    if part is None or part["gain"] is None:
        return f"Whether that helped could not be judged on {split}."
    gain = part["gain"]
    told = f"{format_points(gain['value'])} over the control on {split}, {format_interval((gain['low'], gain['high']), 'points')}"
    return f"It gained: {told}." if gain["low"] > 0 else f"Not shown to be fixed: {told}."


def _describe_simulator(treatment: JsonObject) -> str:
    return f", simulated by {treatment['simulator']}," if treatment.get("simulator") else ""


def _describe_training(remedy: JsonObject | None, is_promoted: bool) -> str:
    """What this model was taught about a slice, in a sentence."""
    taught = [
        f"{format_plugin_name(p['remedy'])}{_describe_simulator(p)} at strength {p['strength_low']:.3g} to {p['strength_high']:.3g} "
        f"({format_count(p['images'], 'image')})"
        for p in (remedy["training"] if remedy else [])
    ]
    if is_promoted and taught:
        return f"It was trained with {' and '.join(taught)}."
    return "Nothing was trained against it." + (
        "" if taught else " More such images are to be collected."
    )


def _list_slice_entries(summary: JsonObject, is_promoted: bool) -> list[dict[str, Any]]:
    remedies = {r["slice"]: r for r in summary["remedies"]}
    confirmed = [s for s in summary["slices"] if s["status"] == "confirmed"]
    told = [
        (
            _describe_training(remedies.get(s["slice"]), is_promoted),
            _describe_outcome(s["slice"], summary, is_promoted),
        )
        for s in confirmed
    ]
    return [
        {**s, "done": done, "outcome": outcome}
        for s, (done, outcome) in zip(confirmed, told, strict=True)
    ]


def _build_metadata(
    summary: JsonObject, bundle: JsonObject, data_source: str, arm: str
) -> ModelCardData:
    split = _select_split(summary)
    value = (summary["metrics"].get(split, {}).get("accuracy", {}).get(arm) or {}).get("value")
    kind = (
        [bundle["backbone"]]
        if bundle["backbone"] == PROGRAM_BACKBONE
        else ["timm", bundle["backbone"]]
    )
    result = EvalResult(
        task_type="image-classification",
        dataset_type="imagefolder",
        dataset_name=data_source,
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


def render_card(
    summary: JsonObject, bundle: JsonObject, corrections: Sequence[JsonObject], data_source: str
) -> str:
    """The whole card as text. summary, bundle: of the run; corrections: as `carried` tells them,
    with `gains` by split; source: the data."""
    promoted = bundle["arm"] == "targeted"
    arm, slices = ("after" if promoted else "before"), _list_slice_entries(summary, promoted)
    split = summary["metrics"].get(_select_split(summary))
    page = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    page.filters.update(TEMPLATE_FILTERS)
    text = page.from_string(CARD_TEMPLATE_PATH.read_text(encoding="utf-8")).render(
        name=summary["run_id"],
        version=__version__,
        promoted=promoted,
        headline=summary["verdict"]["headline"],
        data={**summary["data"], "source": data_source},
        scores=_list_score_rows(summary, arm),
        level=format_percent(1 - split["alpha"], 1) if split else "95 %",
        slices=slices,
        unconfirmed=len(summary["slices"]) - len(slices),
        corrections=corrections,
        decline=bundle["policy"]["decline"],
        limits=summary["verdict"]["limits"],
        share=format_share,
        **{key: bundle[key] for key in ("classes", "backbone", "side", "run_id", "seed")},
    )
    card = ModelCard(
        f"---\n{_build_metadata(summary, bundle, data_source, arm).to_yaml()}\n---\n\n{text}"
    )
    return str(card.content)
