"""Hand-set constants of the slice finder, each with the reason or the measurement behind it.

They are not settings of a run: a run's settings are the `Config` of its stages. A constant that was
chosen on data names the data.
"""

from __future__ import annotations

from dataclasses import dataclass
