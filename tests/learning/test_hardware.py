from typing import Any

import pytest
import torch

from pipeline.learning.backbone import build
from pipeline.learning.course import Course, Schedule, optimizer_for
from pipeline.learning.hardware import Card, Means, card, compiling_pays, means, scaler_of
from pipeline.learning.settings import FitSettings
from pipeline.learning.sources import source_of
from tests.learning.drawn import META, draw

GB = 2**30
P100, V100, T4, A100, H100 = (Card(c, 16 * GB) for c in ((6, 0), (7, 0), (7, 5), (8, 0), (9, 0)))


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        (Card(), Means()),
        (P100, Means(resident=True)),
        (V100, Means(torch.float16, scaled=True, resident=True)),
        (T4, Means(torch.float16, scaled=True, resident=True)),
        (A100, Means(torch.bfloat16, tf32=True, resident=True)),
        (H100, Means(torch.bfloat16, tf32=True, resident=True)),
    ],
)
def test_means_follow_the_card(card: Card, wanted: Means) -> None:
    assert means(card, 8 * GB) == wanted


def test_photos_that_do_not_fit_stay_where_they_are() -> None:
    assert means(A100, 8 * GB).resident
    assert not means(A100, 8 * GB + 1).resident
    assert not means(Card(), 0).resident


def test_compiling_pays_for_a_long_training_on_a_card_that_can() -> None:
    assert compiling_pays(A100, 100_000, 0.05)
    assert not compiling_pays(A100, 1_000, 0.05)
    assert not compiling_pays(P100, 100_000, 0.05)
    assert not compiling_pays(Card(), 10**9, 1.0)


def test_this_machine_is_read() -> None:
    assert card(torch.device("cpu")) == Card()


def _learnt(use: Means, **more: Any) -> tuple[list[float], torch.Tensor]:
    settings = FitSettings(batch=16, optimizer="sgd", rate=0.05, warmup=0, shift=0)
    model, _ = build("test_vit", "none", META["classes"], 32, 0.0)
    photos = draw(64)
    optimizer = optimizer_for(model, settings)
    source = source_of(photos, META, settings, None, use)
    schedule = Schedule(settings, 64)
    scaler = more.pop("scaler", scaler_of(use))
    course = Course(model, model.train(), optimizer, META, photos, schedule, None, source, 0, print, use, scaler)
    losses = [float(course.step(step, course.prepare(step)())[0]) for step in range(6)]
    return losses, torch.cat([p.detach().flatten() for p in model.parameters()])


def test_half_precision_and_a_scaled_loss_learn_the_same_within_a_tolerance() -> None:
    plain, weights = _learnt(Means())
    half, near = _learnt(Means(torch.bfloat16))
    scaled, same = _learnt(Means(), scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))
    assert half != plain
    assert half == pytest.approx(plain, abs=0.03)
    assert torch.allclose(near, weights, atol=0.03)
    assert scaled == pytest.approx(plain, abs=1e-4)
    assert torch.allclose(same, weights, atol=1e-4)
