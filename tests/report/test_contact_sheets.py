from typing import Any

import numpy as np

from pipeline.report import contact_sheets
from pipeline.report.report_page import ReportPage
from tests.report.conftest import build_page


def test_a_contact_sheet_is_varied_and_begins_with_the_failures(page: ReportPage) -> None:
    sheet = contact_sheets.choose_contact_sheet(page, "s1")
    assert len(sheet) == page.contact_sheet_size
    assert set(sheet) <= set(page.slice_members["s1"])
    wrong = [page.flips_by_image[i]["label"] != page.flips_by_image[i]["before"] for i in sheet]
    assert wrong == sorted(wrong, reverse=True)
    few = contact_sheets.choose_contact_sheet(build_page(dict(page.artifacts), contact=12), "s1")
    groups = [page.flips_by_image[i]["group"] for i in few]
    assert len(set(groups)) >= 10


def test_of_a_slice_without_a_cause_the_most_typical_failures_come_first(
    made: dict[str, Any],
) -> None:
    members = made["membership"].copy()
    mine = members["slice"] == "s2"
    members.loc[mine, "score"] = np.random.default_rng(0).permutation(int(mine.sum())).astype(float)
    page = build_page({**made, "membership": members}, contact=12)
    score = members[mine].set_index("image_id")["score"]
    sheet = contact_sheets.choose_contact_sheet(page, "s2")
    wrong = np.array(
        [page.flips_by_image[i]["label"] != page.flips_by_image[i]["before"] for i in sheet]
    )
    assert wrong[0]
    typical = score[np.array(sheet)[~wrong]].tolist()
    assert len(typical) > 5
    assert typical == sorted(typical, reverse=True)


def test_an_unknown_slice_has_no_sheet(page: ReportPage) -> None:
    assert contact_sheets.choose_contact_sheet(page, "nowhere") == []


def test_what_changed_comes_before_what_stayed_right(page: ReportPage) -> None:
    order = contact_sheets.rank_informative_images(page)
    assert len(order) == len(set(order))
    place = {image_id: k for k, image_id in enumerate(order)}
    changed = page.flips[page.flips["change"].isin(["fixed", "broken", "still wrong"])]["image_id"]
    assert set(changed) <= set(order)
    shown = {
        i for row in page.slices for i in contact_sheets.choose_contact_sheet(page, row["slice"])
    }
    later = [
        i
        for i in order
        if i in page.flips_by_image
        and page.flips_by_image[i]["change"] == "still right"
        and i not in shown
    ]
    assert place[later[-1]] > max(place[i] for i in changed)


def test_a_conflict_is_shown_beside_its_twin(made: dict[str, Any]) -> None:
    ids = made["images"]["image_id"]
    issues = contact_sheets.select_label_issues(build_page(made)).set_index("kind")
    assert issues.at["conflict", "image_id"] == ids[1]
    assert issues.at["conflict", "twin"] == ids[6]
    twin = issues.at["suspected", "twin"]
    assert build_page(made).flips_by_image[twin]["label"] == issues.at["suspected", "suggested"]
