import pytest

from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind


@pytest.mark.parametrize(
    "exclusion",
    [
        SplitExclusion(ExclusionKind.UNKNOWN_PLACE),
        SplitExclusion(ExclusionKind.SAME_IMAGE, 'tür "a".jpg', "train"),
        SplitExclusion(ExclusionKind.CONDITION_NOT_MET, condition="luminance >= 30"),
    ],
)
def test_a_reason_survives_json(exclusion: SplitExclusion) -> None:
    assert SplitExclusion.parse_json(exclusion.dump_json()) == exclusion
