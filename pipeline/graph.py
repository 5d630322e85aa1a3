"""THE PAGE: every stage, what it needs and what it makes.

An edge is never drawn: it is there because one stage makes what another needs. The command line, the
runner, the DAG and the tests loop over `STAGES`. Reading this page imports neither torch nor numpy nor pandas.

A stage `x` is the file `pipeline/stages/x.py` with its `Config` on top and, below it,
`run(config, context, *, <needs by name>) -> {<makes by name>}`.
Dtypes: a trailing `?` allows nulls. Symbols in shapes and `rows` are equal within one stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.contracts import (
    ArrayContract,
    ArtifactContract,
    FolderContract,
    ObjectContract,
    RecordContract,
    TableContract,
)


@dataclass(frozen=True)
class Stage:
    """A verb of the pipeline. `effects`: it changes something outside its folder, so it is never linked from another
    run. `identity`: it shows the run's name, config and notes, so it is never linked either, and made anew when these
    change. `reuses`: it is handed what an earlier run made, to reuse its rows. `shared`: torchrun's ranks share it.
    `gpu`: it asks a network, so a scheduler may send it where a GPU is."""

    name: str
    needs: tuple[str, ...]
    makes: Mapping[str, ArtifactContract]
    has_side_effects: bool = False
    is_run_specific: bool = False
    can_reuse_rows: bool = False
    is_distributed: bool = False
    needs_gpu: bool = False


# fmt: off
STAGES: tuple[Stage, ...] = (
    Stage(
        "ingest",
        needs=(),
        makes={
            # image_id: hash of bytes, relative path and crop. source: where the bytes are (absolute).
            "images": TableContract(
                {
                    "image_id": "str", "content_hash": "str", "path": "str", "source": "str", "label": "str?",
                    "group": "str", "captured_at": "time?", "width": "int", "height": "int", "given_split": "str?",
                },
                key_columns=("image_id",), row_dimension="images",
                has_extra_columns=True,  # further columns are the user's own
            ),
            "rejected": TableContract({"path": "str", "reason": "str"}),
            "pixels": ArrayContract("uint8", ("images", "side", "side", 3)),  # RGB, letterboxed, EXIF orientation applied
            "classes": RecordContract(("names",)),  # names: list of str, sorted; a class index is a position in it
        },
        can_reuse_rows=True,
    ),
    Stage(
        "measure",
        needs=("images",),
        makes={
            # One float column for each attribute in plugins.ATTRIBUTES, NaN where unknown; rows as in images.
            "attributes": TableContract({"image_id": "str"}, key_columns=("image_id",), row_dimension="images", has_extra_columns=True),
        },
        can_reuse_rows=True,
    ),
    Stage(
        "split",
        needs=("images", "attributes", "pixels", "classes"),
        makes={
            # split: train | val | test | left_out; fold: 0.. within val, -1 elsewhere; reason: why left out.
            "splits": TableContract({"image_id": "str", "split": "str", "fold": "int", "reason": "str?"},
                            key_columns=("image_id",), row_dimension="images"),
            "duplicates": TableContract(  # kind: exact | near
                {"image_id": "str", "other_id": "str", "kind": "str", "distance": "int", "same_label": "bool",
                 "across_splits": "bool"}, key_columns=("image_id", "other_id"),
            ),
        },
    ),
    Stage(
        "monitor",
        needs=("images", "attributes"),
        makes={
            # What arrived since the champion in force when the run began, against the champion's data.
            "drift": RecordContract(("champion", "why", "images", "slices", "attributes", "new", "conditions")),
        },
    ),
    Stage(
        "train",
        needs=("images", "pixels", "classes", "splits"),
        makes={
            # model.json: backbone, classes, side, mean, std, temperature; model.pt2 beside it: a user's program.
            "model": FolderContract(("model.safetensors", "model.json")),
            "history": TableContract(
                {"step": "int", "passes": "int", "split": "str", "loss": "float", "accuracy": "float", "rate": "float"},
                key_columns=("step", "split"),  # split: train | holdout; passes: images seen; rate: learning rate
            ),
            "training": RecordContract(("best_step", "steps", "passes", "temperature", "overfitting_from", "judgement")),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "evaluate",
        needs=("images", "pixels", "classes", "splits", "duplicates", "model"),
        makes={
            # evaluate, on val. margin: true logit less best other. Further columns logit_0, logit_1, ...: float32.
            "predictions": TableContract(
                {"image_id": "str", "label": "str", "predicted": "str", "correct": "bool", "confidence": "float",
                 "margin": "float"}, key_columns=("image_id",), row_dimension="val", has_extra_columns=True,
            ),
            # Frozen packaged weights, never the trained model's; rows of the test split are NaN (it is sealed).
            "embeddings": ArrayContract("float32", ("images", "features")),
            # costs: of each error by label and answer, as a share of the worst; null where all cost alike.
            "metrics": RecordContract(("accuracy", "macro_f1", "classes", "confusion", "calibration")),
            "label_issues": TableContract(
                {"image_id": "str", "label": "str", "suggested": "str", "confidence": "float", "kind": "str",
                 "split": "str"},
                key_columns=("image_id", "kind"),  # kind: suspected (cleanlab) | conflict (same bytes, two labels) | reviewed
            ),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "probe",
        needs=("images", "pixels", "classes", "attributes", "splits", "model", "predictions", "embeddings", "metrics",
               "label_issues"),
        makes={
            # Labels, groups, folds, attributes, predictions, embeddings and probe results of the validation images.
            "validation_set": ObjectContract(
                "pipeline.domain.validation_set.ValidationSet",
                {"val": "image_count", "interventions": "intervention_count"},
            ),
            # One row of dose_response for each intervention, in the order of the set's responses and signatures.
            "dose_response": TableContract(
                {"remedy": "str", "strength": "float", "accuracy": "float", "low": "float", "high": "float",
                 "repairs": "float", "breaks": "float"},  # shares of the wrong, the correct
                key_columns=("remedy", "strength"), row_dimension="interventions",
            ),
            "shortcuts": TableContract({"label": "str", "status": "str", "covered": "float", "pasted": "float"}, has_extra_columns=True),
            # `mark of <label>`, bool: whether a image bears that confirmed shortcut.
            "marks": TableContract({"image_id": "str"}, key_columns=("image_id",), row_dimension="images", has_extra_columns=True),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "cluster",
        needs=("validation_set", "dose_response"),
        makes={
            # One row for each slice and fold: the rule frozen on the other folds, to be applied to this one.
            "slices": TableContract(
                {
                    "slice": "str", "rank": "int", "fold": "int", "source": "str",
                    "rule": "str",  # rule: JSON
                    "remedy": "str?", "strength": "float?", "recoverable": "float",
                },
                key_columns=("slice", "fold"),
            ),
            "membership": TableContract(
                {"image_id": "str", "slice": "str", "fold": "int", "score": "float"}, key_columns=("image_id", "slice")
            ),
        },
    ),
    Stage(
        "explain",
        needs=("pixels", "model", "validation_set", "dose_response", "slices", "membership"),
        makes={
            # status, confidence: see `pipeline.domain.statuses`. Errors and effects are shares, not percent.
            # named_causes, setting: JSON; the sentences are composed by `pipeline.report.slice_sentences`.
            # frozen: JSON of the rule in force outside val, that of the best tested half, and rule the same in words;
            # applied: which rule admitted how many images on each half of val, which it never saw.
            # common: what the images of a confirmed slice without a cause share, in words.
            "explanations": TableContract(
                {
                    "slice": "str", "rank": "int", "status": "str", "rule": "str", "frozen": "str",
                    "named_causes": "str", "setting": "str", "setting_failures": "int", "confused_label": "str?",
                    "confused_prediction": "str?", "repair_strength": "float?", "repair_share": "float?",
                    "applied": "str", "cause": "str?", "common": "str?",
                    "strength_low": "float?", "strength_high": "float?", "confidence": "str", "n": "int",
                    "groups": "int", "failures": "int", "error": "float", "expected": "float", "excess": "float",
                    "low": "float", "high": "float", "p_excess": "float?", "remedy": "str?", "strength": "float?",
                    "effect": "float?", "effect_low": "float?", "effect_high": "float?", "p_effect": "float?",
                    "q_value": "float?", "groups_needed": "int?",
                },
                key_columns=("slice",),
                has_extra_columns=True,
            ),
            # Every rival cause that was tried for a confirmed slice, best first.
            "causes": TableContract(
                {
                    "slice": "str", "remedy": "str", "strength": "float", "apart": "float", "auc": "float",
                    "reproduces": "float", "repairs": "float?", "p_repairs": "float?", "share": "float?",
                    "ahead": "float?", "equivalent": "bool", "named": "bool",
                },
                key_columns=("slice", "remedy", "strength"),
            ),
        },
        needs_gpu=True,
    ),
    Stage(
        "follow",
        needs=("images", "embeddings", "validation_set", "slices", "explanations"),
        makes={
            # Slices over the runs of one name, see `pipeline.slices.tracking.slice_history`; the run before is read from its folder.
            "followed": RecordContract(("previous", "why", "slices")),
            # Groups (hashed) on which a slice's rule was proposed, in the run `since` under the name `first`.
            "proposers": TableContract({"since": "str", "first": "str", "group": "str"}, key_columns=("since", "first", "group")),
        },
    ),
    Stage(
        "prescribe",
        needs=("images", "pixels", "attributes", "splits", "model", "training", "embeddings", "label_issues",
               "validation_set", "dose_response", "marks", "membership", "explanations", "causes"),
        makes={
            # The plan in force for one training image and remedy: strength uniform in [low, high]. simulator: null where
            # the image itself is treated, else whose image of the same class, under `remedy`, takes its place.
            "plan": TableContract(
                {
                    "image_id": "str", "slice": "str", "remedy": "str", "strength_low": "float", "strength_high": "float",
                    "probability": "float", "simulator": "str?",
                }
            ),
            # Images that a simulator drew for a slice: for training alone, in no other table and in no split.
            "simulated": TableContract(
                {"content_hash": "str", "slice": "str", "label": "str", "simulator": "str", "condition": "str",
                 "strength": "float"}, key_columns=("content_hash", "slice"), row_dimension="simulated",
            ),
            "simulated_pixels": ArrayContract("uint8", ("simulated", "side", "side", 3)),
            "policy": RecordContract(("corrections", "decline", "refused", "prescriptions")),
            "exports": FolderContract(("collect.csv", "relabel.csv")),
        },
    ),
    Stage(
        "retrain",
        needs=("images", "pixels", "classes", "splits", "model", "training", "plan", "simulated", "simulated_pixels"),
        makes={
            # candidates.json: [{arm, seed, file, passes, ...}]; one safetensors file for each arm and seed.
            "candidates": FolderContract(("candidates.json",)),
        },
        is_distributed=True, needs_gpu=True,
    ),
    Stage(
        "compare",
        needs=("images", "pixels", "splits", "attributes", "model", "validation_set", "marks", "membership",
               "explanations", "policy", "plan", "candidates"),
        makes={
            # val and test (null while sealed): arms, differences with intervals; test is aggregates only.
            "comparison": RecordContract(("val", "test", "opening", "power", "decline", "corrections")),
            "flips": TableContract(
                {
                    "image_id": "str", "label": "str", "before": "str", "control": "str", "after": "str",
                    "p_before": "float", "p_after": "float", "change": "str", "saliency": "int",
                    "declined_before": "bool", "declined_after": "bool",  # with the corrections that are made
                },
                key_columns=("image_id",), row_dimension="val",  # change: fixed | broken | still wrong | still right
            ),
            "answers": ArrayContract("float32", ("val", 2, "classes")),  # calibrated probabilities before and after
            "saliency": ArrayContract("uint8", ("salient", 2, "side", "side")),  # grad-cam before, after; 255 is strongest
        },
        has_side_effects=True, needs_gpu=True,
    ),
    Stage(
        "promote",
        needs=("comparison", "candidates", "model", "policy", "explanations",
               "images", "attributes", "splits", "flips"),
        makes={
            "verdict": RecordContract(("promoted", "headline", "conditions")),
            # The model now in force; reference.parquet: what its data looked like, numbers without names.
            "bundle": FolderContract(("model.safetensors", "bundle.json", "reference.parquet")),
        },
        has_side_effects=True,
    ),
    Stage(
        "report",
        needs=("images", "rejected", "pixels", "classes", "attributes", "splits", "duplicates", "history", "training",
               "predictions", "metrics", "label_issues", "validation_set", "dose_response", "shortcuts", "membership",
               "explanations", "causes", "plan", "simulated", "simulated_pixels", "policy", "comparison", "flips",
               "answers", "saliency", "verdict", "drift", "followed"),
        makes={
            "html": FolderContract(("index.html",)),
            "summary": RecordContract(("schema", "run_id", "verdict", "metrics", "slices", "remedies", "notes")),
        },
        is_run_specific=True,
    ),
)
# fmt: on
ARTIFACT_CONTRACTS: dict[str, ArtifactContract] = {
    name: kind for item in STAGES for name, kind in item.makes.items()
}


def get_stage(name: str) -> Stage:
    """The stage of that name; raises `KeyError` where there is none."""
    return {s.name: s for s in STAGES}[name]


def find_producer(artifact: str) -> Stage:
    """The stage that makes `artifact`."""
    return next(s for s in STAGES if artifact in s.makes)


def list_upstream_stages(name: str) -> tuple[str, ...]:
    """The names of the stages whose artifacts stage `name` needs, in the order of the page."""
    makers = {find_producer(need).name for need in get_stage(name).needs}
    return tuple(s.name for s in STAGES if s.name in makers)
