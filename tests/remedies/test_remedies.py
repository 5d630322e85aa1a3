"""What holds for every remedy, and for treating, listing and describing."""

import albumentations as A
import numpy as np
import pytest

from pipeline import plugins, remedies
from pipeline.remedies import describe, dosed, interventions, treat

RANDOM = ("noise", "occlusion", "motion_blur", "crop", "shadow")  # draw more than their dose
RENDERINGS = {
    "low_light": (0.12, 0.25, 0.5, 0.7),
    "oversampling": (3.0,),
    "reweighting": (3.0,),
}  # never asked for by probe: training alone


def _doses(name: str) -> tuple[float, ...]:
    return tuple(plugins.module("remedies", name).DOSES) or RENDERINGS[name]


def _range(name: str) -> tuple[float, float]:
    return min(_doses(name)), max(_doses(name))


def _strength(name: str, photos: np.ndarray, dose: float) -> float:
    treated = treat(name, photos, dose, dose, seed=1).astype(int)
    return float(np.abs(treated - photos).mean())


@pytest.mark.parametrize("name", plugins.REMEDIES)
def test_every_plugin_keeps_the_contract(name: str, photos: np.ndarray) -> None:
    module = plugins.module("remedies", name)
    assert module.DOSES or name in RENDERINGS
    assert len(set(module.DOSES)) == len(module.DOSES)
    assert module.NEUTRAL not in module.DOSES
    assert plugins.load("remedies", name).__doc__.splitlines()[0].endswith((".", ","))
    assert all(isinstance(flag, bool) for flag in (module.ORDERED, module.CAUSE, module.CHANGES_LABEL))
    for dose in _doses(name):
        below = module.NEUTRAL is not None and dose < module.NEUTRAL
        repairs_only = any(module.WORDS) and module.inverse(dose) in module.DOSES
        assert module.WORDS[0 if below else 1] or repairs_only or not module.DOSES, f"{name} at {dose} has no words"
    transform = plugins.load("remedies", name)(*_range(name))
    assert isinstance(transform, A.BasicTransform)
    assert transform.p == 1


@pytest.mark.parametrize("name", plugins.REMEDIES)
def test_neutral_dose_returns_the_identical_pixels(name: str, photos: np.ndarray) -> None:
    neutral = plugins.module("remedies", name).NEUTRAL
    if neutral is None:
        assert _strength(name, photos, _doses(name)[0]) > 0
    else:
        np.testing.assert_array_equal(treat(name, photos, neutral, neutral, seed=1), photos)


@pytest.mark.parametrize("name", [n for n in plugins.REMEDIES if plugins.module("remedies", n).ORDERED])
def test_effect_grows_with_the_distance_from_neutral(name: str, photos: np.ndarray) -> None:
    module = plugins.module("remedies", name)
    neutral = module.NEUTRAL if module.NEUTRAL is not None else min(module.DOSES)
    for side in ([d for d in module.DOSES if d <= neutral], [d for d in module.DOSES if d >= neutral]):
        strengths = [_strength(name, photos, d) for d in sorted(side, key=lambda d: abs(d - neutral))]
        assert strengths == sorted(strengths)
        assert len(set(strengths)) == len(side)


@pytest.mark.parametrize("name", plugins.REMEDIES)
def test_inverse_undoes_where_there_is_one(name: str, photos: np.ndarray) -> None:
    module = plugins.module("remedies", name)
    for dose in (d for d in module.DOSES if module.inverse(d) is not None):
        assert module.inverse(module.inverse(dose)) == pytest.approx(dose)
        changed = treat(name, photos, dose, dose, seed=1)
        back = treat(name, changed, module.inverse(dose), module.inverse(dose), seed=1)
        middle = (slice(None), slice(20, 44), slice(20, 44))  # corners and edges are lost to the turn and the zoom
        unclipped = (changed[middle] < 255) & (changed[middle] > 0)
        before = np.abs(changed[middle].astype(int) - photos[middle])[unclipped].mean()
        after = np.abs(back[middle].astype(int) - photos[middle])[unclipped].mean()
        gain = 1 / dose if name == "exposure" else 1.0  # rounding to whole levels comes back multiplied by the gain
        assert after < max(1.5, 0.3 * gain)
        assert after < 0.6 * before


def test_which_remedies_have_an_inverse() -> None:
    have = {n for n in plugins.REMEDIES if plugins.module("remedies", n).inverse(1.5) is not None}
    assert have == {
        "exposure",
        "gamma",
        "contrast",
        "rotation",
        "horizontal_flip",
        "vertical_flip",
        "quarter_turns",
        "zoom",
        "colour_cast",
        "colour_temperature",
        "fog",
    }


@pytest.mark.parametrize("name", plugins.REMEDIES)
def test_same_seed_same_result_whatever_ran_before(name: str, photos: np.ndarray) -> None:
    low, high = _range(name)
    first = treat(name, photos, low, high, seed=7)
    np.random.default_rng().normal(size=3)
    treat("noise", photos, 1, 9, seed=8)
    np.testing.assert_array_equal(treat(name, photos, low, high, seed=7), first)
    if name in RANDOM or low < high:
        assert (treat(name, photos, low, high, seed=8) != first).any()


@pytest.mark.parametrize("name", plugins.REMEDIES)
def test_shape_and_dtype_are_kept_and_no_photo_is_fine(name: str, photos: np.ndarray) -> None:
    low, high = _range(name)
    treated = treat(name, photos, low, high, seed=1)
    assert treated.shape == photos.shape
    assert treated.dtype == np.uint8
    assert type(treated) is np.ndarray
    assert treat(name, photos[:0], low, high, seed=1).shape == (0, 64, 64, 3)


def test_each_photo_has_a_dose_of_its_own(photos: np.ndarray) -> None:
    same = np.repeat(photos[:1], 5, axis=0)
    means = treat("exposure", same, 0.25, 1.0, seed=3).reshape(5, -1).mean(axis=1)
    assert len(set(means)) == 5


def test_interventions_are_every_remedy_at_every_dose_in_order() -> None:
    listed = interventions()
    assert [n for n, _ in dict.fromkeys((n, None) for n, _ in listed)] == [
        n for n in plugins.REMEDIES if n not in RENDERINGS
    ]
    assert len(set(listed)) == len(listed)
    assert 35 <= len(listed) <= 52  # each costs a pass of the network over the probed photos
    assert all(isinstance(dose, float) for _, dose in listed)


@pytest.mark.parametrize(
    ("name", "dose", "words"),
    [
        ("exposure", 2.0, "exposure x2"),
        ("rotation", -20.0, "rotated by -20 degrees"),
        ("horizontal_flip", 1.0, "mirrored"),
        ("jpeg", 10.0, "JPEG quality 10"),
        ("occlusion", 0.3, "a patch of 30% of each side covered"),
        ("colour_cast", 1 / 1.6, "red against blue x0.625"),
        ("quarter_turns", -1.0, "turned by -1 quarters"),
        ("colour_temperature", 120.0, "colour temperature +120 mired"),
    ],
)
def test_describe_in_plain_words(name: str, dose: float, words: str) -> None:
    assert describe(name, dose) == words


def test_every_intervention_is_described_differently() -> None:
    texts = [describe(name, dose) for name, dose in interventions()]
    assert len(set(texts)) == len(texts)


def test_a_remedy_without_a_format_is_described_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(plugins.module("remedies", "blur"), "FORMAT")
    assert describe("blur", 1.5) == "blur 1.5"


def test_a_misspelt_argument_raises(photos: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def typo(low: float, high: float) -> A.BasicTransform:
        return A.Sharpen(aplha=(low, high), p=1.0, strict=True)

    monkeypatch.setattr(plugins.module("remedies", "sharpen"), "sharpen", typo)
    with pytest.raises(ValueError, match="aplha"):
        treat("sharpen", photos, 0.1, 0.2, seed=1)


@pytest.mark.parametrize(("low", "high", "log"), [(2.0, 1.0, False), (0.0, 1.0, True), (float("nan"), 1.0, False)])
def test_a_bad_range_raises(low: float, high: float, log: bool) -> None:
    with pytest.raises(ValueError, match="doses must be"):
        dosed(lambda photo, dose, random: photo, low, high, log=log)


def test_an_unknown_remedy_raises(photos: np.ndarray) -> None:
    with pytest.raises(KeyError, match="expsure"):
        treat("expsure", photos, 1, 2, seed=1)


def test_a_dose_that_multiplies_is_said_as_one_says_it() -> None:
    assert [remedies.spoken("exposure", dose) for dose in (0.25, 0.5, 1.5, 2.0, 3.0)] == [
        "a quarter of the exposure", "half the exposure", "1.5 times the exposure", "twice the exposure",
        "3 times the exposure",
    ]  # fmt: skip
    assert remedies.spoken("blur", 2.0) == remedies.describe("blur", 2.0)
