import subprocess
import sys

import pytest

import pipeline


def test_load_is_there_and_costs_nothing_until_it_is_asked_for() -> None:
    code = "import sys, pipeline; print('torch' in sys.modules, callable(pipeline.load), 'torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == [
        "False",
        "True",
        "True",
    ]
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = pipeline.lod
