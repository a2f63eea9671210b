"""Which aggregator: without much gold a majority vote, with gold the lowest held-out log-loss.

A case is one unit of one gold item: its poll and its truth. Cases of one unit are one problem; in
multi-label each label is one. With ``pooled`` the units of all items are one problem of True and
False, as with spans, where every item has units of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from prelabel.dawid_skene import Prior, apply_dawid_skene, fit_dawid_skene
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, wilson
from prelabel.learned import METHODS, NEEDS_VALUES
from prelabel.records import content_hash
from prelabel.voting import Params, Poll, Weights, apply_vote, winner

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.records import Value

    Declared = Mapping[str, Sequence[Value] | None]

FEW_GOLD = 50
"""With fewer gold items no aggregator can be told from a majority vote."""

FOLDS = 5
LEAST = 1e-6
"""The smallest probability that enters a log-loss."""

CONSIDERED = tuple(name for name in METHODS if name != "weighted")
"""What is compared, the simpler first; weighted voting is too sure of itself to win."""

POOLED = ""
DAWID_SKENE = "dawid-skene"
ALL_METHODS = (*METHODS, DAWID_SKENE)


@dataclass(frozen=True, slots=True)
class Case:
    """One unit of one gold item."""

    item: str
    unit: str
    poll: Poll
    truth: Value


@dataclass(frozen=True, slots=True)
class MethodScore:
    """How one aggregator does on gold items that it was not fitted on.

    ``log_loss`` is the mean over items (nats, the mean over an item's units); ``difference`` is
    to the lowest; ``accuracy`` is the share of items whose units are all right.
    """

    method: str
    log_loss: Estimate
    difference: Estimate
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Choice:
    """The aggregator chosen, fitted on all gold, with the figures that chose it.

    ``params`` is plain JSON for `weigh`. ``held_out`` has, for each gold item and unit, the
    weights that the chosen method gave when fitted on the other folds: the ones to score or
    calibrate with. ``notes`` say what to know.
    """

    method: str
    params: Params = field(repr=False)
    items: int
    scores: tuple[MethodScore, ...] = ()
    notes: tuple[str, ...] = ()
    held_out: Mapping[tuple[str, str], Weights] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON-able values, without the parameters."""
        return {
            "method": self.method,
            "items": self.items,
            "scores": [asdict(score) for score in self.scores],
            "notes": list(self.notes),
        }


def cases_of(
    votes: pd.DataFrame,
    gold: pd.DataFrame,
    beliefs: pd.DataFrame | None = None,
    *,
    pooled: bool = False,
) -> list[Case]:
    """Return the gold items' cases from tables.

    ``votes`` has the columns item, annotator, unit, value; ``gold`` item, unit, value; ``beliefs``
    item, annotator, unit, value, probability. With ``pooled``, a unit that votes have and gold
    lacks is False; an item that gold finds empty needs a row, too: any unit with the value False.
    Gold units without a vote are left out: no aggregator can find them. Raises InputError where an
    annotator or gold has two values for one unit.
    """
    truths = _truths(gold)
    items = {item for item, _ in truths}
    rows = votes[votes["item"].isin(items) & votes["value"].notna()]
    given: dict[tuple[str, str], dict[str, Value]] = {}
    for item, name, unit, value in _rows(rows, "item", "annotator", "unit", "value"):
        poll = given.setdefault((item, unit), {})
        if name in poll:
            raise InputError(f"votes: item {item!r} has two values from {name!r}; keep one")
        poll[name] = value
    believed: dict[tuple[str, str], dict[str, dict[Value, float]]] = {}
    if beliefs is not None:
        columns = ("item", "annotator", "unit", "value", "probability")
        for item, name, unit, value, p in _rows(beliefs, *columns):
            believed.setdefault((item, unit), {}).setdefault(name, {})[value] = float(p)
    return [
        Case(*key, Poll(poll, believed.get(key, {})), truths.get(key, False))
        for key, poll in sorted(given.items())
        if key in truths or pooled
    ]


def choose(cases: Sequence[Case], values: Declared, *, pooled: bool = False) -> Choice:
    """Choose an aggregator on gold and fit it; a majority vote below 50 gold items.

    ``values`` are the declared values by unit, None where any may occur; with ``pooled`` the only
    key is "". Each aggregator is fitted on four fifths of the items and judged on the rest, five
    times over. Taken is the simplest whose log-loss is within one standard error of the lowest
    (Breiman et al. 1984). Raises InputError for values that are not declared.
    """
    items = len({case.item for case in cases})
    if items < FEW_GOLD:
        note = f"{items} gold items with votes: a majority vote; to choose takes {FEW_GOLD}"
        params = fit_method("majority", cases, values, pooled=pooled)
        return Choice("majority", params, items, notes=(note,))
    any_open = any(own is None for own in values.values())
    names = [name for name in CONSIDERED if not (any_open and name in NEEDS_VALUES)]
    held_out = {name: cross_fitted(name, cases, values, pooled=pooled) for name in names}
    losses = {name: _losses(cases, found) for name, found in held_out.items()}
    best = min(names, key=lambda name: (float(losses[name].mean()), names.index(name)))
    differences = {name: losses[name] - losses[best] for name in names}
    error = float(losses[best].std(ddof=1)) / sqrt(items)
    chosen = next(name for name in names if float(differences[name].mean()) <= error)
    scores = tuple(
        MethodScore(
            name,
            _mean(losses[name]),
            _mean(differences[name]) if name != best else Estimate(0.0, n=items, why="the lowest"),
            _accuracy(cases, held_out[name]),
        )
        for name in names
    )
    params = fit_method(chosen, cases, values, pooled=pooled)
    return Choice(chosen, params, items, scores, (), held_out[chosen])


def fit_method(
    method: str, cases: Sequence[Case], values: Declared, *, pooled: bool = False
) -> Params:
    """Return the parameters of a named aggregator: one problem a unit, or one in all if pooled.

    A unit without cases gets a majority vote. Raises InputError for an unknown method.
    """
    if method not in METHODS:
        raise InputError(
            f"aggregation: {method!r} is not learned from gold; use one of: {', '.join(METHODS)}"
        )
    by_unit: dict[str, list[Case]] = {unit: [] for unit in values}
    for case in cases:
        by_unit.setdefault(POOLED if pooled else case.unit, []).append(case)
    problems = {}
    for unit, own in by_unit.items():
        name = method if own else "majority"
        polls, truths = [case.poll for case in own], [case.truth for case in own]
        problems[unit] = {"method": name, **METHODS[name][0](polls, truths, values.get(unit))}
    return {"method": method, "pooled": pooled, "problems": problems}


def fit_crowd(
    votes: pd.DataFrame,
    values: Declared,
    gold: pd.DataFrame | None = None,
    *,
    pooled: bool = False,
    prior: Prior = Prior(),  # noqa: B008
) -> Params:
    """Return Dawid-Skene's parameters for all units, from the votes on all items.

    Tables as in `cases_of`; ``gold`` is optional and held fixed. One problem a unit, or one in all
    if pooled. Raises InputError where a unit's values are open.
    """
    problems = {}
    for unit, own in values.items():
        if own is None:
            raise InputError(
                "aggregation: dawid-skene needs declared values, and here any may occur; "
                "use majority"
            )
        rows = votes if pooled else votes[votes["unit"] == unit]
        known = gold if gold is None or pooled else gold[gold["unit"] == unit]
        problems[unit] = {
            "method": DAWID_SKENE,
            **fit_dawid_skene(rows, own, known, prior=prior),
        }
    return {"method": DAWID_SKENE, "pooled": pooled, "problems": problems}


def weigh(poll: Poll, unit: str, params: Params) -> tuple[Weights, bool]:
    """Return the weights of one unit of one item, and whether the aggregator knew any annotator.

    Where it did not, and for a unit that it was not fitted on, the weights are a majority vote's.
    """
    problem = params["problems"].get(POOLED if params["pooled"] else unit)
    if problem is None:
        return apply_vote(poll, {"values": None}), False
    if problem["method"] == DAWID_SKENE:
        found = apply_dawid_skene(poll.votes, problem)
    else:
        found = METHODS[problem["method"]][1](poll, problem)
    return (found, True) if found else (apply_vote(poll, problem), False)


def cross_fitted(
    method: str, cases: Sequence[Case], values: Declared, *, pooled: bool = False
) -> dict[tuple[str, str], Weights]:
    """Return each case's weights from a fit on the other folds, by item and unit.

    The folds depend on the items' ids and truths alone, not on their order, and each has about
    the same share of every label.
    """
    fold = folds(cases)
    found = {}
    for part in range(FOLDS):
        rest = [case for case in cases if fold[case.item] != part]
        params = fit_method(method, rest, values, pooled=pooled)
        for case in cases:
            if fold[case.item] == part:
                found[case.item, case.unit] = weigh(case.poll, case.unit, params)[0]
    return found


def folds(cases: Iterable[Case]) -> dict[str, int]:
    """Return each item's fold."""
    truths: dict[str, list[str]] = {}
    for case in cases:
        truths.setdefault(case.item, []).append(f"{case.unit} {case.truth}")
    order = sorted(truths, key=lambda item: (sorted(truths[item]), content_hash(item), item))
    return {item: at % FOLDS for at, item in enumerate(order)}


def log_loss(weights: Weights, truth: Value) -> float:
    """Return minus the logarithm of the truth's weight, in nats.

    A truth that is not among open values gets what the others leave.
    """
    left = 1 - sum(weights.values()) if truth not in weights else weights[truth]
    return -log(max(left, LEAST))


def _losses(cases: Sequence[Case], found: Mapping[tuple[str, str], Weights]) -> FloatArray:
    """Return each item's mean loss over its units, the items sorted."""
    own: dict[str, list[float]] = {}
    for case in cases:
        own.setdefault(case.item, []).append(log_loss(found[case.item, case.unit], case.truth))
    return np.array([float(np.mean(own[item])) for item in sorted(own)])


def _accuracy(cases: Sequence[Case], found: Mapping[tuple[str, str], Weights]) -> Estimate:
    right: dict[str, bool] = {}
    for case in cases:
        value, _ = winner(found[case.item, case.unit], case.poll)
        right[case.item] = right.get(case.item, True) and value == case.truth
    return wilson(sum(right.values()), len(right))


def _mean(numbers: FloatArray) -> Estimate:
    """Return a mean with Student's t interval."""
    n, mean = len(numbers), float(numbers.mean())
    half = float(stdtrit(n - 1, 0.975)) * float(numbers.std(ddof=1)) / sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def _truths(gold: pd.DataFrame) -> dict[tuple[str, str], Value]:
    truths: dict[tuple[str, str], Value] = {}
    for item, unit, value in _rows(gold[gold["value"].notna()], "item", "unit", "value"):
        if truths.setdefault((item, unit), value) != value:
            raise InputError(f"gold: item {item!r} has two labels; keep one")
    return truths


def _rows(table: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[column].tolist() for column in columns), strict=True)
