"""Plug-ins by name: adapters, attributes, remedies and report sections.

A plug-in is one module with the members that its kind requires. A plug-in of this package needs its
file and its name in a list below. A plug-in of another distribution needs no line here: an entry
point in the group `nightshift.<kind>` names its module.

Other modules load a plug-in through the typed loader of its kind: `pipeline.data.adapters`,
`pipeline.attributes`, `pipeline.remedies`, `pipeline.report.sections`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

from pipeline.contracts import InputError

DATASET_ADAPTERS = (  # the first adapter that recognizes a path reads it
    "gate",
    "torchvision",
    "huggingface",
    "parquet_images",
    "pixel_table",
    "class_tables",
    "manifest",
    "coco",
    "voc",
    "yolo",
    "webdataset",
    "idx",
    "npz",
    "matlab",
    "json_labels",
    "text_lists",
    "folder",
)
ATTRIBUTE_NAMES = (
    "luminance",
    "contrast_level",
    "saturation",
    "warmth",
    "sharpness",
    "noise_level",
    "blockiness",
    "tilt",
    "glare",
    "border_bands",
    "hour",
    "day",
    "size",
)
REMEDY_NAMES = (
    "exposure",
    "low_light",
    "gamma",
    "contrast",
    "local_contrast",
    "blur",
    "motion_blur",
    "sharpen",
    "noise",
    "jpeg",
    "rotation",
    "quarter_turns",
    "horizontal_flip",
    "vertical_flip",
    "zoom",
    "crop",
    "grayscale",
    "color_cast",
    "color_temperature",
    "occlusion",
    "shadow",
    "fog",
    "oversampling",
    "reweighting",
)
SECTION_NAMES = (  # in the order of the report
    "gate_verdict",
    "treatment_story",
    "error_overview",
    "failure_slices",
    "shortcut_marks",
    "weak_classes",
    "collection_plan",
    "slice_trends",
    "confusion_matrix",
    "per_class_metrics",
    "changed_images",
    "review_panel",
    "embedding_map",
    "data_quality",
    "traffic_drift",
    "verdict_conditions",
    "accuracy_change",
    "remedy_steps",
    "augmentation_examples",
    "training_curves",
    "calibration",
    "run_details",
    "term_list",
)


@dataclass(frozen=True)
class PluginKind:
    """What the modules of one kind must offer.

    Attributes:
        package: package that holds the built-in modules.
        names: names of the built-in plug-ins, in their order of use.
        functions: functions that every module must define.
        constants: constants that every module must define, with the types of their values.
        modules: built-in plug-ins that live outside `package`.
    """

    package: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    constants: Mapping[str, tuple[type, ...]] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


_NUMBER = (int, float)
PLUGIN_KINDS: Mapping[str, PluginKind] = {
    "adapters": PluginKind(
        "pipeline.data.adapters",
        DATASET_ADAPTERS,
        ("can_read", "read_images"),
        modules={"gate": "pipeline.demo.gate_dataset"},
    ),
    "attributes": PluginKind(
        "pipeline.attributes",
        ATTRIBUTE_NAMES,
        ("measure",),
        {
            "UNIT": (str,),
            "LOW_HIGH_WORDS": (tuple,),
            "PERIOD": (*_NUMBER, NoneType),
            "SOURCE": (str,),
        },
    ),
    "remedies": PluginKind(
        "pipeline.remedies",
        REMEDY_NAMES,
        ("build_transform", "invert_strength"),
        {
            "STRENGTHS": (tuple,),
            "NEUTRAL_STRENGTH": (*_NUMBER, NoneType),
            "CAUSE_WORDS": (tuple,),
            "IS_ORDERED": (bool,),
            "IS_CAUSE": (bool,),
            "MAY_CHANGE_LABEL": (bool,),
        },
    ),
    "sections": PluginKind(
        "pipeline.report.sections", SECTION_NAMES, ("render",), {"TITLE": (str,)}
    ),
}
ATTRIBUTE_SOURCES = ("pixels", "native", "metadata")
"""Values of an attribute's SOURCE: the decoded image, the stored image, or the metadata alone."""
RENAMED_PLUGINS: Mapping[str, Mapping[str, str]] = {
    "adapters": {},
    "attributes": {"contrast": "contrast_level", "noise": "noise_level"},
    "remedies": {
        "colour_cast": "color_cast",
        "colour_temperature": "color_temperature",
        "greyscale": "grayscale",
    },
    "sections": {},
}
"""By kind, the name of version 0.1 and the present one."""


@cache
def _find_external_plugins(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"nightshift.{kind}")}


def list_plugins(kind: str) -> tuple[str, ...]:
    """Return the names of all plug-ins of `kind`: built-in ones, then external ones."""
    builtin = PLUGIN_KINDS[kind].names
    external = sorted(set(_find_external_plugins(kind)) - set(builtin))
    return (*builtin, *external)


def describe_rename(kind: str, name: str) -> str:
    """Return one line with the present name for a name of version 0.1, or an empty string.

    >>> describe_rename("remedies", "greyscale")
    "'greyscale' was renamed: write grayscale"
    """
    if name in list_plugins(kind) or name not in RENAMED_PLUGINS[kind]:
        return ""
    return f"{name!r} was renamed: write {RENAMED_PLUGINS[kind][name]}"


@cache
def load_plugin(kind: str, name: str) -> ModuleType:
    """Return the module of a plug-in, checked for the members that its kind requires.

    Raises:
        KeyError: no plug-in of this kind has this name.
        InputError: the module of another distribution cannot be imported, lacks a member, or has a
            member of the wrong type.
    """
    spec = PLUGIN_KINDS[kind]
    if name in spec.names:
        return import_module(spec.modules.get(name, f"{spec.package}.{name}"))
    if name not in _find_external_plugins(kind):
        raise KeyError(describe_rename(kind, name) or name)
    return _load_external_plugin(kind, _find_external_plugins(kind)[name])


def _load_external_plugin(kind: str, point: EntryPoint) -> ModuleType:
    origin = f"plug-in nightshift.{kind}:{point.name} ({point.value})"
    try:
        module = point.load()
    except Exception as error:  # a module of somebody else may raise anything
        raise InputError(
            f"{origin}: cannot be imported: {type(error).__name__}: {error}; "
            "repair or uninstall its distribution"
        ) from error
    if not isinstance(module, ModuleType):
        raise InputError(f"{origin}: names {module!r}; let the entry point name a module")
    check_plugin(kind, module, origin)
    return module


def check_plugin(kind: str, module: Any, origin: str) -> None:
    """Raise `InputError` unless `module` has the members that `kind` requires.

    Args:
        kind: a key of `PLUGIN_KINDS`.
        module: the imported module.
        origin: the module's origin, as the error message names it.
    """
    spec = PLUGIN_KINDS[kind]
    for function in spec.functions:
        if not callable(getattr(module, function, None)):
            raise InputError(
                f"{origin}: has no function {function}(); a plug-in of {kind} must define it"
            )
    for constant, types in spec.constants.items():
        _check_constant(module, constant, types, origin)
    source = getattr(module, "SOURCE", None)
    if kind == "attributes" and source not in ATTRIBUTE_SOURCES:
        raise InputError(
            f"{origin}: SOURCE is {source!r}; it must be one of {', '.join(ATTRIBUTE_SOURCES)}"
        )


def _check_constant(module: Any, constant: str, types: tuple[type, ...], origin: str) -> None:
    expected = " or ".join(kind.__name__ for kind in types).replace("NoneType", "None")
    if not hasattr(module, constant):
        raise InputError(f"{origin}: has no constant {constant}; define it ({expected})")
    value = getattr(module, constant)
    if not isinstance(value, types):
        raise InputError(f"{origin}: {constant} is {value!r}; it must be {expected}")


def fingerprint_external_plugins(kind: str) -> dict[str, str]:
    """Return the SHA-256 of the source file of each external plug-in, by name.

    It is part of a stage's key. A change of a plug-in's code runs the stages again even if the
    version of its distribution stays the same.
    """
    hashes = {}
    for name in sorted(_find_external_plugins(kind)):
        file = getattr(load_plugin(kind, name), "__file__", None)
        hashes[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else "no file"
    return hashes
