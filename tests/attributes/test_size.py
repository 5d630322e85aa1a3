import numpy as np

from pipeline.attributes import DecodedImage
from pipeline.attributes.size import measure


def test_is_that_of_the_stored_file_and_not_of_the_copy() -> None:
    assert measure(DecodedImage(np.zeros((8, 8, 3), np.uint8), None, 200, 50)) == 100
