import subprocess
import sys

import pytest
import torch

from pipeline.contracts import InputError
from pipeline.learning.models.step_memory import check_step_memory, measure_image_bytes

GB = 10**9
MEASURED_STEP = """
import resource, torch, timm
model = timm.create_model("tf_efficientnet_lite0", num_classes=2).train()
images = torch.zeros(8, 3, 224, 224)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model(images).sum().backward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(images))
"""


def test_the_foreseen_memory_is_near_that_of_a_real_step() -> None:
    state = torch.get_rng_state()
    foreseen = measure_image_bytes("tf_efficientnet_lite0", 224)
    assert torch.equal(state, torch.get_rng_state()), "the training that follows has the same bits"
    measured = subprocess.check_output([sys.executable, "-c", MEASURED_STEP], text=True)
    assert foreseen == pytest.approx(float(measured), rel=0.4)
    assert measure_image_bytes("tf_efficientnet_lite0", 448) == pytest.approx(4 * foreseen, rel=0.1)


def test_a_step_that_fits_is_accepted() -> None:
    check_step_memory(GB, batch_size=8, side=1024, free_bytes=8 * GB)


def test_a_step_that_does_not_fit_is_refused_with_sizes_that_do() -> None:
    with pytest.raises(InputError, match="at most 512, or set batch_size to at most 2, or choose"):
        check_step_memory(GB, batch_size=8, side=1024, free_bytes=2 * GB)
    with pytest.raises(InputError) as refusal:
        check_step_memory(GB, batch_size=8, side=1024, free_bytes=2 * GB)
    assert "\n" not in str(refusal.value)
    check_step_memory(GB // 4, batch_size=8, side=512, free_bytes=2 * GB)
    check_step_memory(GB, batch_size=2, side=1024, free_bytes=2 * GB)


def test_where_nothing_smaller_fits_the_backbone_is_named() -> None:
    with pytest.raises(InputError, match="free; choose a smaller train"):
        check_step_memory(100 * GB, batch_size=2, side=32, free_bytes=GB)
