import dataclasses
import inspect
from pathlib import Path

import pytest

from pipeline.slices import finder_constants
from pipeline.slices.finder_constants import CONSTANTS

SECTIONS = [field.name for field in dataclasses.fields(CONSTANTS)]
PACKAGE = Path(finder_constants.__file__).parent


@pytest.mark.parametrize("section", SECTIONS)
def test_every_constant_has_a_reason_and_a_use(section: str) -> None:
    values = getattr(CONSTANTS, section)
    folder = PACKAGE / section
    sources = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    lines = inspect.getsource(type(values)).splitlines()
    for field in dataclasses.fields(values):
        row = next(k for k, line in enumerate(lines) if line.startswith(f"    {field.name}:"))
        above = lines[row - 1].strip()
        # a pair of constants may share a comment
        is_second = above.split(":")[0] in {item.name for item in dataclasses.fields(values)}
        assert above.startswith("#") or is_second, f"{field.name} has no comment"
        assert f".{field.name}" in sources, f"{field.name} is not used in {folder.name}"


def test_constants_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONSTANTS.testing.min_effect_error = 0.0  # type: ignore[misc]
