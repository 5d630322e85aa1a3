import subprocess
import sys

import pydantic
import pytest

from pipeline.learning.models.backbone import build_network
from pipeline.learning.training_settings import BackboneSettings, FitSettings


def test_the_weights_of_the_default_backbone_are_packaged() -> None:
    settings = BackboneSettings()
    network, _ = build_network(settings.backbone, settings.weights, ["a", "b"], 32, 0.0)
    assert sum(weight.numel() for weight in network.parameters()) > 1_000_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("optimizer", "adam"),
        ("max_shift", 0.5),
        ("learning_rate", 0),
        ("warmup_share", 1),
        ("patience", 0),
    ],
)
def test_an_impossible_value_is_rejected_by_its_key(key: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError, match=key) as caught:
        FitSettings.model_validate({key: value})
    assert caught.value.errors()[0]["type"] != "extra_forbidden"


def test_an_unknown_key_is_rejected() -> None:
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        FitSettings.model_validate({"learning": 1})


def test_settings_are_read_without_torch() -> None:
    code = (
        "import sys, pipeline.learning.training_settings, pipeline.stages.train; "
        "print('torch' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert process.stdout.strip() == "False"
