"""Votes -> weights, the plain ways: majority, weighted majority, the best single annotator.

An aggregator is two functions. ``fit_…`` may look at many polls and returns parameters that are
plain JSON; ``apply_…`` looks at one poll and the parameters only, so that the same votes get the
same weights anywhere. What it returns are *weights*: numbers like probabilities, one a value. They
sum to 1, or where values are open to less: the rest is for values that nobody named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, fsum, log
from typing import Any

from prelabel.aggregate import CLOSE
from prelabel.errors import InputError
from prelabel.records import Value

Params = dict[str, Any]
"""What ``fit_…`` returns: plain JSON."""

Weights = dict[Value, float]


@dataclass(frozen=True, slots=True)
class Poll:
    """What annotators say of one unit of one item: their votes, and some label distributions."""

    votes: Mapping[str, Value]
    beliefs: Mapping[str, Mapping[Value, float]] = field(default_factory=dict)


def fit_vote(
    polls: Sequence[Poll], truths: Sequence[Value], values: Sequence[Value] | None
) -> Params:
    """Return the parameters of a majority vote: the declared values, None where any may occur."""
    del polls, truths  # a vote learns nothing
    return {"values": None if values is None else list(values)}


def apply_vote(poll: Poll, params: Params) -> Weights:
    """Return each value's share of the votes, after one vote more that is spread over all values.

    The vote more keeps a value that nobody named possible; it changes neither winner nor tie.
    """
    if not poll.votes:
        return {}
    counts = Counter(poll.votes.values())
    values = params["values"]
    named = list(counts) if values is None else [v for v in values if v in counts]
    if not named:
        return {}
    among = len(values) if values is not None else len(named) + 1
    n = sum(counts[value] for value in named)
    return {
        value: (counts.get(value, 0) + 1 / among) / (n + 1)
        for value in (named if values is None else values)
    }


def fit_weighted(
    polls: Sequence[Poll], truths: Sequence[Value], values: Sequence[Value] | None
) -> Params:
    """Return each annotator's accuracy on gold, the best first; one right and one wrong are added.

    The additions keep an annotator with three gold items from passing for perfect. Raises
    InputError for a truth that is not declared.
    """
    check_declared(truths, values)
    right: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for poll, truth in zip(polls, truths, strict=True):
        for name, vote in poll.votes.items():
            seen[name] += 1
            right[name] += vote == truth
    rows: list[Any] = [[name, (right[name] + 1) / (seen[name] + 2), seen[name]] for name in seen]
    rows.sort(key=lambda row: (-row[1], -row[2], row[0]))
    return fit_vote(polls, truths, values) | {"accuracy": rows}


def apply_weighted(poll: Poll, params: Params) -> Weights:
    """Return the weights of a vote in which each annotator counts by the log-odds of being right.

    ``weight_k ~ exp(sum of log(a (K - 1) / (1 - a)) over those who vote k)`` (Nitzan and Paroush
    1982, for K values). It takes errors as independent, so the weights are too sure of themselves.
    Annotators without gold do not count; one worse than chance counts against what it says.
    """
    known = {name: a for name, a, _ in params["accuracy"] if name in poll.votes}
    values = params["values"]
    candidates = values if values is not None else _named(poll, known)
    if not known or not candidates:
        return {}
    among = len(candidates) + (values is None)
    sums = {
        value: fsum(
            log(a * max(among - 1, 1) / (1 - a))
            for name, a in known.items()
            if poll.votes[name] == value
        )
        for value in candidates
    }
    return softmax(sums, [0.0] if values is None else [])


def apply_best(poll: Poll, params: Params) -> Weights:
    """Return the vote of the annotator that is best on gold, weighted with its accuracy there.

    Where it has no vote, the next best one speaks. ``params`` are those of ``fit_weighted``.
    """
    values = params["values"]
    for name, a, _ in params["accuracy"]:
        vote = poll.votes.get(name)
        if vote is None or (values is not None and vote not in values):
            continue
        if values is None:
            return {vote: a}
        if len(values) == 1:
            return {vote: 1.0}
        sure = max(a, 1 / len(values))  # below chance all are as likely: a tie
        return {v: sure if v == vote else (1 - sure) / (len(values) - 1) for v in values}
    return {}


def winner(
    weights: Mapping[Value, float], poll: Poll, priority: Sequence[str] = ()
) -> tuple[Value | None, bool]:
    """Return the value of most weight, and whether others had as much: then people should look.

    A tie is broken by the mean of the label distributions, then by the first annotator (in the
    order of ``priority``, then by name) that voted for one of the tied, then by the declared order.
    None where there are no weights.
    """
    if not weights:
        return None, False
    most = max(weights.values()) - CLOSE
    leaders = [value for value, weight in weights.items() if weight >= most]
    if len(leaders) == 1:
        return leaders[0], False
    mass = {v: fsum(row.get(v, 0.0) for row in poll.beliefs.values()) for v in leaders}
    most = max(mass.values()) - CLOSE
    leaders = [value for value in leaders if mass[value] >= most]
    order = [*(name for name in priority if name in poll.votes), *sorted(poll.votes)]
    votes = (poll.votes[name] for name in order)
    return next((vote for vote in votes if vote in leaders), leaders[0]), True


def softmax(scores: Mapping[Value, float], others: Sequence[float] = ()) -> Weights:
    """Return ``exp(score)`` of each value, normalised together with the scores of others."""
    highest = max([*scores.values(), *others])
    raised = {value: exp(score - highest) for value, score in scores.items()}
    total = fsum([*raised.values(), *(exp(score - highest) for score in others)])
    return {value: weight / total for value, weight in raised.items()}


def check_declared(found: Sequence[Value], values: Sequence[Value] | None) -> None:
    """Raise InputError for a value that is not declared."""
    for value in dict.fromkeys(found) if values is not None else ():
        if values is not None and value not in values:
            known = ", ".join(map(str, values))
            raise InputError(
                f"aggregation: value {value!r} is not declared; declare it beside {known}, "
                "or drop what has it"
            )


def short_float(number: float) -> float:
    """Return a number with 10 digits: the last ones differ between machines, and rules are hashed.

    Raises nothing; zero stays zero, and tiny numbers keep their digits.
    """
    return float(f"{number:.10g}")


def _named(poll: Poll, names: Mapping[str, float]) -> list[Value]:
    return list(dict.fromkeys(poll.votes[name] for name in names))
