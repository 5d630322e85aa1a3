from pathlib import Path
from typing import Any

import pytest

from pipeline.report.sentences.traffic_sentences import describe_condition, format_findings
from pipeline.serving.monitoring.traffic_monitoring import monitor_traffic
from tests.arrivals import bundle, rows


def _build_condition(name: str, value: float | None, **fields: Any) -> dict[str, Any]:
    condition = {"name": name, "value": value, "limit": 0.2, "passed": True}
    return {**condition, "exceeded": [], "untested_reason": None, **fields}


@pytest.mark.parametrize(
    ("condition", "finding"),
    [
        (_build_condition("max_psi", 0.0), "no change was shown"),
        (_build_condition("max_psi", 0.15), "largest 0.15"),
        (_build_condition("max_new", None, untested_reason="4 units"), "not judged: 4 units"),
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
