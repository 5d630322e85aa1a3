from typing import Any

from pipeline.report.run_trends import group_trends


def _build_row(run_id: str, followed: list[Any]) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "val_before": 0.8,
        "val_after": None,
        "slices": [],
        "followed": followed,
    }


def test_each_slice_has_its_error_rate_over_the_runs() -> None:
    track = {
        "title": "Too dark",
        "state": "shrinking",
        "history": [{"error": {"value": share}} for share in (0.5, None, 0.2)],
    }
    rows = [
        _build_row(f"2026030{day}-224001-gate", [track, {"title": "damaged"}, 7]) for day in (2, 1)
    ]
    (trend,) = group_trends(rows)
    (row,) = trend["slices"]
    assert (row["title"], row["state"]) == ("Too dark", "shrinking")
    assert row["words"].replace("\u202f", " ") == "50 % → 20 %"
    assert trend["name"] == "gate"


def test_one_run_is_no_trend() -> None:
    assert group_trends([_build_row("20260301-224001-gate", [])]) == []
