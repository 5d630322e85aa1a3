from pathlib import Path

import pytest

from pipeline.slicing.reference import Reference
from tests.arrivals import bundle


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the data of 200 visits, a fifth of them dark."""
    return bundle(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def known(folder: Path) -> Reference:
    return Reference.load(folder)
