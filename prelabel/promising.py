"""A rule, gold and the pool -> the same rule with a confidence and a promise about errors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from prelabel.aggregate import fit_majority
from prelabel.confidence import (
    Judged,
    confidences,
    fit_confidence,
    folds_of,
    on_one_scale,
    unlike_gold,
)
from prelabel.errors import InputError
from prelabel.known import Known, known_well
from prelabel.promises import grouped
from prelabel.records import content_hash
from prelabel.shift import names_in, promise_notes
from prelabel.weighing import held_out_by_fold
from prelabel.weighted_promises import Independent, independent_gold

if TYPE_CHECKING:
    from prelabel.confidence_report import ConfidenceReport
    from prelabel.decide import DecisionRule
    from prelabel.estimate import FloatArray
    from prelabel.promise import Promise
    from prelabel.promise_tests import BoolArray
    from prelabel.records import Consensus, Gold, Item, Label
    from prelabel.settings import DecideConfig
    from prelabel.tasks import Task
    from prelabel.votes import Evidence
    from prelabel.weighing import Weighed

LABEL = "label"
"""Asks for a promise of each label, where it stands in place of a metadata column."""

UNLIKE = "unlike any gold item: gold says nothing of such"

ALL = ""
"""The group of a promise about all items together."""

FEW_ALIKE = 10
"""So many gold items of one label are hardly chance."""

MOST_GROUPS = 50
TOGETHER = 5000
"""Items whose confidence is computed at once."""


class Judgement(NamedTuple):
    """One item's confidence, None where it is never accepted, and the promise's group it is in."""

    one: Known
    sure: float | None
    group: str

    @property
    def score(self) -> float:
        """What a promise is tested on; nan where the item is never accepted."""
        return float("nan") if self.one.bars or self.sure is None else self.sure


def with_promise(
    rule: DecisionRule,
    evidence: Evidence,
    config: DecideConfig,
    gold: Sequence[Gold],
    items: Iterable[Item],
    *,
    test: Sequence[Gold] | None = None,
    seed: int = 0,
) -> tuple[DecisionRule, ConfidenceReport]:
    """Return a rule with confidence and promise, and what the confidence is worth.

    ``gold`` is what the rule may learn from. Without ``test`` the promise is tested on it, too, by
    cross-fitting: each gold item's confidence is from a fit that did not see the item. ``test`` is
    other gold, for a test that is exact. Raises ``InputError`` where no gold item has votes.
    """
    pool = {item.id: item for item in items if _labeled(evidence, rule, item.id)}
    learnt = learn_confidence(rule, evidence, gold, pool, config, seed=seed)
    rule = learnt.rule
    if test is None:
        tested = learnt.gold
        found = [
            Judgement(one, learnt.sure.get(one.item_id), _group(config.each, pool, one.consensus))
            for one in learnt.rows
        ]
    else:
        tested = usable(test, evidence, rule, pool)
        found = list(judge(rule, evidence, (pool[g.item_id] for g in tested), config.each))
    promises = _promises(rule, evidence, config, list(zip(tested, found, strict=True)), pool)
    return replace(
        rule,
        promise={
            "kind": config.promise,
            "each": config.each,
            "strict": test is not None,
            "tested_on": content_hash([[g.item_id, g.label] for g in tested if not g.drawn]),
            "groups": {group: promise.to_dict() for group, promise in promises.items()},
        },
    ), learnt.report


class Learnt(NamedTuple):
    """A rule with its confidence, and what it made of its own gold without learning from it.

    ``rows`` are in the order of ``gold``. ``sure`` is each gold item's confidence by a fit that did
    not see it, on the scale of the rule: what a promise is tested on.
    """

    rule: DecisionRule
    report: ConfidenceReport
    gold: Sequence[Gold]
    rows: Sequence[Known]
    sure: Mapping[str, float]


def learn_confidence(
    rule: DecisionRule,
    evidence: Evidence,
    gold: Sequence[Gold],
    pool: Mapping[str, Item],
    config: DecideConfig | None = None,
    *,
    seed: int = 0,
) -> Learnt:
    """Fit the confidence of a rule on gold, and cross-fit it for the gold items themselves.

    ``pool`` are the items to be labeled, by id, gold among them. By the promise of ``config`` the
    report says what each kind of signal would accept. Raises ``InputError`` where no gold item has
    votes.
    """
    learn = usable(gold, evidence, rule, pool)
    unseen: Mapping[str, Weighed] = {}
    fold: Mapping[str, int] = {}
    if rule.learned:
        unseen, fold = held_out_by_fold(evidence, learn, rule.params, rule.annotators)
    rows = [known_well(evidence, rule, pool[g.item_id], unseen.get(g.item_id)) for g in learn]
    judged = [
        Judged(one.item_id, one.signals, one.text, _right(evidence, g.label, one))
        for g, one in zip(learn, rows, strict=True)
        if one.consensus.label is not None
    ]
    if not judged:
        raise InputError("promise: no gold item has votes; label the gold items first")
    fold = {**folds_of(judged, seed), **fold}  # the aggregator's where it has some
    accepting = None if config is None else partial(_accepted, config)
    params, report, held_out = fit_confidence(judged, folds=fold, seed=seed, accepting=accepting)
    rule = replace(rule, confidence=params, gold=len(judged))
    nan = float("nan")
    sure = on_one_scale(
        [one.item_id for one in rows],
        np.array([nan if one.bars else held_out.get(one.item_id, nan) for one in rows]),
        _as_routed(rule, evidence, rows, pool, held_out),
        [fold.get(one.item_id, 0) for one in rows],
    )
    told = {rows[at].item_id: float(sure[at]) for at in np.flatnonzero(~np.isnan(sure))}
    return Learnt(rule, report, learn, rows, told)


def _accepted(config: DecideConfig, scores: FloatArray, wrong: BoolArray) -> float:
    """Return the share of gold that a promise would accept by these confidences."""
    alike = [ALL] * len(scores)
    found = grouped(
        scores,
        wrong,
        alike,
        scores,
        alike,
        declared=[ALL],
        target=config.target,
        delta=config.delta,
        kind=config.promise or "selective",
    )
    return found[ALL].coverage.value or 0.0


def _as_routed(
    rule: DecisionRule,
    evidence: Evidence,
    rows: Sequence[Known],
    pool: Mapping[str, Item],
    learned: Collection[str],
) -> FloatArray:
    """Return the confidence that the rule, which saw them, has in gold items; nan: not accepted."""
    if rule.learned:
        rows = [known_well(evidence, rule, pool[one.item_id]) for one in rows]
    found = np.full(len(rows), np.nan)
    here = [at for at, one in enumerate(rows) if one.item_id in learned and one.signals.groups]
    assert rule.confidence is not None
    found[here] = confidences(
        rule.confidence,
        ((rows[at].signals, rows[at].text) for at in here),
        [rows[at].item_id for at in here],
    )
    found[[at for at, one in enumerate(rows) if one.bars]] = np.nan
    return found


def usable(
    gold: Sequence[Gold], evidence: Evidence, rule: DecisionRule, items: Mapping[str, Item]
) -> list[Gold]:
    """Return the gold of labeled items that no annotator's prompt used as an example."""
    shown = {
        item
        for given in evidence.items.values()
        for a in given
        if a.annotator in rule.annotators
        for item in a.shown
    }
    return [g for g in gold if g.item_id in items and g.item_id not in shown]


def judge(
    rule: DecisionRule, evidence: Evidence, items: Iterable[Item], each: str | None
) -> Iterator[Judgement]:
    """Yield what a rule with a confidence makes of items, many computed at once."""
    assert rule.confidence is not None
    waiting = iter(items)
    while some := {item.id: item for item in islice(waiting, TOGETHER)}:
        rows = [known_well(evidence, rule, item) for item in some.values()]
        voted = [one for one in rows if one.consensus.label is not None]
        told = confidences(
            rule.confidence,
            ((one.signals, one.text) for one in voted),
            [one.item_id for one in voted],
        )
        sure = {one.item_id: float(p) for one, p in zip(voted, told, strict=True)}
        unlike = unlike_gold(rule.confidence, [one.text for one in rows])
        for one, strange in zip(rows, unlike, strict=True):
            if strange:
                one = one._replace(bars=(*one.bars, UNLIKE))  # noqa: PLW2901
            yield Judgement(one, sure.get(one.item_id), _group(each, some, one.consensus))


def _group(each: str | None, items: Mapping[str, Item], consensus: Consensus) -> str:
    if each is None:
        return ALL
    meta = items[consensus.item_id].meta
    return written(consensus.label if each == LABEL else meta.get(each))


def written(value: Any) -> str:
    """Return the name of a group: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _promises(
    rule: DecisionRule,
    evidence: Evidence,
    config: DecideConfig,
    tested: Sequence[tuple[Gold, Judgement]],
    pool: Mapping[str, Item],
) -> dict[str, Promise]:
    """Return the promise of each group, tested on gold that was drawn at random."""
    own = {g.item_id for g, _ in tested}
    others = [
        j
        for j in judge(rule, evidence, pool.values(), config.each)
        if config.promise != "expected" or j.one.item_id not in own
    ]
    drawn = [(g, j) for g, j in tested if not g.drawn]
    if not drawn:
        how = ", ".join(sorted({g.drawn for g, _ in tested}))
        raise InputError(
            f"decide: promise: all gold was drawn by {how}; a promise needs items drawn at random"
        )
    notes = []
    if left := len(tested) - len(drawn):
        notes.append(f"{left} gold items were not drawn at random: nothing is tested on them")
    notes += _unlike_pool(rule, evidence, [g for g, _ in drawn], pool.keys() - own)
    notes += [*_one_label([g for g, _ in drawn], evidence.task), *_all_barred(others)]
    scores = np.array([j.score for _, j in drawn])
    wrong = np.array([not _right(evidence, g.label, j.one) for g, j in drawn])
    groups = [j.group for _, j in drawn]
    if any(g.chance or g.cluster for g, _ in drawn):
        if config.each is not None:
            raise InputError(
                "decide: each: gold with chances or clusters makes one promise about all items; "
                "leave each out"
            )
        scores, wrong, note = as_if_at_random(scores, wrong, [g for g, _ in drawn])
        groups = [ALL] * len(scores)
        notes.append(note)
    found = grouped(
        scores,
        wrong,
        groups,
        [j.score for j in others],
        [j.group for j in others],
        declared=_declared(config.each, evidence, pool),
        target=config.target,
        delta=config.delta,
        kind=config.promise or "selective",
    )
    return {group: promise.noted(*notes) for group, promise in found.items()}


def _unlike_pool(
    rule: DecisionRule, evidence: Evidence, gold: Sequence[Gold], others: Collection[str]
) -> tuple[str, ...]:
    """Note where gold's consensus labels are shared out otherwise than the other items'.

    What counts votes without having learned from gold makes both: else they would differ by that.
    """
    if names_in(evidence.task) is None or any(g.chance or g.cluster for g in gold):
        return ()  # with chances they are to differ, and of a cluster they go together
    if rule.learned:
        params = fit_majority((), source="majority", ties="priority", priority=rule.annotators)
        rule = replace(rule, params=params)
    said = {
        item: rule.consensus(evidence.ballot(item), evidence.task).label
        for item in (*(g.item_id for g in gold), *others)
    }
    labels = {item: label for item, label in said.items() if label is not None}
    return promise_notes(labels, [g.item_id for g in gold], evidence.task)


def _one_label(gold: Sequence[Gold], task: Task) -> Iterator[str]:
    """Note where gold knows one label only: then to give it to everything is never wrong."""
    labels = {content_hash(g.label) for g in gold}
    if len(labels) == 1 and names_in(task) is not None and len(gold) >= FEW_ALIKE:
        yield (
            f"all {len(gold)} gold items have the label {written(gold[0].label)}: nothing is known "
            "of other labels; see that gold was drawn at random, whatever its label"
        )


def _all_barred(judged: Sequence[Judgement]) -> Iterator[str]:
    """Note why no item may be accepted, however sure the rule is."""
    if judged and all(j.one.bars for j in judged):
        bars = Counter(bar for j in judged for bar in j.one.bars)
        [(bar, n)] = bars.most_common(1)
        yield f"no item may be accepted: {bar} ({n} of {len(judged)} items)"


def as_if_at_random(scores: Any, wrong: Any, gold: Sequence[Gold]) -> Independent:
    """Return the gold items to keep so that they are as good as drawn item by item at random."""
    if any(g.chance for g in gold) and any(g.cluster for g in gold):
        raise InputError("decide: promise: gold has chances and clusters; a promise takes just one")
    if any(g.cluster for g in gold):
        clusters = [g.cluster or f"\0{g.item_id}" for g in gold]
        return independent_gold(scores, wrong, clusters=clusters)
    return independent_gold(scores, wrong, weights=[1 / (g.chance or 1.0) for g in gold])


def _declared(each: str | None, evidence: Evidence, pool: Mapping[str, Item]) -> list[str]:
    """Return the groups that there are to be promises for, known without looking at gold."""
    if each is None:
        return [ALL]
    if each == LABEL:
        values = None if evidence.task.name == "multi-label" else evidence.task.values()
        if values is None:
            raise InputError(
                f"decide: each: label is for single declared labels, and the task is "
                f"{evidence.task.name}; leave it out, or name a metadata column"
            )
        return [written(value) for value in values]
    columns = sorted({name for item in pool.values() for name in item.meta})
    if each not in columns:
        known = ", ".join(columns) or "none"
        raise InputError(f"decide: each: no metadata column {each!r}; there are: {known}")
    groups = sorted({written(item.meta.get(each)) for item in pool.values()})
    if len(groups) > MOST_GROUPS:
        raise InputError(
            f"decide: each: {each} has {len(groups)} values; a promise for each wants "
            f"{MOST_GROUPS} at most"
        )
    return groups


def _labeled(evidence: Evidence, rule: DecisionRule, item_id: str) -> bool:
    return any(a.annotator in rule.annotators for a in evidence.items.get(item_id, ()))


def _right(evidence: Evidence, gold: Label, one: Known) -> bool:
    label = one.consensus.label
    return label is not None and evidence.task.right(gold, label)
