"""Dawid-Skene: annotators' error rates and items' labels from votes alone, by EM.

The model takes annotators as independent given the true label. LLMs err together, so the weights
of the labels are too sure of themselves: they are called weights, order items, and are never the
probability that a label is right. Use it with five annotators or more, or with a human crowd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import logsumexp, xlogy

from prelabel.errors import InputError
from prelabel.voting import Params, Weights, check_declared, short_float, softmax

if TYPE_CHECKING:
    from prelabel.estimate import FloatArray
    from prelabel.records import Value

IntArray = NDArray[np.int64]

TINY = 1e-300
"""Stands for a rate of 0, so that its logarithm is a number."""

NO_GOLD = -1


@dataclass(frozen=True, slots=True)
class Prior:
    """Votes added before counting, a Dirichlet prior: the mode with ``1 + added`` as parameters.

    To each annotator's row of true label k: ``diagonal`` votes for k and ``elsewhere`` for every
    label, k too; ``elsewhere`` items to each label's frequency. None stands for 1 / labels. With
    0 and 1e-10 the estimate is that of maximum likelihood, as Dawid and Skene had it.
    """

    diagonal: float = 1.0
    elsewhere: float | None = None

    def votes(self, labels: int) -> FloatArray:
        """Return the votes added, true label x given label."""
        return self.diagonal * np.eye(labels) + self.items(labels)

    def items(self, labels: int) -> float:
        """Return the items added to each label."""
        return 1 / max(labels, 1) if self.elsewhere is None else self.elsewhere


MAXIMUM_LIKELIHOOD = Prior(0.0, 1e-10)


class Patterns(NamedTuple):
    """Items collapsed to the distinct ways they were voted on; all that EM reads.

    ``counts`` is patterns x (annotators * values); ``sizes`` how many items have each pattern;
    ``gold`` its known label or -1; ``of`` the pattern of each item.
    """

    counts: Any
    sizes: FloatArray
    gold: IntArray
    of: IntArray


class Coded(NamedTuple):
    """Votes as sorted numbers: ``(item * len(annotators) + annotator) * len(values) + value``."""

    keys: IntArray
    items: pd.Index
    annotators: list[str]


def fit_dawid_skene(
    votes: pd.DataFrame,
    values: Sequence[Value],
    gold: pd.DataFrame | None = None,
    *,
    prior: Prior = Prior(),
    iterations: int = 100,
    tolerance: float = 1e-9,
) -> Params:
    """Return annotators' error rates and label frequencies, fitted by EM (Dawid and Skene 1979).

    ``votes`` has the columns item, annotator, value and perhaps unit (each unit is then an item of
    its own); an annotator may have read an item several times. ``gold`` (item, value and perhaps
    unit) holds labels fixed. Starts from the shares of the votes; stops when the penalised log
    likelihood grows by less than ``tolerance`` of itself.
    Returned: ``confusion`` annotators x true label x given label, ``frequency`` of the labels,
    ``log_likelihood``, ``iterations``, ``converged``. Raises InputError for values not declared.
    """
    coded = code_readings(votes, values)
    known = None if gold is None else _gold_of(gold, coded.items, values)
    patterns = collapse(coded, len(values), known)
    return _fit(patterns, coded.annotators, values, prior, iterations, tolerance)


def fit_matrix(
    codes: NDArray[Any],
    values: Sequence[Value],
    annotators: Sequence[str],
    gold: IntArray | None = None,
    *,
    prior: Prior = Prior(),
    iterations: int = 100,
    tolerance: float = 1e-9,
) -> Params:
    """Do what `fit_dawid_skene` does for items x annotators, each cell a value's place or -1.

    ``gold`` has a value's place or -1 for each item.
    """
    patterns = collapse_matrix(codes, len(values), gold)
    return _fit(patterns, annotators, values, prior, iterations, tolerance)


def apply_dawid_skene(
    votes: Mapping[str, Value] | Iterable[tuple[str, Value]], params: Params
) -> Weights:
    """Return each label's weight for one item's votes; not the probability that it is right.

    ``votes`` are by annotator, or pairs where an annotator read the item several times. Unknown
    annotators and values are not counted; without any known vote there are no weights.
    """
    place = {value: at for at, value in enumerate(params["values"])}
    row = {name: at for at, name in enumerate(params["annotators"])}
    pairs = votes.items() if isinstance(votes, Mapping) else votes
    known = sorted((row[name], place[v]) for name, v in pairs if name in row and v in place)
    if not known:
        return {}
    confusion, scores = params["confusion"], {}
    for value, at in place.items():
        scores[value] = log(params["frequency"][at] or TINY)
        for annotator, given in known:
            scores[value] += log(confusion[annotator][at][given] or TINY)
    return softmax(scores)


def weigh(votes: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Return what `apply_dawid_skene` does for many items: a row an item, a column a value.

    ``votes`` as in `fit_dawid_skene`; items are in the order in which they first occur, and without
    any known vote nan.
    """
    values, annotators = params["values"], params["annotators"]
    columns = {"annotator": annotators, "value": values}
    whole = all(set(votes[name].unique()) <= set(own) for name, own in columns.items())
    kept = votes  # a copy takes as much memory again
    if not whole:
        kept = votes[votes["annotator"].isin(annotators) & votes["value"].isin(values)]
    patterns, items = _patterns_of(kept, params)
    found = pd.DataFrame(_weights(patterns, params), index=items, columns=list(values))
    return found if whole else found.reindex(_item_index(votes, units=_has_units(votes)).unique())


def _patterns_of(votes: pd.DataFrame, params: Params) -> tuple[Patterns, pd.Index[Any]]:
    coded = code_readings(votes, params["values"], params["annotators"])
    return collapse(coded, len(params["values"])), coded.items


def weigh_matrix(codes: NDArray[Any], params: Params) -> FloatArray:
    """Do what `weigh` does for items x annotators of value places, -1 where there is no vote."""
    return _weights(collapse_matrix(codes, len(params["values"])), params)


def _weights(patterns: Patterns, params: Params) -> FloatArray:
    k = len(params["values"])
    theta = np.array(params["confusion"]).reshape(-1, k, k)
    scores = _scores(patterns, np.array(params["frequency"]), theta.transpose(0, 2, 1))
    return np.asarray(np.exp(scores - logsumexp(scores, axis=1, keepdims=True))[patterns.of])


def cautions(params: Params) -> tuple[str, ...]:
    """Say in notes what to know before relying on a fit."""
    found = ["a Dawid-Skene weight is not the probability of being right: LLMs err together"]
    if len(params["annotators"]) < 5:
        found.append(
            f"Dawid-Skene was fitted on {len(params['annotators'])} annotators; it wants 5 or more"
        )
    if not params["converged"]:
        found.append(f"Dawid-Skene did not settle in {params['iterations']} iterations")
    return tuple(found)


def code_readings(
    votes: pd.DataFrame, values: Sequence[Value], annotators: Sequence[str] = ()
) -> Coded:
    """Return a vote table as sorted numbers; an annotator may have several readings of an item.

    Rows without a value are left out. Raises InputError for a value that is not declared.
    """
    given = votes["value"]
    if given.isna().any():
        votes = votes[given.notna()]
    keys, items = _number_items(votes)
    names = list(annotators) or sorted(votes["annotator"].unique().tolist())
    # one column at a time, for each takes as much memory as the table
    keys *= len(names)
    keys += _places(votes["annotator"], names)
    keys *= len(values)
    keys += _places(votes["value"], values)
    if (keys[1:] < keys[:-1]).any():
        keys.sort()  # each number says all of its vote, so that no order need be carried along
    return Coded(keys, items, names)


def _places(column: pd.Series[Any], known: Sequence[Any]) -> NDArray[Any]:
    """Return the place of each cell's value among those known. Raises InputError for others."""
    codes, kinds = pd.factorize(column)
    check_declared(list(kinds), known)
    place = {value: at for at, value in enumerate(known)}
    places = np.array([place[kind] for kind in kinds], dtype=np.min_scalar_type(len(known)))
    return places[codes] if len(codes) else places


def collapse(coded: Coded, labels: int, gold: IntArray | None = None) -> Patterns:
    """Collapse items that were voted on alike; ``gold`` has a value's place or -1 an item."""
    width, n = len(coded.annotators) * labels, len(coded.items)
    known = np.full(n, NO_GOLD) if gold is None else gold
    start = np.searchsorted(coded.keys, np.arange(n + 1) * width)
    votes, first = np.diff(start), start[:-1]
    code = np.empty(len(coded.keys), dtype=np.min_scalar_type(width))  # no wider on the way
    np.remainder(coded.keys, max(width, 1), out=code, casting="unsafe")
    parts, of, before = [], np.zeros(n, dtype=np.int64), 0
    for m in np.unique(votes).tolist():
        rows = np.flatnonzero(votes == m)
        together = len(rows) * m == len(code)
        codes = code.reshape(-1, m) if together else code[first[rows][:, None] + np.arange(m)]
        key, example = distinct(known[rows], codes, width)
        of[rows] = key + before
        before += len(example)
        parts.append((codes[example], known[rows][example], np.bincount(key)))
    return _patterns(parts, of, width)


def collapse_matrix(codes: NDArray[Any], labels: int, gold: IntArray | None = None) -> Patterns:
    """Do what `collapse` does for items x annotators of value places, -1 where there is no vote."""
    n, annotators = codes.shape
    known = np.full(n, NO_GOLD) if gold is None else gold
    key, example = distinct(known, codes + 1, labels + 1)
    rows = codes[example].astype(np.int64)
    voted = rows >= 0
    start = np.concatenate([[0], np.cumsum(voted.sum(axis=1))])
    entries = (np.arange(annotators) * labels + rows)[voted]
    counts = csr_array(
        (np.ones(len(entries)), entries, start), shape=(len(rows), annotators * labels)
    )
    sizes = np.bincount(key, minlength=len(rows)).astype(np.float64)
    return Patterns(counts, sizes, known[example], key)


def distinct(gold: IntArray, codes: NDArray[Any], width: int) -> tuple[IntArray, IntArray]:
    """Return the number of each row's pattern, and a row of each; patterns are in sorted order.

    ``codes`` are from 0 to ``width - 1``; a pattern is a row of them and its gold.
    """
    key, bound = gold.astype(np.int64) + 1, int(gold.max(initial=NO_GOLD)) + 2
    key, count = _renumber(key, bound)
    for column in codes.T:
        if count == len(key):
            break  # all differ already
        key, count = _renumber(key * width + column, count * width)
    example = np.zeros(count, dtype=np.int64)
    example[key] = np.arange(len(key))
    return key, example


def _renumber(key: IntArray, bound: int) -> tuple[IntArray, int]:
    """Return each key's rank among the different ones, and how many differ."""
    if bound <= 4 * len(key) + 1000:
        seen = np.bincount(key, minlength=bound) > 0
        return (np.cumsum(seen) - 1)[key], int(seen.sum())
    found, place = np.unique(key, return_inverse=True)
    return place, len(found)


def _patterns(
    parts: Sequence[tuple[NDArray[Any], IntArray, IntArray]], of: IntArray, width: int
) -> Patterns:
    lengths = [np.full(len(codes), codes.shape[1]) for codes, _, _ in parts]
    start = np.concatenate([[0], *lengths]).cumsum()
    none = np.zeros(0, dtype=np.uint8)
    entries = np.concatenate([none, *(codes.ravel() for codes, _, _ in parts)]).astype(np.int32)
    counts = csr_array((np.ones(len(entries)), entries, start), shape=(len(start) - 1, width))
    counts.sum_duplicates()
    gold = np.concatenate([np.zeros(0, np.int64), *(known for _, known, _ in parts)])
    sizes = np.concatenate([np.zeros(0), *(size for _, _, size in parts)])
    return Patterns(counts, sizes, gold, of)


def _fit(
    patterns: Patterns,
    annotators: Sequence[str],
    values: Sequence[Value],
    prior: Prior,
    iterations: int,
    tolerance: float,
) -> Params:
    """Run EM: M step, E step, until the penalised log likelihood settles."""
    k, j = len(values), len(annotators)
    added, sizes = prior.votes(k), patterns.sizes[:, None]
    turned = patterns.counts.T.tocsr()
    weights = _clamped(_shares(patterns, j, k), patterns.gold)
    last, done, converged = -np.inf, 0, False
    frequency, theta, likelihood = np.full(k, 1 / max(k, 1)), np.zeros((j, k, k)), 0.0
    while done < iterations and not converged and k:
        frequency = _normalised((weights * sizes).sum(axis=0) + prior.items(k), 0)
        expected = (turned @ (weights * sizes)).reshape(j, k, k)  # annotator x given x true
        theta = _normalised(expected + added.T, 1)
        scores = _scores(patterns, frequency, theta)
        total = logsumexp(scores, axis=1)
        weights = _clamped(np.exp(scores - total[:, None]), patterns.gold)
        known = patterns.gold >= 0
        total[known] = scores[known, patterns.gold[known]]
        likelihood = float(patterns.sizes @ total)
        penalised = likelihood + float(xlogy(added.T, np.maximum(theta, TINY)).sum())
        penalised += prior.items(k) * float(np.log(np.maximum(frequency, TINY)).sum())
        converged = bool(penalised - last <= tolerance * (1 + abs(penalised)))
        last, done = penalised, done + 1
    return {
        "values": list(values),
        "annotators": list(annotators),
        "frequency": [short_float(p) for p in frequency.tolist()],
        "confusion": [
            [[short_float(p) for p in row] for row in matrix]
            for matrix in theta.transpose(0, 2, 1).tolist()
        ],
        "log_likelihood": short_float(likelihood),
        "iterations": done,
        "converged": converged,
        "items": int(patterns.sizes.sum()),
    }


def _scores(patterns: Patterns, frequency: FloatArray, theta: FloatArray) -> FloatArray:
    """Return log(frequency x rates of the votes), patterns x true labels; theta given x true."""
    logs = np.log(np.maximum(theta, TINY)).reshape(-1, len(frequency))
    return np.asarray(patterns.counts @ logs + np.log(np.maximum(frequency, TINY)))


def _shares(patterns: Patterns, annotators: int, labels: int) -> FloatArray:
    """Return each label's share of a pattern's votes: where EM starts."""
    return _normalised(patterns.counts @ np.tile(np.eye(labels), (annotators, 1)), 1)


def _normalised(counts: FloatArray, axis: int) -> FloatArray:
    """Return counts as shares along an axis; equal shares where there are none."""
    total = counts.sum(axis=axis, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), 1 / counts.shape[axis])


def _clamped(weights: FloatArray, gold: IntArray) -> FloatArray:
    """Give items with gold all weight on it."""
    known = np.flatnonzero(gold >= 0)
    weights[known] = 0
    weights[known, gold[known]] = 1
    return weights


def _number_items(votes: pd.DataFrame) -> tuple[IntArray, pd.Index[Any]]:
    """Return each row's item as a number, in the order of first occurrence, and the items."""
    keys, items = pd.factorize(votes["item"])
    keys = keys.astype(np.int64, copy=False)
    if not _has_units(votes):
        return keys, pd.Index(items)
    unit, units = pd.factorize(votes["unit"])
    keys, found = pd.factorize(keys * len(units) + unit)
    names = [items[found // len(units)], units[found % len(units)]]
    return keys, pd.MultiIndex.from_arrays(names)


def _has_units(table: pd.DataFrame) -> bool:
    return "unit" in table and not bool(table["unit"].eq("").all())


def _item_index(table: pd.DataFrame, *, units: bool) -> pd.Index[Any]:
    """Return what names an item: its id, with its unit where there are several."""
    index: pd.Index[Any] = pd.Index(table["item"])
    return pd.MultiIndex.from_arrays([index, table["unit"]]) if units else index


def _gold_of(gold: pd.DataFrame, items: pd.Index[Any], values: Sequence[Value]) -> IntArray:
    """Return the place of each item's gold value, or -1."""
    gold = gold[gold["value"].notna()]
    units = isinstance(items, pd.MultiIndex)
    if units and "unit" not in gold:
        raise InputError("gold: votes have units and gold has none; give gold a column unit")
    place = {value: at for at, value in enumerate(values)}
    check_declared(list(gold["value"]), values)
    names = _item_index(gold, units=units)
    found = np.full(len(items), NO_GOLD)
    at = items.get_indexer(names)
    codes = np.array([place[value] for value in gold["value"]], dtype=np.int64)
    found[at[at >= 0]] = codes[at >= 0]
    return found
