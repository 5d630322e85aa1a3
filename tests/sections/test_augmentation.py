from typing import Any

from pipeline.sections import Page
from pipeline.sections.augmentation import augmentation
from tests.sections.conftest import build_page


def test_an_original_stands_beside_six_copies_with_their_doses(page: Page) -> None:
    html = str(augmentation(page))
    preview = page.previews[0]
    assert preview.original in page.photos
    assert html.count("<figure>") == 7
    assert [dose for dose, _ in preview.copies][:1] == ["exposure x0.15"]
    assert all(dose in html for dose, _ in preview.copies)
    light = [float(pixels.mean()) for _, pixels in preview.copies]
    assert light == sorted(light)


def test_treated_photos_are_measured_nearer_to_the_dark_slice(page: Page) -> None:
    row = page.previews[0].profile.set_index("attribute").loc["luminance"]
    assert row["slice_mid"] < row["training_mid"]
    assert abs(row["treated_mid"] - row["slice_mid"]) < abs(row["training_mid"] - row["slice_mid"]) / 2
    assert "clearly nearer to the slice in" in augmentation(page)


def test_copies_follow_the_privacy_setting(made: dict[str, Any]) -> None:
    assert "base64" not in augmentation(build_page(made, "none"))


def test_without_a_plan_there_is_no_section(quiet: dict[str, Any]) -> None:
    assert augmentation(build_page(quiet)) == ""
