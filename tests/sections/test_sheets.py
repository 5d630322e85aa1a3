from typing import Any

import numpy as np

from pipeline.sections import Page, sheets
from tests.sections.conftest import build_page


def test_a_contact_sheet_is_varied_and_begins_with_the_failures(page: Page) -> None:
    sheet = sheets.contact_sheet(page, "s1")
    assert len(sheet) == page.contact
    assert set(sheet) <= set(page.members["s1"])
    wrong = [page.answers[i]["label"] != page.answers[i]["before"] for i in sheet]
    assert wrong == sorted(wrong, reverse=True)
    few = sheets.contact_sheet(build_page(dict(page.made), contact=12), "s1")
    groups = [page.answers[i]["group"] for i in few]
    assert len(set(groups)) >= 10


def test_of_a_slice_without_a_cause_the_most_typical_failures_come_first(made: dict[str, Any]) -> None:
    members = made["membership"].copy()
    mine = members["slice"] == "s2"
    members.loc[mine, "score"] = np.random.default_rng(0).permutation(int(mine.sum())).astype(float)
    page = build_page({**made, "membership": members}, contact=12)
    score = members[mine].set_index("image_id")["score"]
    sheet = sheets.contact_sheet(page, "s2")
    wrong = np.array([page.answers[i]["label"] != page.answers[i]["before"] for i in sheet])
    assert wrong[0]
    typical = score[np.array(sheet)[~wrong]].tolist()
    assert len(typical) > 5
    assert typical == sorted(typical, reverse=True)


def test_an_unknown_slice_has_no_sheet(page: Page) -> None:
    assert sheets.contact_sheet(page, "nowhere") == []


def test_what_changed_comes_before_what_stayed_right(page: Page) -> None:
    order = sheets.informative(page)
    assert len(order) == len(set(order))
    place = {image_id: k for k, image_id in enumerate(order)}
    changed = page.flips[page.flips["change"].isin(["fixed", "broken", "still wrong"])]["image_id"]
    assert set(changed) <= set(order)
    shown = {i for row in page.slices for i in sheets.contact_sheet(page, row["slice"])}
    later = [i for i in order if i in page.answers and page.answers[i]["change"] == "still right" and i not in shown]
    assert place[later[-1]] > max(place[i] for i in changed)


def test_a_conflict_is_shown_beside_its_twin(made: dict[str, Any]) -> None:
    ids = made["images"]["image_id"]
    issues = sheets.issues(build_page(made)).set_index("kind")
    assert issues.at["conflict", "image_id"] == ids[1]
    assert issues.at["conflict", "twin"] == ids[6]
    twin = issues.at["suspected", "twin"]
    assert build_page(made).answers[twin]["label"] == issues.at["suspected", "suggested"]
