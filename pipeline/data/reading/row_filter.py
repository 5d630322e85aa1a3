"""Conditions on the rows of a table, as users write them in a config: `luminance >= 70 and camera in ["a", "b"]`."""

from __future__ import annotations

import ast
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contracts import InputError
from pipeline.data.reading.image_record import suggest_name

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


def _validate_expression(expression: str, column_names: Collection[str], config_key: str) -> None:
    """Only comparisons, and / or / not / in, constants and names of columns: nothing that could call or reach out."""
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"{config_key}: {expression!r} is not an expression; write one like luminance >= 70"
        ) from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED_NODES):
            raise InputError(
                f"{config_key}: {expression!r}: only comparisons of columns with values, joined by and, or, not, "
                f"are understood (found {type(node).__name__})"
            )
        if isinstance(node, ast.Name) and node.id not in column_names:
            raise InputError(
                f"{config_key}: no column {node.id!r}; {suggest_name(node.id, column_names)}"
            )


def evaluate_row_filter(expression: str, table: pd.DataFrame, config_key: str) -> NDArray[np.bool_]:
    """Where `expression` holds on the rows of `table`: bool [rows]. A null satisfies `!=` and `not in` only.

    Raises `InputError`, which names the config key `key`, for anything but comparisons of known columns with values.
    """
    _validate_expression(expression, list(table.columns), config_key)
    try:
        kept = table.eval(expression, engine="python")
    except Exception as error:  # pandas raises many kinds, for operands that do not compare
        raise InputError(f"{config_key}: {expression!r}: {' '.join(str(error).split())}") from error
    if not isinstance(kept, pd.Series) or kept.dtype != bool:
        raise InputError(
            f"{config_key}: {expression!r} is not true or false; compare a column with a value"
        )
    return kept.to_numpy(dtype=bool)
