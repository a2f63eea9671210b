"""Figures of spans: entity F1 against gold, agreement of annotators, and clusters for voting.

A label here is a list of spans, ``{"start", "end", "label", …}``; two spans are the same where
these three are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from prelabel.estimate import Estimate, FloatArray, bootstrap
from prelabel.measures import Measures, counted
from prelabel.records import Label, Votes
from prelabel.unitizing import unitizing_alphas

Key = tuple[int, int, str]

SAME_ENTITY = 0.5
"""Spans whose intersection is at least this share of their union are taken for one entity."""

NO_SPANS = "neither of any two annotators has a span"


def keys(label: Label) -> set[Key]:
    """Return what identifies a label's spans."""
    return {(span["start"], span["end"], span["label"]) for span in label}


def shared(a: Label, b: Label) -> tuple[float, float]:
    """Return ``(2 |A and B|, |A| + |B|)`` of two labels' exact spans; their ratio is F1."""
    left, right = keys(a), keys(b)
    return 2.0 * len(left & right), float(len(left) + len(right))


def entity_scores(
    gold: Sequence[Label], given: Sequence[Label], names: Sequence[str], seed: int = 0
) -> Measures:
    """Compare spans with gold's, both in the same order of items.

    ``exact_f1``, ``exact_precision``, ``exact_recall``: start, end and label are gold's; micro over
    items. ``partial_f1``: a span that overlaps one of gold's of its label counts half, an exact one
    whole (MUC-5's credit, Chinchor and Sundheim 1993: (COR + 0.5 PAR) / POS and / ACT; there and in
    SemEval-2013 task 9 a partial match may have another label, here not). ``type_f1``: a span
    that overlaps one of gold's of its label counts whole (SemEval-2013 task 9, Segura-Bedmar
    et al., "type"). In both each span is paired once, exact pairs first, then from left to right,
    so that one long span does not find all. ``labels`` counts exact spans of each label.
    """
    pairs = [(keys(a), keys(b)) for a, b in zip(gold, given, strict=True)]
    support, predicted = (
        np.array([[_of(side, name) for name in names] for side in sides]).reshape(-1, len(names))
        for sides in ([a for a, _ in pairs], [b for _, b in pairs])
    )
    hits = np.array([[_of(a & b, name) for name in names] for a, b in pairs])
    exact, labels = counted(names, support, predicted, hits, seed)
    sizes = support.sum(axis=1), predicted.sum(axis=1)
    right = [float(len(a & b)) for a, b in pairs]
    touching = [float(_touching(a - b, b - a)) for a, b in pairs]
    credit = {"partial_f1": 0.5, "type_f1": 1.0}
    metrics = {f"exact_{name}": exact[name] for name in ("f1", "precision", "recall")}
    for metric, share in credit.items():
        earned = [r + share * t for r, t in zip(right, touching, strict=True)]
        metrics[metric] = counted(["any"], *sizes, earned, seed)[0]["f1"]
    return Measures([a == b for a, b in pairs], metrics, labels)


def _of(spans: Iterable[Key], name: str) -> int:
    return sum(span[2] == name for span in spans)


def _touching(gold: set[Key], given: set[Key]) -> int:
    """Return how many pairs of spans overlap with the same label, each span in one pair at most."""
    found = 0
    for label in {span[2] for span in gold} & {span[2] for span in given}:
        left = sorted(span for span in gold if span[2] == label)
        right = sorted(span for span in given if span[2] == label)
        while left and right:
            if left[0][0] < right[0][1] and right[0][0] < left[0][1]:
                found += 1
                left, right = left[1:], right[1:]
            elif left[0][1] <= right[0][0]:
                left = left[1:]
            else:
                right = right[1:]
    return found


def pairwise_f1(labels: Sequence[Sequence[Label]], seed: int = 0) -> Estimate:
    """Return the mean over pairs of annotators of their exact span F1, micro over items.

    ``labels`` has a row an annotator, a column an item; None where an annotator has no label, and
    then the item does not count for its pairs. A pair without any span is left out of the mean.
    F1 is what kappa tends to as the spans that nobody marked become many (Hripcsak and
    Rothschild 2005).
    """
    counts = np.array(
        [
            [
                (0.0, 0.0) if a is None or b is None else shared(a, b)
                for a, b in combinations(item, 2)
            ]
            for item in zip(*labels, strict=True)
        ]
    )
    if counts.size == 0:
        return Estimate(None, why="fewer than two annotators, or no items")

    def mean_f1(weights: FloatArray) -> FloatArray:
        both, size = weights @ counts[..., 0], weights @ counts[..., 1]
        shares = np.where(size > 0, both / np.where(size > 0, size, 1), 0)
        pairs = (size > 0).sum(axis=1)
        found: FloatArray = np.where(pairs > 0, shares.sum(axis=1) / np.maximum(pairs, 1), np.nan)
        return found

    return bootstrap(mean_f1, np.ones(len(counts)), seed=seed, undefined=NO_SPANS)


def unitizing_alpha(
    labels: Sequence[Sequence[Label]], lengths: Sequence[int], seed: int = 0
) -> Estimate:
    """Return Krippendorff's alpha of unitizing over all labels (1995; Content Analysis, 2nd ed.).

    ``labels`` has a row an annotator, a column an item; ``lengths`` are the items' lengths. See
    `prelabel.unitizing.unitizing_alphas`, which has each label too.
    """
    spans = [[sorted(keys(label)) for label in row] for row in labels]
    names = sorted({span[2] for row in spans for label in row for span in label})
    return unitizing_alphas(spans, lengths, names, seed=seed)[0]


def cluster(votes: Mapping[str, Votes]) -> Mapping[str, Votes]:
    """Give spans that mean one entity the same bounds, so that a majority can form.

    The commonest exact span (then the longest, then the first) leads a cluster; the spans of its
    label that share at least half of the union with it take its bounds, unless the annotator has
    another span there; so on with the rest. Where no annotator's spans overlap, those of a majority
    do not either. Spans that an annotator did not mark are False in its votes, as after ``align``.
    """
    given = {
        name: [u for u, value in mine.items() if value is True] for name, mine in votes.items()
    }
    counts = Counter(unit for units in given.values() for unit in units)
    spans = {unit: json.loads(unit) for unit in counts}
    waiting = sorted(
        counts, key=lambda unit: (-counts[unit], spans[unit][0] - spans[unit][1], spans[unit])
    )
    leader: dict[str, str] = {}
    leaders: dict[str, list[str]] = {}
    for unit in waiting:
        led = leaders.setdefault(spans[unit][2], [])
        share = {other: _share(spans[unit], spans[other]) for other in led}
        near = max(led, key=share.__getitem__, default="")
        leader[unit] = near if share.get(near, 0.0) >= SAME_ENTITY else unit
        if leader[unit] == unit:
            led.append(unit)
    return filled({name: _moved(units, leader, spans) for name, units in given.items()})


def _moved(
    units: Sequence[str], leader: Mapping[str, str], spans: Mapping[str, Sequence[Any]]
) -> Votes:
    """Return one annotator's spans with their leaders' bounds, where that tears nothing down."""
    now = {unit: unit for unit in sorted(units, key=_position)}
    for unit in now:
        if not any(
            _share(spans[leader[unit]], spans[now[other]]) and not _share(spans[unit], spans[other])
            for other in now
            if other != unit
        ):
            now[unit] = leader[unit]
    return dict.fromkeys(now.values(), True)


def filled(votes: Mapping[str, Votes]) -> dict[str, Votes]:
    """Return votes in which a unit that another annotator has and this one lacks is False."""
    units = dict.fromkeys(sorted({unit for mine in votes.values() for unit in mine}, key=_position))
    return {name: {unit: mine.get(unit, False) for unit in units} for name, mine in votes.items()}


def _position(unit: str) -> tuple[Any, ...]:
    return tuple(json.loads(unit))


def _share(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Return the intersection of two spans over their union."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return both / (a[1] - a[0] + b[1] - b[0] - both) if both > 0 else 0.0
