import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipeline.contracts import InputError
from pipeline.learning.models.weight_files import read_weights

TENSORS = {"a.weight": torch.arange(4.0), "a.bias": torch.zeros(2)}


class Payload:
    """What a pickle may run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("unpickled",))


@pytest.mark.parametrize("inside", ["state_dict", "model", None])
def test_tensors_and_other_data_are_returned_separately(inside: str | None, tmp_path: Path) -> None:
    wrapped = {f"module.{k}": v for k, v in TENSORS.items()}
    more = {"classes": ["x", "y"], "args": argparse.Namespace(lr=0.1)}
    torch.save({inside: wrapped, **more} if inside else TENSORS, tmp_path / "w.pth")
    tensors, metadata = read_weights(tmp_path / "w.pth", "key")
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], v) for k, v in TENSORS.items())
    assert metadata.get("classes") == (["x", "y"] if inside else None)


def test_safetensors_are_read_as_they_are(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "w.safetensors")
    tensors, metadata = read_weights(tmp_path / "w.safetensors", "key")
    assert torch.equal(tensors["a.weight"], TENSORS["a.weight"])
    assert not [v for v in metadata.values() if isinstance(v, torch.Tensor)]


def test_what_cannot_be_read_is_one_line_and_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": TENSORS, "extra": Payload()}, tmp_path / "evil.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"cut short")
    for file, says in (("evil.pt", "not unpickled"), ("cut.safetensors", "cannot be read")):
        with pytest.raises(InputError, match=f"key: .*{file}: .*{says}") as caught:
            read_weights(tmp_path / file, "key")
        assert "\n" not in str(caught.value)
    assert "unpickled" not in capsys.readouterr().out
