"""Signals of many items as columns of numbers, made comparable: nan where a number is not known.

A column's mean and scale come from the items that a regression is fitted on. A number that is not
known counts as the mean, and where that happens on gold an indicator says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prelabel.neighbours import of_the_nearest
from prelabel.signals import SHARE, WEIGHT, Signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.estimate import FloatArray

SIMILAR = "similar"
SIMILAR_NAMES = ("nearest right", "nearest")

FEW = 3
"""Items of gold on which a number must be known, or be missing, for that to count."""

MOST_APART = 3.0
"""Standard deviations; what is farther out counts as so far only."""


class Judged(NamedTuple):
    """A gold item: what is known of it, its text, and whether its consensus is right."""

    item: str
    signals: Signals
    text: str
    right: bool


class Column(NamedTuple):
    """One number made comparable, or, where ``missing``, the indicator that it is not known."""

    group: str
    name: str
    missing: bool
    mean: float
    scale: float

    def __call__(self, numbers: FloatArray) -> FloatArray:
        """Return comparable numbers of raw ones; without bounds for the vote share."""
        unknown = np.isnan(numbers)
        if self.missing:
            return (unknown - self.mean) / self.scale
        apart = np.where(unknown, 0.0, (numbers - self.mean) / self.scale)
        return apart if self.group == SHARE else np.clip(apart, -MOST_APART, MOST_APART)


@dataclass(frozen=True)
class Table:
    """Gold items' numbers: by group the names and items x names; which are right; and texts.

    ``similar`` is items x items, None where gold has no texts.
    """

    groups: Mapping[str, tuple[Sequence[str], FloatArray]]
    right: NDArray[np.bool_]
    similar: FloatArray | None

    @property
    def names(self) -> list[str]:
        """The groups beside the vote share."""
        own = [group for group in self.groups if group != SHARE]
        return own if self.similar is None else [*own, SIMILAR]

    def numbers(
        self, group: str, at: NDArray[np.int64], gold: NDArray[np.int64]
    ) -> tuple[Sequence[str], FloatArray]:
        """Return a group's names and numbers of items, the similar ones sought in ``gold`` only.

        An item is never similar to itself.
        """
        if group != SIMILAR:
            names, numbers = self.groups[group]
            return names, numbers[at]
        assert self.similar is not None
        near = self.similar[np.ix_(at, gold)].copy()
        near[at[:, None] == gold[None, :]] = 0.0
        return SIMILAR_NAMES, similar_numbers(near, self.right[gold])


def table_of(
    rows: Sequence[Judged], similar: FloatArray | None, only: Sequence[str] | None = None
) -> Table:
    """Return the numbers of gold items, groups and names sorted.

    ``only`` names the groups beside the vote share, None for all.
    """
    if only is not None and SIMILAR not in only:
        similar = None
    names: dict[str, set[str]] = {}
    for row in rows:
        for group, own in row.signals.groups.items():
            if only is not None and group not in (SHARE, *only):
                continue
            names.setdefault(group, set()).update(own)
    groups = {}
    for group in sorted(names):
        columns = sorted(names[group])
        owns: list[Mapping[str, float]] = [row.signals.groups.get(group, {}) for row in rows]
        numbers = [[own.get(name, np.nan) for name in columns] for own in owns]
        groups[group] = (columns, np.array(numbers, dtype=np.float64))
    return Table(groups, np.array([row.right for row in rows], dtype=np.bool_), similar)


def levelled(table: Table, fold: NDArray[np.int64]) -> Table:
    """Return the table with the mean weight of the aggregator the same in each fold.

    Held-out weights come from one fit a fold. A fit is the surer of itself the more its own items
    are right, and then those held out are right less often: that difference between folds is no
    signal, and there is none between items that one fit speaks of.
    """
    if WEIGHT not in table.groups:
        return table
    names, numbers = table.groups[WEIGHT]
    level = numbers.copy()
    for part in np.unique(fold):
        own = fold == part
        if not np.isnan(numbers[own]).all():
            level[own] += np.nanmean(numbers) - np.nanmean(numbers[own])
    return replace(table, groups={**table.groups, WEIGHT: (names, level)})


def similar_numbers(near: FloatArray, right: NDArray[np.bool_]) -> FloatArray:
    """Return the two numbers of `SIMILAR_NAMES` for items x gold; nan for what is like none."""
    nearest = near.max(axis=1, initial=0.0)
    found = np.column_stack([of_the_nearest(near, right.astype(np.float64)), nearest])
    return np.where(nearest[:, None] > 0, found, np.nan)


def columns_of(group: str, names: Sequence[str], numbers: FloatArray) -> list[Column]:
    """Return the columns that a group's numbers give; none of numbers that are all the same."""
    found: list[Column] = []
    patterns = set()
    for name, own in zip(names, numbers.T, strict=True):
        known = ~np.isnan(own)
        if known.sum() < FEW:
            continue
        mean, scale = float(own[known].mean()), float(own[known].std())
        if scale > 1e-9 * max(1.0, abs(mean)):
            found.append(Column(group, name, missing=False, mean=mean, scale=scale))
        if (~known).sum() >= FEW and known.tobytes() not in patterns:
            patterns.add(known.tobytes())  # one indicator where numbers are missing together
            share = float((~known).mean())
            scale = (share * (1 - share)) ** 0.5
            found.append(Column(group, name, missing=True, mean=share, scale=scale))
    return found
