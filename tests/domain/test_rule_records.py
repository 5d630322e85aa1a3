import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import InputError
from pipeline.domain.rules import Condition, Rule

_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_CONDITIONS = st.one_of(
    st.builds(Condition, st.text(), st.sampled_from(["<=", ">=", "near"]), _NUMBERS),
    st.builds(Condition, st.text(), st.just("between"), st.tuples(_NUMBERS, _NUMBERS)),
    st.builds(Condition, st.text(), st.just("is"), st.text() | st.booleans()),
)


@given(st.builds(Rule, st.lists(_CONDITIONS, max_size=4).map(tuple), st.none() | st.text()))
def test_any_rule_is_read_back_as_it_was(rule: Rule) -> None:
    assert Rule.parse_json(rule.dump_json()) == rule


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(conditions=_JSON, op=st.sampled_from(["is", "<=", "between", "near", "exec"]), value=_JSON)
def test_any_other_json_is_one_line(conditions: object, op: str, value: object) -> None:
    condition = {"column": "hour", "op": op, "value": value}
    for given_conditions in (conditions, [condition]):
        record = {"conditions": given_conditions, "label": None, "source": "class"}
        with suppress(InputError):  # any other error is a defect
            Rule.parse_json(json.dumps(record)).format_text()


@pytest.mark.parametrize("text", ["", "null", "[" * 10_000, '{"conditions": []}', "{" * 9999])
def test_damaged_json_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="a rule cannot be read") as caught:
        Rule.parse_json(text)
    assert "\n" not in str(caught.value)
