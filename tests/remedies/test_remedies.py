"""What holds for every remedy, and for treating, listing and describing."""

import albumentations as A
import numpy as np
import pytest

from pipeline import plugins, remedies
from pipeline.remedies import (
    apply_remedy,
    describe_intervention,
    list_interventions,
    wrap_transform,
)

RANDOM = ("noise", "occlusion", "motion_blur", "crop", "shadow")  # draw more than their strength
RENDERINGS = {
    "low_light": (0.12, 0.25, 0.5, 0.7),
    "oversampling": (3.0,),
    "reweighting": (3.0,),
}  # not tried by probe: for training alone


def _list_strengths(name: str) -> tuple[float, ...]:
    return tuple(plugins.load_plugin("remedies", name).STRENGTHS) or RENDERINGS[name]


def _get_strength_range(name: str) -> tuple[float, float]:
    return min(_list_strengths(name)), max(_list_strengths(name))


def _measure_effect(name: str, images: np.ndarray, strength: float) -> float:
    treated = apply_remedy(name, images, strength, strength, seed=1).astype(int)
    return float(np.abs(treated - images).mean())


@pytest.mark.parametrize("name", plugins.REMEDY_NAMES)
def test_every_plugin_keeps_the_contract(name: str, images: np.ndarray) -> None:
    module = plugins.load_plugin("remedies", name)
    assert module.STRENGTHS or name in RENDERINGS
    assert len(set(module.STRENGTHS)) == len(module.STRENGTHS)
    assert module.NEUTRAL_STRENGTH not in module.STRENGTHS
    assert module.build_transform.__doc__.splitlines()[0].endswith((".", ","))
    assert all(
        isinstance(flag, bool)
        for flag in (module.IS_ORDERED, module.IS_CAUSE, module.MAY_CHANGE_LABEL)
    )
    for strength in _list_strengths(name):
        below = module.NEUTRAL_STRENGTH is not None and strength < module.NEUTRAL_STRENGTH
        repairs_only = (
            any(module.CAUSE_WORDS) and module.invert_strength(strength) in module.STRENGTHS
        )
        assert module.CAUSE_WORDS[0 if below else 1] or repairs_only or not module.STRENGTHS, (
            f"{name} at {strength} has no words"
        )
    transform = plugins.load_plugin("remedies", name).build_transform(*_get_strength_range(name))
    assert isinstance(transform, A.BasicTransform)
    assert transform.p == 1


@pytest.mark.parametrize("name", plugins.REMEDY_NAMES)
def test_neutral_strength_returns_the_identical_pixels(name: str, images: np.ndarray) -> None:
    neutral = plugins.load_plugin("remedies", name).NEUTRAL_STRENGTH
    if neutral is None:
        assert _measure_effect(name, images, _list_strengths(name)[0]) > 0
    else:
        np.testing.assert_array_equal(apply_remedy(name, images, neutral, neutral, seed=1), images)


@pytest.mark.parametrize(
    "name", [n for n in plugins.REMEDY_NAMES if plugins.load_plugin("remedies", n).IS_ORDERED]
)
def test_effect_grows_with_the_distance_from_neutral(name: str, images: np.ndarray) -> None:
    module = plugins.load_plugin("remedies", name)
    neutral = (
        module.NEUTRAL_STRENGTH if module.NEUTRAL_STRENGTH is not None else min(module.STRENGTHS)
    )
    for side in (
        [d for d in module.STRENGTHS if d <= neutral],
        [d for d in module.STRENGTHS if d >= neutral],
    ):
        strengths = [
            _measure_effect(name, images, d) for d in sorted(side, key=lambda d: abs(d - neutral))
        ]
        assert strengths == sorted(strengths)
        assert len(set(strengths)) == len(side)


@pytest.mark.parametrize("name", plugins.REMEDY_NAMES)
def test_inverse_undoes_where_there_is_one(name: str, images: np.ndarray) -> None:
    module = plugins.load_plugin("remedies", name)
    for strength in (d for d in module.STRENGTHS if module.invert_strength(d) is not None):
        assert module.invert_strength(module.invert_strength(strength)) == pytest.approx(strength)
        changed = apply_remedy(name, images, strength, strength, seed=1)
        back = apply_remedy(
            name,
            changed,
            module.invert_strength(strength),
            module.invert_strength(strength),
            seed=1,
        )
        middle = (
            slice(None),
            slice(20, 44),
            slice(20, 44),
        )  # corners and edges are lost to the turn and the zoom
        unclipped = (changed[middle] < 255) & (changed[middle] > 0)
        before = np.abs(changed[middle].astype(int) - images[middle])[unclipped].mean()
        after = np.abs(back[middle].astype(int) - images[middle])[unclipped].mean()
        gain = (
            1 / strength if name == "exposure" else 1.0
        )  # rounding to whole levels comes back multiplied by the gain
        assert after < max(1.5, 0.3 * gain)
        assert after < 0.6 * before


def test_which_remedies_have_an_inverse() -> None:
    have = {
        n
        for n in plugins.REMEDY_NAMES
        if plugins.load_plugin("remedies", n).invert_strength(1.5) is not None
    }
    assert have >= {
        "exposure",
        "gamma",
        "contrast",
        "rotation",
        "horizontal_flip",
        "vertical_flip",
        "quarter_turns",
        "zoom",
        "color_cast",
        "color_temperature",
        "fog",
    }
    assert not have & {"blur", "grayscale", "jpeg", "noise", "occlusion"}


@pytest.mark.parametrize("name", plugins.REMEDY_NAMES)
def test_same_seed_same_result_whatever_ran_before(name: str, images: np.ndarray) -> None:
    low, high = _get_strength_range(name)
    first = apply_remedy(name, images, low, high, seed=7)
    np.random.default_rng().normal(size=3)
    apply_remedy("noise", images, 1, 9, seed=8)
    np.testing.assert_array_equal(apply_remedy(name, images, low, high, seed=7), first)
    if name in RANDOM or low < high:
        assert (apply_remedy(name, images, low, high, seed=8) != first).any()


@pytest.mark.parametrize("name", plugins.REMEDY_NAMES)
def test_shape_and_dtype_are_kept_and_no_image_is_fine(name: str, images: np.ndarray) -> None:
    low, high = _get_strength_range(name)
    treated = apply_remedy(name, images, low, high, seed=1)
    assert treated.shape == images.shape
    assert treated.dtype == np.uint8
    assert type(treated) is np.ndarray
    assert apply_remedy(name, images[:0], low, high, seed=1).shape == (0, 64, 64, 3)


def test_each_image_has_a_strength_of_its_own(images: np.ndarray) -> None:
    same = np.repeat(images[:1], 5, axis=0)
    means = apply_remedy("exposure", same, 0.25, 1.0, seed=3).reshape(5, -1).mean(axis=1)
    assert len(set(means)) == 5


def test_interventions_are_every_remedy_at_every_strength_in_order() -> None:
    listed = list_interventions()
    assert [n for n, _ in dict.fromkeys((n, None) for n, _ in listed)] == [
        n for n in plugins.REMEDY_NAMES if n not in RENDERINGS
    ]
    assert len(set(listed)) == len(listed)
    assert 35 <= len(listed) <= 52  # each costs a pass of the network over the probed images
    assert all(isinstance(strength, float) for _, strength in listed)


@pytest.mark.parametrize(
    ("name", "strength", "words"),
    [
        ("exposure", 2.0, "exposure x2"),
        ("rotation", -20.0, "rotated by -20 degrees"),
        ("horizontal_flip", 1.0, "mirrored"),
        ("jpeg", 10.0, "JPEG quality 10"),
        ("occlusion", 0.3, "a patch of 30% of each side covered"),
        ("color_cast", 1 / 1.6, "red against blue x0.625"),
        ("quarter_turns", -1.0, "turned by -1 quarters"),
        ("color_temperature", 120.0, "color temperature +120 mired"),
    ],
)
def test_describe_in_plain_words(name: str, strength: float, words: str) -> None:
    assert describe_intervention(name, strength) == words


def test_every_intervention_is_described_differently() -> None:
    texts = [describe_intervention(name, strength) for name, strength in list_interventions()]
    assert len(set(texts)) == len(texts)


def test_a_remedy_without_a_format_is_described_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(plugins.load_plugin("remedies", "blur"), "STRENGTH_FORMAT")
    assert describe_intervention("blur", 1.5) == "blur 1.5"


def test_a_misspelt_argument_raises(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def typo(low: float, high: float) -> A.BasicTransform:
        return A.Sharpen(aplha=(low, high), p=1.0, strict=True)

    monkeypatch.setattr(plugins.load_plugin("remedies", "sharpen"), "build_transform", typo)
    with pytest.raises(ValueError, match="aplha"):
        apply_remedy("sharpen", images, 0.1, 0.2, seed=1)


@pytest.mark.parametrize(
    ("low", "high", "log"), [(2.0, 1.0, False), (0.0, 1.0, True), (float("nan"), 1.0, False)]
)
def test_a_bad_range_raises(low: float, high: float, log: bool) -> None:
    with pytest.raises(ValueError, match="strengths must be"):
        wrap_transform(lambda image, strength, random: image, low, high, is_log_uniform=log)


def test_an_unknown_remedy_raises(images: np.ndarray) -> None:
    with pytest.raises(KeyError, match="expsure"):
        apply_remedy("expsure", images, 1, 2, seed=1)


def test_a_multiplicative_strength_is_phrased_as_a_multiple() -> None:
    phrases = {
        0.25: "a quarter of the exposure",
        0.5: "half the exposure",
        1.5: "1.5 times the exposure",
        2.0: "twice the exposure",
        3.0: "3 times the exposure",
    }
    for strength, phrase in phrases.items():
        assert remedies.phrase_intervention("exposure", strength) == phrase
    assert remedies.phrase_intervention("blur", 2.0) == remedies.describe_intervention("blur", 2.0)


STACKABLE = [
    name
    for name in plugins.REMEDY_NAMES
    if getattr(remedies.load_remedy(name), "IS_STACKABLE", False)
]


@pytest.mark.parametrize("name", STACKABLE)
def test_a_stack_of_images_is_treated_as_each_of_them(name: str, images: np.ndarray) -> None:
    for strength in remedies.load_remedy(name).STRENGTHS:
        transform = remedies.load_remedy(name).build_transform(strength, strength)
        pipeline = A.Compose([transform], seed=5, strict=True)
        one_by_one = np.stack([pipeline(image=image)["image"] for image in images])
        np.testing.assert_array_equal(
            apply_remedy(name, images, strength, strength, seed=5), one_by_one
        )
    assert len(apply_remedy(name, images[:0], strength, strength, seed=5)) == 0
