import json
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.storage.bundle_record import BUNDLE_FORMAT, FORMAT_KEY, read_bundle_record


def test_a_record_of_this_version_is_read(tmp_path: Path) -> None:
    record = {FORMAT_KEY: BUNDLE_FORMAT, "slices": []}
    (tmp_path / "bundle.json").write_text(json.dumps(record))
    assert read_bundle_record(tmp_path) == record


@pytest.mark.parametrize("record", [{"slices": []}, {FORMAT_KEY: 99}])
def test_a_record_of_another_version_is_refused_in_one_line(
    record: dict[str, object], tmp_path: Path
) -> None:
    """A bundle of version 0.1 has no format; its rules use old names of attributes."""
    (tmp_path / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"bundle\.json: a model of another version") as caught:
        read_bundle_record(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_record_is_an_input_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(InputError, match=r"bundle\.json"):
        read_bundle_record(tmp_path)
