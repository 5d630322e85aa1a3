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

LAYOUTS = list(list_layouts())
REFUSED_FORMS = {"text_list", "one_hot", "json"}
"""Label forms that other adapters may read; without one of them they are refused."""


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
    for is_proposed in (True, False):
        try:
            config = Config(data=layout.root)
            if is_proposed:
                proposal = propose_config(layout.root)
                if proposal.undecided:
                    continue
                config = Config(**yaml.safe_load(proposal.config_yaml)["ingest"])
            found = _read(config)
        except InputError:
            continue
        _check_reading(layout, found)
