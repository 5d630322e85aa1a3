from pipeline.domain.text_prefixes import has_shared_prefix, list_value_prefixes


def test_beginnings_of_several_values_end_at_a_part() -> None:
    names = ["2024-01-03", "2024-01-09", "2024-02-01", "2025-01-01"]
    counts = dict.fromkeys(names, 1)
    assert list_value_prefixes(counts, 100) == ["2024-", "2024-01-"]
    assert list_value_prefixes({"north": 1, "south": 1}, 100) == []
    assert list_value_prefixes({}, 100) == []


def test_of_too_many_beginnings_those_of_most_images_stay() -> None:
    counts = {f"device-{k:04d}/{part}": k for k in range(1, 300) for part in "ab"}
    kept = list_value_prefixes(counts, 5)
    assert kept == [f"device-{k:04d}/" for k in range(295, 300)]


def test_texts_that_all_differ_have_no_shared_beginning() -> None:
    assert not has_shared_prefix({f"note {k}" for k in range(99)})
    assert has_shared_prefix({f"device-{k % 9}/photo {k}" for k in range(99)})
