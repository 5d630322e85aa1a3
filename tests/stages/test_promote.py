import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import DimensionSizes, StageContext
from pipeline.domain.rules import Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.stages import promote
from pipeline.statistics.model_comparison import ModelComparison, ModelOutput
from pipeline.statistics.paired_comparison import HarmMargins
from pipeline.statistics.test_power import build_power_row
from pipeline.storage import champion_registry
from pipeline.storage.test_ledger import LedgerOpening, build_sealed_record
from tests.helpers.explanations import EXPOSURE, make_text_columns

N = 400
GROUPS = np.repeat(np.arange(100), 4)
TRUTH = np.arange(N) % 2
DARK = GROUPS < 40
CORRECTIONS = [{"slice": "s1"}, {"slice": "s2"}]
POLICY = {
    "corrections": CORRECTIONS,
    "decline": {"threshold": 0.1},
    "refused": [],
    "prescriptions": [],
}
GOOD, SAME, HARM, WORSE = (0.1, 0.1), (0.6, 0.1), (0.1, 0.35), (0.1, 0.8)


def _model(arm: str, seed: int | None, errors: tuple[float, float]) -> ModelOutput:
    rng = np.random.default_rng(1)
    luck = 0.5 * rng.random(100)[GROUPS] + 0.5 * rng.random(N)
    wrong = luck < np.where(DARK, *errors)
    return ModelOutput(arm, seed, np.eye(2)[np.where(wrong, 1 - TRUTH, TRUTH)] * 4.0)


def _split(
    errors: tuple[float, float] | None,
    seeds: int,
    alpha: float,
    generic: tuple[float, float] | None = None,
) -> dict[str, Any]:
    models = [_model("before", None, SAME)]
    models += [_model("generic", 0, generic)] if generic else []
    for seed in range(seeds if errors else 0):
        models += [_model("control", seed, SAME), _model("targeted", seed, errors or SAME)]
    trial = ModelComparison(TRUTH, GROUPS, ["badge", "none"], models, {"s1": DARK})
    record = trial.build_record(alpha, HarmMargins())
    for row in record["slices"]:
        row |= {"planned": errors is not None, "words": "too dark"}
    return {
        **record,
        "primary": trial.compare_subset(DARK, alpha),
        "outside": trial.compare_subset(~DARK, alpha),
    }


def _comparison(outcome: str, val: Any = GOOD, test: Any = None, seeds: int = 1) -> dict[str, Any]:
    opening = (
        LedgerOpening("abc", 1, 0.025, "2026-01-01", True, False, "val passed").build_record()
        if test
        else build_sealed_record("why")
    )
    planned = outcome not in ("no slice", "no plan", "no failures")
    on_val = _split(val if planned else None, seeds, 0.05)
    part = on_val["slices"][0]
    counts = {
        "errors": 90,
        "slices": 3,
        "confirmed": int(outcome != "no slice"),
        "planned": int(planned),
    }
    return {
        "outcome": outcome,
        "reason": "",
        "counts": {**counts, "seeds": seeds if planned else 0},
        "margins": {"overall": 0.01, "by_class": 0.03, "many": 20},
        "val": on_val,
        "opening": opening,
        "test": _split(test, seeds, 0.025) if test else None,
        "power": [build_power_row("gain of s1", "val", part, 90)],
        "decline": {"before": {"threshold": 0.5}, "targeted": {"threshold": 0.7}},
        "corrections": {
            "val": [
                {"slice": name, "arm": arm, "helps": helps}
                for name, arm, helps in (
                    ("s1", "before", True),
                    ("s1", "targeted", False),
                    ("s2", "before", True),
                    ("s2", "targeted", True),
                )
            ],
            "test": None,
        },
    }


def _data() -> dict[str, Any]:
    """Images of which half are dark, two of four for training, one for val, one for test; val is answered as said."""
    ids = pd.Series([f"i{k:03d}" for k in range(N)])
    split = np.array(["train", "train", "val", "test"])[np.arange(N) % 4]
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
            "given_split": None,
        }
    )
    light = np.where(DARK, 20.0, 120.0) + np.arange(N) % 7
    val = np.flatnonzero(split == "val")
    return {
        "images": images,
        "attributes": pd.DataFrame({"image_id": ids, "luminance": light}),
        "splits": pd.DataFrame({"image_id": ids, "split": split}),
        "flips": pd.DataFrame(
            {"image_id": ids[val], "declined_before": False, "declined_after": DARK[val]}
        ),
    }


class House:
    """A folder of runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.model, self.candidates = home / "model", home / "candidates"
        for folder in (self.model, self.candidates):
            folder.mkdir(parents=True)
        (self.model / "model.safetensors").write_text("the model before")
        meta = {"backbone": "b", "classes": ["badge", "none"], "side": 64, "temperature": 1.5}
        (self.model / "model.json").write_text(json.dumps(meta))
        (self.candidates / "targeted-7.safetensors").write_text("the candidate")
        files = {
            arm: {"file": f"{arm}-7.safetensors", "temperature": 1.2}
            for arm in ("control", "targeted")
        }
        arms = [{"arm": arm, "seed": 7, **file} for arm, file in files.items()]
        (self.candidates / "candidates.json").write_text(json.dumps(arms))

    def gate(self, comparison: dict[str, Any], run_id: str = "run1") -> tuple[dict[str, Any], Path]:
        scratch = self.home / run_id / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        context = StageContext(run_id=run_id, seed=0, scratch_folder=scratch, runs_folder=self.home)
        artifacts = {
            "comparison": comparison,
            "candidates": self.candidates,
            "model": self.model,
            "policy": POLICY,
        }
        explained = pd.DataFrame({"slice": ["s2", "s1"], "rank": [2, 1], "n": 9, "failures": 3})
        explained = explained.assign(**make_text_columns(EXPOSURE))
        artifacts["explanations"] = explained.assign(
            status=["not confirmed", "confirmed"], frozen=Rule(()).dump_json()
        )
        made = promote.run(promote.Config(), context, **artifacts, **_data())
        dims: DimensionSizes = {}
        for name, value in made.items():
            ARTIFACT_CONTRACTS[name].check_value(name, value, dims)
        return made["verdict"], made["bundle"]

    @property
    def pointer(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "champions" / "run.json").read_text()))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "runs")


def test_what_passes_every_condition_is_promoted(house: House) -> None:
    verdict, bundle = house.gate(_comparison("tested", test=GOOD))
    assert verdict["promoted"]
    assert verdict["headline"].startswith("promoted: +")
    assert "seeds were not judged" in verdict["headline"]
    assert len(verdict["conditions"]) == 10
    assert all(
        c["passed"] and c["why"] and c["evidence"].startswith("#") for c in verdict["conditions"]
    )
    assert (bundle / "model.safetensors").read_text() == "the candidate"
    meta = json.loads((bundle / "bundle.json").read_text())
    assert (meta["arm"], meta["seed"], meta["temperature"], meta["run_id"]) == (
        "targeted",
        7,
        1.2,
        "run1",
    )
    assert meta["policy"]["decline"] == {"threshold": 0.7}, (
        "the candidate's own, not that of the model before"
    )
    assert meta["policy"]["corrections"] == [{"slice": "s2"}], (
        "what helps the model before may harm the candidate"
    )
    known = {"slice": "s1", "words": "Too dark: 3 of 9 images are misclassified.", "title": "Too dark"}
    assert meta["slices"] == [known | {"rule": Rule(()).dump_json()}]
    assert json.loads((bundle / "model.json").read_text())["temperature"] == 1.2
    now = {"run_id": "run1", "bundle": "runs/run1/promote/bundle", "champion": "candidate"}
    assert {key: house.pointer[key] for key in now} == now


def test_a_program_goes_with_its_weights(house: House) -> None:
    (house.model / "model.pt2").write_text("the program")
    _, bundle = house.gate(_comparison("tested", test=GOOD))
    assert (bundle / "model.pt2").read_text() == "the program"


def test_three_seeds_are_judged(house: House) -> None:
    verdict, _ = house.gate(_comparison("tested", test=GOOD, seeds=3))
    assert verdict["seeds_judged"]
    assert "seeds were not judged" not in verdict["headline"]
    assert not any("One seed" in line for line in verdict["limits"])


@pytest.mark.parametrize(
    ("test", "failed"),
    [
        (SAME, {"the slices with a remedy gained on test", "not worse overall on test"}),
        (HARM, {"no harm shown to others on test"}),
        (
            WORSE,
            {
                "not worse overall on test",
                "no class worse on test",
                "no harm shown to others on test",
            },
        ),
    ],
)
def test_a_candidate_that_fails_on_test_is_refused(
    house: House, test: tuple[float, float], failed: set[str]
) -> None:
    verdict, bundle = house.gate(_comparison("tested", test=test))
    assert not verdict["promoted"]
    names = {c["name"] for c in verdict["conditions"] if not c["passed"]}
    assert names
    assert names <= failed
    assert all(name in verdict["headline"] for name in names)
    assert (bundle / "model.safetensors").read_text() == "the model before"


def test_where_the_small_classes_together_fail_their_bound_stands_beside_what_is_allowed(
    house: House,
) -> None:
    comparison = _comparison("tested", test=GOOD)
    worse = comparison["test"]["non_inferiority"]
    assert not any(c["status"] == "harmed" for c in worse["classes"])
    worse |= {"pooled": {"bound": -0.042}, "pooled_passed": False, "classes_passed": False}
    verdict, _ = house.gate(comparison)
    found = {c["name"]: c for c in verdict["conditions"]}
    assert (
        found["no class worse on test"]["value"],
        found["no class worse on test"]["threshold"],
    ) == (-0.042, -0.03)
    assert "this condition failed: “no class worse on test”" in verdict["headline"]
    assert (
        found["no class worse on val"]["value"],
        found["no class worse on val"]["threshold"],
    ) == (0.0, 0.0)


def test_a_sealed_test_is_a_condition_that_failed(house: House) -> None:
    verdict, _ = house.gate(_comparison("refused on val", val=SAME))
    failed = [c["name"] for c in verdict["conditions"] if not c["passed"]]
    assert "s1 gained on val" in failed
    assert "test opened" in failed
    assert "sealed" in verdict["headline"]


@pytest.mark.parametrize("outcome", ["no failures", "no slice", "no plan"])
def test_nothing_to_promote_is_a_normal_ending(house: House, outcome: str) -> None:
    verdict, bundle = house.gate(_comparison(outcome))
    assert not verdict["promoted"]
    assert verdict["headline"] == promote.OUTCOME_HEADLINES[outcome]
    assert [c["passed"] for c in verdict["conditions"]] == [False]
    assert json.loads((bundle / "bundle.json").read_text())["arm"] == "before"


def test_the_first_model_is_the_baseline_and_a_refusal_never_moves_the_pointer(
    house: House,
) -> None:
    verdict, _ = house.gate(_comparison("no slice"))
    assert verdict["champion"] == "baseline"
    assert house.pointer["run_id"] == "run1"
    before = (house.home / "champions" / "run.json").read_bytes()
    verdict, _ = house.gate(_comparison("no slice"), "run2")
    assert verdict["champion"] == "kept"
    assert (house.home / "champions" / "run.json").read_bytes() == before
    assert house.gate(_comparison("no slice"))[0]["champion"] == "baseline"  # and again


@pytest.mark.parametrize("test", [HARM, WORSE])
def test_a_first_run_that_was_refused_for_harm_puts_no_model_in_force(
    house: House, test: tuple[float, float]
) -> None:
    verdict, _ = house.gate(_comparison("tested", test=test))
    assert verdict["champion"] == "none"
    assert not (house.home / "champions" / "run.json").exists()
    assert house.gate(_comparison("no slice"), "run2")[0]["champion"] == "baseline"
    before = house.pointer
    assert house.gate(_comparison("tested", test=test), "run3")[0]["champion"] == "kept"
    assert house.pointer == before


def test_each_config_of_a_folder_has_a_champion_of_its_own(house: House) -> None:
    """Two lines with the same classes and one folder of runs: neither run takes the other's place."""
    for run_id, name in (("a1", "line_a"), ("b1", "line_b")):
        champion_registry.begin_run(house.home / run_id, name)
        assert house.gate(_comparison("no slice"), run_id)[0]["champion"] == "baseline"
    found = {
        name: (champion_registry.read_pointer(house.home, name) or {})["run_id"]
        for name in champion_registry.list_champion_names(house.home)
    }
    assert found == {"line_a": "a1", "line_b": "b1"}
    champion_registry.begin_run(house.home / "b2", "line_b")
    verdict, _ = house.gate(_comparison("tested", test=GOOD), "b2")
    assert verdict["champion"] == "candidate"
    assert (champion_registry.read_pointer(house.home, "line_a") or {})["run_id"] == "a1"


def test_repeating_a_promotion_changes_nothing(house: House) -> None:
    comparison = _comparison("tested", test=GOOD)
    first, _ = house.gate(comparison)
    pointer = house.pointer
    again, _ = house.gate(comparison)
    assert first == again
    assert house.pointer == pointer
    assert not list((house.home / "champions").glob(".run.json.[0-9]*"))


def test_a_champion_of_another_run_that_was_not_compared_is_said(house: House) -> None:
    house.gate(_comparison("no slice"), "old")
    verdict, _ = house.gate(_comparison("tested", test=GOOD), "new")
    assert house.pointer["run_id"] == "new"
    assert any("not with the champion of run old" in line for line in verdict["limits"])


def test_limits_say_what_would_do(house: House) -> None:
    verdict, _ = house.gate(_comparison("tested", test=GOOD))
    assert (
        "Gain of s1 on val: 40 groups are at hand; about 90 would decide it." in verdict["limits"]
    )


def test_what_its_data_looked_like_goes_with_the_model_without_the_test_or_any_name(
    house: House,
) -> None:
    _, bundle = house.gate(_comparison("tested", test=GOOD))
    table = pd.read_parquet(bundle / "reference.parquet")
    about = json.loads((bundle / "bundle.json").read_text())["reference"]
    assert (about["images"], about["units"], about["basis"]) == (300, 100, "groups")
    assert about["spans"] == {"luminance": [20.0, 126.0]}
    assert list(table.columns) == ["unit", "luminance", "slice s1", "declined", "val"]
    assert table["luminance"].lt(50).mean() == 0.4
    assert table["declined"].notna().sum() == 100, "of val alone"
    assert table["declined"].mean() == 0.4, "what the candidate declines: the dark"
    assert all(kind.kind in "ifb" for kind in table.dtypes)


def test_a_model_that_was_kept_is_described_by_its_own_answers(house: House) -> None:
    _, bundle = house.gate(_comparison("no slice"))
    table = pd.read_parquet(bundle / "reference.parquet")
    assert table["declined"].mean() == 0.0, "the model before declines nothing"


@pytest.mark.parametrize(
    ("generic", "promoted", "said"),
    [
        (None, True, "Generic augmentation was not trained"),
        ((0.5, 0.1), True, None),
        (
            (0.3, 0.1),
            True,
            "On test the remedy was not shown to be better than generic augmentation",
        ),
        (
            (0.0, 0.1),
            False,
            "On test the remedy was not shown to be better than generic augmentation",
        ),
    ],
)
def test_generic_augmentation_of_the_same_budget_may_not_be_better(
    house: House, generic: tuple[float, float] | None, promoted: bool, said: str | None
) -> None:
    comparison = _comparison("tested", test=GOOD)
    for split, alpha in (("val", 0.05), ("test", 0.025)):
        comparison[split]["primary"] = _split((0.3, 0.1), 1, alpha, generic)["primary"]
    verdict, _ = house.gate(comparison)
    named = [
        c
        for c in verdict["conditions"]
        if c["name"].startswith("generic augmentation is not better")
    ]
    assert len(named) == (2 if generic else 0)
    assert verdict["promoted"] is promoted
    about = [line for line in verdict["limits"] if "eneric augmentation" in line]
    assert [line.startswith(said) for line in about] == [True] if said else not about


def test_weighed_errors_are_said(house: House) -> None:
    cost = [{"label": "badge", "answer": "none", "cost": 0.1}]
    verdict, _ = house.gate(_comparison("tested", test=GOOD) | {"costs": cost})
    assert any("points of the worst error" in line for line in verdict["limits"])
