"""The gate, the bundle and the champion pointer: pipeline/stages/promote.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.domain.rules import Rule
from pipeline.domain.statuses import OpeningReason, PowerQuestion
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.report.sentences.gate_sentences import compose_headline
from pipeline.slices.comparison.comparison_record import build_split_record, judge_val_record
from pipeline.stages import promote
from pipeline.statistics.arrivals.arrival_batch import ArrivalBatch, ClassSums
from pipeline.statistics.gains.harm_assessment import HarmMargins
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput
from pipeline.statistics.test_power import build_power_row
from pipeline.storage import champion_registry
from pipeline.storage.arrival_ledger import record_batch
from pipeline.storage.artifact_store import hash_content
from pipeline.storage.test_ledger import LedgerOpening, build_sealed_record
from tests.helpers.explanations import EXPOSURE, make_text_columns

COUNT = 400
GROUPS = np.repeat(np.arange(100), 4)
LABELS = np.arange(COUNT) % 2
IS_DARK = GROUPS < 40
POLICY = {
    "corrections": [{"slice": "s1"}, {"slice": "s2"}],
    "decline": {"threshold": 0.1},
    "refused": [],
    "prescriptions": [],
}
# error rates on dark and on lit images
GOOD = (0.1, 0.1)
SAME = (0.6, 0.1)
HARM = (0.1, 0.35)
WORSE = (0.1, 0.8)
ErrorRates = tuple[float, float]


def _make_output(arm: str, seed: int | None, rates: ErrorRates) -> ModelOutput:
    rng = np.random.default_rng(1)
    numbers = 0.5 * rng.random(100)[GROUPS] + 0.5 * rng.random(COUNT)
    is_wrong = numbers < np.where(IS_DARK, *rates)
    predictions = np.where(is_wrong, 1 - LABELS, LABELS)
    return ModelOutput(arm, seed, np.eye(2)[predictions] * 4.0)


def _make_split(
    targeted: ErrorRates | None, seeds: int, alpha: float, generic: ErrorRates | None = None
) -> dict[str, Any]:
    models = [_make_output("before", None, SAME)]
    if generic:
        models.append(_make_output("generic", 0, generic))
    if targeted:
        for seed in range(seeds):
            models.append(_make_output("control", seed, SAME))
            models.append(_make_output("targeted", seed, targeted))
    comparison = ModelComparison(LABELS, GROUPS, ["badge", "none"], models, {"s1": IS_DARK})
    planned_slices = ["s1"] if targeted else []
    record = build_split_record(comparison, planned_slices, alpha, HarmMargins())
    return judge_val_record(record, "before")


def _make_comparison(
    outcome: str,
    val: ErrorRates = GOOD,
    test: ErrorRates | None = None,
    seeds: int = 1,
    champion: str = "none",
) -> dict[str, Any]:
    has_plan = outcome not in ("no slice", "no plan", "no failures")
    val_record = _make_split(val if has_plan else None, seeds, 0.05)
    opening = build_sealed_record(OpeningReason.NO_GAIN_ON_VAL)
    if test:
        time = "2026-01-01"
        opened = LedgerOpening("abc", 1, 0.025, time, True, False, OpeningReason.VAL_PASSED)
        opening = opened.build_record()
    gains = [
        {"slice": "s1", "arm": "before", "helps": True, "is_confirmed": True},
        {"slice": "s1", "arm": "targeted", "helps": True, "is_confirmed": False},
        {"slice": "s2", "arm": "before", "helps": True, "is_confirmed": True},
        {"slice": "s2", "arm": "targeted", "helps": True, "is_confirmed": True},
    ]
    power = {"question": PowerQuestion.SLICE_GAIN, "slice": "s1", "split": "val"}
    return {
        "outcome": outcome,
        "counts": {
            "errors": 90,
            "slices": 3,
            "confirmed": int(outcome != "no slice"),
            "planned": int(has_plan),
            "seeds": seeds if has_plan else 0,
        },
        "margins": {"overall": 0.01, "by_class": 0.03, "max_loss_probability": 0.5},
        "champion": {"status": champion, "run_id": "old" if champion != "none" else None},
        "foreseen": None,
        "val": val_record,
        "opening": opening,
        "test": _make_split(test, seeds, 0.025) if test else None,
        "power": [power | build_power_row(val_record["slices"][0], 90)],
        "decline": {"before": {"threshold": 0.5}, "targeted": {"threshold": 0.7}},
        "corrections": {"val": gains, "test": None},
    }


def _make_data() -> dict[str, Any]:
    """Return images, two in five of them dark; half train, a quarter val, a quarter test."""
    ids = pd.Series([f"i{row:03d}" for row in range(COUNT)])
    split = np.array(["train", "train", "val", "test"])[np.arange(COUNT) % 4]
    images = pd.DataFrame(
        {
            "image_id": ids,
            "content_hash": ids,
            "path": ids,
            "source": ids,
            "label": "badge",
            "width": 64,
            "group": GROUPS.astype(str),
            "captured_at": pd.NaT,
            "height": 64,
            "group_source": "given",
            "given_split": None,
        }
    )
    luminance = np.where(IS_DARK, 20.0, 120.0) + np.arange(COUNT) % 7
    is_val = split == "val"
    flips = {"image_id": ids[is_val], "declined_before": False, "declined_after": IS_DARK[is_val]}
    return {
        "images": images,
        "attributes": pd.DataFrame({"image_id": ids, "luminance": luminance}),
        "splits": pd.DataFrame({"image_id": ids, "split": split}),
        "flips": pd.DataFrame(flips),
    }


class GateRuns:
    """A folder of runs that share a model and its candidates."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.model = home / "model"
        self.candidates = home / "candidates"
        for folder in (self.model, self.candidates):
            folder.mkdir(parents=True)
        (self.model / "model.safetensors").write_text("the baseline")
        meta = {"backbone": "b", "classes": ["badge", "none"], "side": 64, "temperature": 1.5}
        (self.model / "model.json").write_text(json.dumps(meta))
        (self.candidates / "targeted-7.safetensors").write_text("the candidate")
        entries = []
        for arm in ("control", "targeted"):
            file = f"{arm}-7.safetensors"
            entries.append({"arm": arm, "seed": 7, "file": file, "temperature": 1.2})
        (self.candidates / "candidates.json").write_text(json.dumps(entries))

    def run_promote(
        self, comparison: dict[str, Any], run_id: str = "run1", *, replace_unjudged: bool = False
    ) -> tuple[dict[str, Any], Path]:
        """Run the stage, and return the verdict and the bundle."""
        scratch = self.home / run_id / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        context = StageContext(run_id, 0, scratch, self.home)
        explanations = pd.DataFrame({"slice": ["s2", "s1"], "rank": [2, 1], "n": 9, "failures": 3})
        explanations = explanations.assign(
            **make_text_columns(EXPOSURE),
            status=["not confirmed", "confirmed"],
            frozen=Rule(()).dump_json(),
        )
        made = promote.run(
            promote.Config(replace_unjudged=replace_unjudged),
            context,
            comparison=comparison,
            candidates=self.candidates,
            model=self.model,
            policy=POLICY,
            explanations=explanations,
            **_make_data(),
        )
        dimensions: DimensionSizes = {}
        for name, value in made.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dimensions)
        return made["verdict"], made["bundle"]

    @property
    def pointer_file(self) -> Path:
        return self.home / "champions" / "run.json"

    @property
    def pointer(self) -> dict[str, Any]:
        return dict(json.loads(self.pointer_file.read_text()))


@pytest.fixture
def runs(tmp_path: Path) -> GateRuns:
    return GateRuns(tmp_path / "runs")


def _list_failed(verdict: dict[str, Any]) -> set[tuple[str, str | None]]:
    failed = [item for item in verdict["conditions"] if not item["passed"]]
    return {(item["condition"], item["split"]) for item in failed}


def test_a_candidate_that_passes_every_condition_is_promoted(runs: GateRuns) -> None:
    comparison = _make_comparison("tested", test=GOOD)
    verdict, bundle = runs.run_promote(comparison)
    assert verdict["promoted"]
    assert len(verdict["conditions"]) == 13
    assert _list_failed(verdict) == set()
    gain = comparison["test"]["primary"]["over"]["before"]
    kept = {"mean": gain["mean"], "bound": gain["bound"], "seeds_judged": False}
    assert verdict["gain"] == {"reference": "before", **kept}
    assert compose_headline(verdict).state == "promoted"
    assert (bundle / "model.safetensors").read_text() == "the candidate"
    record = json.loads((bundle / "bundle.json").read_text())
    assert (record["arm"], record["seed"], record["run_id"]) == ("targeted", 7, "run1")
    assert record["temperature"] == 1.2
    assert record["policy"]["decline"] == {"threshold": 0.7}, "that of the targeted arm"
    assert record["policy"]["corrections"] == [{"slice": "s2"}], "those that help this arm"
    (known,) = record["slices"]
    assert (known["slice"], known["title"]) == ("s1", "Too dark")
    assert known["words"].startswith("Too dark: 3 of 9 images ")
    assert known["rule"] == Rule(()).dump_json()
    assert json.loads((bundle / "model.json").read_text())["temperature"] == 1.2
    pointer = {key: runs.pointer[key] for key in ("run_id", "bundle", "champion")}
    assert pointer == {
        "run_id": "run1",
        "bundle": "runs/run1/promote/bundle",
        "champion": "candidate",
    }


def test_a_program_is_copied_with_its_weights(runs: GateRuns) -> None:
    (runs.model / "model.pt2").write_text("the program")
    _, bundle = runs.run_promote(_make_comparison("tested", test=GOOD))
    assert (bundle / "model.pt2").read_text() == "the program"


def test_several_seeds_are_judged(runs: GateRuns) -> None:
    verdict, _ = runs.run_promote(_make_comparison("tested", test=GOOD, seeds=3))
    assert verdict["seeds_judged"]
    assert verdict["gain"]["seeds_judged"]
    assert "single seed" not in [item["limit"] for item in verdict["limits"]]


@pytest.mark.parametrize(
    ("test", "failed"),
    [
        (SAME, {"planned gain", "gain in force", "overall not worse"}),
        (HARM, {"no harm outside", "overall not worse", "no class worse"}),
        (WORSE, {"overall not worse", "no class worse", "no harm outside"}),
    ],
)
def test_a_candidate_that_fails_on_test_is_refused(
    runs: GateRuns, test: ErrorRates, failed: set[str]
) -> None:
    verdict, bundle = runs.run_promote(_make_comparison("tested", test=test))
    assert not verdict["promoted"]
    found = _list_failed(verdict)
    assert {split for _, split in found} == {"test"}
    assert {condition for condition, _ in found} <= failed
    assert (bundle / "model.safetensors").read_text() == "the baseline"
    record = json.loads((bundle / "bundle.json").read_text())
    assert (record["arm"], record["temperature"]) == ("before", 1.5)
    assert record["policy"]["corrections"] == [{"slice": "s1"}, {"slice": "s2"}]


def test_a_sealed_test_refuses_the_candidate(runs: GateRuns) -> None:
    verdict, _ = runs.run_promote(_make_comparison("refused on val", val=SAME))
    assert {("slice gain", "val"), ("test opened", None)} <= _list_failed(verdict)
    assert (verdict["outcome"], verdict["gain"]) == ("refused on val", None)


def _record_arrivals(runs: GateRuns, gain: float, incumbent: str) -> None:
    """Write a batch of 400 groups with this gain into the ledger of run1."""
    batch = ArrivalBatch(
        groups=[f"new{k}" for k in range(400)],
        inside=[gain] * 400,
        overall=[gain] * 400,
        inside_scale=1.0,
        overall_scale=1.0,
        labels=400,
        classes=[ClassSums("badge", True, 400.0, 400 * gain, 400 * gain * gain, 400)],
    )
    entry = {
        "batch": f"{gain}",
        "challenger": hash_content(runs.candidates / "targeted-7.safetensors"),
        "incumbent": incumbent,
        "evidence": batch.build_record(),
    }
    record_batch(runs.home, "run1", entry)


def test_groups_that_arrive_later_promote_what_the_test_could_not_judge(runs: GateRuns) -> None:
    comparison = _make_comparison("promising on val") | {"alpha": 0.05}
    foreseen = {"val_before": 0.4, "val_after": 0.9, "images": 0, "groups": 0}
    comparison["foreseen"] = foreseen | {"groups_needed": 24}
    verdict, _ = runs.run_promote(comparison)
    assert (verdict["promoted"], verdict["arrivals"]) == (False, None)
    key = promote.fingerprint_external_inputs(promote.Config(), runs.home / "run1", None)
    _record_arrivals(runs, 0.3, "another model")
    assert runs.run_promote(comparison)[0]["arrivals"] is None, "of another model in force"
    _record_arrivals(runs, 0.2, hash_content(runs.model / "model.safetensors"))
    assert key != promote.fingerprint_external_inputs(promote.Config(), runs.home / "run1", key)
    verdict, bundle = runs.run_promote(comparison)
    assert verdict["promoted"]
    assert verdict["arrivals"]["groups"] == 400
    assert compose_headline(verdict).state == "promoted"
    assert (bundle / "model.safetensors").read_text() == "the candidate"
    assert runs.pointer["champion"] == "candidate"


def test_a_class_that_loses_among_arrived_groups_stops_a_promotion(runs: GateRuns) -> None:
    comparison = _make_comparison("promising on val") | {"alpha": 0.05}
    _record_arrivals(runs, -0.2, hash_content(runs.model / "model.safetensors"))
    verdict, _ = runs.run_promote(comparison)
    assert not verdict["promoted"]
    assert _list_failed(verdict) == {
        ("arrivals gain", None),
        ("arrivals not worse", None),
        ("arrivals no harm", None),
    }


@pytest.mark.parametrize("outcome", ["no failures", "no slice", "no plan"])
def test_nothing_to_promote_is_a_normal_ending(runs: GateRuns, outcome: str) -> None:
    verdict, bundle = runs.run_promote(_make_comparison(outcome))
    assert not verdict["promoted"]
    assert _list_failed(verdict) == {("planned slice", None)}
    assert compose_headline(verdict).state == "nothing to promote"
    assert json.loads((bundle / "bundle.json").read_text())["arm"] == "before"


def test_the_first_model_is_the_baseline_and_a_refusal_moves_nothing(runs: GateRuns) -> None:
    verdict, _ = runs.run_promote(_make_comparison("no slice"))
    assert verdict["champion"] == "baseline"
    assert runs.pointer["run_id"] == "run1"
    before = runs.pointer_file.read_bytes()
    verdict, _ = runs.run_promote(_make_comparison("no slice"), "run2")
    assert verdict["champion"] == "kept"
    assert runs.pointer_file.read_bytes() == before
    verdict, _ = runs.run_promote(_make_comparison("no slice"))
    assert verdict["champion"] == "baseline", "the same run again"


@pytest.mark.parametrize("test", [HARM, WORSE])
def test_a_first_run_with_harm_puts_no_model_in_force(runs: GateRuns, test: ErrorRates) -> None:
    harmful = _make_comparison("tested", test=test)
    verdict, _ = runs.run_promote(harmful)
    assert verdict["champion"] == "none"
    assert not runs.pointer_file.exists()
    verdict, _ = runs.run_promote(_make_comparison("no slice"), "run2")
    assert verdict["champion"] == "baseline"
    before = runs.pointer
    verdict, _ = runs.run_promote(harmful, "run3")
    assert verdict["champion"] == "kept"
    assert runs.pointer == before


def test_each_config_of_a_folder_has_a_champion(runs: GateRuns) -> None:
    """Two configs in one folder of runs do not replace each other's champion."""
    for run_id, name in (("a1", "line_a"), ("b1", "line_b")):
        champion_registry.begin_run(runs.home / run_id, name)
        verdict, _ = runs.run_promote(_make_comparison("no slice"), run_id)
        assert verdict["champion"] == "baseline"
    champion_registry.begin_run(runs.home / "b2", "line_b")
    comparison = _make_comparison("tested", test=GOOD, champion="is baseline")
    comparison["champion"]["run_id"] = "b1"
    verdict, _ = runs.run_promote(comparison, "b2")
    assert verdict["champion"] == "candidate"
    run_ids = {}
    for name in champion_registry.list_champion_names(runs.home):
        pointer = champion_registry.read_pointer(runs.home, name)
        assert pointer is not None
        run_ids[name] = pointer["run_id"]
    assert run_ids == {"line_a": "a1", "line_b": "b2"}


def test_a_repeated_promotion_changes_nothing(runs: GateRuns) -> None:
    comparison = _make_comparison("tested", test=GOOD)
    first, _ = runs.run_promote(comparison)
    pointer = runs.pointer
    again, _ = runs.run_promote(comparison)
    assert first == again
    assert runs.pointer == pointer
    assert not list((runs.home / "champions").glob(".run.json.[0-9]*"))


def test_a_champion_that_was_promoted_meanwhile_is_not_replaced(runs: GateRuns) -> None:
    runs.run_promote(_make_comparison("no slice"), "old")
    unaware = _make_comparison("tested", test=GOOD)
    verdict, _ = runs.run_promote(unaware, "new")
    assert _list_failed(verdict) == {("champion compared", None)}
    assert verdict["limits"][0] == {
        "limit": "unjudged champion",
        "status": "replaced",
        "run_id": "old",
    }
    assert runs.pointer["run_id"] == "old"


def test_a_champion_of_other_classes_is_replaced_by_setting(runs: GateRuns) -> None:
    runs.run_promote(_make_comparison("no slice"), "old")
    comparison = _make_comparison("tested", test=GOOD, champion="other classes")
    verdict, _ = runs.run_promote(comparison, "new")
    assert not verdict["promoted"]
    verdict, _ = runs.run_promote(comparison, "new", replace_unjudged=True)
    assert verdict["promoted"]
    assert runs.pointer["run_id"] == "new"


def test_the_bundle_describes_train_and_val_without_names(runs: GateRuns) -> None:
    _, bundle = runs.run_promote(_make_comparison("tested", test=GOOD))
    table = pd.read_parquet(bundle / "reference.parquet")
    reference = json.loads((bundle / "bundle.json").read_text())["reference"]
    assert (reference["images"], reference["units"], reference["basis"]) == (300, 100, "groups")
    assert reference["spans"] == {"luminance": [20.0, 126.0]}
    assert list(table.columns) == ["unit", "luminance", "slice s1", "declined", "val"]
    assert table["luminance"].lt(50).mean() == 0.4
    assert table["declined"].notna().sum() == 100, "of val alone"
    assert table["declined"].mean() == 0.4, "the targeted arm declines dark images"
    assert all(dtype.kind in "ifb" for dtype in table.dtypes)


def test_a_kept_baseline_is_described_by_its_own_decisions(runs: GateRuns) -> None:
    _, bundle = runs.run_promote(_make_comparison("no slice"))
    table = pd.read_parquet(bundle / "reference.parquet")
    assert table["declined"].mean() == 0.0, "the baseline declines nothing"


@pytest.mark.parametrize(
    ("generic", "is_promoted", "limit"),
    [
        (None, True, "no generic arm"),
        ((0.5, 0.1), True, None),
        ((0.3, 0.1), True, "generic not beaten"),
        ((0.0, 0.1), False, "generic not beaten"),
    ],
)
def test_generic_augmentation_must_not_be_better(
    runs: GateRuns, generic: ErrorRates | None, is_promoted: bool, limit: str | None
) -> None:
    comparison = _make_comparison("tested", test=GOOD)
    for split, alpha in (("val", 0.05), ("test", 0.025)):
        weaker = _make_split((0.3, 0.1), 1, alpha, generic)
        comparison[split]["primary"] = weaker["primary"]
    verdict, _ = runs.run_promote(comparison)
    conditions = [item["condition"] for item in verdict["conditions"]]
    assert conditions.count("generic not better") == (2 if generic else 0)
    assert verdict["promoted"] is is_promoted
    limits = [item["limit"] for item in verdict["limits"] if "generic" in item["limit"]]
    assert limits == ([limit] if limit else [])
