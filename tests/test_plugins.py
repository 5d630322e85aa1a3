"""A newcomer adds a plugin with one new file and one line, an outsider with an entry point and no line at all.

Each way is tried on a copy of the package, or beside the package, in a fresh interpreter that must use the plugin.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import plugins

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    """A plugin of each kind, and what a program prints that uses it."""

    name: str
    source: str
    use: str
    prints: str


CASES = {
    "datasets": Case(
        "named",
        '''"""Images whose name says the class."""
from pathlib import Path
from pipeline.datasets import Image

def recognizes(root):
    return "images that are called by their class" if (Path(root) / "NAMED").exists() else None

def named(root):
    """Images in one folder, called class-number.png."""
    for path in sorted(Path(root).glob("*.png")):
        yield Image(str(path.absolute()), path.name, label=path.name.split("-")[0])
''',
        """
from pathlib import Path
from pipeline.datasets import read, recognize
Path("images").mkdir()
for name in ("NAMED", "cat-1.png", "dog-1.png"):
    (Path("images") / name).touch()
print(recognize(Path("images"))[0], *(image.label for image in read(Path("images"))))
""",
        "named cat dog",
    ),
    "attributes": Case(
        "greenness",
        '''"""How green a image is."""
UNIT, WORDS, PERIOD, SOURCE = "0 to 255", ("not green", "green"), None, "pixels"

def greenness(shot):
    """The mean of the green channel."""
    return float(shot.pixels[:, :, 1].mean())
''',
        """
import numpy as np
from pipeline.attributes import measure
images = np.zeros((2, 8, 8, 3), np.uint8)
images[1, :, :, 1] = 200
print(*measure(images)["greenness"])
""",
        "0.0 200.0",
    ),
    "remedies": Case(
        "solarize",
        '''"""Turns light parts dark."""
import albumentations as A
DOSES, NEUTRAL, WORDS = (0.25, 0.75), 1.0, ("solarised", "")
ORDERED, CAUSE, CHANGES_LABEL = True, True, False

def solarize(low, high):
    """Turn everything lighter than the strength dark."""
    return A.Solarize(threshold_range=(low, high), p=1.0)

def inverse(strength):
    return None
''',
        """
import numpy as np
from pipeline.remedies import interventions, treat
images = np.full((1, 8, 8, 3), 250, np.uint8)
print(*(strength for name, strength in interventions() if name == "solarize"), treat("solarize", images, 0.5, 0.5, 0).max())
""",
        "0.25 0.75 5",
    ),
}
SECTION = '''"""How many images there are."""
from markupsafe import Markup
TITLE = "A newcomer's count"

def newcomer(page):
    """The number of images."""
    return Markup(f"<p>The newcomer counts {len(page.images)} images.</p>")
'''
STAGE = '''"""Count the images of each class."""
from pydantic import Field
from pipeline.config import Settings

class Config(Settings):
    step: int = Field(1, ge=1, description="what a image counts for")

def run(config, context, *, images):
    return {"tally": {"images": config.step * len(images)}}
'''
CONFIG = """
name: tiny
ingest: {data: images, side: 32}
train: {backbone: test_resnet, weights: none, epochs: 1, batch: 16}
retrain: {epochs: 1, batch: 16, seeds: 1, generic: false}
"""


def _python(code: str, path: Path, cwd: Path) -> str:
    env = os.environ | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-c", code]
    done = subprocess.run(
        line, env=env, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def _copy(folder: Path) -> Path:
    """A copy of the package, for a newcomer to work in."""
    shutil.copytree(
        ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    where = _python("import pipeline; print(pipeline.__file__)", folder, folder)
    assert Path(where) == folder / "pipeline" / "__init__.py"
    return folder


def _edit(file: Path, old: str, new: str) -> int:
    """Put `new` in place of the first match of `old`; returns how many lines are new or changed."""
    before = file.read_text(encoding="utf-8")
    after = re.sub(old, new, before, count=1, flags=re.MULTILINE)
    file.write_text(after, encoding="utf-8")
    return sum(
        line.startswith("+ ") for line in difflib.ndiff(before.splitlines(), after.splitlines())
    )


def _register(package: Path, kind: str, name: str, source: str) -> int:
    (package / "pipeline" / kind / f"{name}.py").write_text(source, encoding="utf-8")
    return _edit(
        package / "pipeline" / "plugins.py",
        rf"^{kind.upper()} = \(",
        rf'{kind.upper()} = ("{name}", ',
    )


def _distribute(folder: Path, kind: str, name: str, source: str) -> None:
    """What pip would lay down for an outsider's package."""
    (folder / f"outside_{name}.py").write_text(source, encoding="utf-8")
    info = folder / f"outside_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: outside-{name}\nVersion: 1.2\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        f"[nightshift.{kind}]\n{name} = outside_{name}\n", encoding="utf-8"
    )


@pytest.mark.parametrize("kind", CASES)
def test_one_file_and_one_line(kind: str, tmp_path: Path) -> None:
    case, package = CASES[kind], _copy(tmp_path)
    assert _register(package, kind, case.name, case.source) == 1
    assert _python(case.use, package, tmp_path) == case.prints


@pytest.mark.parametrize("kind", CASES)
def test_an_entry_point_and_no_line(kind: str, tmp_path: Path) -> None:
    case, outside = CASES[kind], tmp_path / "site"
    outside.mkdir()
    _distribute(outside, kind, case.name, case.source)
    assert _python(case.use, outside, tmp_path) == case.prints
    versions = _python(
        f"from pipeline.plugins import version; print(version({kind!r}))", outside, tmp_path
    )
    assert versions == f"{case.name}=1.2"


def test_a_new_version_of_an_outsider_is_another_code_version(tmp_path: Path) -> None:
    outside, case = tmp_path / "site", CASES["attributes"]
    outside.mkdir()
    _distribute(outside, "attributes", case.name, case.source)
    code = "from pipeline.engine.code_fingerprint import code_version as v; print(v('measure'), v('promote'))"
    old = _python(code, outside, tmp_path).split()
    metadata = outside / f"outside_{case.name}-1.2.dist-info" / "METADATA"
    assert _edit(metadata, "Version: 1.2", "Version: 1.3") == 1
    new = _python(code, outside, tmp_path).split()
    assert old[0] != new[0]
    assert old[1] == new[1]


def test_an_entry_point_that_names_no_module_says_so(tmp_path: Path) -> None:
    _distribute(tmp_path, "attributes", "greenness", CASES["attributes"].source)
    points = tmp_path / "outside_greenness-1.2.dist-info" / "entry_points.txt"
    assert _edit(points, "= outside_greenness", "= outside_greenness:greenness") == 1
    load = "plugins.load('attributes', 'greenness')"
    code = f"from pipeline import plugins\ntry:\n    {load}\nexcept KeyError as e:\n    print(e)"
    assert "nightshift.attributes:greenness must name a module" in _python(code, tmp_path, tmp_path)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        plugins.load_plugin_function("attributes", "no_such_attribute")


# Section and stage: seen in a run, from images to report.


def _images(folder: Path, each: int = 24) -> None:
    """Two classes that anybody can tell apart, a quarter of the images dark."""
    generator = np.random.default_rng(0)
    for label, channel in (("red", 2), ("blue", 0)):
        (folder / label).mkdir(parents=True)
        for i in range(each):
            image = generator.integers(40, 90, (32, 32, 3))
            image[8:24, 8:24, channel] += 120
            cv2.imwrite(
                str(folder / label / f"{i:03}.png"),
                (image * (1.0 if i % 4 else 0.15)).astype(np.uint8),
            )


def _nightshift(path: str, cwd: Path, *line: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pipeline.cli.app", *line]
    return subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, timeout=500, check=False
    )


@dataclass(frozen=True)
class Extended:
    """A copy of the package with a newcomer's section and stage, how many lines that took, and a finished run."""

    package: Path
    lines: dict[str, int]
    run: Path

    @property
    def html(self) -> str:
        return (self.run / "report" / "html" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    package = _copy(tmp_path_factory.mktemp("newcomer"))
    lines = {"section": _register(package, "sections", "newcomer", SECTION)}
    (package / "pipeline" / "stages" / "tally.py").write_text(STAGE, encoding="utf-8")
    page = package / "pipeline" / "graph.py"
    stage = '    Stage("tally", needs=("images",), makes={"tally": Record(("images",))}),'
    lines["stage"] = _edit(page, r"^    Stage\(\n        \"measure\",$", rf"{stage}\n\g<0>")
    _images(package / "images")
    (package / "tiny.yaml").write_text(CONFIG, encoding="utf-8")
    done = _nightshift(str(package), package, "run", "-c", "tiny.yaml", "tally.step=2")
    assert done.returncode in (0, 1), done.stderr[-3000:]
    return Extended(package, lines, next((package / "runs").glob("*-tiny")))


def test_a_section_is_one_file_and_one_line(extended: Extended) -> None:
    assert extended.lines["section"] == 1
    assert "The newcomer counts 48 images." in extended.html
    assert "newcomer&#39;s count" in extended.html


def test_a_stage_is_one_file_and_one_line_with_the_contract_of_what_it_makes(
    extended: Extended,
) -> None:
    assert extended.lines["stage"] == 1
    assert json.loads((extended.run / "tally" / "tally.json").read_text(encoding="utf-8")) == {
        "images": 96
    }
    shown = _nightshift(str(extended.package), extended.package, "graph", "--json")
    assert {"stage": "tally", "needs": ["images"], "makes": ["tally"]} in json.loads(shown.stdout)
    told = _nightshift(
        str(extended.package), extended.package, "run", "-c", "tiny.yaml", "tally.stp=2"
    )
    assert told.returncode == 2
    assert "did you mean tally.step?" in told.stderr


def test_a_section_comes_in_by_an_entry_point(extended: Extended, tmp_path: Path) -> None:
    _distribute(tmp_path, "sections", "outsider", SECTION.replace("newcomer", "outsider"))
    assert "outsider" not in extended.html
    path = os.pathsep.join([str(extended.package), str(tmp_path)])
    done = _nightshift(path, extended.package, "report", extended.run.name)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "The outsider counts 48 images." in extended.html
