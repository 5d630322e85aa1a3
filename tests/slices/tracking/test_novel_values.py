from typing import Any

import pandas as pd
import pytest

from pipeline.domain.statuses import NovelSide
from pipeline.slices.tracking.novel_values import find_novel_values, flag_novel_values
from pipeline.slices.tracking.reference_profile import ReferenceProfile
from tests.arrivals import rows
from tests.slices.tracking.conftest import build_traffic


def _find(
    reference: ReferenceProfile, predictions: pd.DataFrame, attribute: str, shift_p: float = 0.03
) -> list[dict[str, Any]]:
    table = build_traffic(predictions).table
    return list(find_novel_values(attribute, reference, table, shift_p))


def test_images_darker_than_any_known_one_are_novel(reference: ReferenceProfile) -> None:
    predictions = rows()
    predictions.loc[predictions.index < 30, "luminance"] = 4.0
    (finding,) = _find(reference, predictions, "luminance")
    low, _ = reference.summary["spans"]["luminance"]
    assert (finding["side"], finding["low"], finding["high"]) == (NovelSide.BELOW, "4", "4")
    assert (finding["images"], finding["units"], finding["share"]) == (30, 15, 30 / 80)
    assert finding["known_bound"] == f"{low:.4g}"
    assert finding["p"] < 0.001


def test_one_image_beyond_the_known_range_proves_little(reference: ReferenceProfile) -> None:
    predictions = rows()
    predictions.loc[0, "luminance"] = 250.0
    (finding,) = _find(reference, predictions, "luminance")
    assert (finding["side"], finding["images"]) == (NovelSide.ABOVE, 1)
    assert finding["p"] > 0.05


def test_an_hour_far_from_all_known_ones_is_novel_with_the_p_of_the_shift(
    reference: ReferenceProfile,
) -> None:
    (finding,) = _find(reference, rows().assign(hour=2.0), "hour", shift_p=0.03)
    assert (finding["side"], finding["known_bound"]) == (NovelSide.APART, None)
    assert (finding["share"], finding["p"]) == (1.0, 0.03)
    assert _find(reference, rows(), "hour") == []


def test_unknown_values_are_not_novel(reference: ReferenceProfile) -> None:
    predictions = rows().assign(luminance=float("nan"), hour=float("nan"))
    for attribute in ("luminance", "hour"):
        assert _find(reference, predictions, attribute) == []


def test_the_larger_p_of_training_and_validation_counts(
    daylight_reference: ReferenceProfile,
) -> None:
    """Images below the known range are likelier against validation, which is dark as well."""
    predictions = rows()
    predictions.loc[predictions.index < 6, "luminance"] = 4.0
    (finding,) = _find(daylight_reference, predictions, "luminance")
    (same,) = _find(daylight_reference, predictions.iloc[:6], "luminance")
    assert finding["p"] < 0.05
    assert same["p"] < finding["p"], "all arrived units are novel"


@pytest.mark.parametrize(("attribute", "ways"), [("luminance", 2), ("hour", 1)])
def test_a_circular_attribute_has_one_way_to_be_novel(
    reference: ReferenceProfile, attribute: str, ways: int
) -> None:
    table = build_traffic(rows()).table
    flagged = list(flag_novel_values(attribute, reference, table))
    assert len(flagged) == ways
    assert all(mask.shape == (len(table),) for _, mask in flagged)
