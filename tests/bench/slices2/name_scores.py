"""Names and remedies of every confirmed slice of a case, as the stages give them."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import remedies
from pipeline.attributes import measure_images
from pipeline.domain.prescriptions import Prescription
from pipeline.domain.rules import iterate_rows
from pipeline.domain.statuses import PrescriptionKind, SliceStatus
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.slices.candidates.rule_admission import (
    compute_slice_masks,
    measure_reference_distances,
    parse_frozen_rules,
)
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.causes.training_distance import TrainingReference
from pipeline.slices.prescription.refused_treatments import find_refused_treatments
from pipeline.slices.prescription.slice_prescriptions import fit_treatments, prescribe_slices
from pipeline.slices.prescription.treatment_plan import PrescriptionContext, SimulatorUse
from pipeline.stages import cluster, explain, prescribe
from tests.bench.slices.finder_runs import (
    CONTEXT,
    DOSE_RESPONSE,
    MATCHED_IMAGES,
    find_held_out_rows,
)
from tests.bench.slices2.expected_names import describe_side, find_equivalent_words, list_own_words
from tests.bench.slices2.image_models import ImageModel
from tests.bench.slices2.search_cases import SearchCase

MAJORITY_SHARE = 0.5  # of a slice's failures, or of its images, that are planted
Row = dict[str, Any]


def measure_training_images(model: ImageModel) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Return the attributes and the frozen features of the training images, computed once."""
    file = model.cache / "training-measures.npz"
    pixels = model.images.pixels[model.images.is_training]
    if not file.exists():
        attributes = measure_images(pixels)
        values = {"attributes": attributes.to_numpy(), "columns": list(attributes)}
        np.savez(file, features=extract_features(pixels).astype(np.float16), **values)
    stored = np.load(file)
    attributes = pd.DataFrame(stored["attributes"], columns=stored["columns"].tolist())
    return attributes, stored["features"].astype(np.float32)


def _build_frame(case: SearchCase, val_count: int) -> pd.DataFrame:
    """Return val and then the training images, with the columns that rules test.

    Metadata of training images are drawn from the images of val without a planted cause.
    """
    images = case.model.images
    is_training = images.is_training
    attributes, _ = measure_training_images(case.model)
    ids = [f"t{row:05d}" for row in range(int(is_training.sum()))]
    training = pd.DataFrame(
        {"image_id": ids, "label": images.labels[is_training], "group": images.groups[is_training]}
    )
    is_clean = ~np.any(case.targets, axis=0)
    drawn = np.random.default_rng(6).choice(np.flatnonzero(is_clean), len(training))
    columns = {}
    for name in case.val.frame.columns[3:]:
        values = attributes[name] if name in attributes else case.val.frame[name].iloc[drawn]
        columns[name] = values.to_numpy()
    whole = case.val.frame.set_axis(case.val.image_rows).reindex(range(val_count))
    return pd.concat([whole, training.assign(**columns)], ignore_index=True)


def _build_tools(case: SearchCase) -> InterventionTools:
    images = case.model.images
    return InterventionTools(
        np.concatenate([case.pixels, images.pixels[images.is_training]]),
        remedies.apply_remedy,
        lambda pixels: measure_images(pixels).to_numpy(dtype=float),
        lambda pixels: np.asarray(case.model.predict_logits(pixels).argmax(1), dtype=np.intp),
        extract_features,
    )


def _build_training_reference(case: SearchCase) -> TrainingReference:
    images = case.model.images
    labels = pd.Index(case.val.class_names).get_indexer(images.labels[images.is_training])
    ids = np.array([f"t{row:05d}" for row in range(len(labels))])
    features = measure_training_images(case.model)[1]
    return TrainingReference(ids, features, labels.astype(np.intp))


def explain_case(case: SearchCase) -> tuple[ValidationSet, dict[str, Any], list[Prescription]]:
    """Return the searched images, the artifacts of the stages, and the prescriptions.

    Args:
        case: the case. The folds that judge slices take no part, as in `run`.
    """
    val = case.val.select_rows(~find_held_out_rows(case.val))
    made = cluster.propose_slices(cluster.Config(), CONTEXT, val, DOSE_RESPONSE)
    tools = _build_tools(case)
    made |= explain.explain_slices(
        explain.Config.model_validate({"matched_images": MATCHED_IMAGES}),
        CONTEXT,
        val,
        tools,
        _build_training_reference(case),
        slices=made["slices"],
        membership=made["membership"],
        dose_response=DOSE_RESPONSE,
    )
    if not (made["explanations"]["status"] == SliceStatus.CONFIRMED).any():
        return val, made, []
    return val, made, _prescribe_remedies(case, val, tools, made)


def _prescribe_remedies(
    case: SearchCase, val: ValidationSet, tools: InterventionTools, made: dict[str, Any]
) -> list[Prescription]:
    """Return the prescriptions of the confirmed slices, by the functions of the stage."""
    config = prescribe.Config()
    val_count = len(case.pixels)
    frame = _build_frame(case, val_count)
    is_training = np.arange(len(frame)) >= val_count
    rules = parse_frozen_rules(made["explanations"])
    embeddings = np.zeros((len(frame), case.val.embeddings.shape[1]), np.float32)
    embeddings[case.val.image_rows] = case.val.embeddings
    embeddings[val_count:] = measure_training_images(case.model)[1]
    distances = measure_reference_distances(frame, rules.values(), embeddings)
    image_masks = compute_slice_masks(frame, rules, distances, should_use_label=False)
    masks = compute_slice_masks(frame, rules, distances, should_use_label=True)
    explanations = made["explanations"]
    confirmed = fit_treatments(
        val,
        {name: frame[is_training & ~mask] for name, mask in image_masks.items()},
        tools,
        explanations=explanations[explanations["status"] == SliceStatus.CONFIRMED],
        causes=made["causes"],
        membership=made["membership"],
    )
    refused = find_refused_treatments(
        frame,
        is_training,
        confirmed,
        tools,
        class_names=list(val.class_names),
        images_per_class=config.label_safety_images,
        min_share=config.label_change_threshold,
        seed=0,
    )
    context = PrescriptionContext(
        frame, is_training, image_masks, masks, rules, val, DOSE_RESPONSE, refused
    )
    return prescribe_slices(
        context,
        confirmed,
        made["membership"],
        remedy_share=config.remedy_share,
        max_repeats=config.max_repeats,
        simulator_use=SimulatorUse(None, (), 0.0),
    ).prescriptions


def _judge_name(case: SearchCase, target: int, words: str | None) -> str:
    """Return whether a slice of a planted cause is named rightly, and how."""
    corruptions = case.causes[target]
    if not corruptions:
        return "unexplained rightly" if words is None else "false name"
    own = list_own_words(corruptions)
    if words in own:
        return "right"
    if words is None:
        return "unnamed" if own else "unexplained rightly"
    equivalent = find_equivalent_words(case.model, corruptions, case.severity)
    return "equivalent" if words in equivalent else "false name"


def _is_right_remedy(case: SearchCase, target: int, item: Prescription) -> bool:
    """Return whether a prescription treats the planted cause, or collects if no transform does."""
    is_augmented = item.kind == PrescriptionKind.AUGMENT
    own = list_own_words(case.causes[target])
    if not is_augmented:
        return not own
    if not case.causes[target]:
        return False
    words = set()
    for treatment in item.treatments:
        middle = float(np.mean(treatment.strength_ranges))
        words.add(describe_side(treatment.remedy, middle))
    right = own | find_equivalent_words(case.model, case.causes[target], case.severity)
    return bool(words & right)


def name_slices(case: SearchCase) -> Row:
    """Return the row of a case: every confirmed slice with its name and its remedy, judged.

    A slice is of the planted cause that most of its failures have; others are natural ones. It
    finds that cause if most of its images are planted.
    """
    began = time.process_time()
    val, made, prescriptions = explain_case(case)
    prescribed = {item.slice: item for item in prescriptions}
    targets = [mask[~find_held_out_rows(case.val)] for mask in case.targets]
    rows = []
    explanations = made["explanations"]
    for item in iterate_rows(explanations[explanations["status"] == SliceStatus.CONFIRMED]):
        is_member = val.find_members(item.slice, made["membership"])
        is_failure = is_member & val.is_misclassified
        shares = [float(mask[is_failure].mean()) if is_failure.any() else 0.0 for mask in targets]
        target = int(np.argmax(shares))
        words = None if pd.isna(item.cause) else describe_side(item.cause, item.strength_low)
        names = [describe_side(c["remedy"], c["strength"]) for c in json.loads(item.named_causes)]
        row = {
            "rule": item.rule,
            "words": words,
            "all words": sorted(set(names)),
            "kind": str(prescribed[item.slice].kind),
            "target": None,
            "is found": False,
            "name": "natural, named" if words else "natural, unnamed",
            "is remedied": False,
        }
        if shares[target] >= MAJORITY_SHARE:
            row["target"] = target
            row["is found"] = bool(targets[target][is_member].mean() >= MAJORITY_SHARE)
            row["name"] = _judge_name(case, target, words)
            row["is remedied"] = _is_right_remedy(case, target, prescribed[item.slice])
        rows.append(row)
    seconds = time.process_time() - began
    facts = {"kind": case.kind, "case": case.name, "loss": case.loss, "seconds": seconds}
    causes = [list(names) for names in case.causes]
    return {**facts, "causes": causes, "slices": rows}
