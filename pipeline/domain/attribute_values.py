"""How values of a column are shown and compared, as the attribute's plug-in defines it."""

from __future__ import annotations

from pipeline.attributes import list_attributes, load_attribute


def format_value(column: str, value: float) -> str:
    """Return a value with four digits, or as the attribute's plug-in formats it.

    >>> format_value("luminance", 62.43218)
    '62.43'
    >>> format_value("day", 19723.5)
    '2024-01-01 12:00'
    """
    formatter = None
    if column in list_attributes():
        formatter = getattr(load_attribute(column), "format_value", None)
    return str(formatter(value)) if formatter else f"{value:.4g}"


def get_period(column: str) -> float | None:
    """Return the period of a circular attribute (24 for the hour), None for other columns.

    >>> get_period("hour")
    24.0
    >>> get_period("luminance")
    """
    if column not in list_attributes():
        return None
    period = load_attribute(column).PERIOD
    return None if period is None else float(period)
