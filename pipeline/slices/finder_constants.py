"""Hand-set constants of the slice finder, each with the reason or the measurement behind it.

They are not settings of a run: a run's settings are the `Config` of its stages. A constant that was
chosen on data names the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CandidateConstants:
    """Constants of `slices.candidates`."""

    # Principal components of the frozen features.
    max_feature_components: int = 24
    # Images that the components are fitted on: more do not move them.
    max_feature_images: int = 20_000
    # Failing images, and correct ones, that a discriminant is fitted on, at least.
    min_discriminant_images: int = 10
    # Images in the core of a slice, at least, in each half.
    min_core_images: int = 40


@dataclass(frozen=True)
class FamilyConstants:
    """Constants of `slices.family`."""

    # Distinct values up to which a numeric column is a code: equality instead of thresholds.
    max_code_values: int = 8
    # Shared beginnings of a text that are conditions, those of most images: bounds the time.
    max_text_prefixes: int = 200
    # Share of the images above which a condition describes the data, not a slice.
    max_condition_share: float = 0.6
    # Quantiles of an attribute that serve as thresholds, from either end: dense in the tails, where
    # small slices are.
    tail_quantiles: tuple[float, ...] = (0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
    # Largest of them at which both tails together are a condition.
    max_outer_quantile: float = 0.2
    # Shares of the images in the windows between two quantiles; windows overlap by half.
    window_widths: tuple[float, ...] = (0.1, 0.2)
    # Quantiles of the conditions that are paired: pairs of finer ones differ by few images.
    paired_quantiles: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)
    # Lengths of the arcs of a periodic attribute, in hours of a circle of 24, and the paired one.
    arc_hours: tuple[int, ...] = (2, 3, 4, 6, 9, 12)
    paired_arc_hours: int = 6
    # Numbers of clusters in frozen features, over all images and within a class.
    cluster_counts: tuple[int, ...] = (4, 8, 16, 32, 64)
    class_cluster_counts: tuple[int, ...] = (2, 4, 8, 16)
    # Those whose neighborhoods are paired with attributes.
    paired_clusters: tuple[int, ...] = (4, 8)
    # Sizes of a neighborhood, relative to an average cluster.
    cluster_size_factors: tuple[float, ...] = (0.5, 1.0, 1.5)
    # Images that are clustered, and classes with clusters of their own: bounds the time.
    max_clustered_images: int = 2000
    max_clustered_classes: int = 20
    # Share of the smaller part above which a pair is no rule of its own.
    max_pair_share: float = 0.9
    # Entries of all masks: bounds memory (8 bytes each) and the time of a draw.
    max_mask_entries: int = 8_000_000
    # Pairs that are built at a time.
    chunk_pairs: int = 8192
    # Family-wise level of the search. Slices above it are leads.
    level: float = 0.05
    # Groups in a candidate, at least: fewer cannot be told from one odd group.
    min_groups: int = 6
    # Draws of a test, at least and at most; between them as many as the entries below allow.
    min_draws: int = 99
    max_draws: int = 499
    max_drawn_entries: float = 2e9
    # Share of a candidate's images in earlier slices above which it is no slice of its own.
    max_explained_share: float = 0.5
    # Quantiles of the images outside an earlier slice, by distance from its threshold: images are
    # compared within these bands, so that the rim of one cause is no second slice.
    band_quantiles: tuple[float, ...] = (0.05, 0.15, 0.35)
    # Overlap from which a plainer rule may replace the best one, and share of its score to keep.
    tied_overlap: float = 0.6
    tied_score_share: float = 0.9
    # Share of the best score of a half from which the slice's own rule stays: half of the images
    # decide less.
    half_score_share: float = 0.8
    # Share of the best candidate's images, and factor of its excess, from which a candidate is the
    # whole of which the best one is a part.
    contained_share: float = 0.9
    whole_sum_factor: float = 1.25
    # Share from which metadata is preferred: it sets the failures apart as well as an attribute.
    exact_score_share: float = 0.97
    # Least excess error of a slice; less is not worth a remedy.
    min_excess: float = 0.05
    # Shares of the median class's training images up to which classes are a long tail together.
    long_tail_shares: tuple[float, ...] = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class TestingConstants:
    """Constants of `slices.testing`."""

    # Floor of an effect's standard error, as a share of the images: without it, an intervention
    # whose effect is small and equal in all groups would be chosen before a strong one.
    min_effect_error: float = 0.01


@dataclass(frozen=True)
class CauseConstants:
    """Constants of `slices.causes`."""

    # Held-out AUC up to which two sets of images count as indistinguishable: the AUC of two samples
    # of 40 images of one distribution has a standard error of .065.
    max_indistinguishable_auc: float = 0.65
    # Null slices whose largest AUC a slice must exceed to differ from good images: one null slice
    # in 20 does.
    null_slice_draws: int = 19
    # Difference in attribute distance that does not decide between two candidates.
    distance_tolerance: float = 0.03
    # Difference in two-sample AUC that does not decide between two candidates.
    auc_tolerance: float = 0.1
    # Share of the distance from the slice that a cause suspected without a model must explain.
    min_distance_reduction: float = 0.5

    # Strengths beyond a plug-in's own on each side: failures need not stop at the strongest probe.
    extra_strength_count: int = 4
    # Factor by which each extra strength is further from neutral (its power if they multiply).
    extension_exponent: float = 1.5
    # Rounds that halve the steps beside the best strength; each adds two measurements.
    refinement_rounds: int = 2
    # Well-matched strengths that are tried per treatment. Half-covered images matched a cover of
    # three quarters best, whose copies a classifier separates from the slice.
    nearest_strength_count: int = 3

    # Share of the correct screened images that an intervention breaks, beyond a null transform,
    # from which it is tried on the rest: less is within the noise of the screen.
    min_screened_damage: float = 0.02

    # Accuracy that good images must lose for a treatment to count as reproducing the failure.
    min_accuracy_loss: float = 0.05
    # Least agreement with the slice's confusions, if no repair confirms the cause.
    min_confusion_agreement: float = 0.5
    # Share of its own damage that an inverse must repair to count as one at that strength.
    min_regained_share: float = 0.5
    # Share of each other's damage that two inverses must repair for both causes to be one.
    min_mutual_repair_share: float = 0.8
    # Groups with a failing image for a repair or an attribution to be tested.
    min_failing_groups: int = 5
    # Nearest candidates on which the model is evaluated: each costs predictions.
    max_tested_candidates: int = 10

    # Share of the failures above which a cause accounts for most of them.
    majority_share: float = 0.5
    # Share of the failures below which a cause is not named, whatever its inverse repairs.
    negligible_share: float = 0.1
    # Good images per treatment and strength that the attribution learns from.
    max_treated_images: int = 60
    # Iteration limit of the expectation-maximization.
    max_em_iterations: int = 200
    # Change of every share below which it has converged.
    em_tolerance: float = 1e-4
    # Draws of whole groups; 20 of them lie beyond the quantile below.
    bootstrap_draws: int = 400
    # Quantile of the lead over draws: a one-sided 95 % bound.
    lead_quantile: float = 0.05
    # Weight of images of groups that a draw leaves out: positive, so that a mean always exists.
    undrawn_group_weight: float = 1e-9

    # Fewer failing images describe themselves only.
    min_described_failures: int = 5
    # Failing images that are compared with all others: bounds the distance matrix.
    max_described_failures: int = 500
    # Standard deviations within the class from which a measure is reported.
    min_deviation: float = 0.5
    # Excess of a value's or neighbor's share from which it is reported.
    min_share_difference: float = 0.2
    # Share of the images outside a slice whose nearest training image is within usual distance.
    usual_distance_quantile: float = 0.9
    # Training images that are shown as the nearest ones.
    max_nearest_images: int = 5
    # Measures in one sentence.
    max_reported_measures: int = 3


@dataclass(frozen=True)
class PrescriptionConstants:
    """Constants of `slices.prescription`."""

    # Images of the slice, and training images, on which a strength range is fitted.
    max_fit_images: int = 100
    # Strengths on either side of the best one that may end the range: with the midpoints between
    # them that makes up to 91 ranges.
    neighbor_strength_count: int = 3
    # Difference in AUC that does not decide between two remedies.
    fit_auc_tolerance: float = 0.02
    # Share of a slice's treated views with the tones of its real images, where these are harder to
    # separate from it: the other half keeps strengths that no real image at hand shows.
    tone_view_share: float = 0.5
    # Seed of samples, folds and strengths; fixed, so that a fit depends on its images only.
    fit_seed: int = 0
    # Groups of a class that must support a label change: one odd object is no rule.
    min_class_groups: int = 2
    # Groups of a slice below which its images are not repeated: a model memorizes fewer.
    min_member_groups: int = 10
    # Least factor by which images of a slice are repeated or weighted.
    min_repeats: float = 2.0
    # Factor of the weaker variant of the whole plan that a search tries.
    reduced_probability_factor: float = 0.5
    # Most typical images that a collection request shows for a slice.
    example_count: int = 5


@dataclass(frozen=True)
class ShortcutConstants:
    """Constants of `slices.shortcuts`."""

    # Groups on either side to propose and to test a mark: sign flips of fewer cannot reach .001.
    min_groups: int = 10
    # Images, each of another group, from which a mark is read.
    max_mark_images: int = 40
    # Gray levels within which most images of the class agree; compression alters a few.
    same_gray_tolerance: int = 8
    # Gray levels by which the median of the other classes must differ.
    other_gray_distance: int = 25
    # Smallest mark, as a share of the image: about eight pixels of 64 x 64.
    min_mark_share: float = 0.002
    # Pixels by which a mark is widened, so that blurred edges are covered too.
    mark_rim_pixels: int = 2
    # Share of its box above which a component is filled. A caption that was cut out along its
    # strokes could still be read, and was not confirmed.
    filled_box_share: float = 0.5
    # The object is a quarter of the cells, as large as the central region.
    object_share_divisor: int = 4
    # Least difference of both interventions from their controls.
    min_share_effect: float = 0.05
    # False discovery rate over classes with a mark.
    fdr_level: float = 0.05
    # Sign flips of whole groups; the smallest p-value is 1/2000.
    permutation_draws: int = 1999
    # Share of a mark's pixels that an image must match to bear it.
    min_matching_share: float = 0.5
    # Images that are compared with marks at a time: bounds memory.
    chunk_images: int = 4096


@dataclass(frozen=True)
class TrackingConstants:
    """Constants of `slices.tracking`."""

    # Images of the reference, kept by whole units: more change no share that would be acted on.
    max_reference_images: int = 20_000
    # Share of the units at either end that do not extend a known range: a covered lens is no
    # darkness that the model knows.
    stray_unit_share: float = 0.002
    # Minutes of one stretch of time: if no group is known, its images are one observation.
    stretch_minutes: int = 10
    # Attributes that traffic is not compared in: what arrives is always later.
    time_attributes: tuple[str, ...] = ("day",)

    # Runs that the history of a slice goes back; the first one stays.
    max_history_runs: int = 60
    # Slices that are followed; beyond it, those confirmed longest ago are dropped.
    max_tracked_slices: int = 100
    # Hexadecimal digits of a hashed group (64 bits): no two of a million groups share one.
    group_hash_digits: int = 16


@dataclass(frozen=True)
class FinderConstants:
    """Constants of the slice finder, one section for each folder that has any."""

    candidates: CandidateConstants = field(default_factory=CandidateConstants)
    family: FamilyConstants = field(default_factory=FamilyConstants)
    testing: TestingConstants = field(default_factory=TestingConstants)
    causes: CauseConstants = field(default_factory=CauseConstants)
    prescription: PrescriptionConstants = field(default_factory=PrescriptionConstants)
    shortcuts: ShortcutConstants = field(default_factory=ShortcutConstants)
    tracking: TrackingConstants = field(default_factory=TrackingConstants)


CONSTANTS = FinderConstants()
