"""`summary`: the run's result for machines, under a schema with a version. It holds no wall-clock time.

`Summary.model_json_schema()` is the schema; shares are in [0, 1], differences of shares in [-1, 1], null is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.report import slice_cards as view
from pipeline.report import verdict_rows as r
from pipeline.report.report_page import ReportPage, unwrap_row
from pipeline.report.sections.run_details import compute_data_fingerprint
from pipeline.report.summary_schema import (
    SCHEMA_VERSION,
    CalibrationSummary,
    ComparedSubset,
    ConfusionCell,
    DataSummary,
    GainInterval,
    PlannedRemedy,
    PowerEstimate,
    RemedySummary,
    RunSummary,
    SealedTestOpening,
    ShareInterval,
    SliceSummary,
    SplitMetrics,
    StrengthResponse,
    VerdictSummary,
)
from pipeline.statistics.classification_metrics import score_classes

_ARM_NAMES = (("before", "before"), ("control", "control"), ("after", "targeted"))


def _build_share(estimate: Mapping[str, Any] | None) -> ShareInterval | None:
    return (
        ShareInterval(value=estimate["value"], low=estimate["low"], high=estimate["high"])
        if estimate
        else None
    )


def _build_gain(gain: Mapping[str, Any] | None) -> GainInterval | None:
    if not gain:
        return None
    kept = {k: gain[k] for k in ("low", "high", "bound", "within_noise", "seeds")}
    return GainInterval(value=gain["mean"], **kept)


def _build_subset(row: Mapping[str, Any]) -> ComparedSubset:
    arms: dict[str, Any] = {name: _build_share(row[arm]) for name, arm in _ARM_NAMES}
    kept = {k: row[k] for k in ("what", "slice", "n", "groups")}
    arms |= {
        "generic": _build_share(row["generic"]),
        "over_generic": _build_gain(row["over_generic"]),
    }
    return ComparedSubset(**kept, **arms, gain=_build_gain(row["gain"]))


def _build_split(page: ReportPage, split_name: str, record: Mapping[str, Any]) -> SplitMetrics:
    first = {name: (record["arms"].get(arm) or [None])[0] for name, arm in _ARM_NAMES}
    return SplitMetrics(
        n=record["n"],
        groups=record["groups"],
        alpha=record["alpha"],
        accuracy={
            name: _build_share(scores["accuracy"]) if scores else None
            for name, scores in first.items()
        },
        macro_f1={name: scores["macro_f1"] if scores else None for name, scores in first.items()},
        ece={
            name: scores["calibration"]["ece"] if scores else None for name, scores in first.items()
        },
        parts=[
            _build_subset(row)
            for row in r.build_comparison_rows(page)
            if row["split"] == split_name
        ],
    )


def _build_dose_response(page: ReportPage, row: Mapping[str, Any]) -> list[StrengthResponse]:
    remedy = row["cause"] or row["remedy"]
    if remedy is None:
        return []
    table = view.build_dose_response_table(page, row["slice"], remedy)
    return [
        StrengthResponse(remedy=remedy, **unwrap_row(line)) for line in table.to_dict("records")
    ]


def _build_slice(page: ReportPage, row: Mapping[str, Any]) -> SliceSummary:
    errors = view.compute_slice_errors(page, row["slice"])
    return SliceSummary(
        **{
            k: row[k]
            for k in SliceSummary.model_fields
            if k in row and k not in ("excess", "effect")
        },
        excess=ShareInterval(value=row["excess"], low=row["low"], high=row["high"]),
        effect=ShareInterval(value=row["effect"], low=row["effect_low"], high=row["effect_high"]),
        error_before=errors["before"],
        error_control=errors["control"] if page.has_repaired_model else None,
        error_after=errors["after"] if page.has_repaired_model else None,
        dose_response=_build_dose_response(page, row),
        image_ids=sorted(page.slice_members.get(row["slice"], [])),
        review=view.find_review_decision(page, row)["decision"],
    )


def _build_remedy(page: ReportPage, prescription: Mapping[str, Any]) -> RemedySummary:
    repair = view.summarize_remedy(page, prescription["slice"])
    kept = {k: prescription[k] for k in ("slice", "kind", "action")}
    return RemedySummary(
        **kept,
        training=[PlannedRemedy(**p) for p in repair["plan"]],
        correction=repair["correction"],
    )


def _build_data_summary(page: ReportPage) -> DataSummary:
    pairs = page["duplicates"]
    return DataSummary(
        fingerprint=compute_data_fingerprint(page),
        images=len(page.images),
        classes=page.class_names,
        splits={str(k): int(v) for k, v in sorted(page.images["split"].value_counts().items())},
        rejected=len(page["rejected"]),
        duplicates=len(pairs),
        leaks=int(pairs["across_splits"].astype(bool).sum()),
        label_issues=len(page["label_issues"]),
    )


def _build_confusion_cells(page: ReportPage) -> list[ConfusionCell]:
    cells = zip(*np.nonzero(page.confusion_matrices[0] + page.confusion_matrices[1]), strict=True)
    names, (before, after) = page.class_names, page.confusion_matrices
    return [
        ConfusionCell(
            true=names[i], predicted=names[j], before=int(before[i, j]), after=int(after[i, j])
        )
        for i, j in cells
    ]


def _build_class_rows(page: ReportPage) -> list[dict[str, Any]]:
    rows = zip(
        *(score_classes(counts, page.class_names) for counts in page.confusion_matrices),
        strict=True,
    )
    return [{"name": a["name"], "before": _drop_name(a), "after": _drop_name(b)} for a, b in rows]


def _drop_name(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "name"}


def _build_calibration(page: ReportPage) -> CalibrationSummary:
    record, rule = page["metrics"].get("calibration") or {}, page["policy"].get("decline") or {}
    return CalibrationSummary(
        ece=record.get("ece"),
        temperature=record.get("temperature"),
        bins=record.get("bins") or [],
        decline=rule,
    )


def build_summary(page: ReportPage) -> dict[str, Any]:
    """The summary as JSON."""
    verdict, opening = page["verdict"], page["comparison"]["opening"] or {}
    summary = RunSummary(
        schema=SCHEMA_VERSION,
        run_id=page.run_id,
        seed=page.seed,
        verdict=VerdictSummary(
            promoted=verdict["promoted"],
            word=r.choose_outcome_word(page),
            headline=verdict["headline"],
            outcome=page["comparison"].get("outcome"),
            conditions=verdict["conditions"],
            limits=verdict.get("limits", []),
        ),
        metrics={
            key: _build_split(page, key, record) for key, _, record in r.list_compared_splits(page)
        },
        slices=[_build_slice(page, row) for row in page.slices],
        remedies=[_build_remedy(page, p) for p in page["policy"]["prescriptions"]],
        refused=page["policy"]["refused"],
        shortcuts=[unwrap_row(row) for row in page["shortcuts"].to_dict("records")],
        changes={str(k): int(v) for k, v in sorted(page.flips["change"].value_counts().items())},
        confusion=_build_confusion_cells(page),
        classes=_build_class_rows(page),
        calibration=_build_calibration(page),
        opening=SealedTestOpening(
            opened=bool(opening.get("opened")),
            number=opening.get("number") if opening.get("opened") else None,
            alpha=opening.get("alpha"),
            test_id=opening.get("test_id"),
        ),
        power=[
            PowerEstimate(**{k: row[k] for k in PowerEstimate.model_fields})
            for row in page["comparison"]["power"]
        ],
        data=_build_data_summary(page),
        drift=page["drift"],
        followed=page["followed"]["slices"],
        notes=page.all_notes,
    )
    return summary.model_dump(mode="json", by_alias=True)
