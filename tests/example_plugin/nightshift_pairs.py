"""Photos beside a text file of the same name that holds the label."""

from pipeline.datasets import Photo


def recognises(root):
    return "photos beside text files" if (root / "a.txt").is_file() else None


def pairs(root):
    """A photo `a.png` is labelled by the text in `a.txt`."""
    for text in sorted(root.glob("*.txt")):
        yield Photo(str(text.with_suffix(".png").absolute()), text.stem, label=text.read_text().strip())
