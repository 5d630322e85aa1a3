import numpy as np
import pytest

from pipeline.analysis.python_model import PythonModel
from pipeline.contracts import InputError


def test_images_of_any_size_are_passed_in_order_and_in_bounded_calls() -> None:
    sizes = []

    def predict(images: list[np.ndarray]) -> list[list[float]]:
        sizes.append(len(images))
        return [[float(image.mean()), float(image.shape[1])] for image in images]

    images = [np.full((4, 5 + k, 3), k, np.uint8) for k in range(130)]
    scores = PythonModel(predict, 8, 2).predict_images(images)
    assert scores[:, 0].tolist() == list(range(130))
    assert scores[:, 1].tolist() == [5 + k for k in range(130)]
    assert max(sizes) <= 64
    assert PythonModel(predict, 8, 2).predict_scores(np.zeros((0, 8, 8, 3), np.uint8)).shape[0] == 0


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        (lambda images: [[1.0]] * len(images), r"returns \[3, 1\] for 3 images"),
        (lambda images: [[np.nan, 0.0]] * len(images), "finite scores"),
        (lambda images: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_fails_or_returns_another_form_is_one_line(
    predict: object, words: str
) -> None:
    model = PythonModel(predict, 8, 2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=words) as error_info:
        model.predict_scores(np.zeros((3, 8, 8, 3), np.uint8))
    assert "\n" not in str(error_info.value)
