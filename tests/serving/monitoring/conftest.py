from pathlib import Path

import pytest

from pipeline.slices.tracking.reference_profile import ReferenceProfile
from tests.arrivals import bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the data of 200 visits, a fifth of them dark."""
    return bundle(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def reference(bundle_folder: Path) -> ReferenceProfile:
    return ReferenceProfile.load_bundle(bundle_folder)
