"""The artifact `summary`: the run's result for machines, under a schema with a version.

`RunSummary.model_json_schema()` is the schema. Shares are in [0, 1], differences of shares in
[-1, 1]; null is unknown. It holds no wall-clock time, so that a resumed run gives the same summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.data.quality.reach_forecast import forecast_reach
from pipeline.report.figures.dose_response_charts import build_dose_response_table
from pipeline.report.report_page import ReportPage, unwrap_rows
from pipeline.report.sections.run_details import compute_data_fingerprint
from pipeline.report.sentences.comparison_sentences import describe_power_question
from pipeline.report.sentences.conditions.change_rows import build_change_rows
from pipeline.report.sentences.conditions.ladder_sentences import build_ladder_rows
from pipeline.report.sentences.gate_sentences import (
    compose_headline,
    describe_caveat,
    describe_condition,
)
from pipeline.report.sentences.traffic_sentences import add_drift_texts
from pipeline.report.sentences.trend_sentences import add_trend_texts
from pipeline.report.sentences.verdict_rows import (
    build_comparison_rows,
    choose_outcome_text,
    list_compared_splits,
)
from pipeline.report.slice_cards import compute_slice_errors, find_review_decision, summarize_remedy
from pipeline.report.slice_schema import ShareInterval, SliceSummary, SliceTrend, StrengthResponse
from pipeline.report.summary_schema import (
    SCHEMA_VERSION,
    CalibrationSummary,
    ComparedSubset,
    ConfusionCell,
    DataSummary,
    GainInterval,
    PartChange,
    PlannedRemedy,
    PowerEstimate,
    ReachEstimate,
    RemedySummary,
    RunSummary,
    SealedTestOpening,
    SeedStages,
    SplitMetrics,
    VerdictSummary,
)
from pipeline.report.verdict_facts import summarize_verdict
from pipeline.statistics.classification.classification_metrics import score_classes

_ARM_BY_KEY = {"before": "before", "control": "control", "after": "targeted"}


def _build_share(estimate: Mapping[str, Any] | None) -> ShareInterval | None:
    if not estimate:
        return None
    return ShareInterval(value=estimate["value"], low=estimate["low"], high=estimate["high"])


def _build_gain(gain: Mapping[str, Any] | None) -> GainInterval | None:
    if not gain:
        return None
    return GainInterval(
        value=gain["mean"],
        low=gain["low"],
        high=gain["high"],
        bound=gain["bound"],
        within_noise=gain["within_noise"],
        seeds=gain["seeds"],
    )


def _build_subset(row: Mapping[str, Any]) -> ComparedSubset:
    return ComparedSubset(
        what=row["subset_kind"],
        slice=row["slice"],
        n=row["n"],
        groups=row["groups"],
        before=_build_share(row["before"]),
        control=_build_share(row["control"]),
        after=_build_share(row["targeted"]),
        gain=_build_gain(row["gain"]),
        generic=_build_share(row["generic"]),
        over_generic=_build_gain(row["over_generic"]),
    )


def _build_split(page: ReportPage, split_name: str, record: Mapping[str, Any]) -> SplitMetrics:
    accuracy: dict[str, ShareInterval | None] = {}
    macro_f1: dict[str, float | None] = {}
    calibration_error: dict[str, float | None] = {}
    for key, arm in _ARM_BY_KEY.items():
        seeds = record["arms"].get(arm)
        scores = seeds[0] if seeds else None
        accuracy[key] = _build_share(scores["accuracy"]) if scores else None
        macro_f1[key] = scores["macro_f1"] if scores else None
        calibration_error[key] = scores["calibration"]["ece"] if scores else None
    rows = [row for row in build_comparison_rows(page) if row["split"] == split_name]
    return SplitMetrics(
        n=record["n"],
        groups=record["groups"],
        alpha=record["alpha"],
        accuracy=accuracy,
        macro_f1=macro_f1,
        ece=calibration_error,
        parts=list(map(_build_subset, rows)),
    )


def _build_dose_response(
    page: ReportPage, explanation: Mapping[str, Any]
) -> list[StrengthResponse]:
    remedy = explanation["cause"] or explanation["remedy"]
    if remedy is None:
        return []
    table = build_dose_response_table(page, explanation["slice"], remedy)
    return [StrengthResponse(remedy=remedy, **row) for row in unwrap_rows(table)]


def _build_slice(page: ReportPage, explanation: Mapping[str, Any]) -> SliceSummary:
    errors = compute_slice_errors(page, explanation["slice"])
    values = {key: explanation[key] for key in SliceSummary.model_fields if key in explanation}
    values["excess"] = ShareInterval(
        value=explanation["excess"], low=explanation["low"], high=explanation["high"]
    )
    values["effect"] = ShareInterval(
        value=explanation["effect"], low=explanation["effect_low"], high=explanation["effect_high"]
    )
    return SliceSummary(
        **values,
        error_before=errors["before"],
        error_control=errors["control"] if page.has_targeted_arm else None,
        error_after=errors["after"] if page.has_targeted_arm else None,
        dose_response=_build_dose_response(page, explanation),
        image_ids=sorted(page.slice_members.get(explanation["slice"], [])),
        review=find_review_decision(page, explanation)["decision"],
    )


def _build_remedy(page: ReportPage, prescription: Mapping[str, Any]) -> RemedySummary:
    remedy = summarize_remedy(page, prescription["slice"])
    return RemedySummary(
        slice=prescription["slice"],
        kind=prescription["kind"],
        action=remedy["action"],
        training=[PlannedRemedy(**treatment) for treatment in remedy["plan"]],
        correction=remedy["correction"],
    )


def _build_data_summary(page: ReportPage) -> DataSummary:
    pairs = page["duplicates"]
    return DataSummary(
        fingerprint=compute_data_fingerprint(page),
        images=len(page.images),
        classes=page.class_names,
        splits={str(split): int(n) for split, n in _count_sorted(page.images["split"])},
        rejected=len(page["rejected"]),
        duplicates=len(pairs),
        leaks=int(pairs["across_splits"].astype(bool).sum()),
        label_issues=len(page["label_issues"]),
    )


def _count_sorted(values: Any) -> list[tuple[Any, Any]]:
    return sorted(values.value_counts().items())


def _build_confusion_cells(page: ReportPage) -> list[ConfusionCell]:
    before, after = page.confusion_matrices
    cells = []
    for label, predicted in np.argwhere(before + after).tolist():
        cells.append(
            ConfusionCell(
                true=page.class_names[label],
                predicted=page.class_names[predicted],
                before=int(before[label, predicted]),
                after=int(after[label, predicted]),
            )
        )
    return cells


def _build_class_rows(page: ReportPage) -> list[dict[str, Any]]:
    before, after = page.confusion_matrices
    rows = []
    for scores_before, scores_after in zip(
        score_classes(before, page.class_names), score_classes(after, page.class_names), strict=True
    ):
        name = scores_before.pop("name")
        scores_after.pop("name")
        rows.append({"name": name, "before": scores_before, "after": scores_after})
    return rows


def _build_calibration(page: ReportPage) -> CalibrationSummary:
    record = page["metrics"].get("calibration") or {}
    return CalibrationSummary(
        ece=record.get("ece"),
        temperature=record.get("temperature"),
        bins=record.get("bins") or [],
        decline=page["policy"].get("decline") or {},
    )


def _build_verdict(page: ReportPage) -> VerdictSummary:
    verdict, outcome = page["verdict"], page["comparison"].get("outcome")
    return VerdictSummary(
        promoted=verdict["promoted"],
        word=choose_outcome_text(verdict["promoted"], outcome),
        headline=compose_headline(verdict).text,
        plain=summarize_verdict(page).text,
        outcome=outcome,
        champion=page["comparison"]["champion"],
        conditions=[_build_condition(condition) for condition in verdict["conditions"]],
        data_faults=page.data_faults,
        limits=[describe_caveat(limit) for limit in verdict["limits"]],
    )


def _build_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    text = describe_condition(condition)
    return {
        "id": condition["condition"],
        "name": text.name,
        "value": condition["value"],
        "threshold": condition["threshold"],
        "passed": condition["passed"],
        "why": text.reason,
        "evidence": text.evidence_link,
    }


def _build_opening(page: ReportPage) -> SealedTestOpening:
    opening = page["comparison"]["opening"] or {}
    is_opened = bool(opening.get("opened"))
    return SealedTestOpening(
        opened=is_opened,
        number=opening.get("number") if is_opened else None,
        alpha=opening.get("alpha"),
        test_id=opening.get("test_id"),
    )


def _build_power_estimate(row: Mapping[str, Any]) -> PowerEstimate:
    numbers = {key: row[key] for key in PowerEstimate.model_fields if key != "test"}
    return PowerEstimate(test=describe_power_question(row), **numbers)


def _build_reach_estimates(page: ReportPage) -> list[ReachEstimate]:
    """Return the reach of the test for planned slices and for each kind of image."""
    estimates = []
    for row in page["policy"].get("test_reach") or []:
        estimates.append(ReachEstimate(what="slice", value=row["slice"], **_pick_reach(row)))
    for item in forecast_reach(page["images"], page["splits"]["split"]):
        numbers = _pick_reach(item.build_record())
        estimates.append(ReachEstimate(what=item.column, value=item.value, **numbers))
    return estimates


def _pick_reach(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("images", "groups", "detectable")}


def _build_seed_stages(page: ReportPage) -> SeedStages | None:
    seeds = page["comparison"].get("seeds")
    return SeedStages(**seeds, base_passes=page["training"]["passes"]) if seeds else None


def build_summary(page: ReportPage) -> dict[str, Any]:
    """Return the summary as JSON."""
    metrics = {}
    for split, _, record in list_compared_splits(page):
        metrics[split] = _build_split(page, split, record)
    summary = RunSummary(
        schema=SCHEMA_VERSION,
        run_id=page.run_id,
        seed=page.seed,
        verdict=_build_verdict(page),
        metrics=metrics,
        by_part=[PartChange(**row) for row in build_change_rows(page["comparison"])],
        slices=[_build_slice(page, row) for row in page.slices],
        remedies=[_build_remedy(page, row) for row in page["policy"]["prescriptions"]],
        ladder=build_ladder_rows(page["comparison"].get("ladder") or []),
        seeds=_build_seed_stages(page),
        real_images=(page["comparison"].get("real_images") or {}).get("halves") or [],
        refused=page["policy"]["refused"],
        look_alikes=page["policy"].get("look_alikes"),
        shortcuts=unwrap_rows(page["shortcuts"]),
        class_slices=unwrap_rows(page["class_slices"]),
        changes={str(change): int(n) for change, n in _count_sorted(page.flips["change"])},
        confusion=_build_confusion_cells(page),
        classes=_build_class_rows(page),
        calibration=_build_calibration(page),
        opening=_build_opening(page),
        power=list(map(_build_power_estimate, page["comparison"]["power"])),
        test_reach=_build_reach_estimates(page),
        data=_build_data_summary(page),
        drift=add_drift_texts(page["drift"]),
        followed=[SliceTrend(**add_trend_texts(record)) for record in page["followed"]["slices"]],
        notes=page.all_notes,
    )
    return summary.model_dump(mode="json", by_alias=True)
