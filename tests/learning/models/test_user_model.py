import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import build_network, load_model, save_model
from pipeline.learning.models.user_model import load_user_model
from pipeline.learning.training_settings import UserModelSettings
from tests.learning.models.test_exported_program import PHOTOS, exported

NAMES, OWN = ["a", "b", "c"], ["c", "a", "b"]
SMALL: dict[str, Any] = {"backbone": "test_efficientnet"}
SCALED: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Answers in the order of `OWN`."""
    return build_network("test_efficientnet", "none", OWN, 32, 0.0, seed=3)[0].eval()


@pytest.fixture(scope="module")
def program(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a program."""
    return exported(network, tmp_path_factory.mktemp("program") / "m.pt2")


@pytest.fixture
def make(network: nn.Module, program: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The file of a kind; `gone` is none."""
    return lambda kind: program if kind == "pt2" else _file(network, kind, tmp_path)


def _file(network: nn.Module, kind: str, folder: Path) -> Path:
    path = folder / f"m.{kind}"
    if kind == "safetensors":
        save_file(network.state_dict(), path)
    elif kind == "pth":
        torch.save(
            {"state_dict": network.state_dict(), "class_to_idx": {"a": 1, "b": 2, "c": 0}}, path
        )
    return path


@pytest.mark.parametrize("kind", ["safetensors", "pth", "pt2"])
def test_the_same_scores_in_the_order_of_the_datas_classes(
    kind: str, network: nn.Module, make: Callable[[str], Path], tmp_path: Path
) -> None:
    own = {} if kind == "pth" else {"class_order": OWN}
    settings = UserModelSettings(**SMALL, **own, **SCALED)
    model, meta, is_order_known = load_user_model(make(kind), NAMES, 32, settings)
    assert is_order_known
    assert (meta["mean"], meta["std"], meta["side"], meta["classes"]) == (
        [0.0] * 3,
        [1.0] * 3,
        32,
        NAMES,
    )
    save_model(tmp_path / "model", model, meta)
    again, read = load_model(tmp_path / "model")
    assert read == meta
    with torch.no_grad():
        torch.testing.assert_close(again(PHOTOS), network(PHOTOS)[:, [1, 2, 0]])


def test_what_a_file_and_its_neighbor_do_not_say_is_timms(
    network: nn.Module, tmp_path: Path
) -> None:
    path = _file(network, "safetensors", tmp_path)
    _, meta, is_order_known = load_user_model(path, NAMES, 32, UserModelSettings(**SMALL))
    assert (meta["mean"], is_order_known) == ([0.485, 0.456, 0.406], False)
    about = {
        "architecture": "test_efficientnet",
        "label_names": OWN,
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3]},
    }
    (tmp_path / "config.json").write_text(json.dumps(about))
    model, meta, is_order_known = load_user_model(path, NAMES, 32, UserModelSettings(**SMALL))
    assert (meta["mean"], is_order_known) == ([0.1, 0.2, 0.3], True)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(PHOTOS), network(PHOTOS)[:, [1, 2, 0]])


@pytest.mark.parametrize(
    ("kind", "settings", "names", "side", "says"),
    [
        (
            "safetensors",
            {"backbone": "test_resnet"},
            NAMES,
            32,
            "no checkpoint of train.backbone=test_resnet",
        ),
        ("safetensors", {}, ["a", "b"], 32, "head answers with 3 classes, the data has 2"),
        (
            "safetensors",
            {"class_order": ["a", "c"]},
            NAMES,
            32,
            r"train.class_order are not .*\(missing: b\)",
        ),
        (
            "safetensors",
            {"class_order": ["a", "c", "c"]},
            NAMES,
            32,
            "train.class_order: a class is listed twice",
        ),
        ("pth", {}, ["a", "b", "d"], 32, r"m.pth are not .*\(not in the data: c; missing: d\)"),
        ("pt2", SCALED, ["a", "b"], 32, "answers with 3 classes, the data has 2"),
        ("pt2", SCALED, NAMES, 64, "takes images of 32 px; set ingest.side=32"),
        ("pt2", {}, NAMES, 32, "set train.mean and train.std"),
        ("gone", {}, NAMES, 32, "no such file; use new, champion"),
    ],
)
def test_what_does_not_fit_is_one_line(
    kind: str,
    settings: dict[str, Any],
    names: list[str],
    side: int,
    says: str,
    make: Callable[[str], Path],
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_user_model(make(kind), names, side, UserModelSettings(**SMALL | settings))
    assert "\n" not in str(caught.value)


def test_another_architecture_beside_the_file_is_named(network: nn.Module, tmp_path: Path) -> None:
    path = _file(network, "safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    with pytest.raises(InputError, match=r"set train\.backbone=test_resnet"):
        load_user_model(path, NAMES, 32, UserModelSettings(**SMALL))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        load_user_model(path, NAMES, 32, UserModelSettings(**SMALL))


class _Fixed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * 2


def test_a_program_without_weights_does_not_train(tmp_path: Path) -> None:
    path = exported(_Fixed(), tmp_path / "m.pt2")
    assert not load_user_model(path, NAMES, 32, UserModelSettings(**SMALL, **SCALED))[1]["trains"]
