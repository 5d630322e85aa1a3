import shutil
from pathlib import Path

import pytest

from pipeline.contracts import InputError
from pipeline.serving.prediction.model_bundles import find_bundle, find_graph_file


def test_bundle_is_found_as_champion_by_run_and_by_path(bundle: Path, tmp_path: Path) -> None:
    runs_folder = bundle.parents[2]
    run_folder = bundle.parents[1]
    for name in ("champion", "champion:gate", "run1", str(bundle), str(run_folder)):
        assert find_bundle(name, runs_folder).resolve() == bundle.resolve()
    with pytest.raises(InputError, match="neither champion, nor a run"):
        find_bundle("nowhere", runs_folder)
    with pytest.raises(InputError, match="no run has promoted a champion yet"):
        find_bundle("champion", tmp_path)


def test_champion_of_several_configs_needs_a_name(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle.parents[3], tmp_path / "home")
    pointers = tmp_path / "home" / "runs" / "champions"
    shutil.copy(pointers / "gate.json", pointers / "door.json")
    with pytest.raises(InputError, match="champion:NAME"):
        find_bundle("champion", pointers.parent)
    assert find_bundle("champion:door", pointers.parent).name == "bundle"


def test_graph_file_is_found_by_its_name_and_in_its_folder(bundle: Path, tmp_path: Path) -> None:
    assert find_graph_file(tmp_path / "a.onnx") == tmp_path / "a.onnx"
    assert find_graph_file(bundle) is None
    (tmp_path / "model.onnx").write_bytes(b"")
    assert find_graph_file(tmp_path) == tmp_path / "model.onnx"


@pytest.mark.parametrize(
    ("file_name", "loader"), [("model.pt2", "torch.export.load"), ("MLmodel", "mlflow.pyfunc")]
)
def test_export_for_another_program_is_refused(tmp_path: Path, file_name: str, loader: str) -> None:
    (tmp_path / file_name).write_bytes(b"")
    for path in (tmp_path, tmp_path / file_name):
        with pytest.raises(InputError, match=f"is for {loader}.*as safetensors or ONNX"):
            find_graph_file(path)


def test_a_bundle_with_a_users_own_program_is_a_bundle(bundle: Path, tmp_path: Path) -> None:
    """`export --format safetensors` of such a run writes `model.pt2` beside `bundle.json`."""
    folder = Path(shutil.copytree(bundle, tmp_path / "export"))
    (folder / "model.pt2").touch()
    assert find_graph_file(folder) is None
    assert find_bundle(str(folder), tmp_path) == folder
