from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.serving.prediction.model_bundles import find_bundle


def test_a_bundle_is_found_as_champion_by_run_and_by_path(bundle: Path, tmp_path: Path) -> None:
    home = bundle.parents[2]
    found = [
        find_bundle(name, home).resolve()
        for name in ("champion", "champion:gate", "run1", str(bundle))
    ]
    found.append(find_bundle(str(bundle.parents[1]), home).resolve())
    assert set(found) == {bundle.resolve()}
    with pytest.raises(InputError, match="neither champion, nor a run"):
        find_bundle("nowhere", home)
    with pytest.raises(InputError, match="no run has promoted a champion yet"):
        find_bundle("champion", tmp_path)
