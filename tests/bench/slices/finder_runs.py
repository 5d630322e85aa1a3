"""Runs of the finder on the arrays of the benchmark, by the functions of the stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import remedies
from pipeline.attributes import measure_images
from pipeline.contracts import StageContext
from pipeline.domain.slice_traits import dump_traits
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.slices.candidates.rule_admission import measure_reference_distances
from pipeline.slices.candidates.rule_application import apply_rule
from pipeline.slices.candidates.typicality import compute_coordinates
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.cause_search import find_causes
from pipeline.slices.causes.good_images import select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.causes.slice_explanations import EXPLANATION_DTYPES, build_explanation
from pipeline.slices.family.slice_search import FinderSettings, search_family
from pipeline.slices.testing.held_out_slices import (
    HeldOutSlice,
    collect_slice_evidence,
    load_held_out_slices,
)
from pipeline.slices.testing.slice_confirmation import SliceTest, confirm_slice
from pipeline.stages import cluster, explain
from pipeline.statistics.group_sampling import assign_group_folds
from tests.bench.slices.planted_settings import PlantedCase
from tests.helpers.validation_sets import make_validation_set

FOLD_COUNT = 5
HELD_OUT_FOLDS = (3, 4)  # every method is judged on these
MATCHED_IMAGES = 120  # images that a cause is matched on
MIN_ENRICHMENT = 2  # times the planted share of val: such a slice may show the cause
CONTEXT = StageContext("bench", 0, Path(), Path())
INTERVENTIONS = pd.DataFrame(remedies.list_interventions(), columns=["remedy", "strength"])
DOSE_RESPONSE = INTERVENTIONS.assign(accuracy=0.0, low=0.0, high=0.0, repairs=0.0, breaks=0.0)
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]


def build_frame(case: PlantedCase) -> pd.DataFrame:
    """Return image id, label, group, attributes, and an hour and a camera that mean nothing."""
    clean = case.clean
    rng = np.random.default_rng(5)
    labels, groups = clean.images.labels[clean.val_rows], clean.val_groups
    names, codes = np.unique(groups, return_inverse=True)
    hours = rng.uniform(0, 24, len(names))[codes]
    cameras = np.array(["north", "east", "south", "west"])
    cameras = cameras[rng.integers(0, 4, len(names))[codes]]
    ids = [f"i{row:05d}" for row in range(len(labels))]
    images = pd.DataFrame({"image_id": ids, "label": labels, "group": groups})
    metadata = pd.DataFrame({"hour": hours, "camera": cameras})
    return pd.concat([images, case.outputs.attributes, metadata], axis=1)


def build_val(case: PlantedCase, donor_rows: Rows | None = None) -> ValidationSet:
    """Return the validation set of a case.

    Args:
        case: the case.
        donor_rows: for each image of val, the image that gives it its outcomes (in a null draw);
            itself by default.
    """
    clean, frame = case.clean, build_frame(case)
    rows = np.arange(len(frame))
    donor_rows = rows if donor_rows is None else donor_rows
    labels = clean.val_labels
    logits = case.outputs.logits[donor_rows]
    folds = assign_group_folds(labels, clean.val_groups.astype(str), FOLD_COUNT, 0)
    probed_rows = np.flatnonzero(clean.probed_mask[donor_rows])
    probed_labels = labels[probed_rows]
    probe_position = np.cumsum(clean.probed_mask) - 1
    probe_logits = case.outputs.probe_logits[probe_position[donor_rows[probed_rows]]]
    other_logits = logits.copy()
    other_logits[rows, labels] = -np.inf
    return make_validation_set(
        frame,
        labels,
        logits.argmax(1),
        clean.images.class_names,
        is_correct_after=probe_logits.argmax(2) == probed_labels[:, None],
        probed_rows=probed_rows,
        folds=folds.astype(np.intp),
        margins=(logits[rows, labels] - other_logits.max(1)).astype(float),
        logits=logits,
        embeddings=case.outputs.features,
    )


def find_held_out_rows(val: ValidationSet) -> Mask:
    """Return bool [val]: the images that judge every method."""
    return np.isin(val.folds, HELD_OUT_FOLDS)


def score_typical_images(case: PlantedCase, seed: int = 0) -> NDArray[np.float64]:
    """Return the typicality of each image for each slice that the other folds propose.

    Returns:
        float64 [val, slices] in the order of rank, -inf outside a slice.
    """
    val = build_val(case)
    is_proposing = ~find_held_out_rows(val)
    found = search_family(val.select_rows(is_proposing), FinderSettings(), seed)[1]
    if not found:
        return np.full((len(val.frame), 1), -np.inf)
    rules = [item.rule for item in found]
    distances = measure_reference_distances(val.frame, rules, val.embeddings)
    space = compute_coordinates(val.frame, val.embeddings, is_proposing)
    applied = [apply_rule(val, rule, distances, is_proposing, space) for rule in rules]
    return np.stack([rule.typicality for rule in applied], 1)


@dataclass(frozen=True)
class FinderResult:
    """What the whole finder finds in a case.

    Attributes:
        table: explanations, best first, with `overlap`: Jaccard index of the slice's held-out
            members and the planted images.
        members: bool [val] for each slice, its held-out members.
        cause_row: row of the slice whose cause is searched: of the confirmed and enriched slices
            the one with the largest overlap, else of all slices; -1 without slices.
        candidates: possible causes of that slice, if they were searched.
    """

    table: pd.DataFrame
    members: list[Mask]
    cause_row: int
    candidates: list[CauseCandidate]

    @property
    def confirmed(self) -> pd.DataFrame:
        """Return the confirmed slices."""
        return self.table[self.table["status"] == "confirmed"]


def run_finder(
    case: PlantedCase,
    donor_rows: Rows | None = None,
    *,
    should_name_cause: bool = True,
    excluded_mask: Mask | None = None,
) -> FinderResult:
    """Return the slices of a case, their tests, and the cause of one slice.

    Args:
        case: the case.
        donor_rows: see `build_val`.
        should_name_cause: whether the cause is searched. This is slow: the model predicts treated
            images.
        excluded_mask: bool [val], images with suspected labels, which the finder does not get.
    """
    whole = build_val(case, donor_rows)
    is_used = np.ones(len(whole.frame), bool) if excluded_mask is None else ~excluded_mask
    val = whole.select_rows(is_used)
    proposed = cluster.propose_slices(
        cluster.Config.model_validate({}), CONTEXT, val, DOSE_RESPONSE
    )
    held_out = load_held_out_slices(val, proposed["slices"], proposed["membership"], DOSE_RESPONSE)
    config = explain.Config.model_validate({"matched_images": MATCHED_IMAGES})
    tests = []
    for item in held_out:
        evidence = collect_slice_evidence(val, item, 0)
        tests.append(confirm_slice(evidence, item.family_p, config.false_discovery_rate))
    members = []
    for item in held_out:
        mask = np.zeros(len(is_used), bool)
        mask[val.image_rows[item.is_member]] = True
        members.append(mask)
    overlaps = [compute_jaccard_index(mask, case.is_planted) for mask in members]
    cause_row = _choose_cause_row(case, members, overlaps, tests)
    candidates: list[CauseCandidate] = []
    strength_range: tuple[float, float] | None = None
    if should_name_cause and cause_row >= 0 and tests[cause_row].status == "confirmed":
        candidates, strength_range = _search_cause(case, val, held_out, tests, cause_row, config)
    rows = []
    for number, (item, test) in enumerate(zip(held_out, tests, strict=True)):
        is_named = number == cause_row
        row = build_explanation(
            val,
            item,
            test,
            candidates if is_named else [],
            strength_range if is_named else None,
            DOSE_RESPONSE,
        )
        rows.append(row | {"shared_traits": dump_traits([])})
    table = pd.DataFrame(rows, columns=list(EXPLANATION_DTYPES)).astype(EXPLANATION_DTYPES)
    return FinderResult(table.assign(overlap=overlaps), members, cause_row, candidates)


def compute_jaccard_index(mask: Mask, other: Mask) -> float:
    """Return the intersection of two masks divided by their union."""
    return float((mask & other).sum() / max((mask | other).sum(), 1))


def is_enriched(case: PlantedCase, mask: Mask) -> bool:
    """Return whether a slice holds several times the planted share of val."""
    if not mask.any():
        return False
    return bool(case.is_planted[mask].mean() >= MIN_ENRICHMENT * case.is_planted.mean())


def _choose_cause_row(
    case: PlantedCase, members: list[Mask], overlaps: list[float], tests: list[SliceTest]
) -> int:
    if not members:
        return -1
    priorities = []
    for mask, overlap, test in zip(members, overlaps, tests, strict=True):
        is_preferred = test.status == "confirmed" and is_enriched(case, mask)
        priorities.append(overlap + is_preferred)
    return int(np.argmax(priorities))


def _search_cause(
    case: PlantedCase,
    val: ValidationSet,
    held_out: list[HeldOutSlice],
    tests: list[SliceTest],
    cause_row: int,
    config: explain.Config,
) -> tuple[list[CauseCandidate], tuple[float, float] | None]:
    """Return the possible causes of one slice, and the strength range of the named one."""
    item = held_out[cause_row]
    outside_mask = np.ones(len(val.frame), bool)
    for other, test in zip(held_out, tests, strict=True):
        if test.status == "confirmed":
            outside_mask &= ~other.is_member
    good_images = select_good_images(
        val, outside_mask, item.is_typical, build_tools(case), config.matched_images, 0
    )
    return find_causes(
        good_images,
        item.is_member,
        item.is_typical,
        DOSE_RESPONSE,
        config.matched_images,
        config.false_discovery_rate,
    )


def build_tools(case: PlantedCase) -> InterventionTools:
    """Return the functions that treat the images of a case for the finder."""

    def measure_attributes(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        return measure_images(pixels).to_numpy(dtype=float)

    def predict_labels(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
        return case.clean.predict_logits(pixels).argmax(1)

    return InterventionTools(
        case.pixels,
        remedies.apply_remedy,
        measure_attributes,
        predict_labels,
        embed_images=extract_features,
    )
