from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import Context, InputError
from pipeline.graph import ARTIFACTS, stage
from pipeline.slicing.rules import Condition, Rule
from pipeline.stages import cluster, explain, prescribe
from tests.stages.found import NAMES, artifacts


def _explained(given: dict[str, Any], folder: Path, cause: str | None) -> dict[str, Any]:
    """The slices as cluster finds them, the first one confirmed with a cause (or without)."""
    context = Context("r", 0, folder, folder)
    given |= cluster.run(cluster.Config(), context, **{n: given[n] for n in stage("cluster").needs})
    row: dict[str, Any] = dict.fromkeys(explain.COLUMNS) | {
        "slice": "s1",
        "rank": 1,
        "status": "confirmed",
        "words": "Too dark.",
        "rule": "luminance <= 60",
        "frozen": Rule((Condition("luminance", "<=", 60.0),)).dump(),
        "applied": "luminance <= 60 (9 photos of half 1)",
        "cause": cause,
        "dose_low": 0.2 if cause else np.nan,
        "dose_high": 0.4 if cause else np.nan,
        "confidence": "x",
        "n": 9,
        "groups": 3,
        "failures": 5,
        "error": 0.5,
        "expected": 0.1,
        "excess": 0.4,
        "low": 0.2,
        "high": 0.6,
    }
    given["explanations"] = pd.DataFrame([row]).astype(explain.COLUMNS)
    given["causes"] = pd.DataFrame(columns=list(explain.CAUSES)).astype(explain.CAUSES)
    return given


def _run(given: dict[str, Any], folder: Path, **settings: Any) -> tuple[dict[str, Any], Context]:
    context = Context("r", 0, folder, folder)
    made = prescribe.run(prescribe.Config(**settings), context, **{n: given[n] for n in stage("prescribe").needs})
    for name, value in made.items():
        ARTIFACTS[name].check(name, value, {})
    return made, context


def test_training_photos_that_are_not_in_the_slice_get_its_cause_at_its_doses(tmp_path: Path) -> None:
    given = _explained(artifacts(), tmp_path, "exposure")
    made, _ = _run(given, tmp_path)
    plan = made["plan"]
    assert len(plan) == 960
    assert plan["image_id"].str.startswith("t").all()
    assert set(plan["remedy"]) == {"low_light"}, "night as it comes about, not less light alone"
    assert set(zip(plan["dose_low"], plan["dose_high"], plan["probability"], strict=True)) == {(0.2, 0.4, 0.5)}
    correction = made["policy"]["corrections"][0]
    assert correction["remedy"] == "exposure"
    assert correction["dose"] > 1
    assert correction["helps"]
    assert made["policy"]["prescriptions"][0]["kind"] == "augment"


def test_without_a_cause_it_asks_for_more_photos_and_says_which(tmp_path: Path) -> None:
    given = _explained(artifacts(), tmp_path, None)
    made, _ = _run(given, tmp_path)
    assert made["plan"].empty
    assert made["policy"]["prescriptions"][0]["kind"] == "collect"
    collect = pd.read_csv(made["exports"] / "collect.csv")
    assert collect["wanted"].iloc[0] > collect["have"].iloc[0]
    assert collect["examples"].str.contains("i").all()


def test_a_flip_that_turns_one_class_into_another_is_refused_for_that_class(tmp_path: Path) -> None:
    given = _explained(artifacts(), tmp_path, "horizontal_flip")
    flip = int(given["dose_response"].query("remedy == 'horizontal_flip'").index[0])
    truth = given["predictions"]["label"].map({n: i for i, n in enumerate(NAMES)}).to_numpy()
    given["responses"][:, flip] = np.where(truth == 0, 1, np.where(truth == 1, 0, truth))
    given["explanations"]["dose_low"] = given["explanations"]["dose_high"] = 1.0
    made, context = _run(given, tmp_path)
    pairs = {(r["remedy"], r["from"], r["to"]) for r in made["policy"]["refused"]}
    assert pairs == {("horizontal_flip", "a", "b"), ("horizontal_flip", "b", "a")}
    assert any("horizontal_flip changes labels" in note for note in context.notes)
    label = given["images"].set_index("image_id")["label"]
    assert set(label[made["plan"]["image_id"]]) == {"c"}


@pytest.mark.parametrize("empty", [True, False])
def test_no_confirmed_slice_is_a_normal_ending(tmp_path: Path, empty: bool) -> None:
    given = _explained(artifacts(), tmp_path, "exposure")
    given["explanations"] = (
        given["explanations"].iloc[:0] if empty else given["explanations"].assign(status="not confirmed")
    )
    made, _ = _run(given, tmp_path)
    assert made["plan"].empty
    assert made["policy"]["prescriptions"] == []


def test_two_slices_share_the_views_in_proportion_to_their_photos(tmp_path: Path) -> None:
    given = _explained(artifacts(), tmp_path, "exposure")
    second = given["explanations"].assign(slice="s2", rank=2, n=3, dose_low=0.1, dose_high=0.1)
    given["explanations"] = pd.concat([given["explanations"], second], ignore_index=True)
    made, _ = _run(given, tmp_path)
    chance = made["plan"].groupby("slice")["probability"].first()
    assert chance.to_dict() == pytest.approx({"s1": 0.5 * 9 / 12, "s2": 0.5 * 3 / 12})


GATE: dict[str, Any] = {"simulator": "gate", "simulated_photos": 3}


def _at_the_gate(folder: Path, cause: str = "exposure") -> dict[str, Any]:
    """The same with the two classes that the gate's simulator can draw."""
    given = _explained(artifacts(), folder, cause)
    names = {"a": "badge", "b": "no_badge", "c": "no_badge"}
    for table in ("images", "predictions"):
        given[table] = given[table].assign(label=given[table]["label"].map(names))
    given["predictions"] = given["predictions"].assign(predicted=given["predictions"]["predicted"].map(names))
    given["classes"] = {"names": ["badge", "no_badge"]}
    given["responses"] = np.minimum(given["responses"], 1)
    return given


@pytest.mark.parametrize(("share", "chances"), [(1.0, {"gate": 0.5}), (0.4, {"gate": 0.2, "": 0.3})])
def test_a_share_of_the_views_shows_simulated_photos_at_the_causes_doses(
    tmp_path: Path, share: float, chances: dict[str, float]
) -> None:
    given = _at_the_gate(tmp_path)
    made, _ = _run(given, tmp_path, **GATE, simulated=share)
    plan, drawn = made["plan"].fillna({"simulator": ""}), made["simulated"]
    assert plan.groupby("simulator")["probability"].first().to_dict() == pytest.approx(chances)
    assert dict(plan.groupby("simulator")["remedy"].first()) == {
        k: "exposure" if k else "low_light" for k in chances
    }
    assert drawn.groupby(["label", "condition", "simulator"]).size().to_dict() == {
        ("badge", "exposure", "gate"): 3, ("no_badge", "exposure", "gate"): 3
    }
    assert drawn["dose"].between(0.2, 0.4).all()
    light = made["simulated_pixels"].mean((1, 2, 3))
    assert light.max() < 60, "drawn dark"
    assert "simulator of gate drew under exposure" in made["policy"]["prescriptions"][0]["action"]


def test_simulated_photos_are_in_no_table_of_the_data_set(tmp_path: Path) -> None:
    given = _at_the_gate(tmp_path)
    made, _ = _run(given, tmp_path, **GATE, simulated=1)
    ids = set(made["simulated"]["content_hash"])
    assert len(ids) == 6
    assert not ids & {*given["images"]["content_hash"], *given["splits"]["image_id"]}
    part = given["splits"].set_index("image_id")["split"]
    assert set(part[made["plan"]["image_id"]]) == {"train"}, "only views of train are given up for them"
    given["images"].loc[0, "content_hash"] = made["simulated"]["content_hash"].iloc[4]
    with pytest.raises(InputError, match="a photo of the data set"):
        _run(given, tmp_path, **GATE, simulated=1)


def test_what_the_simulator_cannot_draw_is_treated_and_said(tmp_path: Path) -> None:
    made, context = _run(_at_the_gate(tmp_path, "blur"), tmp_path, **GATE, simulated=1)
    assert made["simulated"].empty
    assert made["plan"]["simulator"].isna().all()
    assert len(made["plan"])
    assert any("cannot draw blur" in note for note in context.notes)


@pytest.mark.parametrize("name", [None, "folder", "gat"])
def test_a_share_without_a_simulator_is_refused_before_anything_runs(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"prescribe\.simulator: .* no adapter with a simulator.*gate"):
        prescribe.Config(simulator=name, simulated=0.5)


def test_classes_that_the_simulator_does_not_know_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="draws no 'a'"):
        _run(_explained(artifacts(), tmp_path, "exposure"), tmp_path, **GATE, simulated=1)
