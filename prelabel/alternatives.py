"""The alternative annotator test: may this LLM stand in for one of the people who label.

Each person is left out in turn, and the LLM takes the place: is it as near to the other people as
the person was? The LLM may lose on some more items than it wins, by epsilon, because it costs less.
Source: Calderon, Reichart and Dror 2025 (ACL, pp. 16051-16081).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from prelabel.errors import InputError
from prelabel.estimate import Estimate, FloatArray, bootstrap_each, wilson
from prelabel.human_ceiling import (
    SIMILARITIES,
    Beside,
    Labels,
    Similarity,
    against_others,
    equal,
    labels_of,
    side_by_side,
    similarity_of,
    told_by,
)

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.project import Project
    from prelabel.records import Label
    from prelabel.tasks import Task

Cost = Literal["expert", "skilled", "crowd"]

EPSILON: dict[Cost, float] = {"expert": 0.2, "skilled": 0.15, "crowd": 0.1}
"""By whom the LLM would replace: the dearer the person, the more it may lose (section 3)."""

FEWEST_ITEMS = 30
"""A person with fewer items is not tested."""

PASSING = 0.5
FALSE_DISCOVERIES = 0.05
ENOUGH_PEOPLE = 3
ENOUGH_ITEMS = 100
_CLOSE = 1e-9
_ABSENT = 2.0


@dataclass(frozen=True, slots=True)
class PersonTest:
    """The LLM in the place of one person, on the ``n`` items that it, both and another labeled.

    ``advantage`` is the share of items where the LLM is at least as near to the other people as the
    person; ``difference`` the share where only the person is, less the share where only the LLM is.
    ``p_value`` is that of the t-test of "the difference is epsilon or more", ``p_adjusted`` after
    Benjamini and Yekutieli (2001); ``replaced`` says whether that was rejected. All are None for a
    person who was not tested: ``why``.
    """

    name: str
    n: int
    advantage: Estimate
    difference: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    replaced: bool | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class AltTest:
    """Whether an LLM may stand in for a person.

    ``winning_rate`` is the share of people whom it may replace; it ``passed`` from one half on.
    ``advantage`` is the mean over people of the probability that the LLM is as good as the person
    or better: by it LLMs are compared. Intervals are from resampling items; that of the winning
    rate says how far the verdict hangs on these items. ``beside`` has the scores of the LLM and of
    the people, both against the other people.
    """

    llm: str
    epsilon: float
    similarity: str
    n_items: int
    passed: bool | None
    winning_rate: Estimate
    advantage: Estimate
    people: tuple[PersonTest, ...]
    beside: Beside
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def alt_test(
    project: Project,
    llm: str,
    humans: Sequence[str] = (),
    *,
    epsilon: float | Cost,
    similarity: Similarity | str | None = None,
    seed: int = 0,
) -> AltTest:
    """Test whether an LLM may stand in for the people whose labels were imported as such.

    ``humans`` names some of them. ``epsilon`` is how much the LLM may lose to a person, as a share
    of items, or whom it would replace: see `EPSILON`; it is declared, never chosen by the result.
    ``similarity`` is by default the task's: equality, the Jaccard index of label sets, minus the
    root mean squared distance of ratings (``neg_rmse``; or ``neg_mae``), what overlaps of spans,
    texts and the like; or any function of two labels. Raises ``InputError``.
    """
    return alt_tests(project, [llm], humans, epsilon=epsilon, similarity=similarity, seed=seed)[0]


def alt_tests(
    project: Project,
    llms: Sequence[str] = (),
    humans: Sequence[str] = (),
    *,
    epsilon: float | Cost,
    similarity: Similarity | str | None = None,
    seed: int = 0,
) -> list[AltTest]:
    """Do what `alt_test` does for several LLMs, all if none is named; the best advantage first."""
    margin = epsilon_of(epsilon)
    told = told_by(project, humans, llms)
    name, alike = nearness_of(told.task, similarity)
    found = [
        alt_test_of(told.people, llm, labels, margin, alike, measure=name, seed=seed)
        for llm, labels in told.others.items()
    ]
    if not found:
        raise InputError("alt-test: no annotator beside the people; run `prelabel label` first")
    found.sort(key=lambda one: (-(one.advantage.value or 0.0), one.llm))
    return [replace(one, notes=(*told.notes, *one.notes)) for one in found]


def alt_test_votes(
    votes: pd.DataFrame,
    llm: str,
    humans: Sequence[str],
    *,
    epsilon: float | Cost,
    similarity: Similarity | str = "equal",
    seed: int = 0,
) -> AltTest:
    """Do what `alt_test` does for a table with the columns item, annotator, unit, value.

    Labels are as `labels_of` makes them: the value, or the set of units that are True.
    ``similarity`` is one of `NAMED`, or a function of two labels. Raises ``InputError``.
    """
    margin = epsilon_of(epsilon)
    if isinstance(similarity, str) and similarity not in NAMED:
        raise InputError(f"similarity {similarity!r} is unknown; use one of: {', '.join(NAMED)}")
    labels = labels_of(votes)
    for name in (llm, *humans):
        if name not in labels:
            raise InputError(f"votes: no annotator {name!r}; there are: {', '.join(labels)}")
    people = {name: labels[name] for name in humans}
    alike = NAMED[similarity] if isinstance(similarity, str) else similarity
    measure = similarity if isinstance(similarity, str) else "given"
    return alt_test_of(people, llm, labels[llm], margin, alike, measure=measure, seed=seed)


def epsilon_of(wanted: float | Cost) -> float:
    """Return epsilon as a number. Raises ``InputError`` for what is not one from 0 to 1."""
    found = EPSILON.get(wanted) if isinstance(wanted, str) else float(wanted)
    if found is None or not isfinite(found) or not 0 <= found < 1:
        known = ", ".join(f"{name} ({value})" for name, value in EPSILON.items())
        raise InputError(
            f"epsilon: {wanted!r}; name whom the LLM replaces, {known}, or give 0 to 1"
        )
    return found


def minus_square(a: float, b: float) -> float:
    """Return minus the squared distance of two numbers.

    The mean over the other people is then rooted: minus the RMSE.
    """
    return -((float(a) - float(b)) ** 2)


NAMED = {**SIMILARITIES, "neg_rmse": minus_square}


def nearness_of(task: Task, wanted: Similarity | str | None = None) -> tuple[str, Similarity]:
    """Return what `similarity_of` does; the usual one of ratings is minus the RMSE."""
    if task.name == "rating" and wanted in (None, "neg_rmse"):
        return "neg_rmse", minus_square
    return similarity_of(task, wanted)


def alt_test_of(
    people: Labels,
    llm: str,
    labels: Mapping[str, Label],
    epsilon: float,
    similarity: Similarity = equal,
    *,
    measure: str = "equal",
    seed: int = 0,
) -> AltTest:
    """Do what `alt_test` does for labels by person and item, and the LLM's by item."""
    names = sorted(people)
    theirs = {item for own in people.values() for item in own}
    items = sorted(theirs & set(labels))
    own = against_others(people, items, similarity)
    stand_in = against_others(people, items, similarity, stand_in=labels)
    if similarity is minus_square:
        own, stand_in = -np.sqrt(-own), -np.sqrt(-stand_in)
    lost = _lost(own, stand_in)
    counts = (lost != _ABSENT).sum(axis=0)
    tested = np.flatnonzero(counts >= FEWEST_ITEMS)
    counted = lost[(lost[:, tested] != _ABSENT).any(axis=1)][:, tested]
    table, sizes = np.unique(counted, axis=0, return_counts=True)
    if len(people) < 2 or not len(tested):
        overall = [Estimate(None, why=_untestable(len(people), counts))] * (2 + len(tested))
        tests = None
    else:
        overall = _estimates(table, sizes, epsilon, seed)
        tests = _tests(table, sizes[None].astype(np.float64), epsilon)
    rate = overall[0]
    return AltTest(
        llm=llm,
        epsilon=epsilon,
        similarity=measure,
        n_items=int((lost != _ABSENT).any(axis=1).sum()),
        passed=None if rate.value is None else rate.value >= PASSING,
        winning_rate=rate,
        advantage=overall[1],
        people=_people(names, counts, tested, tests, overall[2:]),
        beside=side_by_side(llm, own, stand_in, measure, seed),
        notes=_notes(epsilon, counts, len(theirs) - len(items), overall),
    )


class _Tests(NamedTuple):
    """Of each row of weights: figures of each tested person, and the winning rate."""

    advantage: FloatArray
    difference: FloatArray
    p: FloatArray
    adjusted: FloatArray


def _lost(own: FloatArray, stand_in: FloatArray) -> FloatArray:
    """Return 1 where only the person is as near, -1 where only the LLM is, 0 where both are."""
    gap = own - stand_in
    signs = np.where(gap > _CLOSE, 1.0, np.where(gap < -_CLOSE, -1.0, 0.0))
    return np.where(np.isnan(gap), _ABSENT, signs)


def _tests(table: FloatArray, weights: FloatArray, epsilon: float) -> _Tests:
    """Test each person; ``table`` is patterns x people, ``weights`` resamples x patterns.

    The one-sided t-test of the mean difference against epsilon; where all differences are the same
    there is nothing to test, and p is 0 or 1. Not a number where a person has fewer than two items.
    """
    from scipy.special import stdtr
    from scipy.stats import false_discovery_control

    present = (table != _ABSENT).astype(np.float64)
    signs = np.where(table == _ABSENT, 0.0, table)
    n = weights @ present
    enough = n > 1
    n = np.where(enough, n, 2.0)
    mean = (weights @ signs) / n
    variance = np.maximum((weights @ signs**2 - n * mean**2) / (n - 1), 0.0)
    spread = np.sqrt(variance / n)
    flat = spread < _CLOSE
    t = (mean - epsilon) / np.where(flat, 1.0, spread)
    p = np.where(flat, np.where(mean < epsilon - _CLOSE, 0.0, 1.0), stdtr(n - 1, t))
    adjusted = false_discovery_control(p, axis=1, method="by")
    advantage = (weights @ (present * (table < 1))) / n
    whole = enough.all(axis=1, keepdims=True)
    return _Tests(*(np.where(whole, x, np.nan) for x in (advantage, mean, p, adjusted)))


def _estimates(table: FloatArray, sizes: Any, epsilon: float, seed: int) -> list[Estimate]:
    """Return the winning rate, the mean advantage, and each person's."""

    def figures(weights: FloatArray) -> FloatArray:
        found = _tests(table, weights, epsilon)
        undefined = np.isnan(found.adjusted).any(axis=1)
        rate = np.where(undefined, np.nan, (found.adjusted <= FALSE_DISCOVERIES).mean(axis=1))
        return np.column_stack([rate, found.advantage.mean(axis=1), found.advantage])

    # percentiles also for few items: the winning rate jumps, which a jackknife cannot follow
    rate, *shares = bootstrap_each(figures, sizes, seed=seed, jackknife_below=0)
    return [rate, *(_bounded(share) for share in shares)]


def _bounded(share: Estimate) -> Estimate:
    """Return a share with Wilson's interval where it is 0 or 1, which resampling cannot bound."""
    if share.value is None or min(share.value, 1 - share.value) > _CLOSE:
        return share
    return wilson(round(share.value * share.n), share.n)


def _people(
    names: Sequence[str],
    counts: Any,
    tested: Any,
    tests: _Tests | None,
    advantages: Sequence[Estimate],
) -> tuple[PersonTest, ...]:
    place = {int(at): row for row, at in enumerate(tested)}
    found = []
    for at, name in enumerate(names):
        n = int(counts[at])
        if tests is None or at not in place:
            why = f"{n} items, fewer than {FEWEST_ITEMS}"
            found.append(PersonTest(name, n, Estimate(None, n=n, why=why), why=why))
            continue
        row = place[at]
        difference, p, adjusted = (
            float(x[0, row]) for x in (tests.difference, tests.p, tests.adjusted)
        )
        advantage = _bounded(replace(advantages[row], n=n))
        replaced = adjusted <= FALSE_DISCOVERIES
        found.append(PersonTest(name, n, advantage, difference, p, adjusted, replaced))
    return tuple(found)


def _untestable(people: int, counts: Any) -> str:
    if people < 2:
        return f"labels of {people} people; the test needs two or more an item"
    most = int(max(counts, default=0))
    return (
        f"no person has {FEWEST_ITEMS} items that the LLM and another person labeled, too; "
        f"the most is {most}"
    )


def _notes(
    epsilon: float, counts: Any, unlabeled: int, overall: Sequence[Estimate]
) -> tuple[str, ...]:
    """Say what the verdict does not."""
    found = []
    tested = int((counts >= FEWEST_ITEMS).sum())
    if tested < len(counts):
        few = f"have fewer than {FEWEST_ITEMS} items with the LLM and another person"
        found.append(f"{len(counts) - tested} of {len(counts)} people were not tested: they {few}")
    if unlabeled:
        found.append(
            f"the LLM has no label for {unlabeled} items that people labeled; the test says "
            "nothing about these"
        )
    if overall[0].value is None:
        return tuple(found)
    if tested < ENOUGH_PEOPLE:
        found.append(f"{tested} tested people; {ENOUGH_PEOPLE} or more are recommended")
    if epsilon >= EPSILON["skilled"]:
        found.append(
            f"with epsilon {epsilon:g} an LLM that is clearly worse than the people can pass: read "
            "the advantage and both scores, too"
        )
    if min(counts[counts >= FEWEST_ITEMS]) < ENOUGH_ITEMS and overall[0].value < PASSING:
        found.append(
            f"with fewer than {ENOUGH_ITEMS} items a person, an LLM as good as the people often "
            "fails: that it did not pass shows little"
        )
    return tuple(found)
