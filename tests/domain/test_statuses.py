import json

import pandas as pd

from pipeline.domain.statuses import SliceStatus, TrackState


def test_a_status_is_the_text_that_artifacts_hold() -> None:
    table = pd.DataFrame({"status": [SliceStatus.NOT_TESTABLE]}).astype("str")
    assert table["status"].tolist() == ["not testable"]
    assert (table["status"] == SliceStatus.NOT_TESTABLE).all()


def test_a_state_survives_json() -> None:
    assert (
        TrackState(json.loads(json.dumps(TrackState.NOT_ASSESSABLE))) is TrackState.NOT_ASSESSABLE
    )
