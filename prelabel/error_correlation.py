"""Whether annotators err together, measured on gold: what agreement alone can never show.

Five annotators that share their errors are worth little more than one, and what they all say can
be wrong far more often than five independent ones would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from prelabel.coefficients import code_votes
from prelabel.dawid_skene import Prior
from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, Statistic, bootstrap_each, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prelabel.coefficients import CodedVotes, IntArray
    from prelabel.project import Project
    from prelabel.records import Gold, Value
    from prelabel.votes import Evidence

MOST_ANNOTATORS = 20
"""Of more annotators the pairs are too many to read; those with most gold are compared."""

MOST_LABELS = 200
"""Of more different values there are no error rates to count."""

NEAR_ONE = 0.8
"""Two whose errors correlate at least so are one annotator in effect."""

SURELY = 0.5
"""The least that the lower end of that correlation's interval may be."""

FEW_ERRORS = 5
"""Common errors; fewer may be chance."""

MISSING = -1
NO_ERRORS = "one of the two is never wrong, or always"


@dataclass(frozen=True, slots=True)
class ErrorPair:
    """Two annotators on the ``n`` units of gold that both labeled.

    ``phi`` is the correlation of being wrong: 0 where errors are independent, 1 where they are the
    same. ``both_wrong`` is their share; ``expected`` what independent errors would give.
    ``same_label`` is how often, where both are wrong, they give the same wrong label.
    """

    a: str
    b: str
    n: int
    phi: Estimate
    both_wrong: Estimate
    expected: float | None
    same_label: Estimate


@dataclass(frozen=True, slots=True)
class ErrorCorrelation:
    """How far annotators err together, on gold.

    ``n_items`` gold items have votes of two annotators or more. ``accuracy`` is of each annotator;
    ``mean_phi`` the mean of the pairs' phi where it is defined; ``effective`` how many independent
    annotators these are worth: ``J / (1 + (J - 1) mean_phi)`` (Kish's design effect).
    ``unanimous`` is the share of units with two votes or more whose votes are all the same,
    ``unanimous_wrong`` how often these are wrong, ``independent_wrong`` how often they would be if
    the errors were independent; ``same_label`` as in a pair, over all pairs.
    ``one_in_effect`` are groups of annotators that count as one. ``notes`` say it in words.
    """

    n_items: int
    accuracy: dict[str, Estimate]
    mean_phi: Estimate
    effective: Estimate
    unanimous: Estimate
    unanimous_wrong: Estimate
    independent_wrong: float | None
    same_label: Estimate
    pairs: tuple[ErrorPair, ...] = ()
    one_in_effect: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


class Judged(NamedTuple):
    """Votes beside gold: ``given`` is units x annotators of value numbers, -1 where none."""

    given: IntArray
    truth: IntArray
    item: IntArray
    names: list[str]


def error_correlation(
    votes: pd.DataFrame, gold: pd.DataFrame, values: Sequence[Value] | None = None, seed: int = 0
) -> ErrorCorrelation:
    """Measure how far annotators err together on gold items.

    ``votes`` has the columns item, annotator, unit, value; ``gold`` item, unit, value; ``values``
    are the declared ones, None where any may occur. Units of one item are resampled together.
    Raises InputError for undeclared values and where an annotator or gold has two for one unit.
    """
    judged = judge(votes, gold, values)
    voted, wrong = judged.given >= 0, _wrong(judged)
    accuracy = {
        name: wilson(float((voted[:, j] & ~wrong[:, j]).sum()), int(voted[:, j].sum()))
        for j, name in enumerate(judged.names)
    }
    several = voted.sum(axis=1) > 1
    judged = Judged(
        judged.given[several], judged.truth[several], judged.item[several], judged.names
    )
    places = list(combinations(range(len(judged.names)), 2))
    phis, mean, effective, same = _correlations(judged, places, seed)
    pairs = tuple(_pair(judged, a, b, phi) for (a, b), phi in zip(places, phis, strict=True))
    pairs = tuple(pair for pair in pairs if pair.n)
    unanimous, unanimous_wrong = _unanimity(judged)
    groups = one_in_effect(pairs)
    independent = independent_error(judged)
    left_out = votes["annotator"].nunique() - len(judged.names)
    return ErrorCorrelation(
        n_items=len(np.unique(judged.item)),
        accuracy=accuracy,
        mean_phi=mean,
        effective=effective,
        unanimous=unanimous,
        unanimous_wrong=unanimous_wrong,
        independent_wrong=independent,
        same_label=same,
        pairs=pairs,
        one_in_effect=groups,
        notes=_notes(groups, effective, unanimous_wrong, independent, len(judged.names), left_out),
    )


def project_error_correlation(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    split: str | None = None,
    seed: int = 0,
) -> ErrorCorrelation:
    """Measure how far the project's annotators err together on its gold.

    Gold is ``split``, by default ``test`` if there is one, else all; an annotator does not count
    on items that its prompts used as examples. Raises InputError without gold.
    """
    from prelabel.api import evidence_of
    from prelabel.votes import mixed_people

    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to find errors with; name a file under `gold:` in prelabel.yaml")
    evidence = evidence_of(project, annotators)
    found = errors_of(evidence, gold, seed)
    mixed = mixed_people(project, evidence, "the correlation")
    return replace(found, notes=(*found.notes, *mixed))


def errors_of(evidence: Evidence, gold: Sequence[Gold], seed: int = 0) -> ErrorCorrelation:
    """Measure how far the annotators of some evidence err together on gold."""
    from prelabel.weighing import gold_cases

    cases = gold_cases(evidence, gold)
    votes = pd.DataFrame(
        [
            (case.item, evidence.names[name], case.unit, vote)
            for case in cases
            for name, vote in case.poll.votes.items()
        ],
        columns=["item", "annotator", "unit", "value"],
    )
    truth = pd.DataFrame(
        [(case.item, case.unit, case.truth) for case in cases], columns=["item", "unit", "value"]
    )
    return error_correlation(votes, truth, seed=seed)


def judge(votes: pd.DataFrame, gold: pd.DataFrame, values: Sequence[Value] | None) -> Judged:
    """Return votes on gold units as a matrix, a row a unit, of those with most gold."""
    votes, gold = (t[t["value"].notna()] for t in (votes, gold))
    keys = pd.MultiIndex.from_frame(gold[["item", "unit"]])
    votes = votes[pd.MultiIndex.from_frame(votes[["item", "unit"]]).isin(keys)]
    counts = votes["annotator"].value_counts()
    chosen = sorted(counts.index, key=lambda name: (-counts[name], str(name)))[:MOST_ANNOTATORS]
    votes = votes[votes["annotator"].isin(chosen)]
    if values is None:
        values = sorted({*gold["value"], *votes["value"]}, key=str)  # not as rows happen to come
    coded = code_votes(votes, values)
    known = code_votes(gold.assign(annotator="gold"), values, "gold")
    rows = coded.item * max(len(coded.units), 1) + coded.unit
    units, row = np.unique(rows, return_inverse=True)
    given = np.full((len(units), len(coded.annotators)), MISSING, dtype=np.int64)
    given[row, coded.annotator] = coded.value
    item = units // max(len(coded.units), 1)
    return Judged(given, _truth(coded, known, units), item, coded.annotators)


def _truth(coded: CodedVotes, known: CodedVotes, units: IntArray) -> IntArray:
    """Return the gold value number of each unit."""
    place = {
        (known.items[i], known.units[u]): v
        for i, u, v in zip(known.item, known.unit, known.value, strict=True)
    }
    width = max(len(coded.units), 1)
    return np.array(
        [place[coded.items[at // width], coded.units[at % width]] for at in units.tolist()],
        dtype=np.int64,
    )


def _wrong(judged: Judged) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = (judged.given >= 0) & (judged.given != judged.truth[:, None])
    return wrong


def _pair(judged: Judged, a: int, b: int, phi: Estimate) -> ErrorPair:
    both = (judged.given[:, [a, b]] >= 0).all(axis=1)
    wrong = _wrong(judged)[both][:, [a, b]]
    n, together = int(both.sum()), wrong.all(axis=1)
    same = together & (judged.given[both, a] == judged.given[both, b])
    return ErrorPair(
        judged.names[a],
        judged.names[b],
        n,
        phi,
        wilson(int(together.sum()), n),
        float(wrong[:, 0].mean() * wrong[:, 1].mean()) if n else None,
        wilson(int(same.sum()), int(together.sum()), undefined="the two are never both wrong"),
    )


def _correlations(
    judged: Judged, places: Sequence[tuple[int, int]], seed: int
) -> tuple[list[Estimate], Estimate, Estimate, Estimate]:
    """Return each pair's phi, their mean, the effective number, and the share of same labels."""
    n_items = len(np.unique(judged.item))
    if not places or not n_items:
        nothing = Estimate(None, n=n_items, why="it takes two annotators with votes on gold items")
        return [nothing] * len(places), nothing, nothing, nothing
    statistic, sizes = _statistic(judged, places)
    found = bootstrap_each(statistic, sizes, seed=seed, undefined=NO_ERRORS)
    mean, effective, same = found[len(places) :]
    if same.value is None:
        same = Estimate(None, n=n_items, why="no two annotators are wrong on the same unit")
    return found[: len(places)], mean, effective, same


def _statistic(judged: Judged, places: Sequence[tuple[int, int]]) -> tuple[Statistic, FloatArray]:
    """Return the correlations as a function of weights of alike items, and how many are alike."""
    wrong, voted = _wrong(judged), judged.given >= 0
    alike = np.zeros(len(wrong), dtype=np.int64)
    for i, j in places:
        alike += wrong[:, i] & wrong[:, j] & (judged.given[:, i] == judged.given[:, j])
    # what an item adds depends on who is right, wrong or silent, never on which label it is
    rows = np.column_stack([np.where(voted, wrong, MISSING), alike])
    items, of = np.unique(judged.item, return_inverse=True)
    sizes = np.ones(len(items), dtype=np.int64)
    if len(items) == len(rows):  # one unit an item
        rows, sizes = np.unique(rows, axis=0, return_counts=True)
        of = np.arange(len(rows))
    wrong, voted = rows[:, :-1] == 1, rows[:, :-1] != MISSING
    a, b = (np.array(side) for side in zip(*places, strict=True))
    parts = [
        (voted[:, a] & voted[:, b]),
        (wrong[:, a] & voted[:, b]),
        (voted[:, a] & wrong[:, b]),
        (wrong[:, a] & wrong[:, b]),
    ]
    sums = np.zeros((len(sizes), 4 * len(places) + 1))
    np.add.at(sums, of, np.column_stack([*parts, rows[:, -1]]).astype(np.float64))

    def statistic(weights: FloatArray) -> FloatArray:
        return _phis(weights @ sums, len(judged.names))

    return statistic, sizes.astype(np.float64)


def _phis(sums: FloatArray, annotators: int) -> FloatArray:
    """Return each pair's phi, their mean, the effective number, the share of the same label."""
    n, a, b, both = np.split(sums[:, :-1], 4, axis=1)
    spread = a * (n - a) * b * (n - b)
    phi = (n * both - a * b) / np.sqrt(np.where(spread > 0, spread, np.nan))
    defined = ~np.isnan(phi)
    several = np.where(defined.any(axis=1), defined.sum(axis=1), np.nan)
    mean = np.where(defined, phi, 0).sum(axis=1) / several
    total = both.sum(axis=1)
    same = sums[:, -1] / np.where(total > 0, total, np.nan)
    return np.column_stack([phi, mean, _effective(mean, annotators), same])


def _effective(mean: FloatArray, annotators: int) -> FloatArray:
    """Return ``J / (1 + (J - 1) mean)``, at most J: luck below independence does not count."""
    found: FloatArray = annotators / (1 + (annotators - 1) * np.maximum(mean, 0))
    return found


def _unanimity(judged: Judged) -> tuple[Estimate, Estimate]:
    given, n = judged.given, len(judged.given)
    first = given.max(axis=1, initial=MISSING)
    same = ((given == first[:, None]) | (given == MISSING)).all(axis=1)
    wrong = same & (first != judged.truth)
    return (
        wilson(int(same.sum()), n, undefined="no unit has two votes"),
        wilson(int(wrong.sum()), int(same.sum()), undefined="no unit is unanimous"),
    )


def independent_error(judged: Judged) -> float | None:
    """Return how often unanimous units would be wrong if annotators erred independently.

    Each annotator errs as its own error rates on gold say, given the true value, counted with the
    weak prior of Dawid-Skene, for some values are rare; units have the votes that they have.
    ``sum_t p_t sum_(k != t) prod_j r_j(k | t)`` over ``sum_t p_t sum_k prod_j r_j(k | t)``.
    None where nothing could be unanimous.
    """
    if not len(judged.given):
        return None
    labels = int(max(judged.given.max(), judged.truth.max())) + 1
    if labels > MOST_LABELS:
        return None  # free texts have nothing like error rates between values
    frequency = np.bincount(judged.truth, minlength=labels) / len(judged.truth)
    rates = np.tile(Prior().votes(labels), (judged.given.shape[1], 1, 1))
    for j, column in enumerate(judged.given.T):
        seen = column >= 0
        np.add.at(rates[j], (judged.truth[seen], column[seen]), 1)
    rates /= rates.sum(axis=2, keepdims=True)
    patterns, n = np.unique(judged.given >= 0, axis=0, return_counts=True)
    same = wrong = 0.0
    for pattern, times in zip(patterns, n, strict=True):
        together = rates[pattern].prod(axis=0) * frequency[:, None]
        same += times * float(together.sum())
        wrong += times * float(together.sum() - np.trace(together))
    return float(wrong / same) if same > 0 else None


def one_in_effect(pairs: Sequence[ErrorPair]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of annotators whose errors are nearly the same, names sorted.

    Joined are pairs with five common errors or more and a phi of 0.8 or more whose interval stays
    above 0.5.
    """
    groups: list[set[str]] = []
    for pair in pairs:
        value, low = pair.phi.value, pair.phi.low
        if value is None or value < NEAR_ONE or (pair.both_wrong.value or 0) * pair.n < FEW_ERRORS:
            continue
        if value < 1 - 1e-9 and (low is None or low <= SURELY):
            continue
        joined = {pair.a, pair.b}
        apart = [group for group in groups if not group & joined]
        groups = [*apart, joined.union(*(group for group in groups if group & joined))]
    return tuple(sorted(tuple(sorted(group)) for group in groups))


def _notes(
    groups: Sequence[Sequence[str]],
    effective: Estimate,
    unanimous_wrong: Estimate,
    independent: float | None,
    annotators: int,
    left_out: int,
) -> tuple[str, ...]:
    """Say in words what the figures mean."""
    notes = [
        f"{', '.join(group)} make nearly the same errors: count them as one, keep the best"
        for group in groups
    ]
    if effective.value is not None and annotators > 2 and effective.value < annotators / 2:
        notes.append(
            f"{annotators} annotators are worth {effective.value:.1f} independent ones: "
            "their errors go together"
        )
    low = unanimous_wrong.low
    if low is not None and independent is not None and low > independent:
        notes.append(
            f"{unanimous_wrong.value:.1%} of unanimous labels are wrong, where independent errors "
            f"would leave {independent:.2%}: agreement is no proof"
        )
    if left_out > 0:
        notes.append(
            f"{left_out} annotators left out: without votes on gold, or beyond the "
            f"{MOST_ANNOTATORS} with most"
        )
    return tuple(notes)
