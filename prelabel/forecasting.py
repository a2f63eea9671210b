"""forecast(): before the rest is labeled, what a promise would accept, and what is left to pay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from prelabel.config import changed
from prelabel.errors import InputError
from prelabel.escalation import waiting
from prelabel.estimate import Estimate
from prelabel.fitting import fit_all
from prelabel.promise_plan import TARGETS, Forecast, predict
from prelabel.promising import as_if_at_random, judge, learn_confidence

if TYPE_CHECKING:
    from prelabel.decide import DecisionRule
    from prelabel.estimate import FloatArray
    from prelabel.project import Project
    from prelabel.promise import Kind
    from prelabel.promise_tests import BoolArray
    from prelabel.records import Gold, Item
    from prelabel.settings import DecideConfig
    from prelabel.votes import Evidence

GOOD_PILOT = 100
"""Fewer gold items make a forecast so wide that it says little."""

TIMES = (1, 2, 4)
"""How much gold is foreseen where no numbers are given: as much as the pilot has, and more."""

UNKNOWN = "a price is unknown"
NOT_ASKED = "no cost of a review was given"


class OnGold(NamedTuple):
    """What a promise is tested on: gold items' scores and verdicts, and all items' scores.

    A score is nan where the item is never accepted. Those of gold, in ``pool`` too, are from fits
    that did not see the item. Of ``size`` gold items with votes those are there that are as good as
    drawn at random. ``labeled`` items have votes.
    """

    rule: DecisionRule
    size: int
    labeled: int
    scores: FloatArray
    wrong: BoolArray
    pool: FloatArray
    notes: tuple[str, ...] = ()

    @property
    def tested(self) -> int:
        """How many gold items a promise can be tested on."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Labeling:
    """What one annotator has left: ``items`` to label, and the dollars, from its mean so far."""

    annotator: str
    items: int
    dollars: Estimate


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one promise with ``forecast.gold`` gold items would mean for all items of the project.

    ``reviews`` are those of all items, labeled or not yet; ``more_gold`` the gold items to label
    before. ``review_dollars`` and ``review_hours`` are of both, ``dollars`` with labeling the rest.
    """

    forecast: Forecast
    reviews: Estimate
    more_gold: int
    review_dollars: Estimate
    review_hours: Estimate
    dollars: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Forecasts:
    """The forecasts of a project from its pilot.

    ``labeled`` of ``items`` have votes. Of ``pilot`` gold items with votes ``tested`` are as good
    as drawn at random, and ``wrong`` of these have another consensus than gold.
    """

    kind: Kind
    delta: float | None
    items: int
    labeled: int
    pilot: int
    tested: int
    wrong: int
    labeling: tuple[Labeling, ...]
    rows: tuple[Outlook, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def forecast(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    targets: Sequence[float] = TARGETS,
    promise: Kind | None = None,
    delta: float | None = None,
    gold: Sequence[int] = (),
    review_cost: float | None = None,
    review_minutes: float | None = None,
    seed: int = 0,
) -> Forecasts:
    """Foresee coverage, reviews and cost for several targets, from gold labeled by all annotators.

    Gold is the pilot: 100 to 200 items drawn at random from all. ``promise`` and ``delta`` are the
    project's if None; ``gold`` are numbers of gold items to foresee, by default once, twice and
    four times the pilot's. ``review_cost`` is in dollars and ``review_minutes`` in minutes a
    review. Raises ``InputError`` without gold, for a pilot of fewer than 30 items, and for settings
    that cannot be.
    """
    from prelabel.api import evidence_of

    _check_reviews(review_cost, review_minutes)
    asked = {"promise": promise or project.config.decide.promise or "selective"}
    config = changed(project.config.decide, asked | ({} if delta is None else {"delta": delta}))
    own = project.fitting_gold(config.split)
    if not own:
        raise InputError("no gold to forecast from; name a file under `gold:` in prelabel.yaml")
    evidence = evidence_of(project, annotators)
    pilot = scores_on_gold(evidence, config, own, project.items(), seed=seed)
    items = len(evidence.items)
    sizes = _sizes(gold, pilot.size, items)
    tested = pilot.tested / (2 if config.strict else 1) / pilot.size
    kind: Kind = config.promise or "selective"
    found = [
        replace(one, gold=size)
        for size in sizes
        for one in predict(
            pilot.scores,
            pilot.wrong,
            pilot.pool,
            targets,
            gold_planned=[int(size * tested) if size > 0 else size],
            delta=config.delta,
            kind=kind,
            seed=seed,
        )
    ]
    labeling = tuple(labeling_left(evidence, pilot.rule, config))
    wrong = int(pilot.wrong.sum())
    return Forecasts(
        kind,
        None if kind == "expected" else config.delta,
        items,
        pilot.labeled,
        pilot.size,
        pilot.tested,
        wrong,
        labeling,
        tuple(
            _outlook(one, items, pilot.size, labeling, review_cost, review_minutes) for one in found
        ),
        (*evidence.notes, *pilot.notes, *_notes(config, pilot.tested, wrong)),
    )


def _sizes(gold: Sequence[int], pilot: int, items: int) -> list[int]:
    """Return the numbers of gold items to foresee: no more than there are items."""
    for size in gold:
        if size > items:
            raise InputError(f"forecast: {size} gold items planned, and there are {items} items")
    return list(dict.fromkeys(gold or [min(pilot * times, items) for times in TIMES]))


def scores_on_gold(
    evidence: Evidence,
    config: DecideConfig,
    gold: Sequence[Gold],
    items: Iterable[Item],
    *,
    seed: int = 0,
) -> OnGold:
    """Return what the promise of a rule fitted on all the gold would be tested on.

    Only items with votes count. Raises ``InputError`` where no gold item has any.
    """
    rule = fit_all(evidence, changed(config, {"promise": None}), gold=gold).rule
    evidence = rule.seen(evidence)
    voted = {item for item, own in evidence.items.items() if any(a.label is not None for a in own)}
    pool = {item.id: item for item in items if item.id in voted}
    learnt = learn_confidence(rule, evidence, gold, pool, seed=seed)
    wrong = [
        one.consensus.label is None or not evidence.task.right(g.label, one.consensus.label)
        for g, one in zip(learnt.gold, learnt.rows, strict=True)
    ]
    scores = [learnt.sure.get(one.item_id, float("nan")) for one in learnt.rows]
    known = {one.item_id for one in learnt.rows}
    rest = (item for name, item in pool.items() if name not in known)
    # while items wait for a strong annotator the pool is not what it will be: gold alone is
    waits = any(waiting(evidence, rule, item) for item in pool)
    others = [] if waits else judge(learnt.rule, evidence, rest, None)
    every = np.array([*scores, *(one.score for one in others)])
    drawn = at_random(learnt.gold, scores, wrong)
    n = len(learnt.gold)
    return OnGold(learnt.rule, n, len(voted), drawn.scores, drawn.wrong, every, drawn.notes)


class Drawn(NamedTuple):
    """Gold items as good as drawn at random, and notes on those left out."""

    scores: FloatArray
    wrong: BoolArray
    notes: tuple[str, ...]


def at_random(gold: Sequence[Gold], scores: Sequence[float], wrong: Sequence[bool]) -> Drawn:
    """Return the gold that a promise may be tested on. Raises ``InputError`` where none may be."""
    kept = [at for at, g in enumerate(gold) if not g.drawn]
    if not kept:
        how = ", ".join(sorted({g.drawn for g in gold}))
        raise InputError(f"forecast: all gold was drawn by {how}; it takes items drawn at random")
    own = [gold[at] for at in kept]
    left = len(gold) - len(own)
    notes = [f"{left} gold items were not drawn at random: left out"] if left else []
    values, bad = np.array(scores)[kept], np.array(wrong)[kept]
    if any(g.chance or g.cluster for g in own):
        values, bad, note = as_if_at_random(values, bad, own)
        notes.append(note)
    return Drawn(values, bad, tuple(notes))


def labeling_left(evidence: Evidence, rule: DecisionRule, config: DecideConfig) -> list[Labeling]:
    """Return what each of the rule's annotators has left to label, and the dollars for it.

    The interval of the dollars is Student's for the mean of an annotation. An annotation that was
    answered from the cache counts as what it once cost.
    """
    columns, n = evidence.columns, len(evidence.items)
    found = []
    for name in rule.annotators:
        own = columns.by([name])
        left = n - len(np.unique(own.item))
        if config.escalate and evidence.names[name] == config.escalate.to:
            begun = [item for item, given in evidence.items.items() if given]
            left = sum(bool(waiting(evidence, rule, item)) for item in begun)
            left += int(config.escalate.share * (n - len(begun)))
        found.append(Labeling(evidence.names[name], left, _dollars(own.cost, left)))
    return found


def _dollars(costs: FloatArray, times: int) -> Estimate:
    n = len(costs)
    if not times:
        return Estimate(0.0, 0.0, 0.0, n)
    if not n or np.isnan(costs).any():
        return Estimate(None, n=n, why=UNKNOWN)
    mean = float(costs.mean())
    if n < 2:
        return Estimate(times * mean, n=n, why="one annotation only")
    half = float(stdtrit(n - 1, 0.975)) * float(costs.std(ddof=1)) / n**0.5
    return Estimate(times * mean, times * max(mean - half, 0.0), times * (mean + half), n)


def _outlook(
    one: Forecast,
    items: int,
    pilot: int,
    labeling: Sequence[Labeling],
    review_cost: float | None,
    review_minutes: float | None,
) -> Outlook:
    reviews = scaled(one.coverage, -items, items)
    more = max(one.gold - pilot, 0)
    people = scaled(reviews, 1, more)
    paid = scaled(people, review_cost) if review_cost is not None else _not_asked(people.n)
    took = scaled(people, review_minutes / 60) if review_minutes is not None else None
    return Outlook(
        one,
        reviews,
        more,
        paid,
        took or _not_asked(people.n),
        _together([paid, *(left.dollars for left in labeling)], one.coverage.n),
    )


def _not_asked(n: int) -> Estimate:
    return Estimate(None, n=n, why=NOT_ASKED)


def scaled(one: Estimate, times: float, plus: float = 0.0) -> Estimate:
    """Return ``times`` an estimate ``plus`` a constant, the interval turned where it is negative.

    Nothing is made of an estimate that is not defined.
    """
    if one.value is None:
        return one
    value = plus + times * one.value
    if one.low is None or one.high is None:
        return Estimate(value, n=one.n, why=one.why)
    ends = sorted((plus + times * one.low, plus + times * one.high))
    return Estimate(value, ends[0], ends[1], one.n)


def _together(parts: Sequence[Estimate], n: int) -> Estimate:
    """Return a sum with the sum of the intervals: cautious, whatever hangs together."""
    lows, values, highs = [], [], []
    for part in parts:
        if part.value is None:
            return Estimate(None, n=n, why=part.why)
        values.append(part.value)
        lows.append(part.value if part.low is None else part.low)
        highs.append(part.value if part.high is None else part.high)
    return Estimate(sum(values), sum(lows), sum(highs), n)


def _check_reviews(cost: float | None, minutes: float | None) -> None:
    for what, given in (("cost", cost), ("minutes", minutes)):
        if given is not None and not 0 <= given < float("inf"):
            raise InputError(f"forecast: review {what}: must be 0 or more, got {given:g}")


def _notes(config: DecideConfig, pilot: int, wrong: int) -> list[str]:
    notes = [
        "gold is taken to be a random part of all items; a forecast from other gold is of no use",
        "the confidence is taken as the pilot's gold makes it; more gold may make it a bit better",
    ]
    if pilot < GOOD_PILOT:
        notes.append(f"a pilot of {pilot} gold items; {GOOD_PILOT} to 200 make the ranges narrower")
    if not wrong:
        notes.append("no gold item is wrong: how errors spread over the scores is a guess")
    if config.each:
        notes.append("foreseen is a promise about all items together, not one for each part")
    return notes
