from typing import Any

import numpy as np

from pipeline.report.figures.contact_sheets import (
    MAX_NEIGHBORS,
    choose_contact_sheet,
    list_neighbors,
    rank_informative_images,
    select_label_issues,
)
from pipeline.report.report_page import ReportPage
from tests.report.conftest import build_page


def test_a_contact_sheet_is_varied_and_begins_with_the_failures(page: ReportPage) -> None:
    sheet = choose_contact_sheet(page, "s1")
    assert len(sheet) == page.contact_sheet_size
    assert set(sheet) <= set(page.slice_members["s1"])
    is_misclassified = page.is_misclassified[sheet].tolist()
    assert is_misclassified == sorted(is_misclassified, reverse=True)
    small_sheet = choose_contact_sheet(build_page(dict(page.artifacts), contact=12), "s1")
    assert page.flips.loc[small_sheet, "group"].nunique() >= 10


def test_without_a_cause_the_most_typical_images_come_first(made: dict[str, Any]) -> None:
    members = made["membership"].copy()
    is_member = members["slice"] == "s2"
    scores = np.random.default_rng(0).permutation(int(is_member.sum())).astype(float)
    members.loc[is_member, "score"] = scores
    page = build_page({**made, "membership": members}, contact=12)
    sheet = np.array(choose_contact_sheet(page, "s2"))
    is_misclassified = page.is_misclassified[sheet].to_numpy()
    assert is_misclassified[0]
    score_by_image = members[is_member].set_index("image_id")["score"]
    correct_scores = score_by_image[sheet[~is_misclassified]].tolist()
    assert len(correct_scores) > 5
    assert correct_scores == sorted(correct_scores, reverse=True)


def test_an_unknown_slice_has_an_empty_sheet(page: ReportPage) -> None:
    assert choose_contact_sheet(page, "nowhere") == []


def test_changed_images_come_before_those_that_stay_correct(page: ReportPage) -> None:
    order = rank_informative_images(page)
    assert len(order) == len(set(order))
    changed = page.flips.index[page.flips["change"] != "still right"]
    assert set(changed) <= set(order)
    on_sheets = set()
    for row in page.slices:
        on_sheets |= set(choose_contact_sheet(page, row["slice"]))
    unchanged = set(page.flips.index) - set(changed) - on_sheets
    last_unchanged = [image_id for image_id in order if image_id in unchanged][-1]
    assert order.index(last_unchanged) > max(map(order.index, changed))


def test_a_label_issue_is_paired_with_an_image_of_the_other_label(made: dict[str, Any]) -> None:
    ids = made["images"]["image_id"]
    issues = select_label_issues(build_page(made)).set_index("kind")
    assert issues.at["conflict", "image_id"] == ids[1]
    assert issues.at["conflict", "twin"] == ids[6], "the image with the same bytes"
    twin = build_page(made).flips_by_image[issues.at["suspected", "twin"]]
    assert twin["label"] == twin["before"] == issues.at["suspected", "suggested"]


def test_a_label_in_doubt_has_images_of_its_group_beside_it_none_of_them_sealed(
    page: ReportPage,
) -> None:
    issues = list(select_label_issues(page)["image_id"])
    neighbors = list_neighbors(page, issues)
    assert neighbors
    assert not set(neighbors) & set(issues)
    assert "test" not in set(page.images.loc[neighbors, "split"])
    groups = page.images.loc[neighbors, "group"]
    assert set(groups) <= set(page.images.loc[issues, "group"])
    assert groups.value_counts().max() <= MAX_NEIGHBORS
    assert set(neighbors) <= set(rank_informative_images(page))
