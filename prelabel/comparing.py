"""Which annotator is better: pairs of annotators on the gold items that both labeled.

An annotator may be a model, a prompt, a person, or one of these under an earlier guideline. A
difference counts as shown only after correction for the number of tests; all else is a tie, which
says that these gold items do not tell, not that there is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from prelabel.answer_sheet import (
    ABSENT,
    RIGHT,
    UNLABELED,
    WRONG,
    Answers,
    Failures,
    answers_of_labels,
    answers_of_votes,
)
from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.gold_sizes import items_for_difference
from prelabel.leaderboard import Standing, cheapest, standings
from prelabel.paired import Correction, corrected, mcnemar, noninferior_p, tango
from prelabel.paired_metrics import metric_difference

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.project import Project
    from prelabel.records import Value

    Verdict = Literal["better", "worse", "tie"]

ALPHA = 0.05
MOST_COMPARED, MOST_SLICES = 50, 20
FEW_DISCORDANT = 10  # with fewer items that just one of two gets right hardly anything shows

FEW_ITEMS = 30  # of fewer the difference is hardly known
NOTHING = "no item that both labeled"


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether the first is worse than the second by less than ``margin``.

    ``low`` is the lower end of Tango's 90% interval of the difference; ``p`` is that of the
    one-sided test and ``p_corrected`` the same for all comparisons made. ``shown`` goes by the
    latter at .05.
    """

    margin: float
    low: float | None
    p: float
    p_corrected: float
    shown: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Annotator ``a`` against ``b`` on the ``n`` gold items that count for both.

    ``only_a`` items only ``a`` got right, ``only_b`` only ``b``; ``one_sided`` items count for just
    one of the two and are not used. ``difference`` is in accuracy, a minus b, with Tango's
    interval, which is of this pair alone. ``p`` is McNemar's mid-p, ``p_corrected`` for all
    comparisons made, and the ``verdict`` on ``a`` goes by it. ``metric_difference`` is of the
    task's own figure. ``items_needed`` of a tie are the gold items that would tell them apart in
    four of five cases (without correction), were the difference just the one seen; of 30 items up.
    """

    a: str
    b: str
    n: int
    one_sided: int
    only_a: int
    only_b: int
    accuracy_a: Estimate
    accuracy_b: Estimate
    difference: Estimate
    p: float
    p_corrected: float
    verdict: Verdict
    metric: str
    metric_difference: Estimate
    noninferior: NonInferiority | None = None
    items_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """What `compare` finds.

    ``standings`` has the annotators best first; it is empty with a ``baseline``, since only the
    pairs with it are then tested. ``slices`` has the comparisons in each part of the gold, all
    corrected together. ``cheapest`` is the cheapest annotator of rank 1, where prices are known.
    """

    gold: int
    comparisons: tuple[Comparison, ...]
    standings: tuple[Standing, ...]
    baseline: str | None
    failures: Failures
    correction: Correction
    cheapest: str | None = None
    slices: Mapping[str, tuple[Comparison, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


def compare(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    baseline: str | None = None,
    margin: float | None = None,
    split: str | None = None,
    failures: Failures = "left out",
    correction: Correction = "holm",
    guidelines: Sequence[str] = (),
    by: str | None = None,
    seed: int = 0,
) -> Compared:
    """Compare annotators by the gold items that both of two labeled.

    All pairs are compared, or with ``baseline`` each annotator with that one; then ``margin`` (such
    as .03) asks also who is worse than it by less than that. ``failures`` says what becomes of
    items where an annotator failed or abstained. ``guidelines`` are hashes of earlier guidelines,
    or their first digits: the labels made under them compete, too, as ``name @ hash``. ``by`` is a
    metadata column that parts the gold. Raises InputError without gold, or with fewer than two
    annotators.
    """
    from prelabel.api import evidence_of
    from prelabel.versions import with_earlier
    from prelabel.votes import missing_gold, outcome_table

    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to compare by; name a file under `gold:` in prelabel.yaml")
    wanted = dict.fromkeys(annotators)
    if wanted and baseline:
        wanted |= {baseline.split(" @ ")[0]: None}
    evidence = with_earlier(project, evidence_of(project, list(wanted)), guidelines)
    answers = answers_of_labels(
        evidence.labels(),
        outcome_table(evidence),
        {g.item_id: g.label for g in gold},
        evidence.task,
    )
    parts = {item.id: item.meta.get(by) for item in project.items()} if by else None
    if by and not any(part is not None for part in (parts or {}).values()):
        raise InputError(f"compare: no item has the metadata column {by!r}; name another with --by")
    found = compare_answers(
        answers,
        baseline=baseline,
        margin=margin,
        failures=failures,
        correction=correction,
        parts=parts,
        seed=seed,
    )
    told = (*evidence.notes, *project.gold_notes(), *missing_gold(evidence, gold))
    return replace(found, notes=(*told, *found.notes))


def compare_votes(
    votes: pd.DataFrame,
    gold: pd.DataFrame,
    values: Sequence[Value],
    *,
    multi: bool = False,
    outcomes: pd.DataFrame | None = None,
    **settings: Any,
) -> Compared:
    """Compare the annotators of a vote table, as `compare` does.

    The tables are those of `prelabel.answer_sheet.answers_of_votes`, the settings those of
    `compare_answers`.
    """
    answers = answers_of_votes(votes, gold, values, multi=multi, outcomes=outcomes)
    return compare_answers(answers, **settings)


def compare_answers(
    answers: Answers,
    *,
    baseline: str | None = None,
    margin: float | None = None,
    failures: Failures = "left out",
    correction: Correction = "holm",
    parts: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Compared:
    """Compare the annotators of a sheet; ``parts`` maps an item to the part of the gold it is in.

    Raises InputError for settings that make no sense and for more than 50 annotators.
    """
    how = _Settings(baseline, margin, failures, correction, seed)
    _check(answers, how)
    judged = answers.judged(failures)
    accuracy = _accuracies(answers.names, judged)
    pairs = _pairs(answers.names, accuracy, baseline)
    found = _with_verdicts([_pair(answers, judged, *pair, how) for pair in pairs], correction)
    rows = [] if baseline else _standings(answers, accuracy, found)
    slices, left = _slices(answers, pairs, parts, how) if parts is not None else ({}, ())
    return Compared(
        gold=len(answers.items),
        comparisons=tuple(found),
        standings=tuple(rows),
        baseline=baseline,
        failures=failures,
        correction=correction,
        cheapest=cheapest(rows),
        slices=slices,
        notes=(*_notes(answers, found, failures), *left),
    )


class _Settings(NamedTuple):
    baseline: str | None
    margin: float | None
    failures: Failures
    correction: Correction
    seed: int


def _check(answers: Answers, how: _Settings) -> None:
    names, margin = answers.names, how.margin
    if len(names) < 2:
        raise InputError("compare: it takes two annotators with annotations; label with another")
    if len(names) > MOST_COMPARED:
        raise InputError(
            f"compare: {len(names)} annotators; choose {MOST_COMPARED} at most with --annotator"
        )
    if how.baseline is not None and how.baseline not in names:
        raise InputError(f"compare: no annotator {how.baseline!r}; there are: {', '.join(names)}")
    if margin is not None and not 0 < margin < 1:
        raise InputError(f"compare: margin must be a share from 0 to 1, such as 0.03, got {margin}")
    if margin is not None and how.baseline is None:
        raise InputError("compare: a margin needs a baseline, which the others may be worse than")
    for what, value, allowed in (
        ("failures", how.failures, get_args(Failures)),
        ("correction", how.correction, get_args(Correction)),
    ):
        if value not in allowed:
            raise InputError(f"compare: {what}: {value!r}; use one of: {', '.join(allowed)}")


def _accuracies(names: Sequence[str], judged: Any) -> dict[str, Estimate]:
    right, counted = (judged == RIGHT).sum(axis=1), (judged >= WRONG).sum(axis=1)
    return {
        name: wilson(int(r), int(n), undefined="nothing was labeled")
        for name, r, n in zip(names, right, counted, strict=True)
    }


def _pairs(
    names: Sequence[str], accuracy: Mapping[str, Estimate], baseline: str | None
) -> list[tuple[str, str]]:
    """Return the pairs to test, the one that looks better first, or each with the baseline."""
    order = sorted(names, key=lambda name: (-(accuracy[name].value or 0.0), name))
    if baseline is None:
        return list(combinations(order, 2))
    return [(name, baseline) for name in order if name != baseline]


def _pair(answers: Answers, judged: Any, a: str, b: str, how: _Settings) -> Comparison:
    """Return two annotators' comparison, as yet without correction."""
    at_a, at_b = answers.names.index(a), answers.names.index(b)
    of_a, of_b = judged[at_a] >= WRONG, judged[at_b] >= WRONG
    both = of_a & of_b
    right_a, right_b = judged[at_a, both] == RIGHT, judged[at_b, both] == RIGHT
    n, metric = len(right_a), answers.metric
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p = float(mcnemar(only_a, only_b))
    figure = Estimate(None, why=NOTHING)
    if n:
        rows = answers.rows[at_a, both], answers.rows[at_b, both]
        figure = metric_difference(metric, *rows, seed=how.seed)
    return Comparison(
        a,
        b,
        n,
        one_sided=int((of_a != of_b).sum()),
        only_a=only_a,
        only_b=only_b,
        accuracy_a=wilson(int(right_a.sum()), n, undefined=NOTHING),
        accuracy_b=wilson(int(right_b.sum()), n, undefined=NOTHING),
        difference=tango(only_a, only_b, n),
        p=p,
        p_corrected=p,
        verdict="tie",
        metric=metric.name,
        metric_difference=figure,
        noninferior=None if how.margin is None else _within(only_a, only_b, n, how.margin),
    )


def _within(only_a: int, only_b: int, n: int, margin: float) -> NonInferiority:
    low = tango(only_a, only_b, n, level=1 - 2 * ALPHA).low
    p = noninferior_p(only_a, only_b, n, margin)
    return NonInferiority(margin, low, p, p, shown=False)


def _with_verdicts(raw: Sequence[Comparison], correction: Correction) -> list[Comparison]:
    """Correct the p values of one family of comparisons, and say what they show."""
    found = []
    ps = corrected([one.p for one in raw], correction)
    margins = corrected([one.noninferior.p for one in raw if one.noninferior], correction)
    for k, (one, p) in enumerate(zip(raw, ps, strict=True)):
        verdict: Verdict = "tie"
        if p <= ALPHA:
            verdict = "better" if one.only_a > one.only_b else "worse"
        test = one.noninferior and replace(
            one.noninferior, p_corrected=margins[k], shown=margins[k] <= ALPHA
        )
        needed = _needed(one) if verdict == "tie" else None
        found.append(
            replace(one, p_corrected=p, verdict=verdict, noninferior=test, items_needed=needed)
        )
    return found


def _needed(one: Comparison) -> int | None:
    apart = abs(one.only_a - one.only_b)
    if not apart or one.n < FEW_ITEMS:
        return None
    return items_for_difference(apart / one.n, (one.only_a + one.only_b) / one.n)


def _standings(
    answers: Answers, accuracy: Mapping[str, Estimate], found: Sequence[Comparison]
) -> list[Standing]:
    beats = [
        (one.a, one.b) if one.verdict == "better" else (one.b, one.a)
        for one in found
        if one.verdict != "tie"
    ]
    labeled, annotated = (answers.state >= WRONG).sum(axis=1), (answers.state > ABSENT).sum(axis=1)
    coverage = {
        name: wilson(int(k), int(n), undefined="no gold item was annotated")
        for name, k, n in zip(answers.names, labeled, annotated, strict=True)
    }
    return standings(accuracy, coverage, answers.cost, beats)


def _slices(
    answers: Answers, pairs: Sequence[tuple[str, str]], parts: Mapping[str, Any], how: _Settings
) -> tuple[dict[str, tuple[Comparison, ...]], tuple[str, ...]]:
    """Return the comparisons in each part of the gold, corrected together, and what was left."""
    of = np.array([_part(parts.get(item)) for item in answers.items])
    names, sizes = np.unique(of[of != ""], return_counts=True)
    largest = sorted(names[np.argsort(-sizes, kind="stable")][:MOST_SLICES].tolist())
    raw = []
    for name in largest:
        inside = answers.only(of == name)
        judged = inside.judged(how.failures)
        raw += [_pair(inside, judged, *pair, how) for pair in pairs]
    done, each = _with_verdicts(raw, how.correction), len(pairs)
    slices = {name: tuple(done[k * each : (k + 1) * each]) for k, name in enumerate(largest)}
    if len(names) <= MOST_SLICES:
        return slices, ()
    return slices, (f"the {MOST_SLICES} largest of {len(names)} parts of the gold are compared",)


def _part(value: Any) -> str:
    return "" if value is None or value != value else str(value)  # noqa: PLR0124 - nan


def _notes(answers: Answers, found: Sequence[Comparison], failures: Failures) -> tuple[str, ...]:
    notes = []
    for name, states in zip(answers.names, answers.state, strict=True):
        without, annotated = int((states == UNLABELED).sum()), int((states > ABSENT).sum())
        if without:
            done = "counted as wrong" if failures == "wrong" else "left out"
            notes.append(
                f"{name}: no label for {without} of {annotated} gold items "
                f"(failed or abstained): {done}"
            )
        if not (states >= WRONG).any():
            notes.append(f"{name}: no gold item has a label, so it cannot be compared")
    if answers.rare:
        notes.append(
            "the intervals of macro F1 are likely too narrow: few gold items of "
            + ", ".join(answers.rare)
        )
    few = [one for one in found if one.n and one.only_a + one.only_b < FEW_DISCORDANT]
    if few:
        which = ", ".join(f"{one.a} - {one.b} ({one.only_a + one.only_b})" for one in few[:3])
        more = f" and {len(few) - 3} more pairs" if len(few) > 3 else ""
        notes.append(f"few items tell these apart, so that a tie says little: {which}{more}")
    return tuple(notes)
