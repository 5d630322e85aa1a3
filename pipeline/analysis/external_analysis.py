"""Analysis of predictions made elsewhere, by the stages measure, probe, cluster and explain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import remedies
from pipeline.analysis.analysis_inputs import (
    DEFAULT_SIDE_PX,
    AnalysisInputs,
    GivenPredictions,
    load_predictions,
)
from pipeline.analysis.analysis_report import build_analysis_page, build_analysis_summary
from pipeline.analysis.given_images import load_table_images
from pipeline.analysis.preprocessing_inference import PreprocessingMatch, infer_preprocessing
from pipeline.attributes import measure_images
from pipeline.contracts import InputError, StageContext
from pipeline.data.quality.duplicate_pairs import find_duplicate_pairs
from pipeline.data.quality.label_issues import LABEL_ISSUE_DTYPES, find_label_conflicts
from pipeline.data.quality.near_duplicates import build_duplicates_table
from pipeline.domain.probe_results import ProbeMeasurements
from pipeline.domain.rule_columns import build_metadata_frame, split_columns
from pipeline.domain.statuses import SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.domain.validation_set_builder import build_validation_set
from pipeline.engine.progress_reporting import create_tracker, log_line
from pipeline.learning.inference.frozen_features import compute_frozen_features
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.learning.inference.prediction_table import build_predictions
from pipeline.learning.inference.suspected_labels import find_suspected_labels
from pipeline.learning.models.external_model import ExternalModel, convert_to_logits
from pipeline.learning.training.holdout_split import find_class_indices
from pipeline.report.sentences.slice_sentences import add_sentences
from pipeline.slices.causes.intervention_probe import (
    ProbeSize,
    build_probe_frame,
    probe_interventions,
)
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.shortcuts.shortcut_detection import SHORTCUT_COLUMNS as SHORTCUTS
from pipeline.stages import cluster, evaluate, explain, measure, probe, split
from pipeline.statistics.classification.classification_metrics import score_logits
from pipeline.statistics.group_sampling import assign_group_folds
from pipeline.storage import artifact_store

FOLD_COUNT = 5
SLICE_COLUMNS = (
    "slice",
    "rank",
    "confirmed",
    "words",
    "cause",
    "common",
    "strength_low",
    "strength_high",
    "rule",
    "n",
    "groups",
    "error",
    "excess",
    "low",
    "high",
    "q_value",
)
MEMBERSHIP_COLUMNS = ("image_id", "fold", "slice", "score")
AnalysisArtifacts = dict[str, Any]


@dataclass(frozen=True)
class ProbedModel:
    """A model with the preprocessing under which it agrees with the predictions.

    Attributes:
        model: the model.
        match: its preprocessing and agreement.
        source: its file or argument, for messages.
    """

    model: ExternalModel
    match: PreprocessingMatch
    source: str

    def predict_scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits float32 [N, classes] for pixels uint8 [N, side, side, 3]."""
        scaling = self.match.preprocessing.scaling
        return convert_to_logits(self.model.predict_scores(pixels, scaling))


def _match_model(
    inputs: AnalysisInputs, context: StageContext, given: GivenPredictions
) -> ProbedModel | None:
    """Return the model with its inferred preprocessing; None without a model."""
    if given.model is None:
        return None
    paths = given.list_image_paths(inputs.images_path)
    source = inputs.model_source
    match = infer_preprocessing(given.model, paths, given.logits, source, context.seed)
    context.add_note(
        f"the model answers as the predictions do for {match.agreement:.1%} of the images that "
        f"were compared, its input prepared so: {match.preprocessing}"
    )
    return ProbedModel(given.model, match, source)


def _load_inputs(
    inputs: AnalysisInputs,
    context: StageContext,
    given: GivenPredictions,
    probed: ProbedModel | None,
) -> tuple[AnalysisArtifacts, bool]:
    """Return artifacts of ingest and split, and whether folds were drawn."""
    images, pixels = load_table_images(
        given.table,
        inputs.images_path,
        probed.model.side if probed else inputs.side or DEFAULT_SIDE_PX,
        context.track_progress,
        probed.match.preprocessing.fitting if probed else None,
    )
    fold = given.folds
    if fold is None:
        if images["group"].nunique() < 2:
            raise InputError(
                f"{inputs.images_path}: all images are of one group; slices need at least two to "
                "be tested"
            )
        fold = assign_group_folds(
            find_class_indices(images, given.class_names),
            images["group"].to_numpy(dtype=str),
            FOLD_COUNT,
            context.seed,
        )
    none = pd.Series([None] * len(images), dtype="str")
    splits = pd.DataFrame(
        {"image_id": images["image_id"], "split": "val", "fold": fold, "reason": none}
    )
    classes = {"names": given.class_names}
    artifacts = {"images": images, "pixels": pixels, "classes": classes, "splits": splits}
    if given.embeddings is not None:
        artifacts["space"] = given.embeddings
    return artifacts, given.folds is None


def _evaluate_predictions(
    context: StageContext, artifacts: AnalysisArtifacts, logits: NDArray[np.float32]
) -> AnalysisArtifacts:
    """Return the artifacts of measure and evaluate, and `duplicates`."""
    images, names = artifacts["images"], artifacts["classes"]["names"]
    labels = find_class_indices(images, names)
    pairs = find_duplicate_pairs(
        images,
        artifacts["pixels"],
        split.Config.model_validate({}).near_duplicates,
        context.track_progress,
        context.add_note,
    )
    duplicates = build_duplicates_table(images, pairs, artifacts["splits"]["split"])
    embeddings, layout = compute_frozen_features(
        artifacts["pixels"], np.arange(len(images)), context.scratch_folder, context.track_progress
    )
    settings = evaluate.Config.model_validate({})
    issues = [
        find_label_conflicts(duplicates, images, artifacts["splits"]),
        find_suspected_labels(
            images,
            artifacts["splits"],
            layout,
            labels,
            min_confidence=settings.label_issue_threshold,
            max_images=settings.label_check_images,
            context=context,
        ),
    ]
    return {
        "attributes": measure.run(measure.Config.model_validate({}), context, images=images)[
            "attributes"
        ],
        "duplicates": duplicates,
        "predictions": build_predictions(images["image_id"], labels, logits, names, 1.0),
        "metrics": score_logits(logits, labels, images["group"].to_numpy(dtype=str), names),
        "embeddings": embeddings,
        "label_issues": pd.concat(issues, ignore_index=True).astype(LABEL_ISSUE_DTYPES),
    }


def _build_empty_probe() -> tuple[ProbeMeasurements, AnalysisArtifacts]:
    """Return the outputs of a probe without any intervention."""
    columns = ["remedy", "strength", "images", "accuracy", "low", "high", "repairs", "breaks"]
    return ProbeMeasurements.build_empty(), {
        "dose_response": pd.DataFrame(columns=columns).astype(
            dict.fromkeys(columns[1:], "float64") | {"images": "int64"}
        ),
        "shortcuts": pd.DataFrame(columns=list(SHORTCUTS)).astype(SHORTCUTS),
    }


def _probe_model(
    context: StageContext, artifacts: AnalysisArtifacts, probed: ProbedModel
) -> tuple[ProbeMeasurements, AnalysisArtifacts]:
    """Return the outputs of probe on the images with equal outputs of model and predictions."""
    names, pixels = artifacts["classes"]["names"], artifacts["pixels"]
    predictions = artifacts["predictions"]
    predicted = pd.Index(names).get_indexer(pd.Index(predictions["predicted"]))
    scores = probed.predict_scores(pixels)
    rescored = predictions.assign(**{f"logit_{k}": scores[:, k] for k in range(len(names))})
    agreeing = rescored[scores.argmax(1) == predicted]
    frame = build_probe_frame(artifacts["images"], artifacts["splits"], agreeing, names)
    settings = probe.Config.model_validate({})
    shortcuts = probe.find_shortcuts(settings, context, frame, pixels, probed.predict_scores, names)
    size = ProbeSize(settings.max_images, settings.screened_images)
    measurements, dose_response = probe_interventions(
        frame, pixels, probed.predict_scores, size, context
    )
    return measurements, {"dose_response": dose_response, "shortcuts": shortcuts}


def _assemble_validation_set(
    artifacts: AnalysisArtifacts, measurements: ProbeMeasurements
) -> ValidationSet:
    """Return the validation set of the user's predictions."""
    names = ("splits", "classes", "predictions", "embeddings", "metrics", "label_issues")
    columns = split_columns(build_metadata_frame(artifacts["images"], artifacts["attributes"]))
    return build_validation_set(columns, measurements, **{name: artifacts[name] for name in names})


def _find_slices(
    context: StageContext, artifacts: AnalysisArtifacts, probed: ProbedModel | None
) -> AnalysisArtifacts:
    """Return the artifacts of cluster and explain."""
    val = artifacts["validation_set"].exclude_label_issues()
    proposals = cluster.propose_slices(
        cluster.Config.model_validate({}), context, val, artifacts["dose_response"]
    )

    def predict_classes(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
        if probed is None:
            return np.zeros(len(pixels), np.intp)
        return np.asarray(probed.predict_scores(pixels).argmax(1))

    tools = InterventionTools(
        artifacts["pixels"],
        remedies.apply_remedy,
        lambda pixels: measure_images(pixels).to_numpy(dtype=float),
        predict_classes if probed else None,
        extract_features,
    )
    return proposals | explain.explain_slices(
        explain.Config.model_validate({}),
        context,
        val,
        tools,
        slices=proposals["slices"],
        membership=proposals["membership"],
        dose_response=artifacts["dose_response"],
    )


def _write_outputs(
    output_folder: Path, artifacts: AnalysisArtifacts, page: str, summary: dict[str, Any]
) -> Path:
    slices = add_sentences(artifacts["explanations"])
    slices["confirmed"] = slices["status"] == SliceStatus.CONFIRMED
    slices[list(SLICE_COLUMNS)].to_parquet(output_folder / "slices.parquet", index=False)
    artifacts["membership"][list(MEMBERSHIP_COLUMNS)].to_parquet(
        output_folder / "membership.parquet", index=False
    )
    artifact_store.write_json(output_folder / "summary.json", summary)
    artifact_store.write_text(output_folder / "index.html", page)
    return output_folder / "index.html"


def analyze_predictions(inputs: AnalysisInputs, output_folder: Path, seed: int = 0) -> Path:
    """Find, confirm and describe the slices of a model's predictions; return the path of the page.

    `slices.parquet`, `membership.parquet`, `summary.json` and `index.html` are written.

    Args:
        inputs: the user's files.
        output_folder: the folder to write to.
        seed: seed of folds, permutations and samples.

    Raises:
        InputError: a file cannot be used; the message is one line.
    """
    with TemporaryDirectory() as scratch:
        scratch_folder = Path(scratch)
        context = StageContext(
            output_folder.resolve().name,
            seed,
            scratch_folder,
            scratch_folder,
            create_tracker("analyze"),
            on_note=lambda line: log_line(f"  {line}"),
        )
        given = load_predictions(inputs, context.add_note)
        model = _match_model(inputs, context, given)
        artifacts, drawn = _load_inputs(inputs, context, given, model)
        artifacts |= _evaluate_predictions(context, artifacts, given.logits)
        measurements, probed = _build_empty_probe()
        if model:
            measurements, probed = _probe_model(context, artifacts, model)
        else:
            context.add_note(
                "no model was given, so nothing was probed: causes are suspected only (see --model)"
            )
        artifacts |= probed
        artifacts["validation_set"] = _assemble_validation_set(artifacts, measurements)
        artifacts |= _find_slices(context, artifacts, model)
        summary = build_analysis_summary(artifacts, context, are_folds_drawn=drawn)
        output_folder.mkdir(parents=True, exist_ok=True)
        return _write_outputs(
            output_folder,
            artifacts,
            build_analysis_page(artifacts, given.logits, context, summary),
            summary,
        )
