"""Every generated layout is read rightly or refused: `tests/helpers/dataset_layouts.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.contracts import InputError
from pipeline.data.reading.dataset_listing import list_records
from pipeline.data.recognition.config_proposal import propose_config
from pipeline.stages.ingest import Config
from tests.helpers.dataset_layouts import GeneratedLayout, generate_layout, list_layouts

LAYOUTS = list(list_layouts())[::3]
"""Every third layout of 1,291; all dimensions are in it."""


def _read(config: Config) -> dict[str, tuple[str | None, str | None]]:
    root = config.data or Path()
    records, _ = list_records(root, config.adapter, config.options, config.columns)
    return {
        Path(record.source).relative_to(root).as_posix(): (record.label, record.split)
        for record in records
    }


def _check_reading(
    layout: GeneratedLayout, found: dict[str, tuple[str | None, str | None]]
) -> None:
    """Check that the images, their classes (by any name) and their splits are the true ones."""
    assert set(found) == set(layout.labels)
    pairs = {(found[path][0], label) for path, label in layout.labels.items()}
    assert len(pairs) == len(set(layout.labels.values())), sorted(pairs, key=str)[:9]
    splits = {path: split for path, (_, split) in found.items() if split}
    assert splits == layout.splits


@pytest.mark.parametrize("names", LAYOUTS, ids="-".join)
def test_layout_is_read_rightly_or_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    layout = generate_layout(tmp_path / "data", *names)
    try:
        proposal = propose_config(layout.root)
        if proposal.undecided:
            return
        found = _read(Config(**yaml.safe_load(proposal.config_yaml)["ingest"]))
    except InputError:
        return
    _check_reading(layout, found)


@pytest.mark.parametrize("names", LAYOUTS[::10], ids="-".join)
def test_layout_is_read_alike_without_a_proposal(tmp_path: Path, names: tuple[str, ...]) -> None:
    layout = generate_layout(tmp_path / "data", *names)
    try:
        found = _read(Config(data=layout.root))
    except InputError:
        return
    _check_reading(layout, found)


def test_most_layouts_are_read(tmp_path: Path) -> None:
    readable = [names for names in LAYOUTS if names[0] not in ("text_list", "one_hot", "json")]
    read_count = 0
    for number, names in enumerate(readable[::12]):
        layout = generate_layout(tmp_path / str(number), *names)
        read_count += propose_config(layout.root).undecided is None
    assert read_count >= 0.9 * len(readable[::12])
