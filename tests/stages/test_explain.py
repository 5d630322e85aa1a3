from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import StageContext
from pipeline.domain.rules import Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.report.slice_sentences import add_sentences, describe_slice
from pipeline.slices.causes.cause_naming import CauseCandidate
from pipeline.stages import cluster, explain
from tests.helpers.validation_sets import collect_needs, make_validation_set
from tests.stages.finder_artifacts import CLASS_NAMES, make_finder_artifacts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 16, 0.0)
    return save_model(tmp_path_factory.mktemp("model"), network, meta)


def _run(given: dict[str, Any], model: Path, folder: Path) -> tuple[dict[str, Any], StageContext]:
    context = StageContext("r", 0, folder, folder)
    given = given | {"model": model}
    given |= cluster.run(cluster.Config(), context, **collect_needs("cluster", given))
    made = explain.run(
        explain.Config(matched_images=30), context, **collect_needs("explain", given)
    )
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    return made, context


@pytest.fixture(scope="module")
def planted(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What explain makes of the drawn artifacts, which takes seconds: looked at, and left as it is."""
    return _run(make_finder_artifacts(), model, tmp_path_factory.mktemp("planted"))[0]


def test_the_planted_slice_is_confirmed_with_its_numbers(planted: dict[str, Any]) -> None:
    made = planted
    first = made["explanations"].iloc[0]
    assert first["status"] == "confirmed"
    assert first["q_value"] < 0.05
    assert first["low"] > 0
    assert first["error"] - first["expected"] == pytest.approx(first["excess"])
    assert first["remedy"] == "exposure"
    assert first["n"] >= 30
    assert first["groups"] >= 10
    assert set(made["causes"]["slice"]) == set(
        made["explanations"].query("status == 'confirmed'")["slice"]
    )


def test_the_page_says_which_rule_admitted_how_many_images_and_one_tested_rule_is_frozen(
    planted: dict[str, Any], tmp_path: Path
) -> None:
    given, made = make_finder_artifacts(), planted
    context = StageContext("r", 0, tmp_path, tmp_path)
    found = cluster.run(cluster.Config(), context, **collect_needs("cluster", given))
    splits = given["splits"].set_index("image_id")["fold"]
    for row in made["explanations"].to_dict("records"):
        own = found["slices"].query("slice == @row['slice']")
        rules = {
            fold % 2: Rule.parse_json(rule)
            for fold, rule in zip(own["fold"], own["rule"], strict=True)
        }
        assert Rule.parse_json(row["frozen"]) in rules.values()
        assert row["rule"] == Rule.parse_json(row["frozen"]).format_text()
        members = found["membership"].query("slice == @row['slice']")["image_id"]
        counts = (splits[members] % 2).value_counts()
        said = [
            f"{rules[h].format_text()} ({counts.get(h, 0):,} images of half {h + 1})"
            for h in sorted(rules)
        ]
        assert row["applied"] == "; ".join(said)
        assert row["n"] == counts.sum()


def test_a_model_that_no_treatment_confuses_has_no_named_cause(planted: dict[str, Any]) -> None:
    """The images here are noise: whatever darkens them reproduces nothing in particular."""
    made = planted
    named = made["causes"][made["causes"]["is_named"]]
    unnamed = made["explanations"][made["explanations"]["cause"].isna()]
    assert set(named["slice"]) == set(made["explanations"]["slice"]) - set(unnamed["slice"])
    assert add_sentences(unnamed)["words"].str.contains("cause unnamed").all()
    assert (unnamed["confidence"] == "unnamed").all()
    assert made["explanations"].loc[made["explanations"]["cause"].notna(), "common"].isna().all()


def test_a_confirmed_slice_without_a_cause_is_told_by_what_its_images_share(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "find_causes", lambda *_: ([], None))
    found = _run(make_finder_artifacts(), model, tmp_path)[0]["explanations"]
    confirmed = found["status"] == "confirmed"
    assert confirmed.any()
    assert (
        found.loc[confirmed, "common"]
        .str.contains(r"\d+ of \d+ failures are \w+ predicted as \w+")
        .all()
    )
    assert found.loc[~confirmed, "common"].isna().all()


def test_images_without_the_mark_that_the_model_leans_on_are_a_slice(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        explain,
        "find_causes",
        lambda *_: ([CauseCandidate("blur", "blurred", 2.0, 0.1, False)], (1.0, 2.0)),
    )
    given = make_finder_artifacts(planted=False)
    label, predictions = given["images"]["label"], given["predictions"]
    lacks = (label == "a").to_numpy() & (np.arange(len(label)) % 4 == 0)
    given["marks"]["mark of a"] = (label == "a").to_numpy() & ~lacks
    missed = predictions["image_id"].isin(given["images"]["image_id"][lacks])
    predictions.loc[missed, ["predicted", "correct"]] = ("b", False)
    found = _run(given, model, tmp_path)[0]["explanations"]
    first = found[found["rule"] == "without the mark of a, class a"].iloc[0]
    assert (first["status"], first["confidence"], first["n"]) == (
        "confirmed",
        "leans on a mark",
        missed.sum(),
    )
    assert describe_slice(first).sentence.startswith(
        "Without the mark of a, on which the model leans, in class a"
    )
    assert pd.isna(first["cause"])
    assert pd.isna(first["common"])


def test_with_nothing_planted_hardly_anything_is_confirmed(model: Path, tmp_path: Path) -> None:
    confirmed = []
    for seed in range(8):
        made, _ = _run(make_finder_artifacts(seed, planted=False), model, tmp_path)
        confirmed.append((made["explanations"]["status"] == "confirmed").any())
    assert np.sum(confirmed) <= 2


def test_few_groups_are_not_testable_and_told_how_many_would_do(
    model: Path, tmp_path: Path
) -> None:
    made, _ = _run(make_finder_artifacts(groups=24, frames=20), model, tmp_path)
    untestable = made["explanations"].query("status == 'not testable'")
    assert (untestable["groups_needed"] >= 10).all()
    assert (made["explanations"]["status"] != "confirmed").all() or made["explanations"][
        "groups"
    ].max() >= 10


def test_what_turns_every_answer_into_one_class_confirms_no_part_of_that_class() -> None:
    """An intervention that repairs the class wherever one looks says nothing about a condition within it."""
    rng, n = np.random.default_rng(0), 1200
    truth, inside = rng.integers(0, 2, n), rng.random(n) < 0.3
    guess = np.where(rng.random(n) < 0.3, 1 - truth, truth)
    label = np.array(["a", "b"])[truth]
    ids = [f"i{k}" for k in range(n)]
    frame = pd.DataFrame({"image_id": ids, "label": label, "group": ids})
    margin = np.where(guess == truth, 1.0, -1.0) * rng.gamma(2, 1, n)
    val = make_validation_set(
        frame, truth, guess, is_correct_after=(truth == 0)[:, None], margins=margin
    )
    chosen, here = np.zeros(n, np.intp), inside & (truth == 0)
    of_class = explain.HeldOutSlice(
        "s1", 1, dict.fromkeys((0, 1), Rule((), "a")), here, here, chosen
    )
    everywhere = explain.HeldOutSlice("s1", 1, dict.fromkeys((0, 1), Rule(())), here, here, chosen)
    effects = [
        explain.compute_slice_evidence(val, item, np.ones(n, bool), 0).effect_test
        for item in (of_class, everywhere)
    ]
    assert all(e is not None and e.p is not None for e in effects)
    assert effects[0].p > 0.05 > effects[1].p


@pytest.mark.parametrize(("invertible", "repair"), [(True, (2.0, 1.0)), (False, (np.nan, np.nan))])
def test_only_a_cause_with_an_inverse_is_undone(
    invertible: bool, repair: tuple[float, float]
) -> None:
    ids = [f"i{k}" for k in range(4)]
    frame = pd.DataFrame({"image_id": ids, "label": "a", "group": ids})
    truth = np.zeros(4, np.intp)
    val = make_validation_set(frame, truth, truth + 1, is_correct_after=np.ones((4, 1), bool))
    item = explain.HeldOutSlice(
        "s1", 1, dict.fromkeys((0, 1), Rule((), "a")), np.ones(4, bool), np.ones(4, bool), truth
    )
    dark = CauseCandidate("exposure", "too dark", 0.5, 0.1, invertible)
    asked = pd.DataFrame({"remedy": ["exposure"], "strength": [2.0]})
    assert explain._repair(val, item, dark, asked) == pytest.approx(repair, nan_ok=True)


def test_errors_that_cost_less_make_a_smaller_excess(
    planted: dict[str, Any], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, plain = make_finder_artifacts(), planted
    monkeypatch.setattr(explain, "find_causes", lambda *_: ([], None))
    for cheap, factor in ((0.25, 0.25), (1.0, 1.0)):
        costs = [[0.0 if a == b else cheap for b in CLASS_NAMES] for a in CLASS_NAMES]
        made, _ = _run(given | {"metrics": given["metrics"] | {"costs": costs}}, model, tmp_path)
        first = made["explanations"].iloc[0]
        assert first["excess"] == pytest.approx(factor * plain["explanations"]["excess"].iloc[0])
        assert first["failures"] == plain["explanations"]["failures"].iloc[0]
        assert first["error"] - first["expected"] == pytest.approx(first["excess"])
