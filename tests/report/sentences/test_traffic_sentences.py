from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.statuses import DriftObstacle, NovelSide, UnitBasis
from pipeline.report.sentences.traffic_sentences import (
    add_drift_texts,
    describe_condition,
    describe_unit_basis,
    format_findings,
)
from pipeline.report.sentences.untestable_sentences import describe_untestable
from pipeline.serving.monitoring.traffic_monitoring import monitor_traffic
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason
from tests.arrivals import bundle, rows

TOO_FEW = UntestableReason(UntestableKind.TOO_FEW_UNITS, 4, 10).build_record()


def _build_condition(name: str, value: float | None, **fields: Any) -> dict[str, Any]:
    condition = {"name": name, "value": value, "limit": 0.2, "passed": True}
    return {**condition, "exceeded": [], "untested_reason": None, **fields}


@pytest.mark.parametrize(
    ("condition", "finding"),
    [
        (_build_condition("max_psi", 0.0), "no change was shown"),
        (_build_condition("max_psi", 0.15), "largest 0.15"),
        (
            _build_condition("max_new", None, untested_reason=TOO_FEW),
            f"not judged: {describe_untestable(TOO_FEW)}",
        ),
        (_build_condition("max_unreadable", 0.0), "0.0\u202f%"),
    ],
)
def test_finding_of_a_condition_without_excess(condition: dict[str, Any], finding: str) -> None:
    assert f": {finding}; at most " in describe_condition(condition)


def test_exceeded_condition_names_each_finding_in_its_unit() -> None:
    exceeded = [{"label": "s1", "value": 0.31}, {"label": "s2", "value": 0.25}]
    text = describe_condition(_build_condition("max_slice_rise", 0.31, exceeded=exceeded))
    assert "s1 31.0\u202f%, s2 25.0\u202f%; at most 20.0\u202f% (max_slice_rise)" in text
    exceeded = [{"label": "luminance", "value": 0.314}]
    text = describe_condition(_build_condition("max_psi", 0.314, exceeded=exceeded))
    assert "luminance 0.31; at most 0.20 (max_psi)" in text
    exceeded = [{"label": "luminance", "side": NovelSide.BELOW, "value": 0.314}]
    text = describe_condition(_build_condition("max_new", 0.314, exceeded=exceeded))
    assert "dark 31.4" in text


def _add_novel_texts(**fields: Any) -> dict[str, Any]:
    row = {"attribute": "luminance", "side": NovelSide.BELOW, "known_bound": "12", "stray": 0}
    row |= {"known_units": 2_000, "reason": None} | fields
    empty = {"slices": [], "attributes": [], "conditions": []}
    drift = {"champion": "c", "reason": DriftObstacle.NO_NEW_IMAGE, "new": [row], **empty}
    (described,) = add_drift_texts(drift)["new"]
    return dict(described)


def test_a_novel_value_is_told_with_the_known_range() -> None:
    below = _add_novel_texts()
    assert below["words"] == "dark"
    assert below["where"].startswith("12 ")
    above = _add_novel_texts(side=NovelSide.ABOVE, stray=3)
    assert above["words"] == "bright"
    assert "3 of 2,000 units" in above["where"]
    apart = _add_novel_texts(attribute="hour", side=NovelSide.APART, known_bound=None)
    assert "hour" in apart["words"]
    assert apart["where"].endswith(" 1"), "a 24th of the clock"
    gone = _add_novel_texts(attribute="gone_away")
    assert "gone_away" in gone["words"]


def test_each_basis_and_obstacle_has_a_text_of_its_own() -> None:
    assert len({describe_unit_basis(basis) for basis in UnitBasis}) == len(UnitBasis)
    empty = {"slices": [], "attributes": [], "conditions": [], "new": []}
    texts = {add_drift_texts({**empty, "reason": reason})["why"] for reason in DriftObstacle}
    assert len(texts - {None}) == len(DriftObstacle)


def test_findings_list_only_new_values_that_chance_does_not_explain(tmp_path: Path) -> None:
    model = bundle(tmp_path / "model")
    rows(dark=0.9, light=0.5).to_parquet(tmp_path / "rows.parquet", index=False)
    findings = monitor_traffic(model, [tmp_path / "rows.parquet"], tmp_path / "out")
    lines = format_findings(findings)
    significant = [row for row in findings["new"] if row["q"] <= findings["alpha"]]
    assert 0 < len(significant) < len(findings["new"])
    assert sum("beyond anything known" in line for line in lines) == len(significant)
    failed = sum(not condition["passed"] for condition in findings["conditions"])
    assert sum(line.startswith("FAILED") for line in lines) == failed > 0
    assert lines[-1] == f"next labeling batch: {findings['batch']} images"
