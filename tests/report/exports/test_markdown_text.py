from pipeline.report.exports.markdown_text import escape_markdown, format_table


def test_a_name_forms_no_markup() -> None:
    text = escape_markdown("[x](javascript:1)\n<img src=x> `a` #12 @team http://a.b ![y](z)")
    for forbidden in ("\n", "<", "@", "p://"):
        assert forbidden not in text
    assert "\\[x\\](javascript" in text
    assert "\\#12" in text


def test_a_pipe_in_a_cell_makes_no_column() -> None:
    lines = format_table(["name", "n"], [["a|b", "1"]]).splitlines()
    assert lines == ["| name | n |", "| --- | ---: |", "| a\\|b | 1 |"]
