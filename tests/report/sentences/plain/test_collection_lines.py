"""What to collect next, in lines: pipeline/report/sentences/plain/collection_lines.py."""

from pipeline.report.sentences.plain.collection_lines import (
    describe_collection_command,
    describe_needed_groups,
)


def test_only_reachable_numbers_of_groups_are_asked_for() -> None:
    rows = [
        {"split": "val", "groups": 50, "groups_needed": 40},
        {"split": "test", "groups": 20, "groups_needed": 5000},
    ]
    assert describe_needed_groups(rows) == "more images like these, in training above all"
    rows.append({"split": "test", "groups": 1, "groups_needed": 2})
    assert "about 1 more group for the test set (1 at hand)" in describe_needed_groups(rows)


def test_the_command_names_the_config() -> None:
    assert "nightshift run -c demo.yaml" in describe_collection_command("seed: 1\nname: demo\n")
    assert "-c CONFIG.yaml" in describe_collection_command("")
    assert "name their split" in describe_collection_command("", is_split_given=True)
