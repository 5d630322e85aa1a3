import re
from pathlib import Path

import pandas as pd

from pipeline.serving.monitoring.traffic_monitoring import monitor_traffic
from tests.arrivals import rows

HOSTILE = "<script>alert(1)</script>.jpg"


def _render(bundle_folder: Path, out: Path, table: pd.DataFrame, name: str) -> str:
    path = out.parent / f"{name}.parquet"
    table.to_parquet(path, index=False)
    monitor_traffic(bundle_folder, [path], out)
    return (out / "index.html").read_text(encoding="utf-8")


def test_page_is_one_offline_file_and_escapes_paths(bundle_folder: Path, tmp_path: Path) -> None:
    table = rows(dark=0.9)
    table.loc[table["decision"] == "decline", "path"] += HOSTILE
    html = _render(bundle_folder, tmp_path / "out", table, "a")
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r'(src|href)="https?:', html)
    assert '<b class="no">failed</b>' in html


def test_charts_of_the_history_begin_with_the_second_run(
    bundle_folder: Path, tmp_path: Path
) -> None:
    captions = (
        'aria-label="PSI of attributes, run by run"',
        'aria-label="Shares of declined, new and slice images, run by run"',
    )
    first = _render(bundle_folder, tmp_path / "out", rows(seed=5), "a")
    second = _render(bundle_folder, tmp_path / "out", rows(dark=0.9), "b")
    for caption in captions:
        assert caption not in first
        assert caption in second
    history = second[second.index("Largest PSI") :]
    assert history.count("champion <bdi>run1</bdi>") == 2
