import re
from pathlib import Path

import pandas as pd

from pipeline.serving.monitoring.traffic_monitoring import monitor_traffic
from tests.arrivals import rows

HOSTILE = "<script>alert(1)</script>.jpg"


def _page(folder: Path, out: Path, table: pd.DataFrame, name: str) -> str:
    table.to_parquet(out.parent / f"{name}.parquet", index=False)
    monitor_traffic(folder, [out.parent / f"{name}.parquet"], out)
    return (out / "index.html").read_text(encoding="utf-8")


def test_the_page_is_one_offline_file_and_escapes_what_it_tells(
    folder: Path, tmp_path: Path
) -> None:
    table = rows(dark=0.9)
    table.loc[table["decision"] == "decline", "path"] += HOSTILE
    html = _page(folder, tmp_path / "out", table, "a")
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r'(src|href)="https?:', html)
    assert '<b class="no">failed</b>' in html
    assert "This is the first time" in html


def test_the_second_time_it_draws_the_history(folder: Path, tmp_path: Path) -> None:
    _page(folder, tmp_path / "out", rows(seed=5), "a")
    html = _page(folder, tmp_path / "out", rows(dark=0.9), "b")
    assert 'aria-label="PSI of attributes, run by run"' in html
    assert 'aria-label="Shares of declined, new and slice images, run by run"' in html
    assert html.count('<th scope="row">20') >= 2
