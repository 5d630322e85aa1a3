"""Sentences on labels: pipeline/report/sentences/label_sentences.py."""

from __future__ import annotations

from pipeline.report.sentences.label_sentences import describe_label_batch, describe_label_evidence


def test_counts_of_a_batch_are_stated() -> None:
    counts = {"images": 4000, "disagreements": 120, "inside": 90, "labels": 50, "unreadable": 2}
    text = "\n".join(describe_label_batch(counts))
    for part in ("4,000 images", "120", "90 of them inside", "50 images to label", "2 images can"):
        assert part in text


def test_gains_have_signs_and_intervals() -> None:
    interval = {"value": 0.021, "low": -0.005, "high": 0.047}
    evidence = {"labels": 40, "drawn": 50, "gain": interval, "gain_inside": interval}
    evidence |= {"recorded": True, "run_id": "run1"}
    unknown = {"value": None, "low": None, "high": None}
    text = "\n".join(
        describe_label_evidence(evidence | {"challenger": interval, "incumbent": unknown})
    )
    assert "40 of 50 labels" in text
    assert "+2.1 points (-0.5 to +4.7, 95 %)" in text
    assert "unknown: no image" in text
    assert "nightshift stage promote --run run1" in text


def test_a_batch_of_a_run_elsewhere_is_not_recorded() -> None:
    interval = {"value": 0.021, "low": -0.005, "high": 0.047}
    evidence = {"labels": 1, "drawn": 2, "recorded": False, "run_id": "run1"}
    evidence |= dict.fromkeys(("gain", "gain_inside", "challenger", "incumbent"), interval)
    assert "not recorded: run run1" in "\n".join(describe_label_evidence(evidence))
