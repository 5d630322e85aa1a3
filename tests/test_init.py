import subprocess
import sys

import pytest

import pipeline


def test_analyze_is_imported_on_first_use_only() -> None:
    code = (
        "import sys, pipeline; "
        "print('numpy' in sys.modules, callable(pipeline.analyze), 'numpy' in sys.modules)"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output.split() == ["False", "True", "True"]
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = pipeline.analyse
