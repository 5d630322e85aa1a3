from dataclasses import replace

import pytest

from pipeline.domain.prescriptions import PrescribedCorrection, PrescribedTreatment, Prescription
from pipeline.domain.statuses import PrescriptionKind
from pipeline.report.sentences.prescription_sentences import (
    describe_prescription,
    describe_refusals,
    describe_searched_plan,
)

LOW_LIGHT = PrescribedTreatment("low_light", None, 1_200, ((0.25, 0.5),))
AUGMENT = Prescription("s1", PrescriptionKind.AUGMENT, 1_200, (LOW_LIGHT,), 0.58, None, True)


def _repeat(kind: PrescriptionKind, remedy: str, factor: float) -> Prescription:
    treatment = PrescribedTreatment(remedy, None, 40, ((factor, factor),))
    return replace(AUGMENT, kind=kind, images=40, treatments=(treatment,), fit_auc=None)


@pytest.mark.parametrize(
    ("prescription", "parts"),
    [
        (AUGMENT, ("1,200 training images", "low light at 25.0% to 50.0%", "AUC of 0.58")),
        (_repeat(PrescriptionKind.OVERSAMPLE, "oversampling", 3.0), ("40", "3 times as often")),
        (_repeat(PrescriptionKind.REWEIGHT, "reweighting", 4.0), ("40", "4 times as much")),
        (
            Prescription("s1", PrescriptionKind.COLLECT, 0, (), None, None, False),
            ("collect more images",),
        ),
    ],
)
def test_the_action_holds_the_numbers_of_the_plan(
    prescription: Prescription, parts: tuple[str, ...]
) -> None:
    text = describe_prescription(prescription)
    for part in parts:
        assert part in text
    assert "left out" not in text


def test_simulated_images_are_named_with_their_simulator() -> None:
    simulated = PrescribedTreatment("exposure", "gate", 9, ((0.2, 0.2), (0.4, 0.4)))
    text = describe_prescription(replace(AUGMENT, treatments=(simulated,), fit_auc=None))
    assert "simulator of gate" in text
    assert "exposure x0.2 and exposure x0.4" in text
    assert "AUC" not in text


def test_a_correction_is_the_alternative() -> None:
    text = describe_prescription(replace(AUGMENT, correction=PrescribedCorrection("exposure", 4.0)))
    assert text.startswith(describe_prescription(AUGMENT))
    assert text.endswith("exposure x4")


def test_a_plan_that_the_search_left_out_says_so() -> None:
    text = describe_prescription(replace(AUGMENT, is_trained=False))
    assert "left out" in text
    assert text.endswith(describe_prescription(AUGMENT))


def test_searched_plans_are_told_apart() -> None:
    plans = [
        (["s1"], False, False),
        (["s1", "s2"], False, False),
        (["s1", "s2"], True, False),
        (["s1", "s2"], True, True),
    ]
    texts = {describe_searched_plan(*plan) for plan in plans}
    assert len(texts) == len(plans)
    assert all(text.startswith("s1") for text in texts)


def test_refusals_are_listed_by_remedy() -> None:
    changes = [
        {"remedy": "rotation", "from": "6", "to": "9"},
        {"remedy": "horizontal_flip", "from": "b", "to": "d"},
        {"remedy": "rotation", "from": "6", "to": "9"},
    ]
    assert describe_refusals(changes) == [
        "horizontal_flip changes labels and is refused for: b to d",
        "rotation changes labels and is refused for: 6 to 9",
    ]
