import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.contracts import InputError
from pipeline.learning.models import backbone
from pipeline.learning.models.backbone import (
    build_network,
    load_frozen_backbone,
    load_model,
    load_model_metadata,
    save_model,
)
from pipeline.learning.training_settings import PACKAGED_BACKBONE, PROGRAM_BACKBONE

SMALL, CLASSES = "test_efficientnet", ["a", "b", "c"]


def test_all_296_packaged_tensors_are_mapped_in_order() -> None:
    model, meta = build_network(PACKAGED_BACKBONE, "packaged", CLASSES, 64, 0.2)
    state, packaged = model.state_dict(), backbone._load_packaged_weights()
    assert len(packaged) == 296
    assert all(
        torch.equal(state[k], v) for k, v in packaged.items() if not k.startswith("classifier.")
    )
    assert (meta["mean"], meta["std"]) == ([0.5] * 3, [0.5] * 3)
    assert state["classifier.weight"].shape == (3, 1280)


def test_packaged_weights_see() -> None:
    """The ImageNet head predicts a round object for an orange disc: the tensor order is right."""
    model = timm.create_model(PACKAGED_BACKBONE)
    model.load_state_dict(backbone._load_packaged_weights())
    y, x = np.mgrid[:224, :224] - 112
    disc = (
        np.where((x**2 + y**2 < 80**2)[..., None], (250, 140, 20), (235, 235, 235))
        - 3.0 * (x + y)[..., None] / 16
    )
    image = torch.from_numpy(
        (np.clip(disc, 0, 255) / 127.5 - 1).transpose(2, 0, 1)[None].astype(np.float32)
    )
    with torch.no_grad():
        top = set(model.eval()(image)[0].topk(5).indices.tolist())
    assert top & {
        950,
        951,
        722,
        852,
        574,
        890,
        429,
        430,
        768,
        805,
        417,
    }  # orange, lemon, balls, balloon


@pytest.mark.parametrize("name", [SMALL, "test_resnet", "test_vit"])
@pytest.mark.parametrize("side", [32, 64])
def test_any_timm_backbone_takes_images_of_any_side(name: str, side: int, tmp_path: Path) -> None:
    model, meta = build_network(name, "none", CLASSES, side, 0.1)
    save_model(tmp_path, model, meta)
    again, loaded_meta = load_model(tmp_path)
    assert loaded_meta == meta
    x = torch.rand(2, 3, side, side)
    with torch.no_grad():
        np.testing.assert_allclose(again(x), model.eval()(x), atol=1e-5)
    assert not again.training


def test_fresh_weights_follow_the_seed() -> None:
    one = build_network(SMALL, "none", CLASSES, 32, 0.0, seed=1)[0].state_dict()
    same = build_network(SMALL, "none", CLASSES, 32, 0.0, seed=1)[0].state_dict()
    other = build_network(SMALL, "none", CLASSES, 32, 0.0, seed=2)[0].state_dict()
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    build_network(SMALL, "none", CLASSES, 32, 0.0, seed=1)
    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_from_a_file_but_for_a_head_of_other_classes(
    suffix: str, wrapped: bool, tmp_path: Path
) -> None:
    source = build_network(SMALL, "none", ["x", "y"], 32, 0.0, seed=7)[0].state_dict()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": source} if wrapped else source, path)
    else:
        save_file({k: v.contiguous() for k, v in source.items()}, path)
    state = build_network(SMALL, str(path), CLASSES, 32, 0.0, seed=1)[0].state_dict()
    assert torch.equal(state["conv_stem.weight"], source["conv_stem.weight"])
    assert state["classifier.weight"].shape[0] == 3


class Evil:
    """Unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_code_in_a_file_of_weights_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"state_dict": Evil(tmp_path / "ran")}, protocol=2))
    with pytest.raises(InputError, match=r"evil\.pth") as caught:
        build_network(SMALL, str(path), CLASSES, 32, 0.0)
    torch.save({"state_dict": Evil(tmp_path / "ran")}, path)
    with pytest.raises(InputError, match="not unpickled"):
        build_network(SMALL, str(path), CLASSES, 32, 0.0)
    assert not (tmp_path / "ran").exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "weights", "says"),
    [
        ("tf_eficientnet_lite0", "none", "did you mean tf_efficientnet_lite0"),
        ("test_resnet", "packaged", "packaged belongs to tf_efficientnet_lite0"),
        (SMALL, "nowhere.pth", "no such file"),
    ],
)
def test_a_backbone_or_weights_that_are_not_there(name: str, weights: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        build_network(name, weights, CLASSES, 32, 0.0)
    assert "\n" not in str(caught.value)


def test_weights_of_another_backbone_or_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(build_network("test_resnet", "none", CLASSES, 32, 0.0)[0].state_dict(), path)
    with pytest.raises(InputError, match="another backbone"):
        build_network(SMALL, str(path), CLASSES, 32, 0.0)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        build_network(SMALL, str(path), CLASSES, 32, 0.0)


def test_the_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(backbone.timm, "create_model", unreachable)
    with pytest.raises(InputError, match=r"hub.*no route.*weights: packaged") as caught:
        build_network(SMALL, "hub", CLASSES, 32, 0.0)
    assert "\n" not in str(caught.value)


def test_a_broken_model_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the description"):
        load_model(tmp_path)
    model, meta = build_network(SMALL, "none", CLASSES, 32, 0.0)
    save_model(tmp_path, model, meta)
    with pytest.raises(InputError, match=r"absent\.safetensors"):
        load_model(tmp_path, weights_file="absent.safetensors")
    (tmp_path / "model.json").write_text(json.dumps(meta | {"classes": ["a", "b"]}))
    with pytest.raises(InputError, match="not the weights"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"backbone": ')
    with pytest.raises(InputError, match="not the description"):
        load_model_metadata(tmp_path)


def test_a_promoted_bundle_is_a_model_too(tmp_path: Path) -> None:
    model, meta = build_network(SMALL, "none", CLASSES, 32, 0.0)
    save_model(tmp_path, model, meta)
    (tmp_path / "model.json").rename(tmp_path / "bundle.json")
    assert load_model(tmp_path)[1]["classes"] == CLASSES


def test_frozen_features_are_the_packaged_ones_and_built_once() -> None:
    model, meta = load_frozen_backbone()
    assert load_frozen_backbone()[0] is model
    assert torch.equal(
        model.state_dict()["conv_stem.weight"],
        backbone._load_packaged_weights()["conv_stem.weight"],
    )
    assert meta["mean"] == [0.5] * 3
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1280)


def test_a_fresh_head_is_small_whatever_the_number_of_classes() -> None:
    for count in (2, 40):
        state = build_network(
            PACKAGED_BACKBONE, "packaged", [str(k) for k in range(count)], 64, 0.0
        )[0].state_dict()
        assert 0.005 < float(state["classifier.weight"].std()) < 0.02
        assert float(state["classifier.bias"].abs().max()) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 3},
        {"classes": []},
        {"side": "large"},
        {"side": 10**9},
        {"mean": [0.5]},
        {"std": [0, 1, 1]},
        {"dropout": 7},
        {"backbone": 5},
        {"backbone": "hf-hub:stranger/model"},
        {"backbone": PROGRAM_BACKBONE},
        {"backbone": PROGRAM_BACKBONE, "order": ["a"]},
    ],
)
def test_a_malformed_description_is_one_line(changes: dict[str, Any], tmp_path: Path) -> None:
    model, meta = build_network("test_efficientnet", "none", ["a", "b"], 32, 0.0, seed=3)
    save_model(tmp_path, model, {**meta, **changes})
    with pytest.raises(InputError) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 9999])
def test_a_damaged_description_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"model\.json: not the description") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
