"""Confidence: the probability that a consensus is right, from all that is known of its item.

Votes alone cannot tell what all say wrongly from what all say rightly. `fit_confidence` learns on
gold which other signals can; what it returns is plain JSON, and `confidences` needs no more than
that and an item's own signals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from prelabel.choosing import FOLDS
from prelabel.confidence_report import ConfidenceReport, report_of
from prelabel.errors import InputError
from prelabel.neighbours import FEW_TEXTS, distance, fit_texts, similarities
from prelabel.records import content_hash
from prelabel.signal_choice import VOTES_ALONE, Chosen, Fitted, Split, Trial
from prelabel.signal_table import (
    SIMILAR,
    SIMILAR_NAMES,
    Column,
    Judged,
    Table,
    levelled,
    similar_numbers,
    table_of,
)
from prelabel.signals import SHARE, Signals
from prelabel.voting import Params, short_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.estimate import FloatArray

    Places = NDArray[np.int64]

__all__ = [
    "Judged",
    "confidence_of",
    "confidences",
    "fit_confidence",
    "novelty",
    "unlike_gold",
]

FEW_GOLD = 50
"""With fewer gold items nothing but the vote share is calibrated."""

TOO_FEW = 20
"""With fewer not even that: the vote share stands for itself."""

LEAST_FOLDS = 3

PLAIN, CALIBRATED, SIGNALS = "vote share", "calibrated vote share", "signals"


def fit_confidence(
    rows: Sequence[Judged],
    *,
    folds: Mapping[str, int] | None = None,
    only: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[Params, ConfidenceReport, dict[str, float]]:
    """Return parameters for `confidences`, how far the signals help, and held-out confidences.

    ``rows`` are gold items, their signals made without their own gold: where the aggregator was
    fitted on gold, its held-out weights and consensus. ``folds`` are that aggregator's, by item;
    ``only`` names the groups of signals that may be used beside the vote share, by default all.
    A logistic regression with Platt's targets (Platt 1999): with fewer than 50 gold items on the
    vote share alone; with fewer than 20, or where none or all are right, the vote share as it is.
    The held-out confidence of a gold item comes from a fit, choice of groups and penalty included,
    on the other folds; only what words are rare was counted on all gold. It is the confidence of
    the same rank in the fit to all gold, so that a threshold means the same for both. Items without
    a consensus do not count. Neither the order of items nor that of annotators matters. Raises
    InputError for an item that occurs twice or has no fold, and for fewer than 3 folds.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    used = sorted((row for row in rows if row.signals.groups), key=lambda row: row.item)
    _check(used, folds)
    texts = _texts(used)
    similar = similarities(texts, [row.text for row in used]) if texts else None
    table = table_of(used, similar, only)
    left_out = len(rows) - len(used)
    if len(used) < TOO_FEW or table.right.all() or not table.right.any():
        params: Params = {"method": PLAIN}
        own = placed = confidences(params, [(row.signals, row.text) for row in used])
        fold = np.zeros(len(used), dtype=np.int64)
        report = report_of(PLAIN, table, fold, own, None, VOTES_ALONE, left_out, seed)
    else:
        fold = _folds(used, folds, seed)
        # the matrices are small: threads would cost more than they bring
        with threadpool_limits(1, user_api="blas"):
            table = levelled(table, fold) if folds is not None else table
            params, report, placed = _fit(table, fold, left_out, seed)
    if texts:
        texts["right"] = [int(right) for right in table.right]
    held_out = {row.item: float(p) for row, p in zip(used, placed, strict=True)}
    return params | {"gold": texts}, report, held_out


def _fit(
    table: Table, fold: Places, left_out: int, seed: int
) -> tuple[Params, ConfidenceReport, FloatArray]:
    """Choose among the signals, fit them on all gold, and measure them held out.

    The held-out confidences returned are on the scale of the fit to all gold.
    """
    at = np.arange(len(fold))
    several = len(fold) >= FEW_GOLD
    trial = Trial(table, at, fold) if several else None
    chosen = trial.choose() if trial else VOTES_ALONE
    method = SIGNALS if chosen.groups else CALIBRATED
    params = {"method": method, **_written(Split(table, at, at).fit(chosen), chosen)}
    own, placed = _held_out(table, fold, _of_table(params, table), several=several)
    return params, report_of(method, table, fold, own, trial, chosen, left_out, seed), placed


def confidence_of(params: Params, signals: Signals, text: str = "") -> float:
    """Return the probability that an item's consensus is right; 0 where there is none."""
    return float(confidences(params, [(signals, text)])[0])


def confidences(params: Params, rows: Iterable[tuple[Signals, str]]) -> FloatArray:
    """Return the probability that each item's consensus is right, from its signals and text.

    The same item gets the same number alone and among others. 0 where there is no consensus.
    """
    listed = list(rows)
    groups = [signals.groups for signals, _ in listed]
    share = _numbers(groups, SHARE, "share")
    if params["method"] == PLAIN:
        scores = share
    else:
        similar = _similar(params, [text for _, text in listed])

        def known(group: str, name: str) -> FloatArray:
            found: FloatArray | None = similar.get(name) if group == SIMILAR else None
            return _numbers(groups, group, name) if found is None else found

        scores = _regression(params, known, len(listed))
    found: FloatArray = np.where(np.isnan(share), 0.0, expit(scores))
    return found


def _regression(params: Params, known: Callable[[str, str], FloatArray], items: int) -> FloatArray:
    """Return the log-odds of items; ``known`` gives a group's numbers of one name."""
    scores = np.full(items, params["intercept"])
    for written in params["columns"]:
        column = Column(*(written[key] for key in Column._fields))
        scores = scores + written["coefficient"] * column(known(column.group, column.name))
    return scores


def _of_table(params: Params, table: Table) -> FloatArray:
    """Return the confidences of gold itself, none of it similar to itself."""
    at = np.arange(len(table.right))

    def known(group: str, name: str) -> FloatArray:
        names, numbers = table.numbers(group, at, at)
        return numbers[:, list(names).index(name)]

    found: FloatArray = expit(_regression(params, known, len(at)))
    return found


def novelty(params: Params, text: str) -> float | None:
    """Return how unlike all gold a text is, from 0 to 1; None where gold or the item has no text.

    It is 1 minus the cosine to the nearest gold item.
    """
    return distance(params["gold"], text) if params["gold"] else None


def unlike_gold(params: Params, text: str) -> bool:
    """Say whether a text is farther from gold than 99 of 100 gold items are from the others.

    Where gold items have nothing in common with each other, none is.
    """
    found = novelty(params, text)
    return found is not None and found > params["gold"]["far"]


def _check(rows: Sequence[Judged], folds: Mapping[str, int] | None) -> None:
    for a, b in pairwise(rows):
        if a.item == b.item:
            raise InputError(f"confidence: gold item {a.item!r} occurs twice; keep one")
    if folds is None:
        return
    for row in rows:
        if row.item not in folds:
            raise InputError(f"confidence: gold item {row.item!r} has no fold; name one for each")
    n = len({folds[row.item] for row in rows})
    if rows and n < LEAST_FOLDS:
        raise InputError(f"confidence: {n} folds; give {LEAST_FOLDS} or more")


def _texts(rows: Sequence[Judged]) -> Params | None:
    """Return gold's texts; None where too few have any."""
    if sum(any(map(str.isalnum, row.text)) for row in rows) < FEW_TEXTS:
        return None
    return fit_texts([row.text for row in rows])


def _folds(rows: Sequence[Judged], folds: Mapping[str, int] | None, seed: int) -> Places:
    """Return the items' folds: those given, else with about as many wrong in each."""
    if folds is not None:
        return np.array([folds[row.item] for row in rows], dtype=np.int64)
    keys = [(row.right, content_hash([seed, row.item]), row.item) for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    found = np.empty(len(rows), dtype=np.int64)
    found[order] = np.arange(len(rows)) % FOLDS
    return found


def _held_out(
    table: Table, fold: Places, full: FloatArray, *, several: bool
) -> tuple[FloatArray, FloatArray]:
    """Return each item's confidence from a choice and a fit on the other folds, in two ways.

    First as that fit gives it; then as ``full``, the fit to all gold, gives it to the item of the
    same rank. The level of a fit is the higher the more of the items held out are wrong, and where
    confidences differ little (one annotator, one signal) a threshold would part the folds by it.
    """
    at = np.arange(len(fold))
    found, placed, scale = np.empty(len(fold)), np.empty(len(fold)), np.sort(full)
    for part in np.unique(fold):
        train, test = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        chosen = Trial(table, train, fold[train]).choose() if several else VOTES_ALONE
        every = Split(table, train, at).predict(chosen)
        found[test] = every[test]
        every = every.round(9)
        ranked = np.sort(every)
        first, after = (np.searchsorted(ranked, every[test], side) for side in ("left", "right"))
        placed[test] = scale[(first + after - 1) // 2]  # of a tie the middle
    return found, placed


def _written(fitted: Fitted, chosen: Chosen) -> dict[str, Any]:
    """Return a regression as plain JSON, its numbers cut to ten digits."""
    return {
        "groups": list(chosen.groups),
        "penalty": chosen.penalty,
        "intercept": short_float(fitted.intercept),
        "columns": [
            {
                **column._asdict(),
                "mean": short_float(column.mean),
                "scale": short_float(column.scale),
                "coefficient": short_float(float(coefficient)),
            }
            for column, coefficient in zip(fitted.columns, fitted.coefficients, strict=True)
        ],
    }


def _numbers(groups: Sequence[Mapping[str, Mapping[str, float]]], group: str, name: str) -> Any:
    empty: Mapping[str, float] = {}
    nan = float("nan")
    return np.fromiter((own.get(group, empty).get(name, nan) for own in groups), np.float64)


def _similar(params: Params, texts: Sequence[str]) -> dict[str, FloatArray]:
    """Return the numbers of the group of similar items; empty where it is not in use."""
    if SIMILAR not in params["groups"]:
        return {}
    right = np.array(params["gold"]["right"], dtype=np.bool_)
    numbers = similar_numbers(similarities(params["gold"], texts), right)
    return dict(zip(SIMILAR_NAMES, numbers.T, strict=True))
