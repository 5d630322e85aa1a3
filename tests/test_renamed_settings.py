from pipeline.renamed_settings import RENAMED_SETTINGS, describe_renamed_key


def test_every_renamed_key_is_described_with_its_section() -> None:
    for section, keys in RENAMED_SETTINGS.items():
        for key, new_key in keys.items():
            line = describe_renamed_key(section, key)
            assert line == f"{section}.{key} was renamed: write {section}.{new_key}"


def test_a_key_is_renamed_in_its_section_only() -> None:
    assert describe_renamed_key("train", "batch")
    assert describe_renamed_key("split", "batch") == ""
    assert describe_renamed_key("nowhere", "batch") == ""
