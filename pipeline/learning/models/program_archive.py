"""Archives of `torch.export.save`, checked in full and rebuilt before torch reads them.

`torch.export.load` evaluates expressions of the archive's JSON, imports modules that it names,
resolves operators by name, and writes names into Python source that it executes. So every string
is checked by its place, and whatever is not known to be safe is refused. torch then reads a new
archive in memory, made of what was checked: there is no second reader of the user's file.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.contracts import InputError
from pipeline.storage.user_files import MAX_MODEL_BYTES, check_user_file

MODEL_MEMBER = "models/model.json"
WEIGHTS_CONFIG_MEMBER = "data/weights/model_weights_config.json"
CONSTANTS_CONFIG_MEMBER = "data/constants/model_constants_config.json"
SAMPLE_MEMBER = "data/sample_inputs/model.pt"
MAX_JSON_BYTES = 256_000_000
"""Longest description of a program; networks of 1,000 layers have a few megabytes."""
MAX_EXPRESSION_CHARACTERS = 2000
"""Longest expression of a size; exporters write a few dozen characters."""
MAX_EXPONENT = 64
"""Largest exponent or shift in an expression, whose value is computed when it is read."""

_COPIED_MEMBER_PATTERN = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|archive_format|archive_version|byteorder"
    r"|version|\.data/(version|serialization_id)"
)
"""Members of raw tensors and of short facts about the archive."""
_IGNORED_MEMBER_PATTERN = re.compile(r"extra/.*|data/sample_inputs/model\.pt|\.format_version")
_PICKLED_WEIGHTS = ("data/weights/model.pt", "data/constants/model.pt")
_PAYLOAD_PATTERN = re.compile(r"(weight|tensor)_\d+")
_NAME_PATTERN = re.compile(r"[A-Za-z0-9_.+-]{0,1000}")
"""Names of nodes, tensors and arguments; torch writes them into source as they are."""
_KEY_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_EXPRESSION_PATTERN = re.compile(r"[A-Za-z0-9_ +\-*/%().,<>=!&|~']+")
_SYMBOL_PATTERN = re.compile(r"[a-z]{1,3}\d{1,4}|oo|int_oo|True|False")
_TENSOR_OPERATOR_PATTERN = re.compile(r"torch\.ops\.(aten|prims|torchvision)\.\w+\.\w+")
_FORBIDDEN_OPERATOR_PATTERN = re.compile(
    r"torch\.ops\.aten\.(from_file|set_?|record_stream|_print|_test_\w+|quantized_\w+)\."
)
"""Operators that open files, take raw memory or objects, or print."""
_HIGHER_ORDER_PATTERN = re.compile(
    r"torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl|invoke_subgraph"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast)"
)
_SYMBOL_OPERATOR_PATTERN = re.compile(
    r"_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift"
    r"|rshift|getitem)|math\.(trunc|ceil|floor)|torch\.sym_(not|int|float|ite|max|min|sum|sqrt)"
)
_EXPRESSION_NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.keyword,
    ast.Load,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
)
_EXPRESSION_FUNCTIONS = frozenset(
    (
        "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "FloatTrueDiv",
        "FloorDiv", "FloorToInt", "Ge", "GreaterThan", "Gt", "Identity", "IntTrueDiv", "Integer",
        "IsNonOverlappingAndDenseIndicator", "Le", "LessThan", "Lt", "Max", "Min", "Mod",
        "ModularIndexing", "Mul", "Ne", "Not", "Or", "PythonMod", "Rational", "RoundToInt",
        "StrictGreaterThan", "StrictLessThan", "ToFloat", "TruncToFloat", "TruncToInt",
        "Unequality", "Where", "ceiling", "floor",
    )
)  # fmt: skip
_POWER_FUNCTIONS = frozenset(("Pow", "PowByNatural", "FloatPow", "LShift", "RShift"))
_NUMBER_TEXT_PATTERN = re.compile(r"-?\d{1,40}(\.\d{0,40})?(e[+-]?\d{1,2})?")
_TEXT_ARGUMENTS = {"Symbol": _SYMBOL_PATTERN, "Float": _NUMBER_TEXT_PATTERN}
"""Functions whose first argument is a text, and what it may be."""
_TREE_TYPES = frozenset((None, "builtins.tuple", "builtins.list", "builtins.dict"))
_MAX_MESSAGE_CHARACTERS = 2000


class _UnsafeError(Exception):
    """What in an archive is not known to be safe."""


def _quote(text: object) -> str:
    return ascii(text)[:80]


def check_expression(text: Any) -> None:
    """Raise `_UnsafeError` unless a text is an expression of sizes, without any other call.

    >>> check_expression("2*s77 + FloorDiv(s3, 2) >= Max(1, s3)")
    """
    if not isinstance(text, str) or len(text) > MAX_EXPRESSION_CHARACTERS:
        raise _UnsafeError("an expression that is too long")
    if not _EXPRESSION_PATTERN.fullmatch(text):
        raise _UnsafeError(f"the expression {_quote(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _UnsafeError(f"the expression {_quote(text)}") from error
    nodes = list(ast.walk(tree))
    text_arguments = {id(node) for call in nodes for node in _list_text_arguments(call)}
    if not all(id(node) in text_arguments or _is_safe_node(node) for node in nodes):
        raise _UnsafeError(f"the expression {_quote(text)}")


def _list_text_arguments(node: ast.AST) -> list[ast.expr]:
    """Return the text that names a symbol or states a number, if the node is such a call."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
        return []
    pattern, first = _TEXT_ARGUMENTS.get(node.func.id), node.args[0]
    if pattern is None or not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return []
    return [first] if pattern.fullmatch(first.value) else []


def _is_safe_node(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and _is_safe_call(node.func.id, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift | ast.RShift):
        return _is_small_power(node.left, node.right)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and abs(node.value) < 2**64
    if isinstance(node, ast.Name):
        return _SYMBOL_PATTERN.fullmatch(node.id) is not None or _is_function(node.id)
    return isinstance(node, _EXPRESSION_NODES)


def _is_function(name: str) -> bool:
    return name in _EXPRESSION_FUNCTIONS or name in _POWER_FUNCTIONS or name in _TEXT_ARGUMENTS


def _is_safe_call(name: str, call: ast.Call) -> bool:
    """Return whether a call makes a size of sizes; only symbols and numbers take texts."""
    if name in _TEXT_ARGUMENTS:  # a symbol's assumptions, a number's precision
        values = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
        return bool(_list_text_arguments(call)) and all(isinstance(v, ast.Constant) for v in values)
    if call.keywords:
        return False
    if name in _POWER_FUNCTIONS:
        return len(call.args) == 2 and _is_small_power(*call.args)
    return name in _EXPRESSION_FUNCTIONS


def _is_small_power(base: ast.expr, exponent: ast.expr) -> bool:
    """Return whether a power has a small exponent, and no other power below it."""
    if isinstance(exponent, ast.Call) and len(exponent.args) == 1:  # Integer(2)
        exponent = exponent.args[0]
    if isinstance(exponent, ast.UnaryOp):
        exponent = exponent.operand
    if not isinstance(exponent, ast.Constant) or not isinstance(exponent.value, int | float):
        return False
    for node in ast.walk(base):
        is_call = isinstance(node, ast.Name) and node.id in _POWER_FUNCTIONS
        if is_call or isinstance(node, ast.Pow | ast.LShift | ast.RShift):
            return False
    return abs(exponent.value) <= MAX_EXPONENT


def _check_operator(name: Any) -> None:
    patterns = (_TENSOR_OPERATOR_PATTERN, _HIGHER_ORDER_PATTERN, _SYMBOL_OPERATOR_PATTERN)
    is_known = isinstance(name, str) and any(pattern.fullmatch(name) for pattern in patterns)
    if not is_known or _FORBIDDEN_OPERATOR_PATTERN.match(name):
        raise _UnsafeError(f"the operator {_quote(name)}")


def _check_tree(text: Any) -> None:
    """Check a description of nested arguments; torch would import the types that others name."""
    if text in (None, ""):
        return
    version, tree = json.loads(text)
    if not isinstance(version, int):
        raise _UnsafeError(f"the arguments {_quote(text)}")
    pending = [tree]
    while pending:
        node = pending.pop()
        if set(node) != {"type", "context", "children_spec"} or node["type"] not in _TREE_TYPES:
            raise _UnsafeError(f"the arguments {_quote(text)}")
        context = None if node["context"] is None else json.loads(node["context"])
        keys = context if isinstance(context, list) else [] if context is None else [context]
        if not all(isinstance(key, str) and _KEY_PATTERN.fullmatch(key) for key in keys):
            raise _UnsafeError(f"the arguments {_quote(text)}")
        pending.extend(node["children_spec"])


def _check_message(text: Any) -> None:
    """Check a text argument of an operator, such as a mode or an equation; torch quotes it."""
    texts = text if isinstance(text, list) else [text]
    for item in texts:
        if not isinstance(item, str) or len(item) > _MAX_MESSAGE_CHARACTERS:
            raise _UnsafeError("a text that is too long")
        if not item.isprintable():
            raise _UnsafeError(f"the text {_quote(item)}")


def _refuse_object(value: Any) -> None:
    if value is not None:
        raise _UnsafeError("objects or compiled code beside its tensors")


def _check_ranges(value: Any) -> None:
    """Check the limits of sizes; torch counts up to the numbers in their names."""
    if not all(map(_SYMBOL_PATTERN.fullmatch, value)):
        raise _UnsafeError(f"the sizes {_quote(list(value))}")
    _check_value(value)


def _require_false(value: Any) -> None:
    if value:
        raise _UnsafeError("pickled objects")


def _check_payload_name(value: Any) -> None:
    if not isinstance(value, str) or not _PAYLOAD_PATTERN.fullmatch(value):
        raise _UnsafeError(f"the member {_quote(value)}")


_VALUE_CHECKS: dict[str, Callable[[Any], None]] = {
    "expr_str": check_expression,
    "in_spec": _check_tree,
    "out_spec": _check_tree,
    "as_operator": _check_operator,
    "as_string": _check_message,
    "as_strings": _check_message,
    "as_custom_obj": _refuse_object,
    "range_constraints": _check_ranges,
    "use_pickle": _require_false,
    "path_name": _check_payload_name,
}
"""Checks of values by their key; all other texts are names."""


def _check_name(text: str) -> None:
    if not _NAME_PATTERN.fullmatch(text):
        raise _UnsafeError(f"the name {_quote(text)}")


def _check_value(value: Any) -> None:
    """Check everything below a JSON value, and remove what only documents the program."""
    if isinstance(value, str):
        _check_name(value)
    elif isinstance(value, list):
        for item in value:
            _check_value(item)
    elif isinstance(value, dict):
        _check_fields(value)


def _check_fields(fields: dict[str, Any]) -> None:
    is_node = "target" in fields and "inputs" in fields
    if is_node:
        _check_operator(fields["target"])
        fields["metadata"] = {}  # stack traces
    if "guards_code" in fields:
        fields["guards_code"] = []  # source code; the guards of sizes are in the graph itself
    for key, item in fields.items():
        _check_name(key)
        if check := _VALUE_CHECKS.get(key):
            check(item)
        elif not (is_node and key == "target"):
            _check_value(item)


def _check_json(content: bytes) -> bytes:
    """Return the JSON of a program or of its tensors without what only documents it."""
    value = json.loads(content)
    if not isinstance(value, dict):
        raise _UnsafeError("a description that is no JSON object")
    _check_value(value)
    return json.dumps(value).encode()


def _copy_members(source: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
    """Copy the members of an archive that are known to be safe.

    Raises:
        _UnsafeError: the archive has other members.
    """
    json_members = (MODEL_MEMBER, WEIGHTS_CONFIG_MEMBER, CONSTANTS_CONFIG_MEMBER)
    seen = set()
    for member in source.infolist():
        name = member.filename.partition("/")[2]
        if name in seen:
            raise _UnsafeError(f"two members {_quote(name)}")
        seen.add(name)
        if member.compress_type != zipfile.ZIP_STORED:
            raise _UnsafeError("compressed members, which torch does not write")
        if name in json_members:
            if member.file_size > MAX_JSON_BYTES:
                raise _UnsafeError("a description that is too long")
            target.writestr(f"program/{name}", _check_json(source.read(member)))
        elif _COPIED_MEMBER_PATTERN.fullmatch(name):
            target.writestr(f"program/{name}", source.read(member))
        elif name in _PICKLED_WEIGHTS:
            raise _UnsafeError("pickled weights, as older torch wrote them (export it again)")
        elif not _IGNORED_MEMBER_PATTERN.fullmatch(name):
            raise _UnsafeError(f"objects or compiled code beside its tensors ({_quote(name)})")
    if missing := [name for name in json_members if name not in seen]:
        raise _UnsafeError(f"no {missing[0]}")
    target.writestr(f"program/{SAMPLE_MEMBER}", b"")  # a pickle in the user's file


def read_program_archive(path: Path) -> io.BytesIO:
    """Return an archive for `torch.export.load` that holds what is safe in the user's file.

    Raises:
        InputError: the file is no archive of `torch.export.save`, or holds anything else: objects,
            compiled code, operators that are not of tensors, or expressions that are not of sizes.
    """
    check_user_file(path, MAX_MODEL_BYTES, "the model")
    checked = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(checked, "w") as target:
            if MODEL_MEMBER not in {name.partition("/")[2] for name in source.namelist()}:
                raise InputError(
                    f"{path}: no program of torch.export.save; "
                    "export the network with torch 2.9 or newer"
                )
            _copy_members(source, target)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no program of torch.export ({error})") from error
    except _UnsafeError as error:
        raise InputError(
            f"{path}: refused, since it holds {error}; only a plain network of tensors is run"
        ) from error
    except Exception as error:  # malformed JSON of any shape, and zips that zipfile cannot read
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{path}: no program of torch.export ({reason})") from error
    checked.seek(0)
    return checked
