from pipeline.graph import get_stage
from pipeline.report.report_artifacts import ReportArtifacts


def test_the_artifacts_are_exactly_the_needs_of_the_stage() -> None:
    assert set(ReportArtifacts.__annotations__) == set(get_stage("report").needs)
