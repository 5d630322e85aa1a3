"""The analysis: the stages measure, probe, cluster and explain on photos and predictions that are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import remedies, store
from pipeline.analyze.photos import load_photos
from pipeline.analyze.report import make_page, summarise
from pipeline.analyze.tables import aligned, read_embeddings, read_images, read_predictions
from pipeline.attributes import measure as attributes_of
from pipeline.contracts import Context, InputError
from pipeline.datasets.likeness import duplicates_of
from pipeline.evidence.scores import scores
from pipeline.learning.exported import Exported, agreeing, load_exported
from pipeline.learning.holdout import class_indices, folds_of
from pipeline.learning.predict import features
from pipeline.progress import say, tracker
from pipeline.slicing.crossing import Material
from pipeline.slicing.repair import Tools
from pipeline.slicing.rules import conditions_frame
from pipeline.slicing.shortcuts import COLUMNS as SHORTCUTS
from pipeline.slicing.validation import shares, validation
from pipeline.stages import cluster, evaluate, explain, measure, probe, split

FOLDS, SIDE = 5, 64
SLICES = (
    "slice",
    "rank",
    "confirmed",
    "words",
    "cause",
    "common",
    "dose_low",
    "dose_high",
    "rule",
    "n",
    "groups",
    "error",
    "excess",
    "low",
    "high",
    "q_value",
)
MEMBERS = ("image_id", "fold", "slice", "score")
Made = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What the user has: M, P and, where there are any, E (of the model, rows as P) and an ONNX model."""

    images: Path
    predictions: Path
    embeddings: Path | None = None
    model: Path | None = None
    side: int = SIDE


def _model(given: Given) -> Exported | None:
    return load_exported(given.model, given.side) if given.model else None


def _photos(given: Given, context: Context, side: int) -> tuple[Made, NDArray[np.float32], bool]:
    """The artifacts of ingest and split, the logits in the order of M, and whether the folds were drawn here."""
    table, fold = read_images(given.images)
    ids, names, logits = read_predictions(given.predictions)
    rows = aligned(table, ids, names, (given.images, given.predictions))
    images, pixels = load_photos(table, given.images, side, context.track)
    drawn = fold is None
    if fold is None:
        if images["group"].nunique() < 2:
            raise InputError(f"{given.images}: all photos are of one group; slices need at least two to be tested")
        fold = folds_of(class_indices(images, names), images["group"].to_numpy(dtype=str), FOLDS, context.seed)
    none = pd.Series([None] * len(images), dtype="str")
    splits = pd.DataFrame({"image_id": images["image_id"], "split": "val", "fold": fold, "reason": none})
    made = {"images": images, "pixels": pixels, "classes": {"names": names}, "splits": splits}
    return made | _space(given, ids, rows), logits[rows], drawn


def _space(given: Given, ids: list[str], rows: NDArray[np.intp]) -> Made:
    """The user's own embeddings, in the order of M, where there are any."""
    return {"space": read_embeddings(given.embeddings, len(ids))[rows]} if given.embeddings else {}


def _evaluated(context: Context, made: Made, logits: NDArray[np.float32]) -> Made:
    """The artifacts of measure and evaluate, and `duplicates`."""
    images, names = made["images"], made["classes"]["names"]
    truth = class_indices(images, names)
    pairs = split.pairs_of(split.Config.model_validate({}), context, images, made["pixels"])
    duplicates = duplicates_of(images, pairs, made["splits"]["split"])
    embeddings, layout = evaluate.frozen(made["pixels"], np.arange(len(images)), context)
    settings = evaluate.Config.model_validate({})
    issues = [
        evaluate.conflicts(duplicates, images, made["splits"]),
        evaluate.suspected_labels(settings, context, images, made["splits"], layout, truth),
    ]
    return {
        "attributes": measure.run(measure.Config.model_validate({}), context, images=images)["attributes"],
        "duplicates": duplicates,
        "predictions": evaluate.predictions_of(images["image_id"], truth, logits, names, 1.0),
        "metrics": scores(logits, truth, images["group"].to_numpy(dtype=str), names),
        "embeddings": embeddings,
        "label_issues": pd.concat(issues, ignore_index=True).astype(evaluate.ISSUES),
    }


def _unprobed() -> Made:
    columns = ["remedy", "dose", "accuracy", "low", "high", "repairs", "breaks"]
    return {
        "probed": pd.DataFrame({"image_id": pd.Series([], dtype="str"), "weight": pd.Series([], dtype="float64")}),
        "signatures": np.zeros((0, 0), np.float32),
        "responses": np.zeros((0, 0), np.int16),
        "dose_response": pd.DataFrame(columns=columns).astype(dict.fromkeys(columns[1:], "float64")),
        "shortcuts": pd.DataFrame(columns=list(SHORTCUTS)).astype(SHORTCUTS),
    }


def _probed(given: Given, context: Context, made: Made, model: Exported) -> tuple[Made, Exported]:
    """The artifacts of probe, on the photos of which the model says what the predictions say."""
    names, pixels = made["classes"]["names"], made["pixels"]
    predictions = made["predictions"]
    answered = pd.Index(names).get_indexer(pd.Index(predictions["predicted"]))
    model, share = agreeing(model, pixels, answered, Path(str(given.model)))
    context.note(
        f"the model answers as the predictions do for {share:.1%} of the photos, its input scaled {model.scaling}"
    )
    own = model.ask(pixels)
    if own.shape[1] != len(names):
        raise InputError(f"{given.model}: answers with {own.shape[1]} classes, the predictions have {len(names)}")
    asked = predictions.assign(**{f"logit_{k}": own[:, k] for k in range(len(names))})
    frame = probe.frame_of(made["images"], made["splits"], asked[own.argmax(1) == answered], names)
    settings = probe.Config.model_validate({})
    leaning = probe.leaning(settings, context, frame, pixels, (model.ask, names))
    return probe.intervene(settings, context, frame, pixels, model.ask) | leaning, model


def _found(context: Context, made: Made, model: Exported | None) -> Made:
    """The artifacts of cluster and explain."""
    frame = conditions_frame(made["images"], made["attributes"])
    inputs = (made["predictions"], made["label_issues"], made["probed"], made["responses"])
    val = validation(frame, made["splits"], made["classes"]["names"], *inputs)
    said = shares(made["predictions"], made["label_issues"])
    material = Material.of(val, made["embeddings"], made["signatures"], said)
    found = cluster.find(cluster.Config.model_validate({}), context, material, made["dose_response"])

    def guess(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
        return np.zeros(len(pixels), np.intp) if model is None else np.asarray(model.ask(pixels).argmax(1))

    tools = Tools(
        made["pixels"], remedies.treat, lambda p: attributes_of(p).to_numpy(dtype=float), guess if model else None,
        made["embeddings"], features,
    )
    tables = (found["slices"], found["membership"], made["dose_response"])
    return found | explain.explained(explain.Config.model_validate({}), context, val, tools, tables)


def _write(out: Path, made: Made, page: str, summary: dict[str, Any]) -> Path:
    slices = made["explanations"].assign(confirmed=made["explanations"]["status"] == "confirmed")
    slices[list(SLICES)].to_parquet(out / "slices.parquet", index=False)
    made["membership"][list(MEMBERS)].to_parquet(out / "membership.parquet", index=False)
    store.write_json(out / "summary.json", summary)
    store.write_text(out / "index.html", page)
    return out / "index.html"


def analyze(given: Given, out: Path, seed: int = 0) -> Path:
    """Find, confirm and word the slices of a model's predictions; the path of the page.

    Writes `slices.parquet`, `membership.parquet`, `summary.json` and `index.html` into `out`. Raises `InputError`, in
    one line, for whatever cannot be used.
    """
    model = _model(given)
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        context = Context(
            out.resolve().name, seed, work, work, tracker("analyze"), on_note=lambda line: say(f"  {line}")
        )
        made, logits, drawn = _photos(given, context, model.side if model else given.side)
        made |= _evaluated(context, made, logits)
        probed, model = _probed(given, context, made, model) if model else (_unprobed(), None)
        if model is None:
            context.note("no model was given, so nothing was probed: causes are suspected only (see --model)")
        made |= probed
        made |= _found(context, made, model)
        summary = summarise(made, context, folds_drawn=drawn)
        out.mkdir(parents=True, exist_ok=True)
        return _write(out, made, make_page(made, logits, context, summary), summary)
