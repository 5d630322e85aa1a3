from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.predict.bundles import bundle_of


def test_a_bundle_is_found_as_champion_by_run_and_by_path(bundle: Path, tmp_path: Path) -> None:
    home = bundle.parents[2]
    found = [bundle_of(name, home).resolve() for name in ("champion", "run1", str(bundle), str(bundle.parents[1]))]
    assert set(found) == {bundle.resolve()}
    with pytest.raises(InputError, match="neither champion, nor a run"):
        bundle_of("nowhere", home)
    with pytest.raises(InputError, match="no run has promoted a champion yet"):
        bundle_of("champion", tmp_path)
