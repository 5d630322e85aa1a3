from pipeline.domain.slice_traits import (
    ClassNeighborsTrait,
    ConfusionTrait,
    MeasureTrait,
    SliceNeighborsTrait,
    TrainingDistanceTrait,
    ValueTrait,
)
from pipeline.report.sentences.trait_sentences import describe_traits


def test_each_trait_is_told_with_its_names_and_numbers() -> None:
    text = describe_traits(
        [
            ConfusionTrait("badge", "none", 1_007, 1_009),
            SliceNeighborsTrait(0.62, 0.1),
            ClassNeighborsTrait("lanyard", 0.99, 0.55),
            TrainingDistanceTrait(0.83, 0.1, 2_600),
            MeasureTrait("sharpness", -1.24),
            MeasureTrait("contrast", 1.0),
            ValueTrait("camera", "north", 0.9, 0.04),
        ]
    )
    confusion, neighbors, class_neighbors, training, measures, value = text.split("; ")
    expected = {
        confusion: ("badge", "none", "1,007", "1,009"),
        neighbors: ("62 %", "10 %"),
        class_neighbors: ("lanyard", "99 %", "55 %"),
        training: ("unlike", "83 %", "0 of 2,600", "10 %"),
        measures: ("sharpness 1.2", "below", "contrast 1.0", "above"),
        value: ("camera north", "90 %", "4 %"),
    }
    for phrase, parts in expected.items():
        for part in parts:
            assert part in phrase


def test_without_traits_there_is_no_text() -> None:
    assert describe_traits([]) == ""
