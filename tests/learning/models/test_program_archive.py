import json
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.contracts import InputError
from pipeline.learning.models.backbone import load_model, save_model
from pipeline.learning.models.exported_program import ProgramNetwork
from pipeline.learning.models.program_archive import _UnsafeError, check_expression
from pipeline.learning.training_settings import PROGRAM_BACKBONE, PROGRAM_FILE

Description = dict[str, Any]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(approximate="tanh"))
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = self.layers(images).mean((2, 3))
        doubled = torch.einsum("nc,nd->ncd", means, means).sum(2)
        return torch.as_tensor(self.head(doubled.reshape(images.shape[0] * 2 // 2, -1)))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "good.pt2"
    free = {"images": {0: torch.export.Dim("batch")}}
    program = torch.export.export(_Net(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=free)
    torch.export.save(program, path, extra_files={"notes": "by the user"})
    return path


def alter(
    source: Path,
    target: Path,
    change: Callable[[Description], object],
    extra: dict[str, bytes] | None = None,
    member: str = "models/model.json",
) -> Path:
    """Copy an archive with another description of its program, and with further members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(member):
                description = json.loads(content)
                change(description)
                content = json.dumps(description).encode()
            new.writestr(name, content)
        for name, content in (extra or {}).items():
            new.writestr(f"good/{name}", content)
    return target


def _walk(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _walk(item)


def _graph(program: Description) -> Description:
    return program["graph_module"]["graph"]  # type: ignore[no-any-return]


class _Doors:
    """Ways in which an archive may try to run `command` (Python source) or to write `file`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.call = f"open({str(file)!r},'w')"

    def expression(self, program: Description) -> None:
        for item in _walk(program):
            if "expr_str" in item:
                item["expr_str"] = self.call

    def name_of_an_input(self, program: Description) -> None:
        text = json.dumps(program).replace('"images"', json.dumps(f"images={self.call}"))
        program.update(json.loads(text))

    def name_of_an_argument(self, program: Description) -> None:
        _graph(program)["nodes"][-1]["inputs"][0]["name"] = f"input={self.call},x"

    def guard(self, program: Description) -> None:
        program["guards_code"] = [self.call]

    def keys_of_arguments(self, program: Description) -> None:
        entry = program["graph_module"]["module_call_graph"][0]["signature"]
        entry["forward_arg_names"] = [f"images={self.call}"]

    def type_of_arguments(self, program: Description) -> None:
        entry = program["graph_module"]["module_call_graph"][0]["signature"]
        context = json.dumps([{"__enum__": True, "fqn": "antigravity:x", "name": "y"}])
        version, tree = json.loads(entry["in_spec"])
        tree["context"] = context
        entry["in_spec"] = json.dumps([version, tree])

    def operator_that_makes_a_file(self, program: Description) -> None:
        node = _graph(program)["nodes"][-1]
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": str(self.file)}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
            {"name": "size", "arg": {"as_int": 16}, "kind": 1},
        ]

    def operator_of_a_module(self, program: Description) -> None:
        _graph(program)["nodes"][-1]["target"] = "torch.os.system"

    def operator_as_argument(self, program: Description) -> None:
        arg = {"as_operator": "torch.os.system"}
        _graph(program)["nodes"][-1]["inputs"].append({"name": "x", "arg": arg, "kind": 1})

    def operator_that_writes_images(self, program: Description) -> None:
        _graph(program)["nodes"][-1]["target"] = "torch.ops.image.write_file.default"

    def sizes_that_are_counted(self, program: Description) -> None:
        program["range_constraints"]["u99999999999"] = {"min_val": 0, "max_val": 1}


DOORS = [name for name in vars(_Doors) if not name.startswith("_")]


@pytest.mark.parametrize("door", DOORS)
def test_nothing_in_the_description_of_a_program_is_run(
    door: str, good: Path, tmp_path: Path
) -> None:
    file = tmp_path / "made by the program"
    bad = alter(good, tmp_path / "bad.pt2", getattr(_Doors(file), door))
    if door == "guard":  # source code is dropped; all else is refused
        ProgramNetwork(bad, [0, 1])(torch.zeros(2, 3, 8, 8))
    else:
        with pytest.raises(InputError, match="refused") as caught:
            ProgramNetwork(bad, [0, 1])
        assert str(bad) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not file.exists()


class _Payload:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


@pytest.mark.parametrize(
    "member",
    [
        "data/constants/opaque_obj_0",
        "data/constants/OPAQUE_OBJ_0",
        "data/constants/custom_obj_0",
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/aotinductor/model/a.so",
        "models/other.json",
        "MODELS/model.json",
        "../models/model.json",
    ],
)
def test_other_members_are_refused(member: str, good: Path, tmp_path: Path) -> None:
    file = tmp_path / "unpickled"
    bad = alter(good, tmp_path / "bad.pt2", dict, {member: pickle.dumps(_Payload(file))})
    with pytest.raises(InputError, match="refused"):
        ProgramNetwork(bad, [0, 1])
    assert not file.exists()


def test_a_bundle_with_such_a_program_is_refused(good: Path, tmp_path: Path) -> None:
    """Champions, exports and pulled runs are loaded through the same door as a user's model."""
    file = tmp_path / "made by the program"
    meta = {"backbone": PROGRAM_BACKBONE, "order": [0, 1], "mean": [0] * 3, "std": [1] * 3}
    save_model(
        tmp_path / "bundle", ProgramNetwork(good, [0, 1]), meta | {"classes": ["a", "b"], "side": 8}
    )
    load_model(tmp_path / "bundle")
    alter(good, tmp_path / "bundle" / PROGRAM_FILE, _Doors(file).expression)
    with pytest.raises(InputError, match="refused"):
        load_model(tmp_path / "bundle")
    assert not file.exists()


def test_a_name_that_leads_to_an_object_is_refused(good: Path, tmp_path: Path) -> None:
    def name_object(config: Description) -> None:
        config["config"]["x"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}

    bad = alter(good, tmp_path / "bad.pt2", name_object, member="model_constants_config.json")
    with pytest.raises(InputError, match="refused"):
        ProgramNetwork(bad, [0, 1])


def test_the_pickled_example_inputs_are_never_read(good: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "new.pt2", "w") as new:
        for name in old.namelist():
            is_sample = name.endswith("sample_inputs/model.pt")
            new.writestr(
                name, pickle.dumps(_Payload(tmp_path / "x")) if is_sample else old.read(name)
            )
    images = torch.rand(3, 3, 8, 8)
    expected = ProgramNetwork(good, [0, 1])(images)
    torch.testing.assert_close(ProgramNetwork(tmp_path / "new.pt2", [0, 1])(images), expected)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(2), Symbol('s77', positive=True, integer=True))",
        "Pow(Symbol('s0'), Integer(2))",
        "s0*(s1 + 1)//2",
        "Max(1, FloorDiv(s0, 2)) >= 3",
        "Float('1.5', precision=53)",
    ],
)
def test_expressions_of_sizes_are_read(text: str) -> None:
    check_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')",
        "Symbol('s0').__class__",
        "Symbol('open(chr(1))')",
        "sympify('1')",
        "Max('open()')",
        "(lambda: 1)()",
        "[1 for s0 in s1]",
        "s0.name",
        "9**9**9",
        "1 << 10**9",
        "Pow(9, Pow(9, 9))",
        "LShift(1, 1000000000)",
        "'1'*1000000000",
        "s0 # comment",
        "s0\n",
        "f'{s0}'",
        "(" * 900 + "s0" + ")" * 900,
        "s" * 5000,
        "",
        None,
        7,
    ],
)
def test_everything_else_is_refused(text: Any) -> None:
    with pytest.raises(_UnsafeError):
        check_expression(text)


@given(st.text(alphabet="s07()'.,+*_ [:=O", max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        check_expression(text)
    except _UnsafeError:
        return
    assert "__" not in text
    assert "[" not in text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(key=st.sampled_from(["graph_module", "range_constraints", "guards_code"]), value=_JSON)
@settings(max_examples=15, deadline=None)
def test_any_description_is_one_line(
    key: str, value: Any, good: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("any") / "any.pt2"
    bad = alter(good, target, lambda program: program.update({key: value}))
    with suppress(InputError):  # any other error is a defect
        ProgramNetwork(bad, [0, 1])
