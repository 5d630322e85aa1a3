"""A model's reference, and traffic as its predictions describe it."""

import pandas as pd
import pytest

from pipeline.slices.tracking.reference_profile import SLICE_COLUMN_PREFIX, ReferenceProfile
from pipeline.slices.tracking.traffic_comparison import ArrivedTraffic
from tests.arrivals import bundle

ATTRIBUTES = ("luminance", "hour", "sharpness")


def build_traffic(predictions: pd.DataFrame) -> ArrivedTraffic:
    """Return the rows of `tests.arrivals.rows` as traffic; attributes may be missing."""
    table = predictions[[name for name in ATTRIBUTES if name in predictions]].assign(
        unit=predictions["group"],
        declined=(predictions["decision"] == "decline").astype(float),
        **{f"{SLICE_COLUMN_PREFIX}s1": predictions["slices"] != ""},
    )
    return ArrivedTraffic(table, "groups")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ReferenceProfile:
    """A fifth of the known visits is dark; nothing was taken at night."""
    return ReferenceProfile.load_bundle(bundle(tmp_path_factory.mktemp("b")))


@pytest.fixture(scope="session")
def daylight_reference(tmp_path_factory: pytest.TempPathFactory) -> ReferenceProfile:
    """The same, but no training image is dark."""
    return ReferenceProfile.load_bundle(bundle(tmp_path_factory.mktemp("day"), day=True))
