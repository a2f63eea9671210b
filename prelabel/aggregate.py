"""Aggregation: several annotators' votes -> one consensus.

``fit`` may look at many items and returns parameters that are plain JSON; ``apply`` looks at one
item and the parameters only, so the same item gets the same answer anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import TYPE_CHECKING, Any, Literal

from prelabel.records import Consensus, Distribution, Value
from prelabel.tasks import Task, dump_distribution

if TYPE_CHECKING:
    from prelabel.votes import Ballot

Source = Literal["majority", "distribution", "median", "overlap"]
Ties = Literal["review", "priority", "probability"]

SMALLEST = 1e-6
CLOSE = 1e-9
"""Probabilities nearer to each other than this are equal: they were rounded on the way."""


def fit_majority(
    ballots: Iterable[Ballot], *, source: Source, ties: Ties, priority: Sequence[str]
) -> dict[str, Any]:
    """Return the parameters of a vote.

    Source ``majority`` counts votes; ``median`` takes the middle of numbers; ``overlap`` counts
    spans that overlap as one before it votes on each. With source ``distribution`` they hold each
    annotator's mean distribution over the ballots: dividing by it takes out what the annotator says
    whatever the item (batch calibration, Zhou et al., ICLR 2024, arXiv 2309.17249). It presumes
    that a unit's values are about equally frequent: a label that really is frequent is pushed down,
    and in multi-label one that is rare pushed up.
    """
    bias = mean_distributions(ballots) if source == "distribution" else {}
    return {
        "source": source,
        "ties": ties,
        "priority": list(priority),
        "bias": {name: dump_distribution(mean) for name, mean in bias.items()},
    }


def mean_distributions(ballots: Iterable[Ballot]) -> dict[str, Distribution]:
    """Return each annotator's mean distribution, unit by unit."""
    sums: dict[str, dict[str, dict[Value, float]]] = {}
    counts: dict[tuple[str, str], int] = {}
    for ballot in ballots:
        for name, distribution in ballot.distributions.items():
            for unit, row in distribution.items():
                counts[name, unit] = counts.get((name, unit), 0) + 1
                total = sums.setdefault(name, {}).setdefault(unit, {})
                for value, p in row.items():
                    total[value] = total.get(value, 0.0) + p
    return {
        name: {
            unit: {value: s / counts[name, unit] for value, s in row.items()}
            for unit, row in units.items()
        }
        for name, units in sums.items()
    }


def corrected(row: Mapping[Value, float], mean: Mapping[Value, float]) -> dict[Value, float]:
    """Return a distribution divided by an annotator's mean, normalised."""
    weights = {v: max(p, SMALLEST) / max(mean.get(v, 0.0), SMALLEST) for v, p in row.items()}
    total = sum(weights.values())
    return {value: weight / total for value, weight in weights.items()}


def apply_majority(ballot: Ballot, params: Mapping[str, Any], task: Task) -> Consensus:
    """Return the consensus of one item.

    Agreement is the share of annotators whose (corrected) vote is the consensus value, the least
    over the item's units. Between open values, such as texts, a tie has no winner.
    """
    if not ballot.votes:
        return Consensus(ballot.item_id, None, None, 0)
    given = ballot.votes
    if params["source"] == "overlap":
        from prelabel.span_scores import cluster

        given = cluster(given)
    ballot = replace(ballot, votes=task.align(given))
    winners: dict[str, Value] = {}
    tied, shares = [], {}
    for unit in dict.fromkeys(unit for votes in ballot.votes.values() for unit in votes):
        rows = {
            name: belief(ballot, params, name, unit)
            for name, votes in ballot.votes.items()
            if unit in votes
        }
        best = {name: value for name, (value, _) in rows.items()}
        value, is_tie = _winner(best, {n: row for n, (_, row) in rows.items()}, params, task, unit)
        if not is_tie or task.values(unit) is not None:
            winners[unit] = value
        shares[unit] = sum(task.agrees(unit, v, value) for v in best.values()) / len(best)
        if is_tie:
            tied.append(unit)
    open_tie = tied and params["ties"] == "review"
    label = None if open_tie else task.from_votes(winners)
    least = min(shares.values(), default=1.0)
    return Consensus(ballot.item_id, label, least, len(ballot.votes), tuple(tied), shares)


def _winner(
    best: Mapping[str, Value],
    rows: Mapping[str, Mapping[Value, float]],
    params: Mapping[str, Any],
    task: Task,
    unit: str,
) -> tuple[Value, bool]:
    """Return the value that wins one unit, and whether others had as good a claim."""
    if params["source"] == "median":
        from prelabel.ordinal import median_value

        return median_value([float(v) for v in best.values()], task.values(unit)), False
    return decide(best, rows, params)


def belief(
    ballot: Ballot, params: Mapping[str, Any], name: str, unit: str
) -> tuple[Value, dict[Value, float]]:
    """Return the value that an annotator stands for, and its probabilities, which break ties.

    The value is its vote, whatever the probabilities; after a correction for bias it is the
    likeliest value, its vote where several are. Without a distribution all lies on its vote.
    """
    vote = ballot.votes[name][unit]
    given = ballot.distributions.get(name, {}).get(unit, {})
    row = {vote: 1.0} | given  # the vote stays first
    mean = params["bias"].get(name, {}).get(unit)
    if not given or mean is None:
        return vote, row
    row = corrected(row, dict(mean))
    return top(row), row


def top(row: Mapping[Value, float]) -> Value:
    """Return the likeliest value; the first named where several are."""
    highest = max(row.values()) - CLOSE
    return next(value for value, p in row.items() if p >= highest)


def decide(
    best: Mapping[str, Value], rows: Mapping[str, Mapping[Value, float]], params: Mapping[str, Any]
) -> tuple[Value, bool]:
    """Return the value with most votes, and whether others had as many.

    A tie is broken by the mean probability, then by the first annotator in the order of priority.
    """
    counts: dict[Value, int] = {}
    for value in best.values():
        counts[value] = counts.get(value, 0) + 1
    most = max(counts.values())
    leaders = [value for value, n in counts.items() if n == most]
    if len(leaders) == 1:
        return leaders[0], False
    if params["ties"] == "probability":
        mass = {v: fsum(row.get(v, 0.0) for row in rows.values()) for v in leaders}
        highest = max(mass.values()) - CLOSE
        leaders = [v for v in leaders if mass[v] >= highest]
    order = [*(name for name in params["priority"] if name in best), *sorted(best)]
    return next(best[name] for name in order if best[name] in leaders), True
