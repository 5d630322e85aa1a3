"""Config, data fingerprint, versions, seed, stage times, test openings and notes of the run."""

from __future__ import annotations

import hashlib

from markupsafe import Markup

from pipeline.report.page_templates import render_template
from pipeline.report.report_page import ReportPage

TITLE = "Run details"
FINGERPRINT_DIGITS = 16


def render(page: ReportPage) -> Markup:
    """Return everything that is needed to run it again, and the notes of its stages."""
    stages = list(page.run_facts.get("stages", ()))
    return render_template(
        "run_details.html",
        run_id=page.run_id,
        seed=page.seed,
        fingerprint=compute_data_fingerprint(page),
        image_count=len(page.images),
        config=page.run_facts.get("config") or "",
        versions=dict(page.run_facts.get("versions") or {}),
        stages=stages,
        total_seconds=sum(float(stage.get("seconds") or 0.0) for stage in stages),
        notes=page.all_notes,
        opening=page["comparison"].get("opening"),
    )


def compute_data_fingerprint(page: ReportPage) -> str:
    """Return sixteen hexadecimal digits that change with any image, path or label."""
    columns = page.images[["image_id", "content_hash", "label"]].fillna("").astype("str")
    lines = columns.sort_values("image_id").agg("\t".join, axis=1)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:FINGERPRINT_DIGITS]
