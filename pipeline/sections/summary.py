"""`summary`: the run's result for machines, under a schema with a version. It holds no wall-clock time.

`Summary.model_json_schema()` is the schema; shares are in [0, 1], differences of shares in [-1, 1], null is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.evidence.scores import by_class
from pipeline.sections import Page, plain
from pipeline.sections import results as r
from pipeline.sections import slice_view as view
from pipeline.sections.identity import fingerprint
from pipeline.sections.summary_schema import (
    VERSION,
    Calibration,
    Confusion,
    Data,
    Dose,
    Gain,
    Opening,
    Part,
    Planned,
    Power,
    Remedy,
    Share,
    Slice,
    Split,
    Summary,
    Verdict,
)

_ARMS = (("before", "before"), ("control", "control"), ("after", "targeted"))


def _share(part: Mapping[str, Any] | None) -> Share | None:
    return Share(value=part["value"], low=part["low"], high=part["high"]) if part else None


def _gain(gain: Mapping[str, Any] | None) -> Gain | None:
    if not gain:
        return None
    kept = {k: gain[k] for k in ("low", "high", "bound", "within_noise", "seeds")}
    return Gain(value=gain["mean"], **kept)


def _part(row: Mapping[str, Any]) -> Part:
    arms: dict[str, Any] = {name: _share(row[arm]) for name, arm in _ARMS}
    kept = {k: row[k] for k in ("what", "slice", "n", "groups")}
    arms |= {"generic": _share(row["generic"]), "over_generic": _gain(row["over_generic"])}
    return Part(**kept, **arms, gain=_gain(row["gain"]))


def _split(page: Page, key: str, record: Mapping[str, Any]) -> Split:
    first = {name: (record["arms"].get(arm) or [None])[0] for name, arm in _ARMS}
    return Split(
        n=record["n"],
        groups=record["groups"],
        alpha=record["alpha"],
        accuracy={name: _share(scores["accuracy"]) if scores else None for name, scores in first.items()},
        macro_f1={name: scores["macro_f1"] if scores else None for name, scores in first.items()},
        ece={name: scores["calibration"]["ece"] if scores else None for name, scores in first.items()},
        parts=[_part(row) for row in r.parts(page) if row["split"] == key],
    )


def _doses(page: Page, row: Mapping[str, Any]) -> list[Dose]:
    remedy = row["cause"] or row["remedy"]
    if remedy is None:
        return []
    table = view.dose_table(page, row["slice"], remedy)
    return [Dose(remedy=remedy, **plain(line)) for line in table.to_dict("records")]


def _slice(page: Page, row: Mapping[str, Any]) -> Slice:
    errors = view.errors(page, row["slice"])
    return Slice(
        **{k: row[k] for k in Slice.model_fields if k in row and k not in ("excess", "effect")},
        excess=Share(value=row["excess"], low=row["low"], high=row["high"]),
        effect=Share(value=row["effect"], low=row["effect_low"], high=row["effect_high"]),
        error_before=errors["before"],
        error_control=errors["control"] if page.changed else None,
        error_after=errors["after"] if page.changed else None,
        dose_response=_doses(page, row),
        image_ids=sorted(page.members.get(row["slice"], [])),
        review=view.reviewed(page, row)["decision"],
    )


def _remedy(page: Page, prescription: Mapping[str, Any]) -> Remedy:
    repair = view.remedy(page, prescription["slice"])
    kept = {k: prescription[k] for k in ("slice", "kind", "action")}
    return Remedy(**kept, training=[Planned(**p) for p in repair["plan"]], correction=repair["correction"])


def _data(page: Page) -> Data:
    pairs = page["duplicates"]
    return Data(
        fingerprint=fingerprint(page),
        images=len(page.images),
        classes=page.classes,
        splits={str(k): int(v) for k, v in sorted(page.images["split"].value_counts().items())},
        rejected=len(page["rejected"]),
        duplicates=len(pairs),
        leaks=int(pairs["across_splits"].astype(bool).sum()),
        label_issues=len(page["label_issues"]),
    )


def _confusion(page: Page) -> list[Confusion]:
    cells = zip(*np.nonzero(page.counts[0] + page.counts[1]), strict=True)
    names, (before, after) = page.classes, page.counts
    return [
        Confusion(true=names[i], predicted=names[j], before=int(before[i, j]), after=int(after[i, j])) for i, j in cells
    ]


def _classes(page: Page) -> list[dict[str, Any]]:
    rows = zip(*(by_class(counts, page.classes) for counts in page.counts), strict=True)
    return [{"name": a["name"], "before": _but_name(a), "after": _but_name(b)} for a, b in rows]


def _but_name(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "name"}


def _calibration(page: Page) -> Calibration:
    record, rule = page["metrics"].get("calibration") or {}, page["policy"].get("decline") or {}
    return Calibration(
        ece=record.get("ece"), temperature=record.get("temperature"), bins=record.get("bins") or [], decline=rule
    )


def summarise(page: Page) -> dict[str, Any]:
    """The summary as JSON."""
    verdict, opening = page["verdict"], page["comparison"]["opening"] or {}
    summary = Summary(
        schema=VERSION,
        run_id=page.run_id,
        seed=page.seed,
        verdict=Verdict(
            promoted=verdict["promoted"],
            word=r.outcome_word(page),
            headline=verdict["headline"],
            outcome=page["comparison"].get("outcome"),
            conditions=verdict["conditions"],
            limits=verdict.get("limits", []),
        ),
        metrics={key: _split(page, key, record) for key, _, record in r.opened(page)},
        slices=[_slice(page, row) for row in page.slices],
        remedies=[_remedy(page, p) for p in page["policy"]["prescriptions"]],
        refused=page["policy"]["refused"],
        shortcuts=[plain(row) for row in page["shortcuts"].to_dict("records")],
        changes={str(k): int(v) for k, v in sorted(page.flips["change"].value_counts().items())},
        confusion=_confusion(page),
        classes=_classes(page),
        calibration=_calibration(page),
        opening=Opening(
            opened=bool(opening.get("opened")),
            number=opening.get("number") if opening.get("opened") else None,
            alpha=opening.get("alpha"),
            test_id=opening.get("test_id"),
        ),
        power=[Power(**{k: row[k] for k in Power.model_fields}) for row in page["comparison"]["power"]],
        data=_data(page),
        drift=page["drift"],
        followed=page["followed"]["slices"],
        notes=page.all_notes,
    )
    return summary.model_dump(mode="json", by_alias=True)
