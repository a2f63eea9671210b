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
from prelabel.neighbours import FEW_TEXTS, distances, fit_texts, similarities
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
    "folds_of",
    "novelties",
    "on_one_scale",
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
    accepting: Callable[[FloatArray, NDArray[np.bool_]], float] | None = None,
) -> tuple[Params, ConfidenceReport, dict[str, float]]:
    """Return parameters for `confidences`, how far the signals help, and held-out confidences.

    ``rows`` are gold items, their signals made without their own gold: where the aggregator was
    fitted on gold, its held-out weights and consensus. ``folds`` are that aggregator's, by item;
    ``only`` names the groups of signals that may be used beside the vote share, by default all.
    A logistic regression with Platt's targets (Platt 1999): with fewer than 50 gold items on the
    vote share alone; with fewer than 20, or where none or all are right, the vote share as it is.
    The held-out confidence of a gold item comes from a fit, choice of groups and penalty included,
    on the other folds; only what words are rare was counted on all gold. Items without a consensus
    do not count. Neither the order of items nor that of annotators matters. ``accepting`` returns
    the share of gold that is accepted, given confidences on one scale and which items are wrong:
    the report has it for each group. Raises InputError for an item that occurs twice or has no
    fold, and for fewer than 3 folds.
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
        own = confidences(params, [(row.signals, row.text) for row in used])
        fold = np.zeros(len(used), dtype=np.int64)
        report = report_of(PLAIN, table, fold, own, None, VOTES_ALONE, left_out, seed)
    else:
        fold_by_item = folds_of(used, seed) if folds is None else folds
        fold = np.array([fold_by_item[row.item] for row in used], dtype=np.int64)
        # the matrices are small: threads would cost more than they bring
        with threadpool_limits(1, user_api="blas"):
            table = levelled(table, fold) if folds is not None else table
            items = [row.item for row in used]
            params, report, own = _fit(table, fold, left_out, seed, items, accepting)
    if texts:
        texts["right"] = [int(right) for right in table.right]
        texts["items"] = [content_hash(row.item) for row in used]
    held_out = {row.item: float(p) for row, p in zip(used, own, strict=True)}
    return params | {"gold": texts}, report, held_out


def _fit(
    table: Table,
    fold: Places,
    left_out: int,
    seed: int,
    items: Sequence[str],
    accepting: Callable[[FloatArray, NDArray[np.bool_]], float] | None,
) -> tuple[Params, ConfidenceReport, FloatArray]:
    """Choose among the signals, fit them on all gold, and measure them held out."""
    at = np.arange(len(fold))
    several = len(fold) >= FEW_GOLD
    trial = Trial(table, at, fold) if several else None
    chosen = trial.choose() if trial else VOTES_ALONE
    own = _held_out(table, fold, several=several)
    method = SIGNALS if chosen.groups else CALIBRATED
    whole = Split(table, at, at)
    params = {"method": method, **_written(whole.fit(chosen), chosen)}

    def accepts(held_out: FloatArray, choice: Chosen) -> float:
        assert accepting is not None
        scores = on_one_scale(items, held_out, whole.predict(choice), fold.tolist())
        return accepting(scores, ~table.right)

    share = accepts if accepting else None
    return params, report_of(method, table, fold, own, trial, chosen, left_out, seed, share), own


def confidence_of(params: Params, signals: Signals, text: str = "") -> float:
    """Return the probability that an item's consensus is right; 0 where there is none."""
    return float(confidences(params, [(signals, text)])[0])


def confidences(
    params: Params, rows: Iterable[tuple[Signals, str]], items: Sequence[str] = ()
) -> FloatArray:
    """Return the probability that each item's consensus is right, from its signals and text.

    The same item gets the same number alone and among others. 0 where there is no consensus.
    ``items`` are the ids, where known: a gold item does not count as similar to itself.
    """
    listed = list(rows)
    groups = [signals.groups for signals, _ in listed]
    share = _numbers(groups, SHARE, "share")
    if params["method"] == PLAIN:
        scores = share
    else:
        scores = np.full(len(listed), params["intercept"])
        similar = _similar(params, [text for _, text in listed], items)
        for written in params["columns"]:
            column = Column(*(written[key] for key in Column._fields))
            known = similar.get(column.name) if column.group == SIMILAR else None
            if known is None:
                known = _numbers(groups, column.group, column.name)
            scores = scores + written["coefficient"] * column(known)
    found: FloatArray = np.where(np.isnan(share), 0.0, expit(scores))
    return found


def on_one_scale(
    items: Sequence[str], held_out: FloatArray, final: FloatArray, fold: Sequence[int]
) -> FloatArray:
    """Return held-out confidences on the scale of the fit on all gold.

    Every fold's fit has a scale of its own: items that are all alike get another confidence in each
    fold, and a threshold among these would part them, while the final fit accepts all or none. So
    the items of a fold, ranked by held-out confidence (ties by a hash), get the ``final`` fit's
    confidences in these same items, ranked. At any threshold as many of them pass as the final fit
    accepts; which ones, a fit says that saw none of them. nan is an item that is never accepted.
    """
    found, folds = np.full(len(items), np.nan), np.asarray(fold)
    chance = [content_hash(item) for item in items]
    for part in np.unique(folds):
        own = np.flatnonzero(folds == part)
        ranked = sorted(
            own[~np.isnan(held_out[own])], key=lambda at: (-held_out[at].round(9), chance[at])
        )
        values = np.sort(final[own][~np.isnan(final[own])])[::-1][: len(ranked)]
        found[ranked[: len(values)]] = values
    return found


def novelties(params: Params, texts: Sequence[str]) -> FloatArray:
    """Return how unlike all gold each text is, from 0 to 1; nan where gold or the item has no text.

    It is 1 minus the cosine to the nearest gold item.
    """
    return distances(params["gold"], texts) if params["gold"] else np.full(len(texts), np.nan)


def unlike_gold(params: Params, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Say which texts are farther from gold than 99 of 100 gold items are from the others.

    Where gold items have nothing in common with each other, none is.
    """
    found = novelties(params, texts)
    far: NDArray[np.bool_] = found > (params["gold"]["far"] if params["gold"] else 1.0)
    return far


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
    if len(rows) >= TOO_FEW and n < LEAST_FOLDS:
        raise InputError(f"confidence: {n} folds; give {LEAST_FOLDS} or more")


def _texts(rows: Sequence[Judged]) -> Params | None:
    """Return gold's texts; None where too few have any."""
    if sum(any(map(str.isalnum, row.text)) for row in rows) < FEW_TEXTS:
        return None
    return fit_texts([row.text for row in rows])


def folds_of(rows: Iterable[Judged], seed: int = 0) -> dict[str, int]:
    """Return each item's fold, about as many wrong in each, whatever the order of items."""
    keys = sorted((row.right, content_hash([seed, row.item]), row.item) for row in rows)
    return {item: at % FOLDS for at, (_, _, item) in enumerate(keys)}


def _held_out(table: Table, fold: Places, *, several: bool) -> FloatArray:
    """Return each item's confidence from a choice and a fit on the other folds."""
    found = np.empty(len(fold))
    for part in np.unique(fold):
        train, test = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        chosen = Trial(table, train, fold[train]).choose() if several else VOTES_ALONE
        found[test] = Split(table, train, test).predict(chosen)
    return found


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


def _similar(params: Params, texts: Sequence[str], items: Sequence[str]) -> dict[str, FloatArray]:
    """Return the numbers of the group of similar items; empty where it is not in use."""
    if SIMILAR not in params["groups"]:
        return {}
    right = np.array(params["gold"]["right"], dtype=np.bool_)
    near = similarities(params["gold"], texts)
    place = {key: at for at, key in enumerate(params["gold"]["items"])}
    for row, item in enumerate(items):
        at = place.get(content_hash(item))
        if at is not None:
            near[row, at] = 0.0
    numbers = similar_numbers(near, right)
    return dict(zip(SIMILAR_NAMES, numbers.T, strict=True))
