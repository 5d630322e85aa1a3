from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts import InputError, StageContext
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.slices.prescription.strength_fitting import fit_remedy
from pipeline.stages import cluster, explain, prescribe
from tests.helpers.explanations import EXPOSURE, make_text_columns
from tests.helpers.validation_sets import collect_needs
from tests.stages.finder_artifacts import CLASS_NAMES, make_finder_artifacts


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended model: the class is written into each image's upper corners, on the left plainly, and a mirrored
    image of class a or b is read as the other."""

    def logits(network: object, pixels: np.ndarray, meta: object) -> np.ndarray:
        here, mirrored = pixels[:, 0, 0, 0] // 50, pixels[:, 0, -1, 0] // 50
        seen = np.where(here < 3, here, np.array([1, 0, 2])[np.minimum(mirrored, 2)])
        return np.eye(3)[seen.astype(int)]

    monkeypatch.setattr(prescribe, "load_model", lambda folder: (None, {}))
    monkeypatch.setattr(prescribe, "compute_logits", logits)


@pytest.fixture(autouse=True)
def strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strengths of the cause, as they are: these images are noise, which no strength makes like a slice."""
    monkeypatch.setattr(
        prescribe,
        "fit_remedy",
        lambda val, inside, treated, asked, tools: (*vars(asked[0]).values(), 0.5),
    )


def _signed(given: dict[str, Any]) -> dict[str, Any]:
    """The images with their class in the corner."""
    label = given["images"]["label"].map({n: i for i, n in enumerate(CLASS_NAMES)}).to_numpy()
    given["pixels"][:, 0] = 230
    given["pixels"][:, 0, 0] = 50 * label[:, None] + 25
    return given


def _explained(given: dict[str, Any], folder: Path, cause: str | None) -> dict[str, Any]:
    """The slices as cluster finds them, the first one confirmed with a cause (or without)."""
    context = StageContext("r", 0, folder, folder)
    given |= cluster.run(cluster.Config(), context, **collect_needs("cluster", given))
    row: dict[str, Any] = dict.fromkeys(explain.EXPLANATION_COLUMNS) | {
        "slice": "s1",
        "rank": 1,
        "status": "confirmed",
        **make_text_columns(EXPOSURE if cause else "[]"),
        "rule": "luminance <= 60",
        "frozen": Rule((Condition("luminance", "<=", 60.0),)).dump_json(),
        "applied": "luminance <= 60 (9 images of half 1)",
        "cause": cause,
        "strength_low": 0.2 if cause else np.nan,
        "strength_high": 0.4 if cause else np.nan,
        "n": 9,
        "groups": 3,
        "failures": 5,
        "error": 0.5,
        "expected": 0.1,
        "excess": 0.4,
        "low": 0.2,
        "high": 0.6,
    }
    given["explanations"] = pd.DataFrame([row]).astype(explain.EXPLANATION_COLUMNS)
    given["causes"] = pd.DataFrame(columns=list(explain.CAUSE_COLUMNS)).astype(
        explain.CAUSE_COLUMNS
    )
    return given


def _run(
    given: dict[str, Any], folder: Path, **settings: Any
) -> tuple[dict[str, Any], StageContext]:
    context = StageContext("r", 0, folder, folder)
    made = prescribe.run(prescribe.Config(**settings), context, **collect_needs("prescribe", given))
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    return made, context


def test_training_images_that_are_not_in_the_slice_get_its_cause_at_its_doses(
    tmp_path: Path,
) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, "exposure")
    made, _ = _run(given, tmp_path)
    plan = made["plan"]
    assert len(plan) == 960
    assert plan["image_id"].str.startswith("t").all()
    assert set(plan["remedy"]) == {"low_light"}, "night as it comes about, not less light alone"
    assert set(zip(plan["strength_low"], plan["strength_high"], plan["probability"], strict=True)) == {
        (0.2, 0.4, 0.5)
    }
    correction = made["policy"]["corrections"][0]
    assert correction["remedy"] == "exposure"
    assert correction["strength"] > 1
    assert correction["helps"]
    assert made["policy"]["prescriptions"][0]["kind"] == "augment"


def test_doses_are_those_that_make_training_images_like_the_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, "exposure")
    val = (given["splits"]["split"] == "val").to_numpy()
    given["pixels"] = given["pixels"] // 2 + 60
    given["pixels"][val] //= 8
    monkeypatch.setattr(prescribe, "fit_remedy", fit_remedy)
    plan = _run(given, tmp_path)[0]["plan"]
    assert set(plan["remedy"]) <= {"low_light", "exposure"}
    assert plan["strength_low"].min() > 0.08, "no darker than the slice"
    assert plan["strength_high"].max() < 0.2, "the cause alone said 0.2 to 0.4"


def test_without_a_cause_it_asks_for_more_images_and_says_which(tmp_path: Path) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, None)
    made, _ = _run(given, tmp_path)
    assert made["plan"].empty
    assert made["policy"]["prescriptions"][0]["kind"] == "collect"
    collect = pd.read_csv(made["exports"] / "collect.csv")
    assert collect["wanted"].iloc[0] > collect["have"].iloc[0]
    assert collect["examples"].str.contains("i").all()


@pytest.mark.parametrize(
    ("groups", "most", "times"),
    [(10, 9, 4.0), (10, 3, 3.0), (90, 9, 2.0), (9, 9, None), (10, 1, None)],
)
def test_a_slice_without_a_cause_is_shown_more_often_where_training_has_some(
    tmp_path: Path, groups: int, most: int, times: float | None
) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, None)
    train = (given["splits"]["split"] == "train").to_numpy()
    some = given["images"]["group"][train].unique()[:groups]
    rare = train & given["images"]["group"].isin(some).to_numpy()
    given["attributes"].loc[rare, "luminance"] = 30.0
    step = max(1, round(train.sum() / (4 * rare.sum())))  # four times as common on val
    on_val = np.where(np.arange(len(train)) % step == 0, 30.0, 120.0)
    given["attributes"]["luminance"] = np.where(train, given["attributes"]["luminance"], on_val)
    context = StageContext("r", 0, tmp_path, tmp_path)
    config = prescribe.Config(max_repeats=most)
    made = prescribe.run(config, context, **collect_needs("prescribe", given))
    plan, told = made["plan"], made["policy"]["prescriptions"][0]
    assert told["kind"] == ("oversample" if times else "collect")
    if times:
        assert set(plan["image_id"]) == set(given["images"]["image_id"][rare])
        assert set(zip(plan["remedy"], plan["strength_low"], strict=True)) == {("oversampling", times)}
        assert (
            f"show {rare.sum()} training images like these {times:.0f} times as often"
            in told["action"]
        )
    else:
        assert plan.empty


def test_a_flip_that_turns_one_class_into_another_is_refused_for_that_class(tmp_path: Path) -> None:
    given = _signed(_explained(make_finder_artifacts(), tmp_path, "horizontal_flip"))
    given["explanations"]["strength_low"] = given["explanations"]["strength_high"] = 1.0
    val = (given["splits"]["split"] == "val").to_numpy()
    given["pixels"][val] = 0  # asked on training images
    made, context = _run(given, tmp_path)
    pairs = {(r["remedy"], r["from"], r["to"]) for r in made["policy"]["refused"]}
    flips = {
        p for p in pairs if p[0] == "horizontal_flip"
    }  # a crop, too, cuts the corner off that this model reads
    assert flips == {("horizontal_flip", "a", "b"), ("horizontal_flip", "b", "a")}
    assert any("horizontal_flip changes labels" in note for note in context.notes)
    label = given["images"].set_index("image_id")["label"]
    assert set(label[made["plan"]["image_id"]]) == {"c"}


def test_a_dose_that_the_probe_never_tried_is_asked_about_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(shown: Any, strengths: dict[str, list[float]], least: float) -> list[dict[str, Any]]:
        asked.append(strengths)
        return [
            {
                "remedy": "rotation",
                "strength": 47.0,
                "from": "a",
                "to": "b",
                "share": 0.9,
                "n": 9,
                "groups": 3,
            }
        ]

    monkeypatch.setattr(prescribe, "label_changes", noted)
    given = _explained(make_finder_artifacts(), tmp_path, "rotation")
    given["explanations"][["strength_low", "strength_high"]] = (38.0, 47.0)
    made, _ = _run(given, tmp_path)
    assert {38.0, 47.0, 30.0} <= set(asked[0]["rotation"])
    label = given["images"].set_index("image_id")["label"]
    assert set(label[made["plan"]["image_id"]]) == {"b", "c"}


@pytest.mark.parametrize("empty", [True, False])
def test_no_confirmed_slice_is_a_normal_ending(tmp_path: Path, empty: bool) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, "exposure")
    given["explanations"] = (
        given["explanations"].iloc[:0]
        if empty
        else given["explanations"].assign(status="not confirmed")
    )
    made, _ = _run(given, tmp_path)
    assert made["plan"].empty
    assert made["policy"]["prescriptions"] == []


def test_two_slices_share_the_views_in_proportion_to_their_images(tmp_path: Path) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, "exposure")
    second = given["explanations"].assign(slice="s2", rank=2, n=3, strength_low=0.1, strength_high=0.1)
    given["explanations"] = pd.concat([given["explanations"], second], ignore_index=True)
    made, _ = _run(given, tmp_path)
    chance = made["plan"].groupby("slice")["probability"].first()
    assert chance.to_dict() == pytest.approx({"s1": 0.5 * 9 / 12, "s2": 0.5 * 3 / 12})


def test_cheap_errors_move_the_doses_the_shares_and_whom_to_decline(tmp_path: Path) -> None:
    """To read class a as another costs nearly nothing, so a slice of class a hardly counts beside one of class b."""
    given = _explained(make_finder_artifacts(), tmp_path, "exposure")
    val = given["predictions"]
    val["confidence"] = np.where(val["correct"], 0.9, np.where(val["label"] == "a", 0.8, 0.5))
    wrong = val[~val["correct"]]
    members = [("s1", i) for i in wrong.loc[wrong["label"] == "a", "image_id"]]
    members += [("s2", i) for i in wrong.loc[wrong["label"] == "b", "image_id"]]
    given["membership"] = pd.DataFrame(members, columns=["slice", "image_id"]).assign(
        fold=0, score=1.0
    )
    second = given["explanations"].assign(slice="s2", rank=2)
    given["explanations"] = pd.concat([given["explanations"], second], ignore_index=True)
    plain, _ = _run(given, tmp_path)
    costs = [[0.0 if a == b else 0.1 if a == "a" else 1.0 for b in CLASS_NAMES] for a in CLASS_NAMES]
    made, _ = _run(given | {"metrics": given["metrics"] | {"costs": costs}}, tmp_path)
    chance = [m["plan"].groupby("slice")["probability"].first().to_dict() for m in (plain, made)]
    assert chance[0] == pytest.approx({"s1": 0.25, "s2": 0.25})
    assert chance[1] == pytest.approx({"s1": 0.5 * 0.1 / 1.1, "s2": 0.5 / 1.1})
    gains = [
        {c["slice"]: c["gain"]["value"] for c in m["policy"]["corrections"]} for m in (plain, made)
    ]
    assert gains[1]["s1"] == pytest.approx(0.1 * gains[0]["s1"])
    assert gains[1]["s2"] == pytest.approx(gains[0]["s2"])
    assert made["policy"]["decline"]["coverage"] > plain["policy"]["decline"]["coverage"]


@pytest.mark.parametrize("helps", [True, False])
def test_a_search_keeps_the_plan_that_helped_on_val_and_says_what_it_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helps: bool
) -> None:
    given = _explained(make_finder_artifacts(), tmp_path, "exposure")
    second = given["explanations"].assign(
        slice="s2", rank=2, effect=0.01, cause="blur", strength_low=2.0, strength_high=2.0
    )
    given["explanations"] = pd.concat(
        [given["explanations"].assign(effect=0.3), second], ignore_index=True
    )
    seen = []

    def pretended(course: Any, plans: list[pd.DataFrame], context: StageContext) -> np.ndarray:
        """Every plan with the first slice reads all of val rightly, or none does."""
        truth = given["images"].set_index("image_id")["label"][given["predictions"]["image_id"]]
        right = truth.map({n: i for i, n in enumerate(CLASS_NAMES)}).to_numpy()
        seen.append((course.passes, len(course.images), [set(p["slice"]) for p in plans]))
        return np.stack(
            [right if helps and "s1" in set(p["slice"]) else (right + 1) % 3 for p in plans]
        )

    monkeypatch.setattr(prescribe, "tried", pretended)
    monkeypatch.setattr(prescribe, "has_trainable_weights", lambda model: True)
    context = StageContext("r", 0, tmp_path, tmp_path)
    config = prescribe.Config(search_passes=5000, max_plans=3)
    made = prescribe.run(config, context, **collect_needs("prescribe", given))
    passes, images, plans = seen[0]
    assert passes == 1250
    train = int((given["splits"]["split"] == "train").sum())
    assert 0 < images < train, "the holdout of train stays unseen"
    assert plans == [set(), {"s1"}, {"s1", "s2"}, {"s1", "s2"}]
    search = made["policy"]["search"]
    assert search["passes"] == 5000
    assert [t["chosen"] for t in search["tried"]] == [helps, False, False], (
        "the simplest that is as good"
    )
    assert set(made["plan"]["slice"]) == ({"s1"} if helps else set())
    assert any(
        note.startswith("search: 3 plans tried, 1,250 image passes each") for note in context.notes
    )
    left = {
        p["slice"]
        for p in made["policy"]["prescriptions"]
        if p["action"].startswith("tried, and left out")
    }
    assert left == ({"s2"} if helps else {"s1", "s2"})


GATE: dict[str, Any] = {"simulator": "gate", "simulated_images": 3}


def _at_the_gate(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cause: str = "exposure"
) -> dict[str, Any]:
    """The same with the two classes that the gate's simulator can draw."""
    given = _explained(make_finder_artifacts(), folder, cause)
    names = {"a": "badge", "b": "no_badge", "c": "no_badge"}
    for table in ("images", "predictions"):
        given[table] = given[table].assign(label=given[table]["label"].map(names))
    given["predictions"] = given["predictions"].assign(
        predicted=given["predictions"]["predicted"].map(names)
    )
    given["classes"] = {"names": ["badge", "no_badge"]}
    of_three = prescribe.compute_logits
    monkeypatch.setattr(prescribe, "compute_logits", lambda *asked: of_three(*asked)[:, :2])
    given["responses"] = np.minimum(given["responses"], 1)
    return given


@pytest.mark.parametrize(
    ("share", "chances"), [(1.0, {"gate": 0.5}), (0.4, {"gate": 0.2, "": 0.3})]
)
def test_a_share_of_the_views_shows_simulated_images_at_the_causes_doses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, chances: dict[str, float]
) -> None:
    given = _at_the_gate(tmp_path, monkeypatch)
    made, _ = _run(given, tmp_path, **GATE, simulated=share)
    plan, drawn = made["plan"].fillna({"simulator": ""}), made["simulated"]
    assert plan.groupby("simulator")["probability"].first().to_dict() == pytest.approx(chances)
    assert dict(plan.groupby("simulator")["remedy"].first()) == {
        k: "exposure" if k else "low_light" for k in chances
    }
    assert drawn.groupby(["label", "condition", "simulator"]).size().to_dict() == {
        ("badge", "exposure", "gate"): 3,
        ("no_badge", "exposure", "gate"): 3,
    }
    assert drawn["strength"].between(0.2, 0.4).all()
    light = made["simulated_pixels"].mean((1, 2, 3))
    assert light.max() < 60, "drawn dark"
    assert "simulator of gate drew under exposure" in made["policy"]["prescriptions"][0]["action"]


def test_simulated_images_are_in_no_table_of_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _at_the_gate(tmp_path, monkeypatch)
    made, _ = _run(given, tmp_path, **GATE, simulated=1)
    ids = set(made["simulated"]["content_hash"])
    assert len(ids) == 6
    assert not ids & {*given["images"]["content_hash"], *given["splits"]["image_id"]}
    part = given["splits"].set_index("image_id")["split"]
    assert set(part[made["plan"]["image_id"]]) == {"train"}, (
        "only views of train are given up for them"
    )
    given["images"].loc[0, "content_hash"] = made["simulated"]["content_hash"].iloc[4]
    with pytest.raises(InputError, match="an image of the data set"):
        _run(given, tmp_path, **GATE, simulated=1)


def test_what_the_simulator_cannot_draw_is_treated_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, context = _run(_at_the_gate(tmp_path, monkeypatch, "blur"), tmp_path, **GATE, simulated=1)
    assert made["simulated"].empty
    assert made["plan"]["simulator"].isna().all()
    assert len(made["plan"])
    assert any("cannot draw blur" in note for note in context.notes)


@pytest.mark.parametrize("name", [None, "folder", "gat"])
def test_a_share_without_a_simulator_is_refused_before_anything_runs(name: str | None) -> None:
    with pytest.raises(
        ValueError, match=r"prescribe\.simulator: .* no adapter with a simulator.*gate"
    ):
        prescribe.Config(simulator=name, simulated_share=0.5)


def test_classes_that_the_simulator_does_not_know_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="draws no 'a'"):
        _run(_explained(make_finder_artifacts(), tmp_path, "exposure"), tmp_path, **GATE, simulated=1)
