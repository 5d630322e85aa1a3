"""Filters on the rows of a table, as a config states them: `luminance >= 70 and camera == "a"`."""

from __future__ import annotations

import ast
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import suggest_name
from pipeline.plugins import describe_rename

# Neither calls nor attributes nor subscripts: an expression can read columns and nothing else.
_ALLOWED_NODES = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.Compare,
    ast.Eq,
    ast.NotEq,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.In,
    ast.NotIn,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.List,
    ast.Tuple,
)


_MAX_EXPRESSION_CHARACTERS = 2000
"""Longest expression: nesting costs stack, and nobody reads a longer one."""


def _validate_expression(expression: str, column_names: Collection[str], config_key: str) -> None:
    """Raise `InputError` for anything but comparisons, `and`, `or`, `not`, values and columns."""
    if len(expression) > _MAX_EXPRESSION_CHARACTERS:
        raise InputError(
            f"{config_key}: an expression of {len(expression):,} characters; "
            f"at most {_MAX_EXPRESSION_CHARACTERS:,}"
        )
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{config_key}: {expression[:200]!r} is not an expression; "
            "write one like luminance >= 70"
        ) from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED_NODES):
            raise InputError(
                f"{config_key}: {expression[:200]!r}: only comparisons of columns with values, "
                f"joined by and, or, not, are allowed (found {type(node).__name__})"
            )
        if isinstance(node, ast.Name) and node.id not in column_names:
            renamed = describe_rename("attributes", node.id)
            hint = suggest_name(node.id, column_names)
            raise InputError(f"{config_key}: {renamed or f'no column {node.id!r}; {hint}'}")


def evaluate_row_filter(expression: str, table: pd.DataFrame, config_key: str) -> NDArray[np.bool_]:
    """Return which rows of a table satisfy an expression: bool [rows].

    A null satisfies only `!=` and `not in`.

    Args:
        expression: comparisons of columns with values, joined by `and`, `or` and `not`.
        table: the table.
        config_key: key that holds the expression, for the error message.

    Raises:
        InputError: the expression is anything else, names an unknown column, or compares a column
            with a value of another type.
    """
    _validate_expression(expression, list(table.columns), config_key)
    try:
        mask = table.eval(expression, engine="python")
    except Exception as error:  # pandas raises many errors for operands that do not compare
        raise InputError(
            f"{config_key}: {expression[:200]!r}: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(mask, pd.Series) or mask.dtype != bool:
        raise InputError(
            f"{config_key}: {expression[:200]!r} is not true or false; "
            "compare a column with a value"
        )
    return mask.to_numpy(dtype=bool)
