import pytest

from pipeline.report.sentences.untestable_sentences import describe_untestable
from pipeline.statistics.untestable_reasons import UntestableKind, UntestableReason

WITHOUT_NUMBERS = {
    UntestableKind.NO_IMAGES,
    UntestableKind.UNKNOWN_REFERENCE,
    UntestableKind.UNKNOWN_TRAFFIC,
}


def _describe(kind: UntestableKind, found: float = 0, required: float = 0) -> str:
    return describe_untestable(UntestableReason(kind, found, required).build_record())


@pytest.mark.parametrize("kind", sorted(set(UntestableKind) - WITHOUT_NUMBERS))
def test_the_text_holds_what_would_be_enough(kind: UntestableKind) -> None:
    is_share = kind == UntestableKind.NOT_COMPARABLE
    found, required = (0.17, 0.8) if is_share else (6, 10)
    text = _describe(kind, found, required)
    assert ("80%" if is_share else "10") in text
    if kind != UntestableKind.TOO_FEW_GROUPS_OUTSIDE:
        assert ("17%" if is_share else "6 ") in text


def test_each_kind_has_a_text_of_its_own() -> None:
    assert len({_describe(kind) for kind in UntestableKind}) == len(UntestableKind)
