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

from pipeline.contracts import Array, Artifact, Bundle, Record, Table


@dataclass(frozen=True)
class Stage:
    """A verb of the pipeline. `effects`: it changes something outside its folder, so it is never linked from another
    run. `identity`: it shows the run's name, config and notes, so it is never linked either, and made anew when these
    change. `reuses`: it is handed what an earlier run made, to reuse its rows. `shared`: torchrun's ranks share it.
    `gpu`: it asks a network, so a scheduler may send it where a GPU is."""

    name: str
    needs: tuple[str, ...]
    makes: Mapping[str, Artifact]
    effects: bool = False
    identity: bool = False
    reuses: bool = False
    shared: bool = False
    gpu: bool = False


# fmt: off
STAGES: tuple[Stage, ...] = (
    Stage(
        "ingest",
        needs=(),
        makes={
            # image_id: hash of bytes, relative path and crop. source: where the bytes are (absolute).
            "images": Table(
                {
                    "image_id": "str", "content_hash": "str", "path": "str", "source": "str", "label": "str?",
                    "group": "str", "captured_at": "time?", "width": "int", "height": "int", "given_split": "str?",
                },
                key=("image_id",), rows="images",
                extra=True,  # further columns are the user's own
            ),
            "rejected": Table({"path": "str", "reason": "str"}),
            "pixels": Array("uint8", ("images", "side", "side", 3)),  # RGB, letterboxed, EXIF orientation applied
            "classes": Record(("names",)),  # names: list of str, sorted; a class index is a position in it
        },
        reuses=True,
    ),
    Stage(
        "measure",
        needs=("images",),
        makes={
            # One float column for each attribute in plugins.ATTRIBUTES, NaN where unknown; rows as in images.
            "attributes": Table({"image_id": "str"}, key=("image_id",), rows="images", extra=True),
        },
        reuses=True,
    ),
    Stage(
        "split",
        needs=("images", "attributes", "pixels", "classes"),
        makes={
            # split: train | val | test | left_out; fold: 0.. within val, -1 elsewhere; reason: why left out.
            "splits": Table({"image_id": "str", "split": "str", "fold": "int", "reason": "str?"},
                            key=("image_id",), rows="images"),
            "duplicates": Table(  # kind: exact | near
                {"image_id": "str", "other_id": "str", "kind": "str", "distance": "int", "same_label": "bool",
                 "across_splits": "bool"}, key=("image_id", "other_id"),
            ),
        },
    ),
    Stage(
        "monitor",
        needs=("images", "attributes"),
        makes={
            # What arrived since the champion in force when the run began, against the champion's data.
            "drift": Record(("champion", "why", "photos", "slices", "attributes", "new", "conditions")),
        },
    ),
    Stage(
        "train",
        needs=("images", "pixels", "classes", "splits"),
        makes={
            # model.json: backbone, classes, side, mean, std, temperature; model.pt2 beside it: a user's program.
            "model": Bundle(("model.safetensors", "model.json")),
            "history": Table(
                {"step": "int", "passes": "int", "split": "str", "loss": "float", "accuracy": "float", "rate": "float"},
                key=("step", "split"),  # split: train | holdout; passes: images seen; rate: learning rate
            ),
            "training": Record(("best_step", "steps", "passes", "temperature", "overfitting_from", "judgement")),
        },
        shared=True, gpu=True,
    ),
    Stage(
        "evaluate",
        needs=("images", "pixels", "classes", "splits", "duplicates", "model"),
        makes={
            # evaluate, on val. margin: true logit less best other. Further columns logit_0, logit_1, ...: float32.
            "predictions": Table(
                {"image_id": "str", "label": "str", "predicted": "str", "correct": "bool", "confidence": "float",
                 "margin": "float"}, key=("image_id",), rows="val", extra=True,
            ),
            # Frozen packaged weights, never the trained model's; rows of the test split are NaN (it is sealed).
            "embeddings": Array("float32", ("images", "features")),
            # costs: of each error by label and answer, as a share of the worst; null where all cost alike.
            "metrics": Record(("accuracy", "macro_f1", "classes", "confusion", "calibration")),
            "label_issues": Table(
                {"image_id": "str", "label": "str", "suggested": "str", "confidence": "float", "kind": "str",
                 "split": "str"},
                key=("image_id", "kind"),  # kind: suspected (cleanlab) | conflict (same bytes, two labels) | reviewed
            ),
        },
        shared=True, gpu=True,
    ),
    Stage(
        "probe",
        needs=("images", "pixels", "classes", "splits", "model", "predictions"),
        makes={
            # One row of dose_response for each intervention, in the column order of the two arrays.
            "probed": Table({"image_id": "str", "weight": "float"}, key=("image_id",), rows="probed"),
            "signatures": Array("float32", ("probed", "interventions")),  # change of the true class's log-probability
            "responses": Array("int16", ("probed", "interventions")),  # class index predicted after the intervention
            "dose_response": Table(
                {"remedy": "str", "dose": "float", "accuracy": "float", "low": "float", "high": "float",
                 "repairs": "float", "breaks": "float"},  # shares of the wrong, the correct
                key=("remedy", "dose"), rows="interventions",
            ),
            "shortcuts": Table({"label": "str", "status": "str", "covered": "float", "pasted": "float"}, extra=True),
            # `mark of <label>`, bool: whether a photo bears that confirmed shortcut.
            "marks": Table({"image_id": "str"}, key=("image_id",), rows="images", extra=True),
        },
        shared=True, gpu=True,
    ),
    Stage(
        "cluster",
        needs=("images", "attributes", "splits", "classes", "predictions", "metrics", "embeddings", "label_issues",
               "probed", "signatures", "responses", "dose_response", "marks"),
        makes={
            # One row for each slice and fold: the rule frozen on the other folds, to be applied to this one.
            "slices": Table(
                {
                    "slice": "str", "rank": "int", "fold": "int", "source": "str",
                    "rule": "str",  # rule: JSON
                    "remedy": "str?", "dose": "float?", "recoverable": "float",
                },
                key=("slice", "fold"),
            ),
            "membership": Table(
                {"image_id": "str", "slice": "str", "fold": "int", "score": "float"}, key=("image_id", "slice")
            ),
        },
    ),
    Stage(
        "explain",
        needs=("images", "pixels", "attributes", "splits", "classes", "model", "predictions", "embeddings", "metrics",
               "label_issues", "probed", "responses", "dose_response", "marks", "slices", "membership"),
        makes={
            # status: confirmed | not confirmed | not testable. Errors and effects are shares, not percent.
            # frozen: JSON of the rule in force outside val, that of the best tested half, and rule the same in words;
            # applied: which rule admitted how many photos on each half of val, which it never saw.
            # common: what the photos of a confirmed slice without a cause share, in words.
            "explanations": Table(
                {
                    "slice": "str", "rank": "int", "status": "str", "words": "str", "rule": "str", "frozen": "str",
                    "applied": "str", "cause": "str?", "common": "str?",
                    "dose_low": "float?", "dose_high": "float?", "confidence": "str", "n": "int",
                    "groups": "int", "failures": "int", "error": "float", "expected": "float", "excess": "float",
                    "low": "float", "high": "float", "p_excess": "float?", "remedy": "str?", "dose": "float?",
                    "effect": "float?", "effect_low": "float?", "effect_high": "float?", "p_effect": "float?",
                    "q_value": "float?", "groups_needed": "int?",
                },
                key=("slice",),
                extra=True,
            ),
            # Every rival cause that was tried for a confirmed slice, best first.
            "causes": Table(
                {
                    "slice": "str", "remedy": "str", "words": "str", "dose": "float", "apart": "float", "auc": "float",
                    "reproduces": "float", "repairs": "float?", "p_repairs": "float?", "share": "float?",
                    "ahead": "float?", "equivalent": "bool", "named": "bool",
                },
                key=("slice", "remedy", "dose"),
            ),
        },
        gpu=True,
    ),
    Stage(
        "follow",
        needs=("images", "attributes", "splits", "classes", "predictions", "metrics", "embeddings", "label_issues",
               "probed", "responses", "marks", "slices", "explanations"),
        makes={
            # Slices over the runs of one name, see `pipeline.slicing.track`; the run before is read from its folder.
            "followed": Record(("previous", "why", "slices")),
            # Groups (hashed) on which a slice's rule was proposed, in the run `since` under the name `first`.
            "proposers": Table({"since": "str", "first": "str", "group": "str"}, key=("since", "first", "group")),
        },
    ),
    Stage(
        "prescribe",
        needs=("images", "pixels", "attributes", "splits", "classes", "model", "training", "predictions", "metrics",
               "embeddings", "label_issues", "probed", "responses", "dose_response", "marks", "membership",
               "explanations", "causes"),
        makes={
            # The plan in force for one training image and remedy: dose uniform in [low, high]. simulator: null where
            # the photo itself is treated, else whose photo of the same class, under `remedy`, takes its place.
            "plan": Table(
                {
                    "image_id": "str", "slice": "str", "remedy": "str", "dose_low": "float", "dose_high": "float",
                    "probability": "float", "simulator": "str?",
                }
            ),
            # Photos that a simulator drew for a slice: for training alone, in no other table and in no split.
            "simulated": Table(
                {"content_hash": "str", "slice": "str", "label": "str", "simulator": "str", "condition": "str",
                 "dose": "float"}, key=("content_hash", "slice"), rows="simulated",
            ),
            "simulated_pixels": Array("uint8", ("simulated", "side", "side", 3)),
            "policy": Record(("corrections", "decline", "refused", "prescriptions")),
            "exports": Bundle(("collect.csv", "relabel.csv")),
        },
    ),
    Stage(
        "retrain",
        needs=("images", "pixels", "classes", "splits", "model", "training", "plan", "simulated", "simulated_pixels"),
        makes={
            # candidates.json: [{arm, seed, file, passes, ...}]; one safetensors file for each arm and seed.
            "candidates": Bundle(("candidates.json",)),
        },
        shared=True, gpu=True,
    ),
    Stage(
        "compare",
        needs=("images", "pixels", "classes", "splits", "attributes", "model", "predictions", "metrics", "marks",
               "membership", "explanations", "policy", "plan", "candidates"),
        makes={
            # val and test (null while sealed): arms, differences with intervals; test is aggregates only.
            "comparison": Record(("val", "test", "opening", "power", "decline", "corrections")),
            "flips": Table(
                {
                    "image_id": "str", "label": "str", "before": "str", "control": "str", "after": "str",
                    "p_before": "float", "p_after": "float", "change": "str", "saliency": "int",
                    "declined_before": "bool", "declined_after": "bool",  # with the corrections that are made
                },
                key=("image_id",), rows="val",  # change: fixed | broken | still wrong | still right
            ),
            "answers": Array("float32", ("val", 2, "classes")),  # calibrated probabilities before and after
            "saliency": Array("uint8", ("salient", 2, "side", "side")),  # grad-cam before, after; 255 is strongest
        },
        effects=True, gpu=True,
    ),
    Stage(
        "promote",
        needs=("comparison", "candidates", "model", "policy", "explanations",
               "images", "attributes", "splits", "flips"),
        makes={
            "verdict": Record(("promoted", "headline", "conditions")),
            # The model now in force; reference.parquet: what its data looked like, numbers without names.
            "bundle": Bundle(("model.safetensors", "bundle.json", "reference.parquet")),
        },
        effects=True,
    ),
    Stage(
        "report",
        needs=("images", "rejected", "pixels", "classes", "attributes", "splits", "duplicates", "history", "training",
               "predictions", "embeddings", "metrics", "label_issues", "probed", "dose_response", "responses",
               "shortcuts", "slices", "membership", "explanations", "causes", "plan", "simulated", "simulated_pixels",
               "policy", "comparison", "flips", "answers", "saliency", "verdict", "drift", "followed"),
        makes={
            "html": Bundle(("index.html",)),
            "summary": Record(("schema", "run_id", "verdict", "metrics", "slices", "remedies", "notes")),
        },
        identity=True,
    ),
)
# fmt: on
ARTIFACTS: dict[str, Artifact] = {name: kind for item in STAGES for name, kind in item.makes.items()}


def stage(name: str) -> Stage:
    """The stage of that name; raises `KeyError` where there is none."""
    return {s.name: s for s in STAGES}[name]


def maker(artifact: str) -> Stage:
    """The stage that makes `artifact`."""
    return next(s for s in STAGES if artifact in s.makes)


def upstream(name: str) -> tuple[str, ...]:
    """The names of the stages whose artifacts stage `name` needs, in the order of the page."""
    makers = {maker(need).name for need in stage(name).needs}
    return tuple(s.name for s in STAGES if s.name in makers)
