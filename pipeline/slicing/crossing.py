"""Crossing over: rules proposed on one half of the folds are applied to the other half, and the reverse.

Two halves and no more: a rule's test on the half it never saw is then valid by itself. With five folds each rule learns
from most of what the other rules are tested on, and their pooled test alarms where nothing is there (pre-validation,
Hoefling and Tibshirani 2008; measured with outcomes permuted on real photos: 6 of 12 draws).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline.contracts import Track, silent
from pipeline.slicing.confirm import choose_intervention, matched_residuals
from pipeline.slicing.marks import unmarked
from pipeline.slicing.mixture import components
from pipeline.slicing.propose import Evidence, Proposal, propose
from pipeline.slicing.rules import Mask, distances
from pipeline.slicing.tree import in_numbers
from pipeline.slicing.typical import coordinates, typicality
from pipeline.slicing.validation import Val

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Knobs:
    """The finder's settings, see `pipeline.stages.cluster.Config`."""

    slices: int = 6
    clusters: int = 6
    prototypes: int = 6
    least: int = 20
    same: float = 0.5


@dataclass(frozen=True)
class Material:
    """val, frozen features [rows, D], signatures [rows, interventions] (NaN: not probed) and the model's probabilities
    [rows, classes] (for proposals only; None where they are not known)."""

    val: Val
    embeddings: NDArray[np.float32]
    signatures: NDArray[np.float32]
    shares: Floats | None = None

    @classmethod
    def of(
        cls,
        val: Val,
        embeddings: NDArray[np.float32],
        signatures: NDArray[np.float32],
        shares: Floats | None = None,
    ) -> Material:
        """From the artifacts: embeddings [images, D], signatures [probed, interventions]; shares [rows, classes]."""
        wide = np.full((len(val.frame), signatures.shape[1]), np.nan, np.float32)
        wide[val.probed] = signatures[val.kept]
        return cls(val, np.asarray(embeddings[val.rows]), wide, shares)


@dataclass(frozen=True)
class Applied:
    """A proposal laid over all of val. mask: bool [rows]; chosen: the intervention that helps most, or None; score:
    float [rows], higher is more typical, -inf where the rule does not admit the photo."""

    proposal: Proposal
    mask: Mask
    chosen: int | None
    score: Floats


@dataclass
class Slice:
    """Rules of one half or of both that admit mostly the same photos."""

    label: str | None
    mask: Mask
    halves: dict[int, Applied]

    @property
    def score(self) -> float:
        """Recoverable errors less one standard error, summed over the halves that propose it."""
        return sum(a.proposal.score for a in self.halves.values())


def _prototypes(material: Material, proposing: Mask, count: int, seed: int) -> list[int]:
    """Rows of the failing photos nearest to the centres of k-means on frozen features of the failures."""
    rows = np.flatnonzero(proposing & material.val.errors)
    k = min(count, len(rows) // 10)
    if k < 1:
        return []
    features = material.embeddings[rows]
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    centres = KMeans(k, n_init=2, random_state=seed).fit(unit).cluster_centers_
    return sorted({int(rows[np.argmin(((unit - c) ** 2).sum(1))]) for c in centres})


def _parts(material: Material, space: Floats, proposing: Mask, seed: int) -> Floats:
    """What the error-aware mixture says of the proposing rows, [rows, components]."""
    if material.shares is None:
        return np.zeros((int(proposing.sum()), 0))
    val, shares = material.val, material.shares[proposing]
    return components(space[proposing], val.truth[proposing], shares, val.errors[proposing], seed)


def proposed(material: Material, proposing: Mask, knobs: Knobs, seed: int) -> list[Applied]:
    """Proposals from the rows `proposing` (bool [rows]), each laid over all of val with its chosen intervention."""
    val = material.val
    seeds = _prototypes(material, proposing, knobs.prototypes, seed)
    ids = [str(val.frame["image_id"].iloc[row]) for row in seeds]
    away = distances(material.embeddings, seeds)
    near = dict(zip(ids, away, strict=True))
    part = np.flatnonzero(proposing[val.probed])
    repairs, gains = np.zeros((2, len(val.frame), val.probe.after.shape[1]))
    repairs[val.probed[part]] = matched_residuals(val.probe.part(part))
    gains[val.probed] = val.probe.change * val.probe.weights[:, None]
    space = coordinates(val.frame, material.embeddings, proposing)
    evidence = Evidence(
        val.frame[proposing].reset_index(drop=True),
        val.errors[proposing],
        material.signatures[proposing],
        repairs[proposing],
        gains[proposing],
        tuple(ids),
        away[:, proposing],
        _parts(material, space, proposing, seed),
        knobs.least,
        seed,
        None if val.costs is None else val.losses[proposing],
    )
    found = []
    for proposal in propose(evidence, slices=knobs.slices, clusters=knobs.clusters, given=unmarked(evidence)):
        mask = proposal.rule.mask(val.frame, near)
        if proposal.rule.by_looks:
            told = in_numbers(val.frame, mask, proposing)
            proposal = replace(proposal, rule=replace(proposal.rule, numbers=told))
        label = proposal.rule.label
        alike = part if label is None else part[(val.frame["label"] == label).to_numpy()[val.probed[part]]]
        chosen = choose_intervention(val.probe.part(alike), mask[val.probed[alike]])
        found.append(Applied(proposal, mask, chosen, typicality(space, mask, val.errors, proposing)))
    return found


def overlap(a: Mask, b: Mask) -> float:
    """Photos that both admit, as a share of those that either does (Jaccard 1901); bool [rows] each."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def match(by_half: dict[int, list[Applied]], same: float) -> list[Slice]:
    """Join rules of the halves that admit mostly the same photos, which no outcome can sway; none is left out, since
    choosing by what both halves say would let a half choose what is tested on it."""
    every = [(half, found) for half, rules in by_half.items() for found in rules]
    slices: list[Slice] = []
    for half, found in sorted(every, key=lambda pair: -pair[1].proposal.score):
        label, mask = found.proposal.rule.label, found.mask
        overlaps = [
            overlap(mask, s.mask) if s.label == label and half not in s.halves else 0.0 for s in slices
        ]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= same:
            slices[best].halves[half] = found
        else:
            slices.append(Slice(label, mask, {half: found}))
    return sorted(slices, key=lambda s: -s.score)


def halves(fold: NDArray[np.intp]) -> NDArray[np.intp]:
    """Half 0 or 1 of each row: every other fold."""
    return np.asarray(np.unique(fold, return_inverse=True)[1].reshape(-1) % 2)


def tables(val: Val, slices: list[Slice], remedies: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The artifacts `slices` and `membership`; remedies: the rows of `dose_response`."""
    half, rules, members = halves(val.fold), [], []
    for rank, found in enumerate(slices, 1):
        name = f"s{rank}"
        by_fold = {int(f): found.halves[int(h)] for f, h in zip(val.fold, half, strict=True) if int(h) in found.halves}
        for fold, applied in sorted(by_fold.items()):
            remedy = remedies.iloc[applied.chosen] if applied.chosen is not None else None
            rules.append(
                {
                    "slice": name,
                    "rank": rank,
                    "fold": fold,
                    "source": applied.proposal.rule.source,
                    "rule": applied.proposal.rule.dump(),
                    "remedy": None if remedy is None else str(remedy["remedy"]),
                    "dose": np.nan if remedy is None else float(remedy["dose"]),
                    "recoverable": applied.proposal.recoverable,
                }
            )
            rows = np.flatnonzero(applied.mask & (val.fold == fold))
            ids = val.frame["image_id"].iloc[rows].to_list()
            members += [
                {"image_id": i, "slice": name, "fold": fold, "score": float(s)}
                for i, s in zip(ids, applied.score[rows], strict=True)
            ]
    columns = {
        "slice": "str",
        "rank": "int64",
        "fold": "int64",
        "source": "str",
        "rule": "str",
        "remedy": "str",
        "dose": "float64",
        "recoverable": "float64",
    }
    membership = {"image_id": "str", "slice": "str", "fold": "int64", "score": "float64"}
    return (
        pd.DataFrame(rules, columns=list(columns)).astype(columns),
        pd.DataFrame(members, columns=list(membership)).astype(membership),
    )


def crossed(material: Material, knobs: Knobs, seed: int, track: Track = silent) -> list[Slice]:
    """The slices, best first: each a rule of its own for each half of the folds that it was proposed for."""
    half = halves(material.val.fold)
    if len(np.unique(half)) < 2:
        return []
    found = {h: proposed(material, half != h, knobs, seed + h) for h in track((0, 1), total=2, what="halves")}
    return match(found, knobs.same)
