from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.integrations.page_printing import find_browser, print_page


@pytest.mark.browser
def test_a_page_is_printed_as_pdf(tmp_path: Path, chromium: str) -> None:
    page, pdf = tmp_path / "a page.html", tmp_path / "report.pdf"
    page.write_text("<p>first<p style='break-before:page'>second")
    print_page(page, pdf, find_browser(chromium))
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Count 2" in content
    assert sorted(tmp_path.iterdir()) == [page, pdf]


def test_without_a_browser_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in (None, "no-such-browser"):
        with pytest.raises(InputError) as raised:
            find_browser(command)
        assert "\n" not in str(raised.value)


def test_a_browser_that_fails_leaves_the_earlier_copy(tmp_path: Path) -> None:
    page, pdf = tmp_path / "index.html", tmp_path / "report.pdf"
    page.write_text("x")
    pdf.write_bytes(b"earlier")
    with pytest.raises(InputError, match="printed nothing"):
        print_page(page, pdf, "/bin/false")
    assert pdf.read_bytes() == b"earlier"
    assert sorted(tmp_path.iterdir()) == [page, pdf]
