import json
from pathlib import Path

import pandas as pd

from pipeline.serving.monitoring.traffic_monitoring import format_findings, monitor_traffic
from tests.arrivals import rows


def _written(table: pd.DataFrame, path: Path) -> Path:
    table.to_parquet(path, index=False)
    return path


def _broken(table: pd.DataFrame, n: int) -> pd.DataFrame:
    bad = pd.DataFrame({"path": [f"in/bad{k}.jpg" for k in range(n)], "decision": "error"})
    return pd.concat([table, bad], ignore_index=True)


def test_a_usual_night_and_a_dark_one_in_one_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    usual = _written(rows(seed=3), tmp_path / "a.parquet")
    dark = _written(rows(dark=0.9, light=0.5), tmp_path / "b.parquet")
    found = monitor_traffic(folder, [usual], out)
    assert all(item["passed"] for item in found["conditions"])
    assert json.loads((out / "monitor.json").read_text()) == found
    assert "Every condition holds." in (out / "index.html").read_text()
    found = monitor_traffic(folder, [dark], out, ["batch=7"])
    failed = {item["name"] for item in found["conditions"] if not item["passed"]}
    assert failed == {"max_psi", "max_new", "max_slice_rise", "max_decline_rise"}
    assert len(pd.read_csv(out / "batch.csv")) == 7
    past = pd.read_csv(out / "history.csv")
    assert past["failed"].fillna("").tolist() == [
        "",
        "max_psi; max_new; max_slice_rise; max_decline_rise",
    ]
    assert past["psi luminance"].iloc[1] > 3 * past["psi luminance"].iloc[0]
    assert past["beyond"].iloc[1] > 0.3
    told = "\n".join(format_findings(found))
    shown = [row for row in found["new"] if f"are {row['words']} beyond anything known" in told]
    assert shown == [row for row in found["new"] if row["q"] <= 0.05]
    assert len(shown) < len(found["new"]), "a image or two beyond the rest is what chance does"
    assert "are dark beyond anything known: luminance" in told
    assert "FAILED slices that grew: s1 " in told
    assert told.endswith("next labeling batch: 7 images")


def test_repeating_it_changes_no_file(folder: Path, tmp_path: Path) -> None:
    table = _written(rows(seed=3), tmp_path / "a.parquet")
    monitor_traffic(folder, [table], tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert set(before) == {"monitor.json", "index.html", "batch.csv", "history.csv"}
    monitor_traffic(folder, [table], tmp_path / "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_images_that_could_not_be_read_count_against_it_and_nothing_else(
    folder: Path, tmp_path: Path
) -> None:
    found = monitor_traffic(
        folder, [_written(_broken(rows(seed=3), 10), tmp_path / "a.parquet")], tmp_path / "out"
    )
    assert [item["name"] for item in found["conditions"] if not item["passed"]] == [
        "max_unreadable"
    ]
    assert (found["images"], found["rows"]) == (80, 90)


def test_nothing_readable_at_all_still_ends_in_a_page(folder: Path, tmp_path: Path) -> None:
    table = _broken(rows(3), 2).tail(2)
    found = monitor_traffic(
        folder, [_written(table.reset_index(drop=True), tmp_path / "a.parquet")], tmp_path / "out"
    )
    assert [item["name"] for item in found["conditions"] if not item["passed"]] == [
        "max_unreadable"
    ]
    assert found["batch"] == 0
    assert "not judged" in "\n".join(format_findings(found))
