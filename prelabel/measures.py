"""What a task measures of labels against gold, in one shape for all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from prelabel.estimate import Estimate, FloatArray, bootstrap_each, ratio, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from prelabel.records import Value


NEVER_GIVEN, NOT_IN_GOLD = "never given", "no gold item has it"


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label: ``support`` gold items have it, ``predicted`` got it, ``hits`` are both.

    For spans and relations the three count spans and relations of this type, for extraction the
    items where the field has a value.
    """

    label: Value
    support: int
    predicted: int
    hits: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True, slots=True)
class Measures:
    """One annotator's labels against gold's.

    ``right`` says of each labeled item whether its whole label is gold's. ``metrics`` has the
    task's own figures, the main one first. ``confusion`` has rows gold, columns given.
    """

    right: Sequence[bool]
    metrics: Mapping[str, Estimate]
    labels: tuple[LabelScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    notes: tuple[str, ...] = field(default=())


def counted(
    names: Sequence[Value], support: ArrayLike, predicted: ArrayLike, hits: ArrayLike, seed: int = 0
) -> tuple[dict[str, Estimate], tuple[LabelScore, ...]]:
    """Return precision, recall and F1 over all that was counted, and a row for each name.

    The counts have the shape items x names; items are resampled, so that what stands in one item
    stays together. A name that neither gold nor the annotator uses has no F1.
    """
    counts: list[NDArray[np.float64]] = [
        np.asarray(c, dtype=np.float64).reshape(-1, len(names)) for c in (support, predicted, hits)
    ]
    stacked = np.concatenate([c for each in counts for c in (each, each.sum(1, keepdims=True))], 1)
    rows, sizes = np.unique(stacked, axis=0, return_counts=True)
    width = len(names) + 1

    def shares(weights: FloatArray) -> FloatArray:
        totals = weights @ rows
        gold, given, both = (totals[:, k * width : (k + 1) * width] for k in range(3))
        return np.concatenate([ratio(2 * both, gold + given), ratio(both, given),
                               ratio(both, gold)], 1)  # fmt: skip

    found = bootstrap_each(
        shares,
        sizes,
        seed=seed,
        jackknife_below=0,
        undefined="neither gold nor the annotator has any",
    )
    f1, precision, recall = (found[k * width : (k + 1) * width] for k in range(3))
    overall = {"f1": f1[-1], "precision": precision[-1], "recall": recall[-1]}
    totals = [c.sum(0).astype(int).tolist() for c in counts]
    precision = [_because(e, totals[1][at], NEVER_GIVEN) for at, e in enumerate(precision[:-1])]
    recall = [_because(e, totals[0][at], NOT_IN_GOLD) for at, e in enumerate(recall[:-1])]
    labels = tuple(
        LabelScore(
            name,
            totals[0][at],
            totals[1][at],
            totals[2][at],
            precision[at],
            recall[at],
            f1[at],
        )
        for at, name in enumerate(names)
    )
    return overall, labels


def _because(estimate: Estimate, count: int, why: str) -> Estimate:
    """Say why a share is not defined where it is of none."""
    return estimate if count else Estimate(None, n=estimate.n, why=why)


def share_right(right: Sequence[bool]) -> Estimate:
    """Return the share of whole labels that are right, with Wilson's interval."""
    return wilson(sum(right), len(right), undefined="nothing was labeled")


def mean(values: ArrayLike, seed: int = 0) -> Estimate:
    """Return the mean of one number an item, with the interval from resampling items."""
    numbers, sizes = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)

    def average(weights: FloatArray) -> FloatArray:
        found: FloatArray = ratio(weights @ numbers, weights.sum(axis=1))
        return found

    return bootstrap_each(
        average, sizes, seed=seed, jackknife_below=0, undefined="nothing was labeled"
    )[0]
