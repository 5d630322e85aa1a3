import pytest

from pipeline.report.sections import list_sections, load_section


def test_every_section_is_loaded_with_its_title() -> None:
    names = list_sections()
    assert names[0] == "gate_verdict", "the verdict comes first"
    titles = [load_section(name).TITLE for name in names]
    assert all(titles)
    assert len(set(titles)) == len(titles)


def test_an_unknown_section_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load_section("gate_veridct")
