import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.training_settings import PROGRAM_FILE

PHOTOS = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def exported(model: nn.Module, path: Path, batch: int | None = None, side: int = 32) -> Path:
    """`model` as a user exports it: any number of images, or a fixed one."""
    free = None if batch else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(
        model.eval(), (torch.rand(batch or 2, 3, side, side),), dynamic_shapes=free
    )
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build_network("test_efficientnet", "none", ["a", "b", "c"], 32, 0.0, seed=3)[0].eval()


@pytest.fixture(scope="module")
def free(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a program for any number of images."""
    return exported(network, tmp_path_factory.mktemp("program") / "free.pt2")


@pytest.mark.parametrize("batch", [None, 4])
def test_it_predicts_like_the_network_in_the_requested_class_order(
    batch: int | None, network: nn.Module, free: Path, tmp_path: Path
) -> None:
    program = ProgramNetwork(
        exported(network, tmp_path / "m.pt2", batch) if batch else free, [2, 0, 1]
    )
    assert program.side == 32
    with torch.no_grad():
        for count in (7, 4, 1, 0):
            torch.testing.assert_close(
                program(PHOTOS[:count]), network(PHOTOS[:count])[:, [2, 0, 1]]
            )


def test_it_learns_and_its_weights_and_file_move_on(free: Path, tmp_path: Path) -> None:
    program = ProgramNetwork(free, [0, 1, 2]).train()
    optimizer = torch.optim.SGD(program.parameters(), 0.1)
    before = program(PHOTOS).detach()
    program(PHOTOS)[:, 0].sum().backward()
    optimizer.step()
    assert (program(PHOTOS)[:, 0] < before[:, 0]).all()
    program.copy_program_file(tmp_path)
    again = ProgramNetwork(tmp_path / PROGRAM_FILE, [0, 1, 2])
    assert not torch.equal(again(PHOTOS), program(PHOTOS))
    again.load_state_dict(program.state_dict())
    torch.testing.assert_close(again(PHOTOS), program(PHOTOS))
    again.copy_program_file(tmp_path)  # upon itself


class _Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x + y).flatten(1)


class _Grey(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((1, 2))


def _two(path: Path) -> None:
    torch.export.save(torch.export.export(_Two(), (PHOTOS[:2], PHOTOS[:2])), path)


def _whole_numbers(path: Path) -> None:
    torch.export.save(
        torch.export.export(_Grey(), (torch.zeros(2, 8, 8, 3, dtype=torch.uint8),)), path
    )


def _no_archive(path: Path) -> None:
    path.write_bytes(b"no archive")


def _weights(path: Path) -> None:
    torch.save({"a": PHOTOS}, path)


def _compiled(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/models/model.json", "{}")
        archive.writestr("m/data/aotinductor/model/m.so", b"")


def _broken(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/models/model.json", "{}")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_two, "one input of images"),
        (_whole_numbers, "one input of images"),
        (_no_archive, "no program"),
        (_weights, "no program"),
        (_compiled, "compiled code"),
        (_broken, "refused"),
    ],
)
def test_any_other_file_is_one_line(
    make: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    make(tmp_path / "m.pt2")
    with pytest.raises(InputError, match=says) as caught:
        ProgramNetwork(tmp_path / "m.pt2", [0])
    assert "\n" not in str(caught.value)


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("unpickled",))


def test_a_pickle_among_the_weights_is_not_run(
    free: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive that declares a pickled tensor is refused: the loader would unpickle it."""
    bad = tmp_path / "bad.pt2"
    torch.save(_Payload(), tmp_path / "payload")
    with zipfile.ZipFile(free) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("model_weights_config.json"):
                config = json.loads(content)
                next(iter(config["config"].values()))["use_pickle"] = True
                content = json.dumps(config).encode()
            elif name.endswith("weights/weight_0"):
                content = (tmp_path / "payload").read_bytes()
            target.writestr(name.replace("free/", "bad/"), content)
    with pytest.raises(InputError, match="pickled"):
        ProgramNetwork(bad, [0])
    assert "unpickled" not in capsys.readouterr().out
