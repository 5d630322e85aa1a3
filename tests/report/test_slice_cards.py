import pytest

from pipeline.report.figures.contact_sheets import choose_contact_sheet
from pipeline.report.report_page import ReportPage
from pipeline.report.slice_cards import build_slice_card, describe_remedy


def test_a_remedy_without_its_plugin_is_described_by_its_name() -> None:
    assert describe_remedy("gone_away") == "gone away"
    assert describe_remedy(None) == ""
    assert describe_remedy("rotation").startswith("Rotate the image")


def test_the_card_counts_the_members_of_the_slice(page: ReportPage) -> None:
    row = page.confirmed_slices[0]
    card = build_slice_card(page, row, choose_contact_sheet(page, "s1"))
    members = page.slice_members["s1"]
    assert card["member_count"] == len(members)
    assert card["misclassified_count"] == page.is_misclassified[members].sum()
    assert card["errors"]["before"] == pytest.approx(page.is_misclassified[members].mean())
    assert card["cause_range"] == "exposure x0.15 to x0.4"
