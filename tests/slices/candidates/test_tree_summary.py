import numpy as np
import pandas as pd
import pytest

from pipeline.domain.rules import Condition, Rule
from pipeline.slices.candidates.tree_summary import summarize_with_tree

RNG = np.random.default_rng(0)
N = 1200
FRAME = pd.DataFrame(
    {
        "image_id": [f"i{k}" for k in range(N)], "label": "a", "group": [f"g{k}" for k in range(N)],
        "luminance": RNG.uniform(0, 200, N), "contrast": RNG.uniform(0, 80, N), "hour": RNG.uniform(0, 24, N),
        "camera": np.where(RNG.random(N) < 0.3, "north", "south"),
    }
)  # fmt: skip
LEARN = np.arange(N) % 2 == 0


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([Condition("luminance", "<=", 60.0)], "luminance <= 60"),
        (
            [Condition("luminance", "<=", 60.0), Condition("contrast", ">=", 40.0)],
            "luminance <= 60 and contrast > 40",
        ),
        ([Condition("hour", "between", (21.0, 5.0))], "hour <= 5 or hour > 21"),
        ([Condition("hour", "between", (9.0, 15.0))], "hour from 9 to 15"),
        (
            [Condition("camera", "is", "north"), Condition("luminance", "<=", 60.0)],
            "camera is north and luminance <= 60",
        ),
        ([Condition("camera", "is", "south")], "camera is south"),
    ],
)
def test_a_rule_in_numbers_is_given_back(conditions: list[Condition], words: str) -> None:
    """Why such a rule needs no tree beside it: up to the image next to a threshold, the tree says the same."""
    told = summarize_with_tree(FRAME, Rule(tuple(conditions)).compute_mask(FRAME), LEARN)
    said, _, share = told.partition(": ")
    numbers = [float(part) for part in said.split() if part.replace(".", "").isdigit()]
    wanted = [float(part) for part in words.split() if part.isdigit()]
    plain = [sorted(p for p in text.split() if not p[0].isdigit()) for text in (said, words)]
    assert plain[0] == plain[1]
    assert sorted(numbers) == pytest.approx(sorted(wanted), abs=1.5)
    assert share in [
        f"{n} % of its images, {k} % of the others" for n in (98, 99, 100) for k in (0, 1)
    ]


def test_what_no_number_tells_is_not_told() -> None:
    assert summarize_with_tree(FRAME, RNG.random(N) < 0.2, LEARN) == ""
    assert summarize_with_tree(FRAME[["image_id", "label", "group"]], LEARN, LEARN) == ""
    assert summarize_with_tree(FRAME, np.zeros(N, bool), LEARN) == ""
    assert summarize_with_tree(FRAME, np.ones(N, bool), LEARN) == ""


def test_the_share_is_counted_where_it_was_not_fitted_and_unknown_values_are_borne() -> None:
    dark = (FRAME["luminance"] <= 60).to_numpy()
    admitted = np.where(
        LEARN, dark, dark & (RNG.random(N) < 0.6) | (~dark & (RNG.random(N) < 0.05))
    )
    frame = FRAME.assign(luminance=FRAME["luminance"].where(RNG.random(N) > 0.02), badge=None)
    told = summarize_with_tree(frame, admitted, LEARN)
    assert told.startswith("luminance <= ")
    share = float(told.split(": ")[1].split()[0])
    assert 70 < share < 95, "nearly all of those learnt from, fewer of the others"
