"""The model card of an export: `README.md` with the metadata that Hugging Face reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pipeline import __version__
from pipeline.domain.statuses import SliceStatus
from pipeline.learning.training_settings import PROGRAM_BACKBONE
from pipeline.report.page_templates import TEMPLATE_ENVIRONMENT
from pipeline.report.sentences.number_format import (
    format_count,
    format_interval,
    format_percent,
    format_points,
)
from pipeline.report.sentences.strength_format import format_strength_range

CARD_TEMPLATE_PATH = Path(__file__).with_name("model_card.md")
# Markdown: nothing is escaped, and every line break counts.
_CARD_ENVIRONMENT = TEMPLATE_ENVIRONMENT.overlay(
    autoescape=False, trim_blocks=False, lstrip_blocks=False, keep_trailing_newline=True
)
_SUBSET_NAMES = {"all": "all", "planned": "slices with a remedy, together", "others": "all others"}
_SPLIT_NAMES = {"val": "validation", "test": "test"}
JsonObject = Mapping[str, Any]


def format_share(value: JsonObject | None) -> str:
    """Return a share with its interval, as in "92.3 % (88.3 to 95.0 %)"."""
    if value is None:
        return format_percent(None)
    return f"{format_percent(value['value'])} ({format_interval((value['low'], value['high']))})"


def _select_split(summary: JsonObject) -> str:
    """Return the split that the figures come from: the test set, if it was opened."""
    return "test" if "test" in summary["metrics"] else "val"


def _list_subsets(summary: JsonObject) -> list[JsonObject]:
    metrics = summary["metrics"].get(_select_split(summary))
    return list(metrics["parts"]) if metrics else []


def _list_score_rows(summary: JsonObject, arm: str) -> list[dict[str, Any]]:
    split_name = _SPLIT_NAMES[_select_split(summary)]
    rows = []
    for subset in _list_subsets(summary):
        row = {key: subset[key] for key in ("n", "groups", "before", "control")}
        name = _SUBSET_NAMES.get(subset["what"]) or subset["slice"]
        rows.append({**row, "now": subset[arm], "words": f"{split_name}: {name}"})
    return rows


def _describe_outcome(slice_name: str, summary: JsonObject, is_promoted: bool) -> str:
    """Return how the model does on a slice, in one sentence."""
    if not is_promoted:
        return "Not repaired: this is the model from before."
    split_name = _SPLIT_NAMES[_select_split(summary)]
    gains = {subset["slice"]: subset["gain"] for subset in _list_subsets(summary)}
    gain = gains.get(slice_name)
    if gain is None:
        return f"The effect could not be measured on {split_name}."
    interval = format_interval((gain["low"], gain["high"]), "points")
    effect = f"{format_points(gain['value'])} over the control on {split_name}, {interval}"
    if gain["low"] > 0:
        return f"It gained: {effect}."
    return f"No gain was shown: {effect}."


def _describe_training(remedy: JsonObject | None, is_promoted: bool) -> str:
    """Return how the model was trained for a slice, in one or two sentences."""
    treatments = []
    for treatment in remedy["training"] if remedy else []:
        simulator = treatment.get("simulator")
        source = f", simulated by {simulator}" if simulator else ""
        strengths = format_strength_range(
            treatment["remedy"], treatment["strength_low"], treatment["strength_high"]
        )
        treatments.append(f"{strengths}{source} ({format_count(treatment['images'], 'image')})")
    if is_promoted and treatments:
        return f"It was trained with {' and '.join(treatments)}."
    if treatments:
        return "It was not trained for it."
    return "It was not trained for it. More such images are to be collected."


def _list_slice_entries(summary: JsonObject, is_promoted: bool) -> list[dict[str, Any]]:
    remedies = {remedy["slice"]: remedy for remedy in summary["remedies"]}
    entries = []
    for item in summary["slices"]:
        if item["status"] == SliceStatus.CONFIRMED:
            training = _describe_training(remedies.get(item["slice"]), is_promoted)
            outcome = _describe_outcome(item["slice"], summary, is_promoted)
            entries.append({**item, "training": training, "outcome": outcome})
    return entries


def _build_metadata(
    summary: JsonObject, bundle: JsonObject, data_source: str, arm: str
) -> ModelCardData:
    """Return the metadata of the card.

    Args:
        summary: the run's summary.
        bundle: the record of the bundle.
        data_source: location of the data set.
        arm: arm of the model in the summary: before or after.
    """
    split = _select_split(summary)
    accuracy = summary["metrics"].get(split, {}).get("accuracy", {}).get(arm) or {}
    value = accuracy.get("value")
    backbone = bundle["backbone"]
    library_tags = [] if backbone == PROGRAM_BACKBONE else ["timm"]
    result = EvalResult(
        task_type="image-classification",
        dataset_type="imagefolder",
        dataset_name=data_source,
        dataset_split=_SPLIT_NAMES[split],
        metric_type="accuracy",
        metric_value=value,
    )
    return ModelCardData(
        library_name="nightshift",
        pipeline_tag="image-classification",
        tags=["image-classification", "nightshift", *library_tags, backbone],
        metrics=["accuracy"],
        model_name=str(summary["run_id"]),
        eval_results=[result] if value is not None else None,
    )


def _describe_feeding(bundle: JsonObject, graph_file: str) -> dict[str, str]:
    """Return what the code that feeds a graph depends on.

    Args:
        bundle: the record of the bundle.
        graph_file: name of the file with the graph.
    """
    value_range = bundle.get("range")
    return {
        "file": graph_file,
        "library": "onnxruntime" if graph_file.endswith(".onnx") else "torch",
        "range": f"({value_range[0]}, {value_range[1]})" if value_range else "None",
        "classes": repr(list(bundle["classes"])),
    }


def render_card(
    summary: JsonObject,
    bundle: JsonObject,
    corrections: Sequence[JsonObject],
    data_source: str,
    graph_file: str | None = None,
) -> str:
    """Return the whole card as text.

    Args:
        summary: the run's summary.
        bundle: the record of the bundle.
        corrections: descriptions as in `PortableCorrections`, with `gains` by split.
        data_source: location of the data set.
        graph_file: name of the exported graph, for the code that feeds it; None without a graph.
    """
    is_promoted = bundle["arm"] == "targeted"
    arm = "after" if is_promoted else "before"
    slices = _list_slice_entries(summary, is_promoted)
    metrics = summary["metrics"].get(_select_split(summary))
    template = _CARD_ENVIRONMENT.from_string(CARD_TEMPLATE_PATH.read_text(encoding="utf-8"))
    text = template.render(
        name=summary["run_id"],
        version=__version__,
        promoted=is_promoted,
        headline=summary["verdict"]["headline"],
        data={**summary["data"], "source": data_source},
        scores=_list_score_rows(summary, arm),
        level=format_percent(1 - metrics["alpha"], 1) if metrics else "95 %",
        slices=slices,
        unconfirmed=len(summary["slices"]) - len(slices),
        corrections=corrections,
        decline=bundle["policy"]["decline"],
        limits=summary["verdict"]["limits"],
        share=format_share,
        feeding=_describe_feeding(bundle, graph_file) if graph_file else None,
        split_names=_SPLIT_NAMES,
        **{key: bundle[key] for key in ("classes", "backbone", "side", "run_id", "seed")},
    )
    metadata = _build_metadata(summary, bundle, data_source, arm).to_yaml()
    return str(ModelCard(f"---\n{metadata}\n---\n\n{text}").content)
