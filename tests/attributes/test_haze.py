from pipeline.attributes.haze import measure
from pipeline.remedies import apply_remedy
from tests.attributes.images import load_windows, wrap


def test_fog_raises_it_and_darkness_does_not() -> None:
    for window in load_windows():
        foggy, dark = (
            apply_remedy(name, window[None], strength, strength, 0)[0]
            for name, strength in (("fog", 0.6), ("exposure", 0.5))
        )
        is_pale = measure(wrap(window)) > 150  # a sky is as bright as fog
        assert is_pale or measure(wrap(foggy)) > measure(wrap(window)) + 20
        assert measure(wrap(dark)) <= measure(wrap(window))


def test_a_larger_copy_has_the_same_haze() -> None:
    window = load_windows()[0]
    large = window.repeat(3, 0).repeat(3, 1)
    assert abs(measure(wrap(large)) - measure(wrap(window))) < 3
