from pipeline.report.exports.picture_names import (
    CURVES_FILE,
    MATRIX_FILE,
    name_dose_curve,
    name_sheet,
)


def test_no_two_pictures_share_a_name() -> None:
    slices = ("s1", "s11", "s2")
    names = [*map(name_sheet, slices), *map(name_dose_curve, slices), CURVES_FILE, MATRIX_FILE]
    assert len(set(names)) == len(names)
    assert all(name.endswith(".png") for name in names)
