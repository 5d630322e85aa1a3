from typing import Any

from sklearn.metrics import precision_recall_fscore_support

from pipeline.sections import Page
from pipeline.sections.classes import classes
from pipeline.sections.words import percent
from tests.sections.conftest import build_page


def test_the_table_agrees_with_scikit_learn(page: Page) -> None:
    html = str(classes(page))
    flips = page["flips"]
    for column in ("before", "after"):
        table = precision_recall_fscore_support(flips["label"], flips[column], labels=page.classes)
        for precision, recall, f1, support in zip(*table, strict=True):
            assert all(percent(float(x)) in html for x in (precision, recall, f1))
            assert f'data-v="{support}"' in html


def test_a_class_that_is_absent_from_val_is_not_called_the_weakest(made: dict[str, Any]) -> None:
    html = str(classes(build_page(made | {"classes": {"names": ["absent", *made["classes"]["names"]]}})))
    assert '<bdi class="name">absent' not in html
    assert '<bdi class="clip" title="absent">absent' in html
