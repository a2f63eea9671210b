"""What is known of an item beside its consensus: votes, label, beliefs, self-confidence, text.

Signals are numbers by group and name; what is not known of an item is absent, never 0. Which of
them tell right from wrong is for gold to say: see `prelabel.confidence`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite, log, log1p, sqrt
from typing import TYPE_CHECKING, Any

from prelabel.records import Annotation, Consensus, Item, Value, Votes
from prelabel.votes import Ballot
from prelabel.voting import Weights
from prelabel.weighing import OPEN_UNITS

if TYPE_CHECKING:
    from prelabel.tasks import Task

Group = dict[str, float]
"""Numbers by name."""

SHARE = "share"
"""The group of one number, of the votes for the consensus alone; all others must improve on it."""

WEIGHT = "weight"
"""The group of one number that an aggregator fitted on gold gives."""

FEW_VALUES = 20
"""A label is a signal where it is one of so few."""

MOST_PAIRS = 100
"""Of more pairs of an annotator and a label gold says too little."""

CONSENSUS = "\0consensus"
"""Stands for the consensus among the annotators of a ballot while they are made comparable."""

_SURE = {"p": 1e-4, "confidence": 0.01, "consistency": 0.02, WEIGHT: 1e-4}


@dataclass(frozen=True, slots=True)
class Signals:
    """Numbers by group and name; without any where there is no consensus to be sure of."""

    groups: Mapping[str, Mapping[str, float]]

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return them as plain JSON-able values."""
        return {group: dict(row) for group, row in self.groups.items()}


def signals(
    ballot: Ballot,
    annotations: Sequence[Annotation],
    consensus: Consensus,
    weights: Mapping[str, Weights],
    task: Task,
    item: Item | None = None,
) -> Signals:
    """Return what is known of one item.

    ``ballot`` and ``annotations`` are of the annotators that the consensus was made of; ``weights``
    are the aggregator's, by unit, empty for a plain vote. Of several units the least sure counts.
    The order of annotators does not matter. Groups:

    - ``share``: log-odds of the vote share, smoothed by half a vote;
    - ``votes``: margin, entropy and number of votes, what abstained or failed;
    - ``annotators``: the share of units on which each agrees with the consensus;
    - ``weight``: log-odds of the aggregator's weight;
    - ``label``: which label it is; ``by label``: who agrees, for each label apart;
    - ``beliefs``: log-odds of the consensus in each annotator's label distribution;
    - ``self``: log-odds of an annotator's own confidence and self-consistency, the sign turned
      where it disagrees (``extras["confidence"]`` and ``extras["consistency"]``, from 0 to 1);
    - ``text``: how long it is, and its shares of digits and capitals.
    """
    if consensus.label is None or consensus.agreement is None:
        return Signals({})
    given = task.align({**ballot.votes, CONSENSUS: task.votes(consensus.label)})
    winners = given[CONSENSUS]
    votes = {name: given[name] for name in sorted(ballot.votes)}
    agreeing = {name: _agreeing(own, winners, task) for name, own in votes.items()}
    label = _of_label(winners, task)
    found = {
        SHARE: {"share": _log_odds_of(consensus.agreement * consensus.votes, consensus.votes)},
        "votes": _of_votes(votes, winners, consensus, task) | _of_outcomes(annotations),
        "annotators": agreeing,
        WEIGHT: _of_weights(weights, winners),
        "label": label,
        "by label": _by_label(agreeing, label),
        "beliefs": _of_beliefs(ballot, winners),
        "self": _of_self(annotations, agreeing),
        "text": {} if item is None else _of_text(text_of(item)),
    }
    return Signals({group: row for group, row in found.items() if row})


def text_of(item: Item) -> str:
    """Return the text of an item: its fields, a line each."""
    return "\n".join(item.fields.values())


def log_odds(p: float, least: float) -> float:
    """Return ``log(p / (1 - p))``, with p kept ``least`` away from 0 and 1."""
    p = min(max(p, least), 1 - least)
    return log(p / (1 - p))


def _log_odds_of(k: float, n: int) -> float:
    return log((k + 0.5) / (n - k + 0.5))


def _agreeing(votes: Votes, winners: Votes, task: Task) -> float:
    """Return the share of units on which a vote is the consensus; of no units, all."""
    same = [task.agrees(unit, vote, winners[unit]) for unit, vote in votes.items()]
    return sum(same) / len(same) if same else 1.0


def _of_votes(
    votes: Mapping[str, Votes], winners: Votes, consensus: Consensus, task: Task
) -> Group:
    margins, entropies, spreads = [1.0], [0.0], [0.0]
    for unit, winner in sorted(winners.items()):
        polled = [own[unit] for own in votes.values() if unit in own]
        if not polled:
            continue
        rest = [vote for vote in polled if not task.agrees(unit, vote, winner)]
        counts = Counter(rest)
        most = max(counts.values(), default=0)
        margins.append((len(polled) - len(rest) - most) / len(polled))
        entropies.append(_entropy([len(polled) - len(rest), *counts.values()]))
        if task.level != "nominal":
            spreads.append(_spread(polled))
    found = {
        "margin": min(margins),
        "entropy": max(entropies),
        "votes": log(consensus.votes),
        "units": log1p(len(winners)),
        "mean share": fsum(consensus.shares.values()) / max(len(consensus.shares), 1),
    }
    return found if task.level == "nominal" else found | {"spread": max(spreads)}


def _of_outcomes(annotations: Sequence[Annotation]) -> Group:
    kinds = Counter(a.outcome for a in annotations)
    return {"abstained": float(kinds["abstained"]), "failed": float(kinds["failed"])}


def _of_weights(weights: Mapping[str, Weights], winners: Votes) -> Group:
    own = [row.get(winners[unit], 0.0) for unit, row in weights.items() if unit in winners]
    return {WEIGHT: log_odds(min(own), _SURE[WEIGHT])} if own else {}


def _of_label(winners: Votes, task: Task) -> Group:
    """Return 1 for what the consensus is and 0 for what else it might be."""
    if task.name in OPEN_UNITS:
        return {}
    declared = {unit: task.values(unit) or () for unit in sorted(winners)}
    pairs = [
        (unit, value)
        for unit, own in declared.items()
        for value in own
        if len(own) <= FEW_VALUES and value is not False
    ]
    if len(pairs) > 2 * FEW_VALUES:
        return {}
    return {f"{unit} {value}".strip(): float(winners[unit] == value) for unit, value in pairs}


def _by_label(agreeing: Group, label: Group) -> Group:
    """Return who agrees, apart for each label: one may be right in saying yes and wrong in no."""
    if len(agreeing) < 2 or len(label) < 2 or len(agreeing) * len(label) > MOST_PAIRS:
        return {}
    return {
        f"{name} on {value}": (2 * agrees - 1) * given
        for name, agrees in agreeing.items()
        for value, given in label.items()
    }


def _of_beliefs(ballot: Ballot, winners: Votes) -> Group:
    found: Group = {}
    entropies, outside = [], []
    for name, distribution in sorted(ballot.distributions.items()):
        rows = [(row, winners[unit]) for unit, row in distribution.items() if unit in winners]
        if name in ballot.votes and rows:
            least = min(row.get(winner, 0.0) for row, winner in rows)
            found[name] = log_odds(least, _SURE["p"])
            entropies.append(max(_entropy(row.values()) for row, _ in rows))
            outside.append(max(1 - fsum(row.values()) for row, _ in rows))
    if not found:
        return {}
    summary = {
        "mean": _mean(found.values()),
        "least": min(found.values()),
        "entropy": _mean(entropies),
        "outside": max(0.0, _mean(outside)),
    }
    return {f"p {name}": x for name, x in found.items()} | summary


def _of_self(annotations: Sequence[Annotation], agreeing: Mapping[str, float]) -> Group:
    found: Group = {}
    for kind in ("confidence", "consistency"):
        own: Group = {}
        for a in annotations:
            said = said_share(a.extras.get(kind))
            if said is not None and a.annotator in agreeing:
                sign = 2 * agreeing[a.annotator] - 1
                own[a.annotator] = sign * log_odds(said, _SURE[kind]) + 0.0  # never -0.0
        if own:
            found |= {f"{kind} {name}": own[name] for name in sorted(own)}
            found |= {f"mean {kind}": _mean(own.values()), f"least {kind}": min(own.values())}
    return found


def said_share(said: Any) -> float | None:
    """Return what an annotator said of itself, None where that is no number from 0 to 1."""
    if isinstance(said, bool) or not isinstance(said, (int, float)):
        return None
    return float(said) if isfinite(said) and 0 <= said <= 1 else None


def _of_text(text: str) -> Group:
    n = max(len(text), 1)
    return {
        "length": log1p(len(text)),
        "digits": sum(map(str.isdigit, text)) / n,
        "capitals": sum(map(str.isupper, text)) / n,
    }


def _entropy(amounts: Iterable[float]) -> float:
    """Return the entropy in nats of amounts that need not sum to 1."""
    own = sorted(x for x in amounts if x > 0)
    total = fsum(own)
    return -fsum(x / total * log(x / total) for x in own)


def _spread(polled: Sequence[Value]) -> float:
    """Return the standard deviation of numbers, 0 where values are none."""
    numbers = [float(v) for v in polled if isinstance(v, (int, float))]
    if len(numbers) < 2:
        return 0.0
    mean = fsum(numbers) / len(numbers)
    return sqrt(fsum(sorted((x - mean) ** 2 for x in numbers)) / len(numbers))


def _mean(numbers: Iterable[float]) -> float:
    own = sorted(numbers)
    return fsum(own) / len(own)
