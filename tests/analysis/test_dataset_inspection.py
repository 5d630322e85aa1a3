"""`nightshift datasets check` from end to end: pipeline/analysis/dataset_inspection.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from pipeline.analysis.dataset_inspection import inspect_dataset
from pipeline.cli.app import app

RUNNER = CliRunner()


def _images(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for n in range(25):
            coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            pixels = cv2.resize(coarse, (60, 60), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(
                str(root / label / f"{n}.png"),
                cv2.GaussianBlur(pixels, (0, 0), 9) if n == 3 else pixels,
            )
    return root


def test_text_json_page_and_exit_code(tmp_path: Path) -> None:
    data, page = _images(tmp_path / "images"), tmp_path / "out" / "check.html"
    good = RUNNER.invoke(app, ["datasets", "check", str(data), "--html", str(page)])
    assert good.exit_code == 0, good.output
    assert good.stdout.splitlines()[-1] == str(page)
    assert "50 images of 50 entries" in good.stdout
    html = page.read_text(encoding="utf-8")
    assert "Every condition holds." in html
    assert "<style>" in html
    assert not re.search(r'(src|href)="https?:', html)
    (data / "cat" / "broken.jpg").touch()
    bad = RUNNER.invoke(app, ["datasets", "check", str(data), "--json"])
    assert bad.exit_code == 1
    result = json.loads(bad.stdout)
    assert [c["name"] for c in result["conditions"] if not c["passed"]] == ["max_rejected"]
    assert result["light"]["all"]["blurred"] == 0.04
    assert RUNNER.invoke(app, ["datasets", "check", str(data), "max_rejected=0.1"]).exit_code == 0


def test_a_config_sets_how_the_data_is_read(tmp_path: Path) -> None:
    data = _images(tmp_path / "images")
    rows = [f"{label}/{n}.png,{label},s{n}" for label in ("cat", "dog") for n in range(25)]
    (data / "metadata.csv").write_text("\n".join(["file_name,kind,session", *rows]))
    (tmp_path / "c.yaml").write_text("ingest: {label: kind, group: session}\n")
    result = inspect_dataset(data, [], tmp_path / "c.yaml")
    assert (result["leaks"]["groups"], result["classes"]) == (25, {"cat": 25, "dog": 25})
