"""What made this page: run, config, data fingerprint, versions, seed, stage times, test openings, notes."""

from __future__ import annotations

import hashlib

from markupsafe import Markup

from pipeline.report.report_page import ReportPage, render_template

TITLE = "This run"


def render(page: ReportPage) -> Markup:
    """Everything that is needed to make the run again, and what was odd on the way."""
    stages = [dict(stage) for stage in page.run_facts.get("stages", ())]
    return render_template(
        "run_details.html",
        run_id=page.run_id,
        seed=page.seed,
        data=compute_data_fingerprint(page),
        n=len(page.images),
        config=page.run_facts.get("config") or "",
        versions=dict(page.run_facts.get("versions") or {}),
        stages=stages,
        total=sum(float(stage.get("seconds") or 0.0) for stage in stages),
        notes=page.all_notes,
        opening=page["comparison"].get("opening"),
        model=page["training"],
    )


def compute_data_fingerprint(page: ReportPage) -> str:
    """Sixteen hexadecimal digits that change with any image, path or label of the data set."""
    rows = page.images[["image_id", "content_hash", "label"]].fillna("").sort_values("image_id")
    return hashlib.sha256(
        "\n".join("\t".join(map(str, row)) for row in rows.to_numpy()).encode()
    ).hexdigest()[:16]
