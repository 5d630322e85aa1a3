"""The finder on the benchmark's arrays, through the very functions of the stages cluster and explain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import remedies
from pipeline.attributes import measure_images
from pipeline.contracts import StageContext
from pipeline.domain.rules import Rule
from pipeline.domain.validation_set import ValidationSet
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.slices.candidates.rule_admission import (
    measure_reference_distances,
    parse_frozen_rules,
)
from pipeline.slices.candidates.rule_application import FinderSettings, apply_proposed_rules
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.slices.causes.cause_search import find_causes
from pipeline.slices.causes.good_images import select_good_images
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.causes.slice_explanations import EXPLANATION_DTYPES, build_explanation
from pipeline.slices.testing.held_out_slices import collect_slice_evidence, load_held_out_slices
from pipeline.slices.testing.slice_confirmation import confirm_slices
from pipeline.stages import cluster, explain
from pipeline.statistics.group_sampling import assign_group_folds
from pipeline.statistics.permutation_tests import estimate_excess_error
from tests.bench.slices.settings import Case
from tests.helpers.validation_sets import make_validation_set

FOLDS = 5
Rows = NDArray[np.intp]
MATCHED = 120  # images that a cause is matched on
CONTEXT = StageContext("bench", 0, Path(), Path())
RICH = 2  # times as many planted images as by chance, from which a slice may be that of the cause
HELD = (3, 4)  # folds on which the scores of every method are judged
INTERVENTIONS = pd.DataFrame(remedies.list_interventions(), columns=["remedy", "strength"])
DOSES = INTERVENTIONS.assign(accuracy=0.0, low=0.0, high=0.0, repairs=0.0, breaks=0.0)


def frame_of(case: Case) -> pd.DataFrame:
    """image_id, label, group, the attributes, and an hour and a camera that have nothing to do with anything."""
    clean, rng = case.clean, np.random.default_rng(5)
    labels, groups = clean.images.labels[clean.val], clean.images.groups[clean.val]
    names, code = np.unique(groups, return_inverse=True)
    hour = rng.uniform(0, 24, len(names))[code]
    camera = np.array(["north", "east", "south", "west"])[rng.integers(0, 4, len(names))[code]]
    table = pd.DataFrame(
        {"image_id": [f"i{k:05d}" for k in range(len(labels))], "label": labels, "group": groups}
    )
    return pd.concat(
        [table, case.answers.attributes, pd.DataFrame({"hour": hour, "camera": camera})], axis=1
    )


def val_of(case: Case, donor: Rows | None = None) -> ValidationSet:
    """The benchmark's val; donor.

    The image [val] whose outcomes each image is given (a null draw), else its own.
    """
    clean, frame = case.clean, frame_of(case)
    rows = np.arange(len(frame))
    donor = rows if donor is None else donor
    truth = pd.Index(clean.images.names).get_indexer(pd.Index(frame["label"])).astype(np.intp)
    logits = case.answers.logits[donor]
    guess = logits.argmax(1)
    fold = assign_group_folds(truth, frame["group"].to_numpy(dtype=str), FOLDS, 0).astype(np.intp)
    at = np.flatnonzero(clean.sample[donor])
    others = logits.copy()
    others[rows, truth] = -np.inf
    probed = _probed(case, donor[at])
    labels = truth[at]
    return make_validation_set(
        frame,
        truth,
        guess,
        clean.images.names,
        is_correct_after=probed.argmax(2) == labels[:, None],
        probed_rows=at,
        folds=fold,
        margins=(logits[rows, truth] - others.max(1)).astype(float),
        logits=logits,
        embeddings=case.answers.features,
    )


def _probed(case: Case, rows: Rows) -> NDArray[np.float32]:
    """Logits [rows, interventions, C] after each intervention, of sampled rows of val."""
    return case.answers.probed[(np.cumsum(case.clean.sample) - 1)[rows]].astype(np.float32)


def held_out_scores(case: Case, seed: int = 0) -> NDArray[np.float64]:
    """float [val, slices] in the order of rank, -inf outside: proposed on the folds not in `HELD`."""
    val = val_of(case)
    found = apply_proposed_rules(val, ~np.isin(val.folds, HELD), FinderSettings(), seed)
    scores = [f.typicality for f in found]
    return np.stack(scores, 1) if scores else np.full((len(val.frame), 1), -np.inf)


@dataclass(frozen=True)
class Verdict:
    """What the whole finder says of a case. table: explanations, best first, with `overlap` (Jaccard of the slice's
    held-out members with the planted images); inside: of each its held-out members, bool [val]; most: the row of the
    slice that is asked for its cause, of the confirmed ones that hold `RICH` times as many planted images as all of val
    does that with the largest overlap, of any where there is none; rivals: its possible causes, none where they were
    not asked for."""

    table: pd.DataFrame
    inside: list[NDArray[np.bool_]]
    most: int
    rivals: list[CauseCandidate]

    @property
    def confirmed(self) -> pd.DataFrame:
        """The confirmed slices."""
        return self.table[self.table["status"] == "confirmed"]


def verdict(
    case: Case,
    donor: Rows | None = None,
    *,
    name: bool = True,
    aside: NDArray[np.bool_] | None = None,
) -> Verdict:
    """Slices, tests and words.

    name: give the slice `most` its cause, by asking the model about treated copies (the slow part). aside: images [val]
    whose labels are suspected, which the finder does not see."""
    whole = val_of(case, donor)
    seen = np.ones(len(whole.frame), bool) if aside is None else ~aside
    val = whole.select_rows(seen)
    made = cluster.propose_slices(cluster.Config.model_validate({}), CONTEXT, val, DOSES)
    found = load_held_out_slices(val, made["slices"], made["membership"], DOSES)
    config = explain.Config.model_validate({"matched_images": MATCHED})
    judged = confirm_slices(
        [collect_slice_evidence(val, item, 0) for item in found], config.false_discovery_rate
    )
    inside = [_everywhere(item.is_member, val.image_rows, len(seen)) for item in found]
    overlap = [float((m & case.planted).sum() / max((m | case.planted).sum(), 1)) for m in inside]
    confirmed = [
        item.is_member
        for item, told in zip(found, judged, strict=True)
        if told.status == "confirmed"
    ]
    outside = ~np.logical_or.reduce([np.zeros(len(val.frame), bool), *confirmed])
    rich = [
        case.planted[m].mean() >= RICH * case.planted.mean() if m.any() else False for m in inside
    ]
    shown = [
        o + (r and t.status == "confirmed") for o, r, t in zip(overlap, rich, judged, strict=True)
    ]
    most, rows, rivals = int(np.argmax(shown)) if shown else -1, [], list[CauseCandidate]()
    for k, (item, told) in enumerate(zip(found, judged, strict=True)):
        causes: tuple[list[CauseCandidate], tuple[float, float] | None] = ([], None)
        if name and k == most and told.status == "confirmed":
            pool = select_good_images(
                val, outside, item.is_typical, tools_of(case), config.matched_images, 0
            )
            causes = find_causes(
                pool,
                item.is_member,
                item.is_typical,
                DOSES,
                config.matched_images,
                config.false_discovery_rate,
            )
            rivals = causes[0]
        rows.append(build_explanation(val, item, told, *causes, DOSES))
    table = pd.DataFrame(rows, columns=list(EXPLANATION_DTYPES)).astype(EXPLANATION_DTYPES)
    return Verdict(table.assign(overlap=overlap), inside, most, rivals)


def tools_of(case: Case) -> InterventionTools:
    """What the finder asks about the case's images."""
    ask = case.clean.ask
    measured: Any = lambda pixels: measure_images(pixels).to_numpy(dtype=float)  # noqa: E731
    return InterventionTools(
        case.pixels,
        remedies.apply_remedy,
        measured,
        lambda pixels: ask(pixels).argmax(1),
        embed_images=extract_features,
    )


def _everywhere(inside: NDArray[np.bool_], rows: Rows, count: int) -> NDArray[np.bool_]:
    """bool [val] of a mask over the rows that the finder saw."""
    whole = np.zeros(count, bool)
    whole[rows[inside]] = True
    return whole


def real_in(case: Case) -> dict[str, Any]:
    """Of the slices confirmed on the folds not in `HELD`: the excess of each frozen rule on the images of those in it,
    which entered nothing before, with the ends of its 95 % interval by group, images and groups."""
    whole = val_of(case)
    held = np.isin(whole.folds, HELD)
    val = whole.select_rows(~held)
    made = cluster.propose_slices(cluster.Config.model_validate({}), CONTEXT, val, DOSES)
    idle = InterventionTools(
        case.pixels, lambda _, pixels, *__: pixels, lambda pixels: np.zeros((len(pixels), 1)), None
    )
    told = explain.explain_slices(
        explain.Config.model_validate({}),
        CONTEXT,
        val,
        idle,
        slices=made["slices"],
        membership=made["membership"],
        dose_response=DOSES,
    )["explanations"]
    found = [_excess(case, whole, rule, held) for rule in parse_frozen_rules(told).values()]
    return {"confirmed": len(found), "excess": found}


def _excess(case: Case, val: ValidationSet, rule: Rule, held: NDArray[np.bool_]) -> dict[str, Any]:
    inside = rule.compute_mask(
        val.frame, measure_reference_distances(val.frame, [rule], case.answers.features)
    )
    test = estimate_excess_error(
        val.is_misclassified[held], val.labels[held], inside[held], val.groups[held]
    )
    return {"rule": rule.format_text(), **test.interval.build_record()}
