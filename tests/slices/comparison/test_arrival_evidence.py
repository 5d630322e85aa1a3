"""Arrived groups as evidence: pipeline/slices/comparison/arrival_evidence.py."""

from __future__ import annotations

from pathlib import Path

from pipeline.slices.comparison.arrival_evidence import collect_arrival_evidence
from pipeline.statistics.arrivals.arrival_batch import ArrivalBatch
from pipeline.storage.arrival_ledger import hash_groups, record_batch
from pipeline.storage.artifact_store import hash_content

COMPARISON = {
    "alpha": 0.05,
    "margins": {"overall": 0.01, "by_class": 0.03, "max_loss_probability": 0.5},
}


def test_batches_of_these_models_and_new_groups_alone_count(tmp_path: Path) -> None:
    run_path = tmp_path / "runs" / "run1"
    run_path.mkdir(parents=True)
    weights = (tmp_path / "new", tmp_path / "old")
    for path in weights:
        path.write_text(path.name)
    assert collect_arrival_evidence(run_path, COMPARISON, weights, []) is None
    names = [f"g{k}" for k in range(50)]
    batch = ArrivalBatch(hash_groups(names), [0.5] * 50, [0.5] * 50, 1.0, 1.0, 50, [])
    for number, challenger in enumerate(("another", hash_content(weights[0]))):
        entry = {"batch": str(number), "challenger": challenger, "evidence": batch.build_record()}
        record_batch(run_path.parent, "run1", entry | {"incumbent": hash_content(weights[1])})
    found = collect_arrival_evidence(run_path, COMPARISON, weights, names[:20])
    assert found is not None
    assert (found["batches"], found["groups"], found["needed"]) == (1, 30, 40.0)
    assert found["gain"] == 0.5
    assert found["evidence_gain"] > 40
