"""For whom it got better or worse: pipeline/report/sentences/conditions/change_rows.py."""

from __future__ import annotations

from pipeline.domain.statuses import ChampionStatus
from pipeline.report.sentences.comparison_sentences import SubsetNames
from pipeline.report.sentences.conditions.change_rows import build_change_rows
from tests.helpers.comparisons import make_comparison, make_safety, make_split_record


def test_every_part_has_a_row_in_images_of_a_thousand() -> None:
    harm = make_safety(harmed_in_slice=("badge",))
    rows = build_change_rows(make_comparison(test=make_split_record(harm)))
    kinds = [row["kind"] for row in rows]
    assert kinds == ["class", "class", "slice", "slice class", "slice class", "others"]
    (harmed,) = [row for row in rows if row["status"] == "harmed"]
    assert (harmed["slice"], harmed["class"]) == ("s1", "badge")
    assert (harmed["before"], harmed["after"], harmed["change"]) == (950, 620, -330)
    assert harmed["change_words"] == "330 more wrong"
    assert {row["split"] for row in rows} == {"test"}


def test_names_and_reference_follow_the_comparison() -> None:
    comparison = make_comparison("refused on val", champion=ChampionStatus.COMPARED)
    known = {row["reference"] for row in build_change_rows(comparison)}
    assert known == {"the model before"}, "nothing was compared with the champion"
    comparison["val"]["safety"]["champion"] = make_safety()
    primary = comparison["val"]["primary"]
    primary["over"]["champion"] = primary["over"]["before"]
    rows = build_change_rows(comparison, SubsetNames({"s1": "Too dark"}))
    assert {row["reference"] for row in rows} == {"the model in force"}
    assert rows[3]["name"] == "badge in “Too dark”"
    assert {row["split"] for row in rows} == {"val"}


def test_without_a_targeted_arm_there_are_no_rows() -> None:
    comparison = make_comparison("no candidates", has_arms=False)
    comparison["val"]["safety"] = {}
    assert build_change_rows(comparison) == []
