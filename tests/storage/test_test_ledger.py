import json
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.domain.statuses import OpeningReason
from pipeline.storage.test_ledger import (
    MAX_OPENINGS,
    build_sealed_record,
    compute_opening_alpha,
    compute_test_id,
    open_test_set,
)

GROUPS = [f"g{i}" for i in range(40)]


def test_an_opening_is_on_disk_and_reused_by_the_same_run(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = open_test_set(path, "run1", GROUPS, "models", primary_endpoint="dark images")
    again = open_test_set(path, "run1", GROUPS[::-1], "models")
    assert (first.number, first.alpha, first.opened, first.reused) == (1, 0.025, True, False)
    assert (again.number, again.alpha, again.time, again.reused) == (1, 0.025, first.time, True)
    (entry,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (entry["test_id"], entry["primary"]) == (compute_test_id(GROUPS), "dark images")
    assert "g3" not in path.read_text()  # groups are hashed
    assert first.build_record()["ordinal"] == "first"


def test_every_further_opening_spends_less_alpha(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    openings = [open_test_set(path, f"run{k}", GROUPS, "models") for k in range(MAX_OPENINGS + 1)]
    assert [opening.number for opening in openings] == [1, 2, 3, 4, 5, 6]
    assert [look.alpha for look in openings[:3]] == pytest.approx([0.025, 0.05 / 6, 0.05 / 12])
    assert sum(compute_opening_alpha(0.05, k) for k in range(1, 1000)) < 0.05
    assert not openings[-1].opened
    assert openings[-1].reason == OpeningReason.USED_UP
    assert len(path.read_text().splitlines()) == MAX_OPENINGS


def test_other_models_of_the_same_run_are_another_opening(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    open_test_set(path, "run1", GROUPS, "models")
    assert open_test_set(path, "run1", GROUPS, "other models").number == 2


def test_a_few_new_groups_do_not_make_a_new_test_set(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    open_test_set(path, "run1", GROUPS, "models")
    assert open_test_set(path, "run2", [*GROUPS, "new"], "models").number == 2
    assert open_test_set(path, "run3", [f"new{i}" for i in range(40)], "models").number == 1


def test_shared_groups_are_paid_in_proportion(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = open_test_set(path, "run1", GROUPS, "models")
    half = [*GROUPS[: len(GROUPS) // 2], *(f"new{k}" for k in range(len(GROUPS) // 2))]
    second = open_test_set(path, "run2", half, "models")
    third = open_test_set(path, "run3", ["other"], "models")
    assert (first.alpha, third.alpha) == (0.025, 0.025)
    assert second.alpha == pytest.approx(compute_opening_alpha(0.05, 1.5))


def test_a_line_that_a_kill_cut_short_is_not_an_opening(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    open_test_set(path, "run1", GROUPS, "models")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    assert open_test_set(path, "run2", GROUPS, "models").number == 2
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


def test_a_damaged_ledger_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("not json\n")
    with pytest.raises(InputError, match=r"ledger\.jsonl: the ledger of test openings is damaged"):
        open_test_set(path, "run1", GROUPS, "models")


def test_a_sealed_record_has_the_keys_of_an_opening(tmp_path: Path) -> None:
    opened = open_test_set(tmp_path / "ledger.jsonl", "run1", GROUPS, "models").build_record()
    assert set(build_sealed_record("why")) == set(opened)
    assert build_sealed_record("why")["opened"] is False
