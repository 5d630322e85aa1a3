import json

from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason


def test_a_reason_is_recorded_as_json() -> None:
    record = UntestableReason(UntestableKind.TOO_FEW_GROUPS, 6, 10).build_record()
    assert json.loads(json.dumps(record)) == {"kind": "too few groups", "found": 6, "required": 10}
