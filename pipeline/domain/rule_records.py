"""Rules as JSON, checked before they are used: they come with bundles, runs and exported models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipeline.contracts import InputError

_FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]


class ConditionRecord(BaseModel, extra="forbid", strict=True):
    """A condition as JSON."""

    column: str
    op: Literal["<=", ">=", "between", "is", "starts", "near"]
    value: str | bool | int | _FiniteNumber | tuple[_FiniteNumber, _FiniteNumber]

    @model_validator(mode="after")
    def _check_value(self) -> ConditionRecord:
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        is_valid = {
            "between": isinstance(self.value, tuple),
            "is": isinstance(self.value, str | bool) or is_number,
            "starts": isinstance(self.value, str),
        }
        if not is_valid.get(self.op, is_number):
            raise ValueError(f"{self.value!r} is no value for {self.op}")
        return self


class RuleRecord(BaseModel, extra="ignore", strict=True):
    """A rule as JSON; older versions wrote further fields."""

    conditions: list[ConditionRecord] = Field(max_length=100)
    label: str | None
    source: str


def read_rule_record(text: str) -> RuleRecord:
    """Return the rule in a JSON text.

    Raises:
        InputError: the text is no rule.
    """
    try:
        return RuleRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the text"
        raise InputError(f"a rule cannot be read ({key}: {first['msg']})") from error
