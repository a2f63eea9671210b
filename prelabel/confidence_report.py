"""How far signals separate right from wrong on gold, beside votes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prelabel.estimate import Estimate, FloatArray, bootstrap_each, ratio
from prelabel.signal_choice import VOTES_ALONE, Chosen, Trial, log_losses
from prelabel.signals import SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.signal_table import Table

ALONE = "votes alone"
TOGETHER = "all in use"


@dataclass(frozen=True, slots=True)
class Separation:
    """How well confidences from votes and a group of signals tell right from wrong.

    ``auroc`` is the chance that of two items in one fold, one right and one wrong, the right one
    has the higher confidence; ``log_loss`` is in nats. The ``_change`` is to votes alone: higher
    AUROC and lower log-loss are better. ``used`` says whether the group is in the confidence.
    ``accepted`` is the share of gold that the promise asked for would accept by these confidences;
    None where none was asked for.
    """

    name: str
    auroc: Estimate
    log_loss: Estimate
    auroc_change: Estimate
    log_loss_change: Estimate
    used: bool = True
    accepted: float | None = None


@dataclass(frozen=True, slots=True)
class ConfidenceReport:
    """What the confidence was fitted on, and what each group of signals adds to votes.

    ``method`` is ``vote share`` (as it is), ``calibrated vote share`` or ``signals``. ``together``
    is of the held-out confidences, groups and penalty chosen anew in each fold. ``groups`` are
    judged by the same cross-validation that chose their penalty, so they look a little too good.
    ``notes`` say what to know.
    """

    method: str
    items: int
    wrong: int
    alone: Separation
    together: Separation
    groups: tuple[Separation, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def report_of(
    method: str,
    table: Table,
    fold: NDArray[np.int64],
    held_out: FloatArray,
    trial: Trial | None,
    chosen: Chosen,
    left_out: int,
    seed: int,
    accepts: Callable[[FloatArray, Chosen], float] | None = None,
) -> ConfidenceReport:
    """Return the report; ``trial`` is None where no groups were tried.

    ``accepts`` returns the share of gold that is accepted by held-out confidences of a choice.
    """
    right = table.right
    share = table.groups[SHARE][1][:, 0] if len(right) else np.empty(0)
    tried = [] if trial is None else [(name, trial.best([name])[0]) for name in trial.names]
    choices = [VOTES_ALONE, chosen, *(one for _, one in tried)]
    alone = held_out if trial is None else trial.predict(VOTES_ALONE)
    scored = [(share, alone), (held_out, held_out)]
    if trial is not None:
        scored += [(p, p) for p in (trial.predict(one) for _, one in tried)]
    found = _separations(scored, right, fold, seed)
    shares = [
        accepts(p, one) if accepts else None for (_, p), one in zip(scored, choices, strict=True)
    ]
    names = [ALONE, TOGETHER, *(name for name, _ in tried)]
    alone_row, together, *groups = (
        Separation(name, *own, used=name in (ALONE, TOGETHER, *chosen.groups), accepted=share)
        for name, own, share in zip(names, found, shares, strict=True)
    )
    return ConfidenceReport(
        method,
        len(right),
        int((~right).sum()),
        alone_row,
        together,
        tuple(groups),
        _notes(method, right, left_out, tried=trial is not None),
    )


def auroc(
    scores: FloatArray, right: NDArray[np.bool_], fold: NDArray[np.int64]
) -> Callable[[FloatArray], FloatArray]:
    """Return AUROC as a function of item weights: pairs of one fold only, ties count half.

    Confidences of different folds come from different fits; a comparison across them would blame
    the signals for that.
    """
    parts = []
    for part in np.unique(fold):
        at = np.flatnonzero(fold == part)
        order = at[np.argsort(scores[at], kind="stable")]
        starts = np.flatnonzero(np.append(True, np.diff(scores[order]) > 0))
        parts.append((order, starts))

    def statistic(weights: FloatArray) -> FloatArray:
        wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for order, starts in parts:
            own, good = weights[:, order], right[order]
            yes = np.add.reduceat(own * good, starts, axis=1)
            no = np.add.reduceat(own * ~good, starts, axis=1)
            below = np.cumsum(no, axis=1) - no / 2
            wins += (yes * below).sum(axis=1)
            pairs += yes.sum(axis=1) * no.sum(axis=1)
        return ratio(wins, pairs)

    return statistic


def _separations(
    scored: Sequence[tuple[FloatArray, FloatArray]],
    right: NDArray[np.bool_],
    fold: NDArray[np.int64],
    seed: int,
) -> list[tuple[Estimate, Estimate, Estimate, Estimate]]:
    """Return AUROC, log-loss and their changes from the first, for each pair of scores and p."""
    if not len(right):
        none = Estimate(None, why="no gold item has a consensus")
        return [(none,) * 4 for _ in scored]
    curves = [auroc(scores, right, fold) for scores, _ in scored]
    losses = np.column_stack([log_losses(p, right) for _, p in scored])

    def statistic(weights: FloatArray) -> FloatArray:
        areas = np.column_stack([curve(weights) for curve in curves])
        means = weights @ losses / weights.sum(axis=1, keepdims=True)
        return np.hstack([areas, means, areas - areas[:, :1], means - means[:, :1]])

    why = "no item is wrong, or none is right"
    found = bootstrap_each(
        statistic, np.ones(len(right)), seed=seed, jackknife_below=0, undefined=why
    )
    k = len(scored)
    same = "votes alone are what others are compared with"
    return [
        (found[at], found[k + at], *(found[2 * k + at], found[3 * k + at]))
        if at
        else (found[0], found[k], *(Estimate(0.0, n=len(right), why=same),) * 2)
        for at in range(k)
    ]


def _notes(method: str, right: NDArray[np.bool_], left_out: int, *, tried: bool) -> tuple[str, ...]:
    notes = []
    n, wrong = len(right), int((~right).sum())
    if left_out:
        notes.append(f"{left_out} gold items have no consensus and do not count")
    if method == "vote share":
        none = "" if 0 < wrong < n or not n else f", {'all' if wrong else 'none'} of them wrong"
        notes.append(
            f"{n} gold items{none}: the confidence is the vote share as it is, not calibrated"
        )
    elif not tried:
        notes.append(f"{n} gold items: the vote share is calibrated; other signals take 50")
    elif method == "calibrated vote share":
        notes.append("no signal is surely better than votes alone on this gold")
    return tuple(notes)
