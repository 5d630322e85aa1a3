from pipeline.domain.split_exclusions import SplitExclusion
from pipeline.domain.statuses import ExclusionKind
from pipeline.report.sentences.split_sentences import describe_exclusion

LEAKS = (ExclusionKind.SAME_IMAGE, ExclusionKind.SAME_GROUP, ExclusionKind.TIED_GROUP)


def test_a_leak_names_the_other_image_and_its_split() -> None:
    texts = {describe_exclusion(SplitExclusion(kind, "p/0.jpg", "train")) for kind in LEAKS}
    assert len(texts) == len(LEAKS)
    assert all(text.endswith("p/0.jpg in train") for text in texts)


def test_other_reasons_name_no_image() -> None:
    condition = SplitExclusion(ExclusionKind.CONDITION_NOT_MET, condition="luminance >= 30")
    assert "luminance >= 30" in describe_exclusion(condition)
    assert "None" not in describe_exclusion(SplitExclusion(ExclusionKind.UNKNOWN_PLACE))
