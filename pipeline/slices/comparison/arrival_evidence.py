"""The labeled groups that arrived after a candidate was trained, as evidence for the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.statistics.arrivals.arrival_batch import ArrivalBatch
from pipeline.statistics.arrivals.arrival_verdict import judge_arrivals
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.storage.arrival_ledger import hash_groups, read_batches
from pipeline.storage.artifact_store import hash_content
from pipeline.storage.test_ledger import compute_opening_alpha


def collect_arrival_evidence(
    run_path: Path, comparison: Mapping[str, Any], weights: tuple[Path, Path], groups: Iterable[str]
) -> dict[str, Any] | None:
    """Return what labeled groups that arrived since show of candidate and model in force.

    Batches of other models do not count, nor do groups of this run's images.

    Args:
        run_path: folder of the run that trained the candidate.
        comparison: the artifact of that name.
        weights: files of the candidate and of the model in force.
        groups: groups of this run's images.

    Returns:
        The record of an `ArrivalVerdict`; None without a batch of these models.
    """
    entries = read_batches(run_path.parent, run_path.name)
    if not entries:
        return None
    pair = tuple(hash_content(path) for path in weights)
    batches = []
    for entry in entries:
        if (entry["challenger"], entry["incumbent"]) == pair:
            batches.append(ArrivalBatch.parse_record(entry["evidence"]))
    if not batches:
        return None
    margins = comparison["margins"]
    verdict = judge_arrivals(
        batches,
        compute_opening_alpha(comparison["alpha"], 1),
        hash_groups(set(groups)),
        HarmMargins(margins["overall"], margins["by_class"], margins["max_loss_probability"]),
    )
    return verdict.build_record()
