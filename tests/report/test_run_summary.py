import json
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.report.report_page import ReportPage
from pipeline.report.run_summary import build_summary
from pipeline.report.sentences.slice_sentences import describe_slice
from pipeline.report.summary_schema import RunSummary
from tests.report.conftest import build_page


def test_the_summary_holds_the_whole_run(page: ReportPage) -> None:
    summary = build_summary(page)
    ARTIFACT_CONTRACTS["summary"].check_value("summary", summary, {})
    assert summary["schema"] == 2
    assert summary["verdict"]["promoted"] is True
    conditions = summary["verdict"]["conditions"]
    assert [(c["value"], c["passed"]) for c in conditions] == [
        (c["value"], c["passed"]) for c in page["verdict"]["conditions"]
    ]
    assert all(c["name"] and c["why"] for c in conditions)
    overall = page["comparison"]["test"]["arms"]["before"][0]["accuracy"]
    assert summary["metrics"]["test"]["accuracy"]["before"] == {
        k: overall[k] for k in ("value", "low", "high")
    }
    assert (
        summary["metrics"]["val"]["parts"][0]["gain"]["value"]
        == page["comparison"]["val"]["overall"]["gain"]["mean"]
    )
    assert summary["metrics"]["test"]["ece"]["after"] is not None
    assert summary["metrics"]["test"]["parts"][0]["over_generic"] is None, "no generic arm"
    first = summary["slices"][0]
    assert (first["words"], first["cause"], first["strength_low"], first["strength_high"]) == (
        describe_slice(page["explanations"].iloc[0]).sentence,
        "exposure",
        0.15,
        0.4,
    )
    assert set(first["image_ids"]) == set(page.slice_members["s1"])
    assert [d["strength"] for d in first["dose_response"]] == [0.25, 0.5, 1.0, 2.0, 3.0]
    assert summary["remedies"][0]["training"] == [
        {
            "remedy": "exposure",
            "simulator": None,
            "images": 240,
            "strength_low": 0.15,
            "strength_high": 0.4,
            "probability": 0.5,
            "tone_share": 0.0,
        }
    ]
    assert summary["data"]["rejected"] == 2
    assert summary["data"]["label_issues"] == 2
    assert {"stage": "ingest", "text": "two files were rejected"} in summary["notes"]


def test_the_summary_is_json_of_its_own_schema(page: ReportPage) -> None:
    text = json.dumps(build_summary(page), allow_nan=False)
    assert RunSummary.model_validate_json(text).run_id == "demo-1"
    with pytest.raises(ValidationError):
        RunSummary.model_validate(json.loads(text) | {"slices": [{"slice": "s1"}]})


def test_the_summary_holds_no_wall_clock_time_and_no_absolute_path(page: ReportPage) -> None:
    text = json.dumps(build_summary(page))
    assert page["comparison"]["opening"]["time"] not in text
    assert "seconds" not in text
    assert "8.21" not in text
    assert "/secret/" not in text


def test_a_resumed_run_that_reuses_its_opening_has_the_same_summary(made: dict[str, Any]) -> None:
    again = made["comparison"]["opening"] | {
        "time": "2031-01-01",
        "reused": True,
        "reason": "opened by this run before",
    }
    resumed = build_page(made | {"comparison": made["comparison"] | {"opening": again}})
    assert build_summary(resumed) == build_summary(build_page(made))


def test_a_run_without_slices(quiet: dict[str, Any]) -> None:
    summary = build_summary(build_page(quiet))
    assert summary["slices"] == []
    assert summary["metrics"]["val"]["accuracy"]["after"] is None
    assert summary["opening"] == {"opened": False, "number": None, "alpha": None, "test_id": None}
