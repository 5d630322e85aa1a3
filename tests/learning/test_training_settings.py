import subprocess
import sys

import pydantic
import pytest

from pipeline.learning.training_settings import PACKAGED_BACKBONE, BackboneSettings, FitSettings


def test_the_default_backbone_is_the_one_whose_weights_are_packaged() -> None:
    assert (BackboneSettings().backbone, BackboneSettings().weights) == (
        PACKAGED_BACKBONE,
        "packaged",
    )


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"batch": 1}, {"optimizer": "adam"}, {"shift": 0.5}, {"learning": 1}]
)
def test_what_cannot_be_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        FitSettings.model_validate(bad)


def test_settings_are_read_without_torch() -> None:
    code = "import sys, pipeline.learning.training_settings, pipeline.stages.train; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"
