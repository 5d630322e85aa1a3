"""Prescriptions of all slices together: pipeline/slices/prescription/slice_prescriptions.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.attributes import measure_images
from pipeline.domain.prescriptions import PrescribedCorrection, PrescribedTreatment, Prescription
from pipeline.domain.rules import Condition, Rule
from pipeline.domain.statuses import PrescriptionKind
from pipeline.domain.validation_set import ValidationSet
from pipeline.remedies import apply_remedy, list_interventions
from pipeline.slices.causes.repair_test import InterventionTools
from pipeline.slices.prescription.slice_prescriptions import (
    SlicePrescriptions,
    build_prescription,
    fit_treatments,
    prescribe_slices,
)
from pipeline.slices.prescription.treatment_plan import PrescriptionContext, SimulatorUse
from tests.helpers.validation_sets import make_validation_set

COUNT = 60
INTERVENTIONS = pd.DataFrame(list_interventions(), columns=["remedy", "strength"])
RULES = {
    "s1": Rule((Condition("luminance", "<=", 50.0),)),
    "s2": Rule((Condition("hour", ">=", 20.0),)),
}
EXPLANATION = {
    "cause": "exposure",
    "strength_low": 0.2,
    "strength_high": 0.4,
    "fitted_remedy": "low_light",
    "fitted_low": 0.25,
    "fitted_high": 0.35,
    "fit_auc": 0.6,
    "tone_auc": 0.6,
    "n": 10,
}


def _make_validation_set(**fields: Any) -> ValidationSet:
    """Return 60 images, of which a third fails; brighter ones are correct."""
    ids = [f"i{row}" for row in range(COUNT)]
    frame = pd.DataFrame({"image_id": ids, "label": "a", "group": ids})
    labels = np.zeros(COUNT, np.intp)
    predictions = (np.arange(COUNT) % 3 == 0).astype(np.intp)
    is_repairing = (INTERVENTIONS["remedy"] == "exposure") & (INTERVENTIONS["strength"] > 1)
    is_correct = predictions == labels
    after = is_correct[:, None] | is_repairing.to_numpy()[None]
    return make_validation_set(frame, labels, predictions, is_correct_after=after, **fields)


def _prescribe(
    explanations: pd.DataFrame,
    membership: pd.DataFrame,
    val: ValidationSet | None = None,
    simulator_use: SimulatorUse | None = None,
) -> SlicePrescriptions:
    """Prescribe for training images of which 12 are in each slice."""
    val = val or _make_validation_set()
    training = val.frame.assign(image_id="t" + val.frame["image_id"])
    training["group"] = [f"t{row}" for row in range(COUNT)]
    frame = pd.concat([val.frame, training], ignore_index=True)
    is_training = np.arange(2 * COUNT) >= COUNT
    masks = {name: np.arange(2 * COUNT) % 5 == 0 for name in RULES}
    context = PrescriptionContext(frame, is_training, masks, masks, RULES, val, INTERVENTIONS, [])
    return prescribe_slices(
        context,
        explanations,
        membership,
        remedy_share=0.5,
        max_repeats=5,
        simulator_use=simulator_use or SimulatorUse(None, (), 0.0),
    )


def _make_explanations(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([EXPLANATION | row for row in rows])


def _make_membership(**members: NDArray[np.intp]) -> pd.DataFrame:
    rows = [(name, f"i{row}") for name, positions in members.items() for row in positions]
    return pd.DataFrame(rows, columns=["slice", "image_id"])


MEMBERS = np.arange(0, COUNT, 3)


def test_a_slice_with_a_cause_gets_a_treatment_and_a_correction() -> None:
    explanations = _make_explanations({"slice": "s1"})
    made = _prescribe(explanations, _make_membership(s1=MEMBERS))
    assert set(made.plan["remedy"]) == {"low_light"}
    assert set(made.plan["probability"]) == {0.5}
    assert made.plan["image_id"].str.startswith("t").all()
    (correction,) = made.corrections
    assert correction["helps"]
    assert (correction["remedy"], correction["strength"] > 1) == ("exposure", True)
    assert correction["words"].startswith("exposure x")
    (prescription,) = made.prescriptions
    assert prescription.kind == PrescriptionKind.AUGMENT
    assert prescription.correction == PrescribedCorrection("exposure", correction["strength"])


def test_a_slice_without_a_cause_gets_repeats_or_a_request() -> None:
    unnamed = {"cause": None, "fitted_remedy": None}
    explanations = _make_explanations({"slice": "s1", **unnamed})
    made = _prescribe(explanations, _make_membership(s1=MEMBERS))
    assert set(made.plan["remedy"]) == {"oversampling"}
    assert made.corrections == []
    assert made.prescriptions[0].kind == PrescriptionKind.OVERSAMPLE


def test_slices_share_the_views_by_their_images_and_the_cost_of_their_errors() -> None:
    explanations = _make_explanations({"slice": "s1", "n": 9}, {"slice": "s2", "n": 3})
    membership = _make_membership(s1=MEMBERS, s2=MEMBERS)
    made = _prescribe(explanations, membership)
    probabilities = made.plan.groupby("slice")["probability"].first().to_dict()
    assert probabilities == pytest.approx({"s1": 0.5 * 9 / 12, "s2": 0.5 * 3 / 12})


def test_cheap_errors_take_fewer_views() -> None:
    labels = np.arange(COUNT) % 2
    val = _make_validation_set()
    names = np.array(["a", "b"])[labels]
    costs = [[0.0, 0.1], [1.0, 0.0]]
    val = make_validation_set(val.frame.assign(label=names), labels, 1 - labels, error_costs=costs)
    explanations = _make_explanations({"slice": "s1"}, {"slice": "s2"})
    membership = _make_membership(s1=np.flatnonzero(labels == 0), s2=np.flatnonzero(labels == 1))
    val = make_validation_set(
        val.frame.assign(label=names),
        labels,
        1 - labels,
        error_costs=costs,
        is_correct_after=np.ones((COUNT, len(INTERVENTIONS)), bool),
    )
    made = _prescribe(explanations, membership, val)
    probabilities = made.plan.groupby("slice")["probability"].first().to_dict()
    assert probabilities == pytest.approx({"s1": 0.5 * 0.1 / 1.1, "s2": 0.5 / 1.1})
    gains = {item["slice"]: item["gain"]["value"] for item in made.corrections}
    assert gains == pytest.approx({"s1": 0.1, "s2": 1.0})


def test_simulated_images_take_their_share_of_the_views() -> None:
    explanations = _make_explanations({"slice": "s1"})
    use = SimulatorUse("gate", ("exposure",), 0.4)
    made = _prescribe(explanations, _make_membership(s1=MEMBERS), simulator_use=use)
    plan = made.plan.fillna({"simulator": ""})
    probabilities = plan.groupby(["simulator", "remedy"])["probability"].first().to_dict()
    assert probabilities == pytest.approx({("", "low_light"): 0.3, ("gate", "exposure"): 0.2})


def test_a_slice_that_was_not_probed_has_no_correction() -> None:
    val = _make_validation_set()
    no_rows = val.select_rows(np.ones(COUNT, bool))
    unprobed = make_validation_set(
        no_rows.frame, val.labels, val.predictions, probed_rows=np.zeros(0, np.intp)
    )
    made = _prescribe(_make_explanations({"slice": "s1"}), _make_membership(s1=MEMBERS), unprobed)
    assert made.corrections == []
    assert len(made.plan)


def test_no_slice_gives_an_empty_plan() -> None:
    made = _prescribe(_make_explanations({"slice": "s1"}).iloc[:0], _make_membership())
    assert made.plan.empty
    assert (made.corrections, made.prescriptions) == ([], [])


def test_the_treatment_is_fitted_to_the_look_of_the_slice() -> None:
    rng = np.random.default_rng(0)
    val = _make_validation_set()
    pixels = rng.integers(60, 188, (2 * COUNT, 16, 16, 3)).astype(np.uint8)
    pixels[:COUNT] //= 8
    tools = InterventionTools(
        pixels, apply_remedy, lambda images: measure_images(images).to_numpy(dtype=float), None
    )
    training = val.frame.assign(image_id="t" + val.frame["image_id"])
    training.index = pd.RangeIndex(COUNT, 2 * COUNT)
    explanations = _make_explanations({"slice": "s1"}, {"slice": "s2", "cause": None})
    causes = pd.DataFrame(
        columns=["slice", "remedy", "strength", "is_named", "is_equivalent"]
    ).astype({"is_named": "bool", "is_equivalent": "bool"})
    fitted = fit_treatments(
        val,
        {"s1": training, "s2": training},
        tools,
        explanations=explanations.drop(columns=["fitted_remedy", "fitted_low", "fitted_high"]),
        causes=causes,
        membership=_make_membership(s1=MEMBERS, s2=MEMBERS),
    )
    first, second = fitted.to_dict("records")
    assert first["fitted_remedy"] in ("low_light", "exposure")
    assert 0.08 < first["fitted_low"] <= first["fitted_high"] < 0.2, "an eighth of the light"
    assert pd.isna(second["fitted_remedy"])


def _build_plan(remedy: str, strength: float, **columns: Any) -> pd.DataFrame:
    rows = {"image_id": ["t1", "t2"], "remedy": remedy, "simulator": None, "tone_share": 0.0}
    return pd.DataFrame(rows | {"strength_low": strength, "strength_high": strength} | columns)


def _build_prescription(
    cause: str | None, plan: pd.DataFrame, correction: dict[str, Any] | None = None
) -> Prescription:
    explanation = SimpleNamespace(slice="s1", cause=cause, fit_auc=0.58)
    return build_prescription(explanation, plan, correction)


@pytest.mark.parametrize(
    ("cause", "plan", "kind"),
    [
        ("exposure", _build_plan("low_light", 0.25), PrescriptionKind.AUGMENT),
        (None, _build_plan("oversampling", 3.0), PrescriptionKind.OVERSAMPLE),
        (None, _build_plan("reweighting", 4.0), PrescriptionKind.REWEIGHT),
        (None, pd.DataFrame(), PrescriptionKind.COLLECT),
    ],
)
def test_the_kind_of_a_prescription_follows_from_cause_and_plan(
    cause: str | None, plan: pd.DataFrame, kind: PrescriptionKind
) -> None:
    prescription = _build_prescription(cause, plan)
    assert prescription.kind == kind
    assert prescription.images == len(plan)
    assert prescription.is_trained is (len(plan) > 0)
    assert Prescription.parse_record(prescription.build_record()) == prescription


def test_the_separability_is_known_for_treated_images_only() -> None:
    treated = _build_plan("exposure", 0.2, strength_high=0.4)
    simulated = _build_plan("exposure", 0.2, simulator="gate")
    assert _build_prescription("exposure", treated).fit_auc == 0.58
    assert _build_prescription("exposure", simulated).fit_auc is None


def test_the_treatments_of_a_prescription_are_the_parts_of_its_plan() -> None:
    parts = [
        _build_plan("exposure", 0.2, strength_high=0.4),
        _build_plan("exposure", 0.5),
        _build_plan("exposure", 0.2, simulator="gate"),
    ]
    treatments = _build_prescription("exposure", pd.concat(parts)).treatments
    assert treatments == (
        PrescribedTreatment("exposure", None, 4, ((0.2, 0.4), (0.5, 0.5))),
        PrescribedTreatment("exposure", "gate", 2, ((0.2, 0.2),)),
    )


def test_only_a_helpful_correction_is_prescribed() -> None:
    plan = _build_plan("exposure", 0.25)
    correction = {"remedy": "exposure", "strength": 4.0, "helps": True}
    helpful = _build_prescription("exposure", plan, correction)
    assert helpful.correction == PrescribedCorrection("exposure", 4.0)
    assert _build_prescription("exposure", plan, correction | {"helps": False}).correction is None
