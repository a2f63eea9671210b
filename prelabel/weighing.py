"""Evidence and gold -> an aggregator's parameters; one ballot and these -> a consensus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from prelabel.choosing import (
    DAWID_SKENE,
    POOLED,
    Case,
    Choice,
    choose,
    fit_crowd,
    fit_method,
    folds,
    weigh,
)
from prelabel.dawid_skene import cautions
from prelabel.decide import restrict
from prelabel.errors import InputError
from prelabel.records import Consensus
from prelabel.voting import Params, Poll, Weights, winner

if TYPE_CHECKING:
    import pandas as pd

    from prelabel.project import Project
    from prelabel.records import Gold, Value
    from prelabel.tasks import Task
    from prelabel.votes import Ballot, Evidence

GOLD = "\0gold"
"""Stands for gold among the annotators of a ballot while they are made comparable."""

OPEN_UNITS = ("spans", "relations")
"""Tasks whose items have units of their own: these are pooled."""

AUTO = "auto"

Weighed = tuple[Consensus, Mapping[str, Weights]]
"""A consensus, and the weights of each unit's values."""


def fit_weights(
    evidence: Evidence,
    gold: Sequence[Gold],
    method: str = AUTO,
    *,
    only: Sequence[str] | None = None,
    ties: str = "probability",
    priority: Sequence[str] = (),
) -> Choice:
    """Return an aggregator with its parameters as JSON; ``auto`` chooses it, with the figures.

    ``gold`` are items to learn from; what is scored later should be other items, or held out.
    ``only`` limits it to some annotators' ids. Raises InputError for an unknown method, and where
    one that learns from gold has none.
    """
    chosen = list(evidence.names) if only is None else list(only)
    cases = gold_cases(evidence, gold, chosen)
    if method == AUTO:
        pooled = evidence.task.name in OPEN_UNITS
        choice = choose(cases, _declared(evidence, pooled=pooled), pooled=pooled)
    elif not cases and method not in ("majority", DAWID_SKENE):
        raise InputError(
            f"decide: aggregate: {method} learns from gold, and no gold item has votes; "
            "add gold, or use majority"
        )
    else:
        params = _fitter(evidence, chosen, method)(cases)
        choice = Choice(method, params, len({case.item for case in cases}))
    settings = {"ties": ties, "priority": list(priority)}
    return replace(choice, params=choice.params | settings)


def held_out(
    evidence: Evidence, gold: Sequence[Gold], params: Params, only: Sequence[str]
) -> dict[str, Weighed]:
    """Return what an aggregator that learned from gold says of gold items that it did not see.

    The method of ``params`` is fitted anew on four fifths of the gold for the rest, five times
    over. Gold items that it did not learn from are left out: ``params`` never saw them.
    """
    return held_out_by_fold(evidence, gold, params, only)[0]


def held_out_by_fold(
    evidence: Evidence, gold: Sequence[Gold], params: Params, only: Sequence[str]
) -> tuple[dict[str, Weighed], dict[str, int]]:
    """Return what `held_out` does, and each item's fold."""
    cases = gold_cases(evidence, gold, only)
    fold = folds(cases)
    fit = _fitter(evidence, only, params["method"])
    settings = {name: params[name] for name in ("ties", "priority")}
    found = {}
    for part in sorted(set(fold.values())):
        fitted = fit([case for case in cases if fold[case.item] != part]) | settings
        for item in (item for item, own in fold.items() if own == part):
            ballot = restrict(evidence.ballot(item), only)
            found[item] = consensus(ballot, fitted, evidence.task)
    return found, fold


def _fitter(
    evidence: Evidence, chosen: Sequence[str], method: str
) -> Callable[[Sequence[Case]], Params]:
    """Return what fits a method to cases."""
    pooled = evidence.task.name in OPEN_UNITS
    values = _declared(evidence, pooled=pooled)
    if method == DAWID_SKENE:
        votes = _votes_of(evidence, chosen)
        return lambda cases: _fit_crowd(votes, cases, values, pooled=pooled)
    return lambda cases: fit_method(method, cases, values, pooled=pooled)


def consensus(ballot: Ballot, params: Params, task: Task) -> Weighed:
    """Return one item's consensus, and the weights of each unit's values.

    Agreement is the share of the votes for the winning value, the least over the units. A unit
    counts as tied where other values had as much weight, and where no annotator of it was known.
    """
    if not ballot.votes:
        return Consensus(ballot.item_id, None, None, 0), {}
    ballot = replace(ballot, votes=task.align(ballot.votes))
    winners: dict[str, Value] = {}
    found: dict[str, Weights] = {}
    tied, shares = [], {}
    for unit, poll in polls(ballot).items():
        found[unit], known = weigh(poll, unit, params)
        asked = replace(poll, beliefs={}) if params["ties"] == "priority" else poll
        value, is_tie = winner(found[unit], asked, params["priority"])
        is_tie = is_tie or not known
        if value is not None and not (is_tie and task.values(unit) is None):
            winners[unit] = value
        votes = list(poll.votes.values())
        shares[unit] = sum(vote == value for vote in votes) / len(votes)
        if is_tie:
            tied.append(unit)
    label = None if tied and params["ties"] == "review" else task.from_votes(winners)
    least = min(shares.values(), default=1.0)
    return Consensus(ballot.item_id, label, least, len(ballot.votes), tuple(tied), shares), found


def polls(ballot: Ballot) -> dict[str, Poll]:
    """Return a ballot unit by unit, the units sorted: the order of annotators must not show."""
    units = sorted({unit for votes in ballot.votes.values() for unit in votes})
    return {
        unit: Poll(
            {name: votes[unit] for name, votes in ballot.votes.items() if unit in votes},
            {
                name: rows[unit]
                for name, rows in ballot.distributions.items()
                if rows.get(unit) and unit in ballot.votes.get(name, {})
            },
        )
        for unit in units
    }


def gold_cases(
    evidence: Evidence, gold: Iterable[Gold], annotators: Sequence[str] | None = None
) -> list[Case]:
    """Return the cases of gold items, the annotators by id.

    Gold is made comparable with the votes as if it were one annotator more. An annotator does not
    count on items that its prompts used as examples; units that only gold has are left out.
    """
    from prelabel.votes import Ballot

    chosen = set(evidence.names if annotators is None else annotators)
    gold, shown = list(gold), evidence.shown()
    evidence = evidence.only([one.item_id for one in gold])
    cases = []
    for one in gold:
        if one.item_id not in evidence.items:
            continue
        ballot = evidence.aligned(one.item_id)
        kept = {
            name: votes
            for name, votes in ballot.votes.items()
            if name in chosen and one.item_id not in shown.get(name, ())
        }
        if not kept:
            continue
        aligned = dict(evidence.task.align({**kept, GOLD: evidence.task.votes(one.label)}))
        truth = aligned.pop(GOLD)
        for unit, poll in polls(Ballot(one.item_id, aligned, ballot.distributions)).items():
            named = evidence.task.name not in OPEN_UNITS or True in poll.votes.values()
            if unit in truth and named:
                cases.append(Case(one.item_id, unit, poll, truth[unit]))
    return cases


def choose_aggregator(
    project: Project, annotators: Sequence[str] = (), *, split: str | None = None
) -> Choice:
    """Compare the project's possible aggregators on gold items that they were not fitted on.

    ``split`` names a part of the gold; by default ``test`` if there is one, else all. Raises
    InputError without gold.
    """
    from prelabel.api import evidence_of

    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to choose on; name a file under `gold:` in prelabel.yaml")
    return fit_weights(evidence_of(project, annotators), gold)


def _declared(evidence: Evidence, *, pooled: bool) -> dict[str, Sequence[Value] | None]:
    """Return the declared values of each unit that occurs."""
    if pooled:
        return {POOLED: evidence.task.values()}
    return {unit: evidence.task.values(unit) for unit in evidence.units()}


def _votes_of(evidence: Evidence, chosen: Sequence[str]) -> pd.DataFrame:
    from prelabel.votes import vote_table

    votes = vote_table(evidence)
    ids = {name: identifier for identifier, name in evidence.names.items() if identifier in chosen}
    own = votes[votes["annotator"].isin(ids)]
    return own.assign(annotator=own["annotator"].map(ids))


def _fit_crowd(
    votes: pd.DataFrame,
    cases: Sequence[Case],
    values: Mapping[str, Sequence[Value] | None],
    *,
    pooled: bool,
) -> Params:
    import pandas as pd

    known = [(case.item, case.unit, case.truth) for case in cases]
    gold = pd.DataFrame(known, columns=["item", "unit", "value"]) if known else None
    return fit_crowd(votes, values, gold, pooled=pooled)


def notes_of(params: Params) -> tuple[str, ...]:
    """Say in notes what to know before relying on an aggregator."""
    crowd = [p for p in params["problems"].values() if p["method"] == DAWID_SKENE]
    return tuple(dict.fromkeys(note for problem in crowd for note in cautions(problem)))
