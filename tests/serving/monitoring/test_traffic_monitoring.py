import json
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.serving.monitoring.traffic_monitoring import monitor_traffic
from tests.arrivals import rows


def _write(table: pd.DataFrame, path: Path) -> Path:
    table.to_parquet(path, index=False)
    return path


def _add_unreadable(table: pd.DataFrame, count: int) -> pd.DataFrame:
    paths = [f"in/bad{k}.jpg" for k in range(count)]
    unreadable = pd.DataFrame({"path": paths, "decision": "error", "model": "run1"})
    return pd.concat([table, unreadable], ignore_index=True)


def _list_failed(findings: dict[str, Any]) -> list[str]:
    return [item["name"] for item in findings["conditions"] if not item["passed"]]


def test_dark_traffic_fails_and_usual_traffic_does_not(bundle_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    usual = _write(rows(seed=3), tmp_path / "a.parquet")
    dark = _write(rows(dark=0.9, light=0.5), tmp_path / "b.parquet")
    findings = monitor_traffic(bundle_folder, [usual], out)
    assert _list_failed(findings) == []
    assert json.loads((out / "monitor.json").read_text()) == findings
    findings = monitor_traffic(bundle_folder, [dark], out, ["batch=7"])
    failed = ["max_psi", "max_new", "max_slice_rise", "max_decline_rise"]
    assert _list_failed(findings) == failed
    assert findings["batch"] == 7
    assert len(pd.read_csv(out / "batch.csv")) == 7
    history = pd.read_csv(out / "history.csv")
    assert history["failed"].fillna("").tolist() == ["", "; ".join(failed)]
    assert history["psi luminance"].iloc[1] > 3 * history["psi luminance"].iloc[0]
    assert history["novel"].iloc[1] > 0.3


def test_repetition_changes_no_file(bundle_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = _write(rows(seed=3), tmp_path / "a.parquet")
    monitor_traffic(bundle_folder, [table], out)
    before = {path.name: path.read_bytes() for path in out.glob("[!.]*")}
    assert set(before) == {"monitor.json", "index.html", "batch.csv", "history.csv"}
    monitor_traffic(bundle_folder, [table], out)
    assert {path.name: path.read_bytes() for path in out.glob("[!.]*")} == before


def test_unreadable_images_fail_only_their_own_condition(
    bundle_folder: Path, tmp_path: Path
) -> None:
    path = _write(_add_unreadable(rows(seed=3), 10), tmp_path / "a.parquet")
    findings = monitor_traffic(bundle_folder, [path], tmp_path / "out")
    assert _list_failed(findings) == ["max_unreadable"]
    assert (findings["images"], findings["rows"]) == (80, 90)


def test_traffic_without_a_readable_image_still_has_a_page(
    bundle_folder: Path, tmp_path: Path
) -> None:
    unreadable = _add_unreadable(rows(3), 2).tail(2).reset_index(drop=True)
    path = _write(unreadable, tmp_path / "a.parquet")
    findings = monitor_traffic(bundle_folder, [path], tmp_path / "out")
    assert _list_failed(findings) == ["max_unreadable"]
    assert findings["batch"] == 0
    assert findings["novel_share"] is None
    decline = next(c for c in findings["conditions"] if c["name"] == "max_decline_rise")
    assert decline["value"] is None
    assert (tmp_path / "out" / "index.html").is_file()
