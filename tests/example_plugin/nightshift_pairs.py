"""Images beside text files of the same name that hold the labels."""

from pipeline.data import ImageRecord


def can_read(root):
    """Return one line on the format, or None."""
    return "images beside text files" if (root / "a.txt").is_file() else None


def read_images(root):
    """An image `a.png` has the label in `a.txt`."""
    for text in sorted(root.glob("*.txt")):
        image = text.with_suffix(".png").absolute()
        yield ImageRecord(str(image), text.stem, label=text.read_text().strip())
