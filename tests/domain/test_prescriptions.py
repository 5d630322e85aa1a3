import json

import pytest
from pydantic import ValidationError

from pipeline.domain.prescriptions import PrescribedCorrection, PrescribedTreatment, Prescription
from pipeline.domain.statuses import PrescriptionKind

PRESCRIPTION = Prescription(
    "s1",
    PrescriptionKind.AUGMENT,
    9,
    (PrescribedTreatment("exposure", "gate", 9, ((0.2, 0.4), (2.0, 3.0))),),
    0.58,
    PrescribedCorrection("exposure", 4.0),
    True,
)


def test_a_prescription_survives_json() -> None:
    text = json.dumps(PRESCRIPTION.build_record(), allow_nan=False)
    assert Prescription.parse_record(json.loads(text)) == PRESCRIPTION


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValidationError):
        Prescription.parse_record(PRESCRIPTION.build_record() | {"kind": "pray"})
