from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.engine.erasure_journal import JOURNAL_FILE, ErasureJournal, PendingRun, read_journal


def test_a_journal_is_read_as_it_was_saved_and_none_is_empty(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == ErasureJournal()
    pending = PendingRun(count=2, has_page=True, reports_folders=["reports"])
    journal = ErasureJournal(ids=["a"], paths=["a.png"], pending={"r1": pending})
    journal.save(tmp_path)
    assert read_journal(tmp_path) == journal
    assert journal.images.names == {"a", "a.png"}


@pytest.mark.parametrize("text", ["", "[]", '{"ids": 3}', '{"pending": {"a": {}}}', '{"x": 1}'])
def test_a_damaged_journal_is_one_line_that_helps(tmp_path: Path, text: str) -> None:
    (tmp_path / JOURNAL_FILE).write_text(text)
    with pytest.raises(InputError, match=r"forget\.json: .*remove it, and name the images again"):
        read_journal(tmp_path)
