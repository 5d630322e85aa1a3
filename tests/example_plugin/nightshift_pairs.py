"""Images beside a text file of the same name that holds the label."""

from pipeline.data.reading.image_record import ImageRecord


def recognizes(root):
    return "images beside text files" if (root / "a.txt").is_file() else None


def pairs(root):
    """A image `a.png` is labeled by the text in `a.txt`."""
    for text in sorted(root.glob("*.txt")):
        yield ImageRecord(
            str(text.with_suffix(".png").absolute()), text.stem, label=text.read_text().strip()
        )
