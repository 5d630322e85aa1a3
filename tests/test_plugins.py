"""A new plug-in takes one file and one line, an external one an entry point and no line.

Each way is tried on a copy of the package, or beside the package, in a new process that must use
the plug-in. A broken external plug-in is refused in one line.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline import plugins
from pipeline.attributes import load_attribute
from pipeline.contracts import InputError
from pipeline.remedies import list_remedies, load_remedy
from tests.helpers.external_plugins import GREENNESS, forget_external_plugins, install_plugin

ROOT = Path(__file__).resolve().parents[1]
NAMES_CONSTANT = {
    "adapters": "DATASET_ADAPTERS",
    "attributes": "ATTRIBUTE_NAMES",
    "remedies": "REMEDY_NAMES",
    "sections": "SECTION_NAMES",
}


@dataclass(frozen=True)
class PluginCase:
    """A plug-in, a program that uses it, and the program's output."""

    name: str
    source: str
    program: str
    output: str


CASES = {
    "adapters": PluginCase(
        "named",
        '''"""Images whose name starts with the class."""
from pathlib import Path
from pipeline.data import ImageRecord

def can_read(root):
    return "images that are named by their class" if (Path(root) / "NAMED").exists() else None

def read_images(root):
    """Images in one folder, named class-number.png."""
    for path in sorted(Path(root).glob("*.png")):
        yield ImageRecord(str(path.absolute()), path.name, label=path.name.split("-")[0])
''',
        """
from pathlib import Path
from pipeline.data.dataset_reader import find_adapter, read_dataset
Path("images").mkdir()
for name in ("NAMED", "cat-1.png", "dog-1.png"):
    (Path("images") / name).touch()
labels = [image.label for image in read_dataset(Path("images"))]
print(find_adapter(Path("images"))[0], *labels)
""",
        "named cat dog",
    ),
    "attributes": PluginCase(
        "greenness",
        GREENNESS,
        """
import numpy as np
from pipeline.attributes import measure_images
images = np.zeros((2, 8, 8, 3), np.uint8)
images[1, :, :, 1] = 200
print(*measure_images(images)["greenness"])
""",
        "0.0 200.0",
    ),
    "remedies": PluginCase(
        "solarize",
        '''"""Light parts become dark."""
import albumentations as A
STRENGTHS, NEUTRAL_STRENGTH, CAUSE_WORDS = (0.25, 0.75), 1.0, ("solarized", "")
IS_ORDERED, IS_CAUSE, MAY_CHANGE_LABEL = True, True, False

def build_transform(low, high):
    """Invert all pixels that are lighter than the strength."""
    return A.Solarize(threshold_range=(low, high), p=1.0)

def invert_strength(strength):
    """Return None: nothing undoes it."""
    return None
''',
        """
import numpy as np
from pipeline.remedies import apply_remedy, list_interventions
images = np.full((1, 8, 8, 3), 250, np.uint8)
strengths = [strength for name, strength in list_interventions() if name == "solarize"]
print(*strengths, apply_remedy("solarize", images, 0.5, 0.5, 0).max())
""",
        "0.25 0.75 5",
    ),
}
SECTION = '''"""The number of images."""
from markupsafe import Markup
TITLE = "A newcomer's count"

def render(page):
    """Return the number of images."""
    return Markup(f"<p>The newcomer counts {len(page.images)} images.</p>")
'''
STAGE = '''"""Count the images of each class."""
from pydantic import Field
from pipeline.config import StageSettings

class Config(StageSettings):
    step: int = Field(1, ge=1, description="count of one image")

def run(config, context, *, images):
    return {"tally": {"images": config.step * len(images)}}
'''
CONFIG = """
name: tiny
ingest: {data: images, side: 32}
train: {recipe: bare, backbone: test_resnet, weights: none, epochs: 1, batch_size: 16}
retrain: {epochs: 1, batch_size: 16, seeds: 1, generic: false}
"""


def _build_environment(path: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _run_python(code: str, path: Path, folder: Path) -> str:
    """Return the output of a program with `path` in front of the import path."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_build_environment(str(path)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def _copy_package(folder: Path) -> Path:
    """Copy the package into a folder, and return the folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=ignored)
    imported = _run_python("import pipeline; print(pipeline.__file__)", folder, folder)
    assert Path(imported) == folder / "pipeline" / "__init__.py"
    return folder


def _edit_file(file: Path, pattern: str, replacement: str) -> int:
    """Replace the first match of a pattern, and return the number of new or changed lines."""
    before = file.read_text(encoding="utf-8")
    after = re.sub(pattern, replacement, before, count=1, flags=re.MULTILINE)
    file.write_text(after, encoding="utf-8")
    difference = difflib.ndiff(before.splitlines(), after.splitlines())
    return sum(line.startswith("+ ") for line in difference)


def _register_plugin(package: Path, kind: str, name: str, source: str) -> int:
    """Add a built-in plug-in, and return the number of lines that the registration took."""
    folder = package.joinpath(*plugins.PLUGIN_KINDS[kind].package.split("."))
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    constant = NAMES_CONSTANT[kind]
    registry = package / "pipeline" / "plugins.py"
    return _edit_file(registry, rf"^({constant} = \(.*\n)", rf'\1    "{name}",\n')


@pytest.mark.parametrize("kind", CASES)
def test_a_builtin_plugin_takes_one_file_and_one_line(kind: str, tmp_path: Path) -> None:
    case, package = CASES[kind], _copy_package(tmp_path)
    assert _register_plugin(package, kind, case.name, case.source) == 1
    assert _run_python(case.program, package, tmp_path) == case.output


@pytest.mark.parametrize("kind", CASES)
def test_an_external_plugin_takes_an_entry_point_and_no_line(kind: str, tmp_path: Path) -> None:
    case, site = CASES[kind], tmp_path / "site"
    site.mkdir()
    install_plugin(site, kind, case.name, case.source)
    assert _run_python(case.program, site, tmp_path) == case.output


# Checks of external modules.


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for external plug-ins, in front of the import path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    forget_external_plugins()
    yield folder
    forget_external_plugins()


BROKEN_SOURCES = [
    (GREENNESS.replace("def measure", "def greenness"), r"has no function measure\(\)"),
    (GREENNESS.replace("PERIOD, SOURCE", "SOURCE").replace("None, ", ""), "has no constant PERIOD"),
    (
        GREENNESS.replace('"pixels"', '"camera"'),
        "SOURCE is 'camera'; it must be one of pixels, nat",
    ),
    (GREENNESS.replace('None, "pixels"', '"day", "pixels"'), "PERIOD is 'day'; it must be int or"),
    ("import no_such_library\n", "cannot be imported: ModuleNotFoundError: .*no_such_library"),
    ("def measure(:\n", "cannot be imported: SyntaxError"),
]


@pytest.mark.parametrize(("source", "words"), BROKEN_SOURCES)
def test_a_broken_external_module_is_refused_in_one_line(
    source: str, words: str, site: Path
) -> None:
    install_plugin(site, "attributes", "greenness", source)
    with pytest.raises(InputError, match=words) as caught:
        load_attribute("greenness")
    message = str(caught.value)
    assert message.startswith("plug-in nightshift.attributes:greenness (outside_greenness): ")
    assert "\n" not in message


def test_a_broken_remedy_is_refused_too(site: Path) -> None:
    source = CASES["remedies"].source.replace("IS_ORDERED, IS_CAUSE", "IS_ORDERED, IS_CAUSED")
    install_plugin(site, "remedies", "solarize", source)
    assert "solarize" in list_remedies()
    with pytest.raises(InputError, match=r"has no constant IS_CAUSE; define it \(bool\)"):
        load_remedy("solarize")


def test_an_entry_point_must_name_a_module(site: Path) -> None:
    install_plugin(site, "attributes", "greenness", GREENNESS)
    points = site / "outside_greenness-1.2.dist-info" / "entry_points.txt"
    assert _edit_file(points, "= outside_greenness", "= outside_greenness:measure") == 1
    with pytest.raises(InputError, match="let the entry point name a module"):
        load_attribute("greenness")


def test_a_changed_external_module_has_another_fingerprint(site: Path) -> None:
    module = install_plugin(site, "attributes", "greenness", GREENNESS)
    before = plugins.fingerprint_external_plugins("attributes")
    module.write_text(GREENNESS + "# changed\n", encoding="utf-8")
    after = plugins.fingerprint_external_plugins("attributes")
    assert set(before) == set(after) == {"greenness"}
    assert before != after


def test_an_unknown_name_is_a_key_error_and_an_old_name_has_a_hint() -> None:
    with pytest.raises(KeyError, match="no_such_attribute"):
        load_attribute("no_such_attribute")
    with pytest.raises(KeyError, match="'contrast' was renamed: write contrast_level"):
        load_attribute("contrast")
    for kind, names in plugins.RENAMED_PLUGINS.items():
        for name, new_name in names.items():
            assert new_name in plugins.list_plugins(kind)
            assert new_name in plugins.describe_rename(kind, name)
    assert plugins.describe_rename("remedies", "contrast") == "", "a remedy has that name"


# A section and a stage in a run, from images to report.


def _draw_images(folder: Path, class_size: int = 24) -> None:
    """Draw two classes that are easy to distinguish; a quarter of the images is dark."""
    rng = np.random.default_rng(0)
    for label, channel in (("red", 2), ("blue", 0)):
        (folder / label).mkdir(parents=True)
        for number in range(class_size):
            pixels = rng.integers(40, 90, (32, 32, 3))
            pixels[8:24, 8:24, channel] += 120
            light = 1.0 if number % 4 else 0.15
            cv2.imwrite(str(folder / label / f"{number:03}.png"), (pixels * light).astype(np.uint8))


def _call_nightshift(path: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli.app", *arguments],
        env=_build_environment(path),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@dataclass(frozen=True)
class ExtendedPackage:
    """A copy of the package with a new section and a new stage, and a finished run."""

    package: Path
    line_counts: dict[str, int]
    run: Path

    def read_page(self) -> str:
        return (self.run / "report" / "html" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> ExtendedPackage:
    package = _copy_package(tmp_path_factory.mktemp("newcomer"))
    line_counts = {"section": _register_plugin(package, "sections", "newcomer", SECTION)}
    (package / "pipeline" / "stages" / "tally.py").write_text(STAGE, encoding="utf-8")
    stage = '    Stage("tally", needs=("images",), makes={"tally": RecordContract(("images",))}),\n'
    graph = package / "pipeline" / "graph.py"
    line_counts["stage"] = _edit_file(
        graph, r"^    Stage\(\n        \"measure\",$", rf"{stage}\g<0>"
    )
    _draw_images(package / "images")
    (package / "tiny.yaml").write_text(CONFIG, encoding="utf-8")
    done = _call_nightshift(str(package), package, "run", "-c", "tiny.yaml", "tally.step=2")
    assert done.returncode in (0, 1), done.stderr[-3000:]
    (run,) = (package / "runs").glob("*-tiny")
    return ExtendedPackage(package, line_counts, run)


def test_a_section_takes_one_file_and_one_line(extended: ExtendedPackage) -> None:
    assert extended.line_counts["section"] == 1
    assert "The newcomer counts 48 images." in extended.read_page()
    assert "newcomer&#39;s count" in extended.read_page()


def test_a_stage_takes_one_file_and_one_line(extended: ExtendedPackage) -> None:
    assert extended.line_counts["stage"] == 1
    tally = json.loads((extended.run / "tally" / "tally.json").read_text(encoding="utf-8"))
    assert tally == {"images": 96}
    path = str(extended.package)
    shown = _call_nightshift(path, extended.package, "graph", "--json")
    row = {"stage": "tally", "needs": ["images"], "makes": ["tally"]}
    assert row in json.loads(shown.stdout)
    refused = _call_nightshift(path, extended.package, "run", "-c", "tiny.yaml", "tally.stp=2")
    assert refused.returncode == 2
    assert "did you mean tally.step?" in refused.stderr


def test_an_external_section_takes_an_entry_point(
    extended: ExtendedPackage, tmp_path: Path
) -> None:
    install_plugin(tmp_path, "sections", "outsider", SECTION.replace("newcomer", "outsider"))
    assert "outsider" not in extended.read_page()
    path = os.pathsep.join([str(extended.package), str(tmp_path)])
    done = _call_nightshift(path, extended.package, "report", extended.run.name)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "The outsider counts 48 images." in extended.read_page()
