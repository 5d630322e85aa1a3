"""A change of code, of a plug-in or of an external plug-in changes the keys of the right stages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engine import code_fingerprint
from pipeline.graph import STAGES
from tests.helpers.external_plugins import GREENNESS, forget_external_plugins, install_plugin

ATTRIBUTE_STAGES = {
    "ingest",  # an attribute's name is reserved
    "measure",
    "monitor",
    "probe",
    "cluster",
    "explain",
    "follow",
    "prescribe",
    "retrain",  # rules admit the validation images that are trained on
    "compare",
    "promote",
    "report",
}
REMEDY_STAGES = {
    "train",  # it shares the training loop of retrain
    "probe",
    "explain",
    "follow",
    "prescribe",
    "retrain",
    "compare",
    "promote",
    "report",
}
ADAPTER_STAGES = {"ingest", "prescribe"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's source, which the fingerprint reads instead of the package."""
    folder = tmp_path / "pipeline"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(code_fingerprint.PACKAGE_FOLDER, folder, ignore=ignored)
    monkeypatch.setattr(code_fingerprint, "PACKAGE_FOLDER", folder)
    _clear_caches()
    yield folder
    _clear_caches()


def _clear_caches() -> None:
    forget_external_plugins()
    code_fingerprint._list_imports.cache_clear()
    code_fingerprint.hash_stage_code.cache_clear()


def _hash_stages() -> dict[str, str]:
    code_fingerprint.hash_stage_code.cache_clear()
    return {stage.name: code_fingerprint.hash_stage_code(stage.name) for stage in STAGES}


def _find_changed_stages(file: Path) -> set[str]:
    """Return the stages whose hash changes with a comment at the end of a file."""
    before, source = _hash_stages(), file.read_text(encoding="utf-8")
    file.write_text(source + "\n# changed\n", encoding="utf-8")
    after = _hash_stages()
    file.write_text(source, encoding="utf-8")
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("attributes/luminance.py", ATTRIBUTE_STAGES),
        ("remedies/exposure.py", REMEDY_STAGES),
        ("data/adapters/coco.py", ADAPTER_STAGES),
        ("demo/gate_dataset.py", ADAPTER_STAGES),  # an adapter outside the folder of its kind
        ("report/sections/calibration.py", {"report"}),
        ("report/assets/style.css", {"report"}),
        ("stages/split.py", {"split"}),
        ("engine/runner.py", set()),
        ("cli/app.py", set()),
    ],
)
def test_a_changed_file_changes_the_stages_that_use_it(
    file: str, stages: set[str], package: Path
) -> None:
    assert _find_changed_stages(package / file) == stages


def test_an_external_attribute_changes_its_stages_also_without_a_new_version(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _hash_stages()
    site = tmp_path / "site"
    site.mkdir()
    module = install_plugin(site, "attributes", "greenness", GREENNESS)
    monkeypatch.syspath_prepend(site)
    _clear_caches()
    installed = _hash_stages()
    assert {name for name in before if before[name] != installed[name]} == ATTRIBUTE_STAGES
    module.write_text(GREENNESS.replace("[:, :, 1]", "[:, :, 2]"), encoding="utf-8")
    changed = _hash_stages()
    assert {name for name in before if installed[name] != changed[name]} == ATTRIBUTE_STAGES


def test_every_module_of_a_stage_is_reached_through_other_modules() -> None:
    names = {file.name for file in code_fingerprint.list_stage_files("explain")}
    assert {"explain.py", "rules.py", "permutation_tests.py", "__init__.py"} <= names
    assert not names & {"graph.py", "config.py", "plugins.py", "artifact_store.py"}


def test_an_absent_library_has_a_version_too() -> None:
    versions = code_fingerprint.collect_versions()
    assert set(versions) >= {"nightshift", "python", "torch"}
    assert all(versions.values())
