"""Plans, corrections and requests for confirmed slices: pipeline/stages/prescribe.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.contracts import InputError, StageContext
from pipeline.data.reading.image_intake import hash_image
from pipeline.data.reading.image_record import ImageRecord
from pipeline.domain.rules import Condition, Rule
from pipeline.graph import ARTIFACT_CONTRACTS
from pipeline.learning.inference.model_outputs import extract_features
from pipeline.learning.models.backbone import build_network, save_model
from pipeline.learning.models.user_model import load_user_model
from pipeline.learning.training_settings import UserModelSettings
from pipeline.slices.causes.slice_explanations import CAUSE_DTYPES, EXPLANATION_DTYPES
from pipeline.slices.family.class_search import CLASS_SLICE_DTYPES
from pipeline.stages import cluster, prescribe
from tests.helpers.explanations import EXPOSURE, make_text_columns
from tests.helpers.validation_sets import collect_needs
from tests.stages.finder_artifacts import CLASS_NAMES, make_finder_artifacts


class _CornerReader(torch.nn.Module):
    """Predict the class in the upper left corner; in the right one a and b are swapped."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        red = (images[:, 0, 0] * 255).round() // 50
        left = red[:, 0]
        right = red[:, -1].clamp(max=2).long()
        swapped = torch.tensor([1, 0, 2])[right]
        index = torch.where(left < 3, left, swapped.float())
        return (index[:, None] == torch.arange(3)).float()


@pytest.fixture(scope="module")
def corner_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the corner reader, saved as an exported program."""
    folder = tmp_path_factory.mktemp("model")
    example = (torch.rand(2, 3, 16, 16),)
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(_CornerReader().eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, folder / "corner.pt2")
    settings = UserModelSettings(mean=(0, 0, 0), std=(1, 1, 1), class_order=CLASS_NAMES)
    model, meta, _ = load_user_model(folder / "corner.pt2", CLASS_NAMES, 16, settings)
    return save_model(folder / "saved", model, meta)


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the drawn artifacts with the slices that cluster proposes."""
    folder = tmp_path_factory.mktemp("cluster")
    artifacts = make_finder_artifacts()
    context = StageContext("r", 0, folder, folder)
    return artifacts | cluster.run(cluster.Config(), context, **collect_needs("cluster", artifacts))


def _explain(
    proposed: dict[str, Any], model: Path, cause: str | None = "exposure"
) -> dict[str, Any]:
    """Return the artifacts with the first slice confirmed, with a cause or without."""
    row: dict[str, Any] = dict.fromkeys(EXPLANATION_DTYPES)
    row |= make_text_columns(EXPOSURE if cause else "[]", n=9, groups=3, failures=5)
    row |= {
        "slice": "s1",
        "rank": 1,
        "status": "confirmed",
        "rule": "luminance <= 60",
        "frozen": Rule((Condition("luminance", "<=", 60.0),)).dump_json(),
        "applied_rules": "[]",
        "cause": cause,
        "strength_low": 0.2 if cause else np.nan,
        "strength_high": 0.4 if cause else np.nan,
        "error": 0.5,
        "expected": 0.1,
        "excess": 0.4,
        "low": 0.2,
        "high": 0.6,
    }
    return proposed | {
        "model": model,
        "pixels": proposed["pixels"].copy(),
        "attributes": proposed["attributes"].copy(),
        "explanations": pd.DataFrame([row]).astype(EXPLANATION_DTYPES),
        "causes": pd.DataFrame(columns=list(CAUSE_DTYPES)).astype(CAUSE_DTYPES),
        "class_slices": pd.DataFrame(columns=list(CLASS_SLICE_DTYPES)).astype(CLASS_SLICE_DTYPES),
    }


def _run_prescribe(
    artifacts: dict[str, Any], folder: Path, **settings: Any
) -> tuple[dict[str, Any], list[str]]:
    context = StageContext("r", 0, folder, folder)
    config = prescribe.Config(**settings)
    made = prescribe.run(config, context, **collect_needs("prescribe", artifacts))
    for name, value in made.items():
        ARTIFACT_CONTRACTS[name].check_value(name, value, {})
    return made, context.notes


def test_a_slice_with_a_cause_gets_treatments_and_a_correction(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path
) -> None:
    artifacts = _explain(proposed, corner_reader)
    is_val = (artifacts["splits"]["split"] == "val").to_numpy()
    artifacts["pixels"] = artifacts["pixels"] // 2 + 60
    artifacts["pixels"][is_val] //= 8
    made, notes = _run_prescribe(artifacts, tmp_path)
    assert any(note.startswith("the test holds no image of s1") for note in notes)
    plan = made["plan"]
    assert len(plan) == 960
    assert plan["image_id"].str.startswith("t").all()
    assert set(plan["remedy"]) <= {"low_light", "exposure"}
    assert set(plan["probability"]) == {0.5}
    # the slice has an eighth of the light; the cause was named at 0.2 to 0.4
    assert 0.05 < plan["strength_low"].min() < 0.13
    assert plan["strength_high"].max() < 0.2
    correction = made["policy"]["corrections"][0]
    assert correction["remedy"] == "exposure"
    assert correction["strength"] > 1
    assert correction["helps"]
    assert made["policy"]["prescriptions"][0]["kind"] == "augment"
    assert made["policy"]["search"] is None
    admission = made["policy"]["admission"]["s1"]
    assert (admission["train"], admission["test"]) == (0.0, None)
    assert 0.1 < admission["val"] < 0.3


def test_a_slice_without_a_cause_is_to_be_collected(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path
) -> None:
    made, _ = _run_prescribe(_explain(proposed, corner_reader, None), tmp_path)
    assert made["plan"].empty
    assert made["policy"]["prescriptions"][0]["kind"] == "collect"
    requests = pd.read_csv(made["exports"] / "collect.csv")
    assert requests["wanted"].iloc[0] > requests["have"].iloc[0]
    assert requests["examples"].str.contains("i").all()


def test_unlabeled_images_like_the_failures_are_listed_to_be_labeled(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path
) -> None:
    """The folder holds dark and lit images that are new, one of the data set, and one no image."""
    artifacts = _explain(proposed, corner_reader, None)
    images, pixels = artifacts["images"], artifacts["pixels"]
    is_val = (artifacts["splits"]["split"] == "val").to_numpy()
    is_dark = artifacts["attributes"]["luminance"].to_numpy() <= 60
    artifacts["embeddings"] = extract_features(pixels)
    folder = tmp_path / "unlabeled"
    folder.mkdir()
    dark, lit = (np.flatnonzero(is_val & mask)[:12] for mask in (is_dark, ~is_dark))
    for name, rows in (("dark", dark), ("lit", lit)):
        for row in rows:
            changed = cv2.GaussianBlur(np.ascontiguousarray(pixels[row]), (3, 3), 0)
            cv2.imwrite(str(folder / f"{name}{row}.png"), changed[:, :, ::-1])
    (folder / "broken.jpg").write_bytes(b"no image")
    known = (folder / f"dark{dark[0]}.png").read_bytes()
    _, content_hash = hash_image(ImageRecord("", "", None), known)
    artifacts["images"] = images.assign(content_hash=[content_hash, *images["content_hash"][1:]])
    made, _ = _run_prescribe(artifacts, tmp_path, unlabeled=folder)
    record = made["policy"]["look_alikes"]
    assert (record["images"], record["known"], record["rejected"]) == (24, 1, 1)
    table = pd.read_csv(made["exports"] / "look_alikes.csv")
    assert record["listed"] == {"s1": len(table)}
    assert set(table["predicted"]) <= set(artifacts["classes"]["names"])
    assert table["confidence"].between(0.5, 1).all()
    assert f"dark{dark[0]}.png" not in set(table["path"])
    assert table["path"].str.startswith("dark").head(6).all(), "lit images among the first"


def test_a_folder_without_images_is_one_line(tmp_path: Path) -> None:
    config = prescribe.Config(unlabeled=tmp_path / "absent")
    with pytest.raises(InputError, match=r"prescribe\.unlabeled: .*absent: no such folder"):
        prescribe.fingerprint_external_inputs(config, tmp_path, None)


@pytest.mark.parametrize(
    ("group_count", "max_repeats", "factor"),
    [(10, 9, 4.0), (10, 3, 3.0), (90, 9, 2.0), (9, 9, None), (10, 1, None)],
)
def test_images_of_a_slice_without_a_cause_are_repeated_if_train_has_some(
    proposed: dict[str, Any],
    corner_reader: Path,
    tmp_path: Path,
    group_count: int,
    max_repeats: int,
    factor: float | None,
) -> None:
    artifacts = _explain(proposed, corner_reader, None)
    images = artifacts["images"]
    is_train = (artifacts["splits"]["split"] == "train").to_numpy()
    dark_groups = images["group"][is_train].unique()[:group_count]
    is_dark = is_train & images["group"].isin(dark_groups).to_numpy()
    # four times as frequent on val
    step = max(1, round(is_train.sum() / (4 * is_dark.sum())))
    is_dark_val = ~is_train & (np.arange(len(images)) % step == 0)
    luminance = artifacts["attributes"]["luminance"].mask(~is_train, 120.0)
    artifacts["attributes"]["luminance"] = luminance.mask(is_dark | is_dark_val, 30.0)
    made, _ = _run_prescribe(artifacts, tmp_path, max_repeats=max_repeats)
    plan = made["plan"]
    prescription = made["policy"]["prescriptions"][0]
    if factor is None:
        assert plan.empty
        assert prescription["kind"] == "collect"
        return
    assert prescription["kind"] == "oversample"
    assert prescription["images"] == is_dark.sum()
    assert set(plan["image_id"]) == set(images["image_id"][is_dark])
    assert set(plan["remedy"]) == {"oversampling"}
    assert set(plan["strength_low"]) == {factor}


def test_a_flip_that_swaps_two_classes_is_refused_for_them(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path
) -> None:
    artifacts = _explain(proposed, corner_reader, "horizontal_flip")
    artifacts["explanations"][["strength_low", "strength_high"]] = 1.0
    labels = artifacts["images"]["label"].map(CLASS_NAMES.index).to_numpy()
    artifacts["pixels"][:, 0] = 230
    artifacts["pixels"][:, 0, 0] = 50 * labels[:, None] + 25
    is_val = (artifacts["splits"]["split"] == "val").to_numpy()
    artifacts["pixels"][is_val] = 0  # labels are tested on training images alone
    made, notes = _run_prescribe(artifacts, tmp_path)
    swaps = set()
    for change in made["policy"]["refused"]:
        if change["remedy"] == "horizontal_flip":
            swaps.add((change["from"], change["to"]))
    assert swaps == {("a", "b"), ("b", "a")}
    assert "horizontal_flip changes labels and is refused for: a to b, b to a" in notes
    label_of = artifacts["images"].set_index("image_id")["label"]
    assert set(label_of[made["plan"]["image_id"]]) == {"c"}


@pytest.mark.parametrize("is_empty", [True, False])
def test_without_a_confirmed_slice_nothing_is_prescribed(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path, is_empty: bool
) -> None:
    artifacts = _explain(proposed, corner_reader)
    explanations = artifacts["explanations"]
    artifacts["explanations"] = (
        explanations.iloc[:0] if is_empty else explanations.assign(status="not confirmed")
    )
    made, _ = _run_prescribe(artifacts, tmp_path)
    assert made["plan"].empty
    assert made["policy"]["prescriptions"] == []


def test_cheap_errors_count_for_less_in_the_decline_rule(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path
) -> None:
    artifacts = _explain(proposed, corner_reader, None)
    predictions = artifacts["predictions"]
    is_cheap = ~predictions["correct"] & (predictions["label"] == "a")
    confidence = np.where(predictions["correct"], 0.9, np.where(is_cheap, 0.8, 0.5))
    artifacts["predictions"] = predictions.assign(confidence=confidence)
    costs = 1 - np.eye(3)
    costs[0] *= 0.1
    errors = []
    for matrix in (None, costs.tolist()):
        metrics = artifacts["metrics"] | {"costs": matrix}
        made, _ = _run_prescribe(artifacts | {"metrics": metrics}, tmp_path)
        errors.append(made["policy"]["decline"]["error"])
    assert errors[0] > errors[1]


def test_a_search_fine_tunes_every_plan_on_one_budget(
    proposed: dict[str, Any], tmp_path: Path
) -> None:
    network, meta = build_network("test_efficientnet", "none", CLASS_NAMES, 16, 0.0, seed=0)
    model = save_model(tmp_path / "model", network, meta)
    artifacts = _explain(proposed, model)
    first = artifacts["explanations"].assign(effect=0.3)
    second = first.assign(slice="s2", rank=2, effect=0.01)
    artifacts["explanations"] = pd.concat([first, second], ignore_index=True)
    made, notes = _run_prescribe(artifacts, tmp_path, search_passes=256, max_plans=3)
    search = made["policy"]["search"]
    assert search["passes"] == 256
    assert len(search["tried"]) == 3
    start = "search: 3 plans tried, 64 image passes each"
    assert any(note.startswith(start) for note in notes)
    chosen = [row for row in search["tried"] if row["chosen"]]
    assert len(chosen) <= 1
    assert bool(chosen) is not made["plan"].empty
    trained = set(made["plan"]["slice"])
    for prescription in made["policy"]["prescriptions"]:
        assert prescription["is_trained"] is (prescription["slice"] in trained)


GATE_SETTINGS: dict[str, Any] = {"simulator": "gate", "simulated_images": 3}
GATE_CLASSES = {"a": "badge", "b": "no_badge", "c": "no_badge"}


def _explain_gate(
    proposed: dict[str, Any], tmp_path: Path, cause: str = "exposure"
) -> dict[str, Any]:
    """Return the artifacts with the two classes that the gate's simulator draws."""
    names = ["badge", "no_badge"]
    network, meta = build_network("test_efficientnet", "none", names, 16, 0.0, seed=0)
    artifacts = _explain(proposed, save_model(tmp_path / "model", network, meta), cause)
    images = artifacts["images"]
    predictions = artifacts["predictions"]
    artifacts["images"] = images.assign(label=images["label"].map(GATE_CLASSES))
    artifacts["predictions"] = predictions.assign(
        label=predictions["label"].map(GATE_CLASSES),
        predicted=predictions["predicted"].map(GATE_CLASSES),
    )
    artifacts["classes"] = {"names": names}
    artifacts["responses"] = np.minimum(artifacts["responses"], 1)
    return artifacts


@pytest.mark.parametrize(
    ("share", "probabilities"), [(1.0, {"gate": 0.5}), (0.4, {"gate": 0.2, "": 0.3})]
)
def test_a_share_of_the_views_shows_simulated_images(
    proposed: dict[str, Any], tmp_path: Path, share: float, probabilities: dict[str, float]
) -> None:
    artifacts = _explain_gate(proposed, tmp_path)
    made, _ = _run_prescribe(artifacts, tmp_path, **GATE_SETTINGS, simulated_share=share)
    plan = made["plan"].fillna({"simulator": ""})
    by_simulator = plan.groupby("simulator")["probability"].first().to_dict()
    assert by_simulator == pytest.approx(probabilities)
    assert set(plan.loc[plan["simulator"] == "gate", "remedy"]) == {"exposure"}
    simulated = made["simulated"]
    assert simulated.groupby(["label", "condition", "simulator"]).size().to_dict() == {
        ("badge", "exposure", "gate"): 3,
        ("no_badge", "exposure", "gate"): 3,
    }
    assert simulated["strength"].between(0.2, 0.4).all()
    assert made["simulated_pixels"].mean((1, 2, 3)).max() < 60, "drawn dark"
    treatments = made["policy"]["prescriptions"][0]["treatments"]
    assert {treatment["simulator"] for treatment in treatments} == {
        name or None for name in probabilities
    }


def test_simulated_images_are_new_and_for_training_alone(
    proposed: dict[str, Any], tmp_path: Path
) -> None:
    artifacts = _explain_gate(proposed, tmp_path)
    settings = GATE_SETTINGS | {"simulated_share": 1}
    made, _ = _run_prescribe(artifacts, tmp_path, **settings)
    hashes = made["simulated"]["content_hash"]
    assert hashes.nunique() == 6
    assert not hashes.isin(artifacts["images"]["content_hash"]).any()
    split_of = artifacts["splits"].set_index("image_id")["split"]
    assert set(split_of[made["plan"]["image_id"]]) == {"train"}
    artifacts["images"].loc[0, "content_hash"] = hashes.iloc[4]
    with pytest.raises(InputError, match="an image of the data set"):
        _run_prescribe(artifacts, tmp_path, **settings)


def test_a_cause_that_the_simulator_cannot_draw_is_treated_and_noted(
    proposed: dict[str, Any], tmp_path: Path
) -> None:
    artifacts = _explain_gate(proposed, tmp_path, "blur")
    artifacts["explanations"][["strength_low", "strength_high"]] = 2.0
    made, notes = _run_prescribe(artifacts, tmp_path, **GATE_SETTINGS, simulated_share=1)
    assert made["simulated"].empty
    assert made["plan"]["simulator"].isna().all()
    assert len(made["plan"])
    assert any("cannot simulate blur" in note for note in notes)


@pytest.mark.parametrize("name", [None, "folder", "gat"])
def test_a_simulated_share_needs_a_simulator(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"prescribe\.simulator: .*gate"):
        prescribe.Config(simulator=name, simulated_share=0.5)


def test_classes_that_the_simulator_cannot_draw_are_one_line(
    proposed: dict[str, Any], corner_reader: Path, tmp_path: Path
) -> None:
    artifacts = _explain(proposed, corner_reader)
    with pytest.raises(InputError, match="'a'") as caught:
        _run_prescribe(artifacts, tmp_path, **GATE_SETTINGS, simulated_share=1)
    assert "\n" not in str(caught.value)
