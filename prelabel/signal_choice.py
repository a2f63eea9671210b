"""Which groups of signals tell right from wrong, and how hard to hold them back.

All groups enter one logistic regression under a common penalty, chosen by cross-validation, beside
the vote share, which is not punished. Groups without which the held-out loss is no higher are
dropped one by one; what is left must beat votes alone by more than a standard error. (Adding groups
one by one gains less: a hundred gold items show what all signals bring together, but seldom what
each does. ``benchmarks/confidence.py`` measures it.)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit

from prelabel.choosing import LEAST
from prelabel.ridge import fit_ridge, smoothed
from prelabel.signal_table import Column, Table, columns_of
from prelabel.signals import SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.estimate import FloatArray

    Places = NDArray[np.int64]

PENALTIES = (4.0, 16.0, 64.0, 256.0)
"""On squared coefficients of columns of deviation 1; a single gold item's weight is 1/4 at most."""


class Chosen(NamedTuple):
    """The groups in use beside the vote share, and the penalty on their coefficients."""

    groups: tuple[str, ...]
    penalty: float


VOTES_ALONE = Chosen((), PENALTIES[0])


class Fitted(NamedTuple):
    """A regression: columns with their coefficients, the vote share's first."""

    intercept: float
    columns: list[Column]
    coefficients: FloatArray


class Split:
    """Gold items to fit on and others to test on, each group's columns made once."""

    def __init__(self, table: Table, train: Places, test: Places) -> None:
        self.test = test
        self._target = smoothed(table.right[train])
        self._made = {}
        for group in (SHARE, *table.names):
            names, numbers = table.numbers(group, train, train)
            columns = columns_of(group, names, numbers)
            tested = table.numbers(group, test, train)[1]
            place = {name: at for at, name in enumerate(names)}
            self._made[group] = (
                columns,
                _stack([c(numbers[:, place[c.name]]) for c in columns], len(train)),
                _stack([c(tested[:, place[c.name]]) for c in columns], len(test)),
            )

    def fit(self, chosen: Chosen) -> Fitted:
        """Fit a regression on the items to fit on."""
        share = self._made[SHARE]
        parts = [self._made[group] for group in chosen.groups]
        free = np.zeros(1 + len(share[0]))
        rest = np.full(sum(len(columns) for columns, _, _ in parts), chosen.penalty)
        table = np.hstack([_ones(share[1]), share[1], *(train for _, train, _ in parts)])
        found = fit_ridge(table, self._target, np.concatenate([free, rest]))
        if not chosen.groups and len(found) > 1 and found[1] < 0:
            # more votes for a label do not make it wrong: such a slope is chance
            found = np.append(fit_ridge(_ones(share[1]), self._target, free[:1]), 0.0)
        columns = [column for own, _, _ in (share, *parts) for column in own]
        return Fitted(float(found[0]), columns, found[1:])

    def predict(self, chosen: Chosen) -> FloatArray:
        """Return the probabilities of the items to test on."""
        found = self.fit(chosen)
        tested = np.hstack([self._made[group][2] for group in (SHARE, *chosen.groups)])
        p: FloatArray = expit(found.intercept + tested @ found.coefficients)
        return p


class Trial:
    """Cross-validation on some gold items: ``at`` are their places, ``fold`` their folds."""

    def __init__(self, table: Table, at: Places, fold: Places) -> None:
        self.right = table.right[at]
        self.names = table.names
        self._place = {int(item): place for place, item in enumerate(at)}
        self._splits = [
            Split(table, at[fold != part], at[fold == part]) for part in np.unique(fold)
        ]

    def predict(self, chosen: Chosen) -> FloatArray:
        """Return each item's probability from a fit on the other folds."""
        found = np.empty(len(self.right))
        for split in self._splits:
            found[[self._place[int(item)] for item in split.test]] = split.predict(chosen)
        return found

    def losses(self, chosen: Chosen) -> FloatArray:
        """Return each item's log-loss, in nats."""
        return log_losses(self.predict(chosen), self.right)

    def best(self, groups: Sequence[str]) -> tuple[Chosen, FloatArray]:
        """Return groups with their penalty, and the losses.

        It is the strongest whose loss is within one standard error of the least (Breiman et al.
        1984): on a hundred items the least itself is often one that lets chance in.
        """
        options = [Chosen(tuple(groups), penalty) for penalty in sorted(PENALTIES, reverse=True)]
        tried = [(chosen, self.losses(chosen)) for chosen in options]
        least = min((losses for _, losses in tried), key=lambda losses: float(losses.mean()))
        return next(one for one in tried if _within(one[1] - least))

    def choose(self) -> Chosen:
        """Return the groups that help, or votes alone where they do not help surely."""
        if not self.names:
            return VOTES_ALONE
        chosen, losses = self.best(self.names)
        while chosen.groups:
            without = [
                Chosen(tuple(g for g in chosen.groups if g != group), chosen.penalty)
                for group in chosen.groups
            ]
            least, found = min(
                ((option, self.losses(option)) for option in without),
                key=lambda pair: float(pair[1].mean()),
            )
            if found.mean() > losses.mean():
                break
            chosen, losses = least, found
        return VOTES_ALONE if _within(self.losses(VOTES_ALONE) - losses) else chosen


def log_losses(p: FloatArray, right: NDArray[np.bool_]) -> FloatArray:
    """Return each item's log-loss, in nats."""
    found: FloatArray = -np.log(np.maximum(np.where(right, p, 1 - p), LEAST))
    return found


def _within(differences: FloatArray) -> bool:
    """Say whether the mean of items' differences is within one standard error of 0, or below."""
    error = float(differences.std(ddof=1)) / sqrt(len(differences))
    return float(differences.mean()) <= error


def _stack(columns: Sequence[FloatArray], n: int) -> FloatArray:
    return np.column_stack(columns) if columns else np.empty((n, 0))


def _ones(like: FloatArray) -> FloatArray:
    return np.ones((len(like), 1))
