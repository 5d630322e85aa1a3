from pipeline.graph import get_stage
from pipeline.report.report_artifacts import ReportArtifacts


def test_the_report_is_drawn_from_exactly_what_its_stage_needs() -> None:
    assert set(ReportArtifacts.__annotations__) == set(get_stage("report").needs)
