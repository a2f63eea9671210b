"""Aggregators that learn from gold: naive Bayes, a stack over votes, a stack over candidates.

They see which annotators err together, which a vote cannot. All return plain JSON; see
`prelabel.voting` for what ``fit_…`` and ``apply_…`` are, and what weights are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import exp, fsum
from typing import TYPE_CHECKING, Any

import numpy as np

from prelabel.dawid_skene import Prior, apply_dawid_skene
from prelabel.errors import InputError
from prelabel.voting import (
    Params,
    Poll,
    Weights,
    apply_best,
    apply_vote,
    apply_weighted,
    check_declared,
    fit_vote,
    fit_weighted,
    short_float,
    softmax,
)

if TYPE_CHECKING:
    from prelabel.estimate import FloatArray
    from prelabel.records import Value

Fit = Callable[[Sequence[Poll], Sequence[Any], Sequence[Any] | None], Params]
Apply = Callable[[Poll, Params], Weights]

CANDIDATE_STRENGTH = 1.0
"""The inverse penalty C of the logistic over candidates."""


MOST_CELLS = 1000
"""The most coefficients that are fitted by Newton's method: it keeps their square in memory."""


def fit_naive_bayes(
    polls: Sequence[Poll], truths: Sequence[Value], values: Sequence[Value] | None
) -> Params:
    """Return annotators' error rates and label frequencies counted on gold, plus a weak prior.

    The prior and the shape of the parameters are those of Dawid-Skene. Raises InputError where
    values are open, or a vote or truth is not declared.
    """
    labels = _declared(values, polls, truths, "naive-bayes")
    place = {value: at for at, value in enumerate(labels)}
    names = _annotators(polls)
    prior, k = Prior(), len(labels)
    confusion = np.tile(prior.votes(k), (len(names), 1, 1))
    row = {name: at for at, name in enumerate(names)}
    frequency = np.full(k, prior.items(k))
    for poll, truth in zip(polls, truths, strict=True):
        frequency[place[truth]] += 1
        for name, vote in poll.votes.items():
            confusion[row[name], place[truth], place[vote]] += 1
    confusion /= confusion.sum(axis=2, keepdims=True)
    return {
        "values": labels,
        "annotators": names,
        "frequency": _short(frequency / frequency.sum()),
        "confusion": [[_short(line) for line in matrix] for matrix in confusion],
    }


def apply_naive_bayes(poll: Poll, params: Params) -> Weights:
    """Return the weights of a label given the votes, taking errors as independent.

    ``weight_k ~ frequency_k * product over annotators of confusion[annotator, k, vote]``. LLMs err
    together, so these are too sure of themselves.
    """
    return apply_dawid_skene(poll.votes, params)


def fit_stack(
    polls: Sequence[Poll],
    truths: Sequence[Value],
    values: Sequence[Value] | None,
    strength: float = 0.3,
) -> Params:
    """Return a multinomial logistic regression of the truth on the votes, one-hot.

    Where an annotator gives label distributions, these are features, too; on an item without one
    its vote stands in. ``strength`` is the inverse penalty C. For each label one imagined item is
    added on which all annotators vote for it, so that the penalty does not push rare labels out.
    Raises InputError where values are open, or a vote or truth is not declared.
    """
    labels = _declared(values, polls, truths, "stack")
    names = _annotators(polls)
    believing = sorted({name for poll in polls for name in poll.beliefs if name in poll.votes})
    shape: Params = {"values": labels, "annotators": names, "beliefs": believing}
    shape["unseen"] = [label for label in labels if label not in truths]
    imagined = [Poll(dict.fromkeys(names, label)) for label in labels]
    rows = [_dense(_stack_features(poll, shape), shape) for poll in [*polls, *imagined]]
    place = {value: at for at, value in enumerate(labels)}
    target = np.array([place[truth] for truth in [*truths, *labels]], dtype=np.int64)
    if len(labels) < 2 or not names:
        return shape | {"coefficients": [[] for _ in labels], "intercepts": [0.0 for _ in labels]}
    coefficients, intercepts = _logistic(np.array(rows), target, strength)
    if len(labels) == 2:  # one row says both
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    return shape | {
        "coefficients": [_short(row) for row in coefficients],
        "intercepts": _short(intercepts),
    }


def apply_stack(poll: Poll, params: Params) -> Weights:
    """Return the labels' weights under the regression; annotators without gold do not count.

    None where a label that gold lacks has as many votes as any: of it the regression knows nothing.
    """
    features = _stack_features(poll, params)
    if not features or set(params["unseen"]) & set(_leaders(poll)):
        return {}
    rows = zip(params["values"], params["coefficients"], params["intercepts"], strict=True)
    return softmax(
        {
            value: intercept + fsum(row[at] * x for at, x in features.items() if row)
            for value, row, intercept in rows
        }
    )


def fit_candidates(
    polls: Sequence[Poll], truths: Sequence[Value], values: Sequence[Value] | None
) -> Params:
    """Return one logistic regression that says of any candidate value whether it is the truth.

    It knows who voted for a candidate, how many did, and how it ranks, but not which value it is:
    so it needs little gold, and open values do. Where values are open, "a value that nobody named"
    is a candidate, too. Two imagined candidates are added: one that all vote for is the truth, one
    that nobody names is not. Raises InputError for a truth that is not declared.
    """
    check_declared(truths, values)
    names = _annotators(polls)
    believing = any(name in poll.votes for poll in polls for name in poll.beliefs)
    shape: Params = {
        "values": None if values is None else list(values),
        "annotators": names,
        "beliefs": believing,
    }
    nobodys = _nobodys(shape)
    rows: list[list[float]] = [[1.0] * len(nobodys), nobodys]
    target = [True, False]
    for poll, truth in zip(polls, truths, strict=True):
        found = _candidate_features(poll, shape)
        rows += found.values()
        target += [value == truth for value in found]
        if values is None and found:
            rows.append(nobodys)
            target.append(truth not in found)
    coefficients, intercepts = _logistic(
        np.array(rows), np.array(target, dtype=np.int64), CANDIDATE_STRENGTH
    )
    return shape | {"coefficients": _short(coefficients[0]), "intercept": _short(intercepts)[0]}


def apply_candidates(poll: Poll, params: Params) -> Weights:
    """Return each candidate's probability under the regression, normalised over candidates."""
    found = _candidate_features(poll, params)
    if not found:
        return {}
    scores = {value: _sigmoid(row, params) for value, row in found.items()}
    other = 0.0 if params["values"] is not None else _sigmoid(_nobodys(params), params)
    total = fsum([*scores.values(), other])
    return {value: score / total for value, score in scores.items()}


METHODS: Mapping[str, tuple[Fit, Apply]] = {
    "majority": (fit_vote, apply_vote),
    "best": (fit_weighted, apply_best),
    "weighted": (fit_weighted, apply_weighted),
    "candidates": (fit_candidates, apply_candidates),
    "naive-bayes": (fit_naive_bayes, apply_naive_bayes),
    "stack-0.1": (partial(fit_stack, strength=0.1), apply_stack),
    "stack-0.3": (partial(fit_stack, strength=0.3), apply_stack),
    "stack-1": (partial(fit_stack, strength=1.0), apply_stack),
}
"""Aggregators of one poll that are fitted on gold, by name, the simpler first."""

NEEDS_VALUES = ("naive-bayes", "stack-0.1", "stack-0.3", "stack-1", "dawid-skene")
"""Those that work with declared values only."""


def _annotators(polls: Sequence[Poll]) -> list[str]:
    return sorted({name for poll in polls for name in poll.votes})


def _declared(
    values: Sequence[Value] | None, polls: Sequence[Poll], truths: Sequence[Value], what: str
) -> list[Value]:
    if values is None:
        raise InputError(
            f"aggregation: {what} needs declared values, and here any may occur; use candidates"
        )
    check_declared([*truths, *(vote for poll in polls for vote in poll.votes.values())], values)
    return list(values)


def _stack_features(poll: Poll, shape: Params) -> dict[int, float]:
    """Return the features that are not 0 by their place; those of votes stand first."""
    values, names = shape["values"], shape["annotators"]
    place = {value: at for at, value in enumerate(values)}
    found: dict[int, float] = {}
    for at, name in enumerate(names):
        vote = poll.votes.get(name)
        if vote is not None and vote in place:
            found[at * len(values) + place[vote]] = 1.0
    if not found:
        return {}
    for at, name in enumerate(shape["beliefs"], len(names)):
        vote = poll.votes.get(name)
        if vote is not None and vote in place:
            row = poll.beliefs.get(name) or {vote: 1.0}
            found |= {at * len(values) + place[v]: p for v, p in row.items() if v in place}
    return found


def _leaders(poll: Poll) -> list[Value]:
    counts = Counter(poll.votes.values())
    return [value for value, n in counts.items() if n == max(counts.values())]


def _dense(features: Mapping[int, float], shape: Params) -> list[float]:
    width = (len(shape["annotators"]) + len(shape["beliefs"])) * len(shape["values"])
    return [features.get(at, 0.0) for at in range(width)]


def _candidate_features(poll: Poll, shape: Params) -> dict[Value, list[float]]:
    """Return for each candidate: each annotator's vote, share squared, 1 / rank, mean belief."""
    votes = {name: poll.votes[name] for name in shape["annotators"] if name in poll.votes}
    counts = Counter(votes.values())
    values = list(counts) if shape["values"] is None else shape["values"]
    counts = Counter({value: counts[value] for value in values if value in counts})
    if not counts:
        return {}
    n = counts.total()
    means = {value: _mean_belief(poll, votes, value) for value in values}
    strengths = {value: (counts[value], round(means[value], 9)) for value in values}
    found = {}
    for value in values:
        above = sum(other > strengths[value] for other in strengths.values())
        row: list[float] = [float(votes.get(name) == value) for name in shape["annotators"]]
        row += [(counts[value] / n) ** 2, 1 / (1 + above)]
        found[value] = row + ([means[value]] if shape["beliefs"] else [])
    return found


def _mean_belief(poll: Poll, votes: Mapping[str, Value], value: Value) -> float:
    rows = (poll.beliefs.get(name) or {vote: 1.0} for name, vote in sorted(votes.items()))
    return fsum(row.get(value, 0.0) for row in rows) / len(votes)


def _nobodys(shape: Params) -> list[float]:
    """Return the features of a value that nobody named."""
    return [0.0] * (len(shape["annotators"]) + 2 + bool(shape["beliefs"]))


def _sigmoid(row: Sequence[float], params: Params) -> float:
    pairs = zip(params["coefficients"], row, strict=True)
    score = params["intercept"] + fsum(c * x for c, x in pairs)
    return 1 / (1 + exp(-score)) if score > -700 else 0.0


def _logistic(
    rows: FloatArray, target: np.ndarray[Any, np.dtype[np.int64]], strength: float
) -> tuple[FloatArray, FloatArray]:
    """Fit on the distinct rows in sorted order, so that the order of items never matters."""
    from sklearn.linear_model import LogisticRegression

    table, n = np.unique(np.column_stack([target, rows]), axis=0, return_counts=True)
    classes = len(np.unique(target))
    cells = (rows.shape[1] + 1) * (1 if classes == 2 else classes)
    solver = "newton-cholesky" if cells <= MOST_CELLS else "lbfgs"  # which is slower, but lean
    model = LogisticRegression(C=strength, max_iter=10_000, tol=1e-8, solver=solver)
    model.fit(table[:, 1:], table[:, 0], sample_weight=n)
    return model.coef_, model.intercept_


def _short(numbers: Any) -> list[float]:
    return [short_float(float(number)) for number in numbers]
