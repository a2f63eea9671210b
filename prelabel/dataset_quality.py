"""What is true of a whole dataset: how often each label occurs, and how many labels are wrong.

Both take gold to be a random part of the items; gold chosen for being hard, or by active learning,
says nothing about the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from prelabel.errors import InputError
from prelabel.estimate import Estimate, wilson
from prelabel.records import Label, Value

if TYPE_CHECKING:
    from prelabel.api import Routes
    from prelabel.dataset_estimates import Mean
    from prelabel.project import Project
    from prelabel.tasks import Task

RANDOM = "gold is taken to be a random part of the items"


@dataclass(frozen=True, slots=True)
class Prevalence:
    """How often each label occurs among all ``items``, of which ``gold`` have gold.

    ``labels`` has for each label the share of items that have it; ``mean`` the mean of a rating.
    """

    items: int
    gold: int
    labels: dict[str, Mean]
    mean: Mean | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Quality:
    """The error of the final dataset: the share of wrong labels.

    ``before`` review it has the consensus of every item that has one, accepted or not; ``after``,
    that of the accepted ones, and people's labels for all others. ``accepted_error`` and
    ``review_error`` are of the consensus of accepted items and of those that wait for review,
    ``reviewer_error`` of people. ``source`` says what the first stands on.
    """

    items: int
    accepted: int
    review: int
    unlabeled: int
    accepted_error: Estimate
    review_error: Estimate
    reviewer_error: Estimate
    before: Estimate
    after: Estimate
    source: Literal["audit", "gold"]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON-able values."""
        return asdict(self)


class Checked(NamedTuple):
    """Gold's label and the consensus label, of one item; None without a consensus."""

    gold: Label
    given: Label


def prevalence(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    rule: Path | None = None,
    split: str | None = None,
) -> Prevalence:
    """Estimate how often each label occurs, of the consensus for all items and gold for some.

    By PPI++, or where gold is too little for that by gold alone; see `prelabel.dataset_estimates`.
    ``split`` names a part of the gold, as in `score`. Raises ``InputError`` without gold, and for a
    task whose labels are not declared.
    """
    from prelabel.api import route
    from prelabel.dataset_estimates import share

    declared = declared_units(project.task)
    if not declared and project.task.name != "rating":
        raise InputError(
            f"prevalence is for tasks with declared labels, and the task is {project.task.name}"
        )
    routes = route(project, annotators, rule=rule)
    checked, notes = checked_on_gold(project, routes, split)
    labels = {item: one.consensus.label for item, one in routes.items.items()}
    rest = [label for item, label in labels.items() if item not in checked]
    task = project.task

    def has(label: Label, unit: str, value: Value) -> bool:
        return label is not None and task.votes(label).get(unit) == value

    shares = {
        name: share(
            [has(one.gold, unit, value) for one in checked.values()],
            [has(one.given, unit, value) for one in checked.values()],
            [has(label, unit, value) for label in rest],
        )
        for name, unit, value in declared
    }
    whole = _mean_rating(list(checked.values()), rest) if task.name == "rating" else None
    return Prevalence(len(labels), len(checked), shares, whole, (*notes, RANDOM))


def _mean_rating(checked: Sequence[Checked], rest: Sequence[Label]) -> Mean:
    from prelabel.dataset_estimates import mean

    given = [one.given for one in checked]
    known = [float(label) for label in (*given, *rest) if label is not None]
    # without a consensus any number will do, if it is not gold's: gold corrects it
    usual = sum(known) / len(known) if known else 0.0

    def numbers(labels: Sequence[Label]) -> list[float]:
        return [usual if label is None else float(label) for label in labels]

    return mean(numbers([one.gold for one in checked]), numbers(given), numbers(rest))


def declared_units(task: Task) -> list[tuple[str, str, Value]]:
    """Return name, unit and value of every label that a guideline declares.

    Empty where labels are open, as spans and texts are.
    """
    if task.name == "multi-label":
        return [(unit, unit, True) for unit in task.votes([])]
    units: Sequence[str] = getattr(task, "units", lambda: ("",))() or ("",)
    if task.name in ("spans", "relations"):
        return []
    several = task.name == "extraction"
    return [
        (f"{unit}: {value}" if several else str(value), unit, value)
        for unit in units
        for value in task.values(unit) or ()
        if value != ""
    ]


def checked_on_gold(
    project: Project, routes: Routes, split: str | None
) -> tuple[dict[str, Checked], list[str]]:
    """Return gold and consensus by item, and notes; items shown as examples are left out.

    A consensus is that of a rule which did not learn from the item. Raises ``InputError`` without
    gold.
    """
    from prelabel.fitting import held_out
    from prelabel.votes import missing_gold

    evidence, rule = routes.evidence, routes.rule
    gold = project.scoring_gold(split)
    if not gold:
        raise InputError("no gold to estimate with; name a file under `gold:` in prelabel.yaml")
    by_annotator = evidence.shown()
    shown = {item for name in rule.annotators for item in by_annotator[name]}
    unseen = held_out(evidence, rule, project.fitting_gold(project.config.decide.split))
    found = {}
    for g in gold:
        if g.item_id in routes.items and g.item_id not in shown:
            held = unseen.get(g.item_id)
            own = held[0] if held else routes.items[g.item_id].consensus
            found[g.item_id] = Checked(g.label, own.label)
    return found, [*evidence.notes, *missing_gold(evidence, gold)]


def quality(
    project: Project,
    annotators: Sequence[str] = (),
    *,
    rule: Path | None = None,
    split: str | None = None,
    reviewer_error: float | tuple[int, int] = 0.0,
) -> Quality:
    """Estimate the error of the final dataset, before and after people review the queue.

    The error of accepted labels is that of the newest audit of the rule, if there is one, else that
    on gold. ``reviewer_error`` is the share of labels that people get wrong, or how many were wrong
    of how many checked. Raises ``InputError`` without gold.
    """
    from prelabel.api import route
    from prelabel.shares import combined

    reviewer = reviewer_of(reviewer_error)
    routes = route(project, annotators, rule=rule)
    checked, notes = checked_on_gold(project, routes, split)
    accepted = {one.item_id for one in routes.accepted}
    labeled = [one.item_id for one in routes.items.values() if one.consensus.label is not None]
    waiting = set(labeled) - accepted
    on_gold = _error(project.task, checked, accepted, "no accepted item has gold")
    audited, more = _audited(project, routes)
    of_accepted = audited or on_gold
    of_review = _error(project.task, checked, waiting, "no item that waits for review has gold")
    n, kept = len(routes.items), len(accepted)
    if not audited and routes.rule.gold:
        more.append(
            "the rule learned from gold which items to accept: their error on that gold flatters "
            "it; an audit does not (`prelabel audit`)"
        )
    if reviewer_error == 0:
        more.append("people are taken to be always right; --reviewer-error allows for theirs")
    of_those = len(labeled) or 1
    return Quality(
        items=n,
        accepted=kept,
        review=n - kept,
        unlabeled=n - len(labeled),
        accepted_error=of_accepted,
        review_error=of_review,
        reviewer_error=reviewer,
        before=combined((kept / of_those, len(waiting) / of_those), (of_accepted, of_review)),
        after=combined((kept / n, (n - kept) / n), (of_accepted, reviewer)),
        source="audit" if audited else "gold",
        notes=(*notes, RANDOM, *more),
    )


def reviewer_of(error: float | tuple[int, int]) -> Estimate:
    """Return people's error: taken as known, or measured on some. Raises ``InputError``."""
    if isinstance(error, tuple):
        wrong, looked = error
        if not 0 <= wrong <= looked or not looked:
            raise InputError(f"reviewer error: {wrong}/{looked}; give wrong/checked, such as 3/150")
        return wilson(wrong, looked)
    if not 0 <= error <= 1:
        raise InputError(f"reviewer error: must be from 0 to 1, such as 0.02; got {error:g}")
    return Estimate(error, error, error)


def read_reviewer(text: str) -> float | tuple[int, int]:
    """Return what a text such as 0.02 or 3/150 says. Raises ``InputError``."""
    wrong, slash, looked = text.partition("/")
    try:
        return (int(wrong), int(looked)) if slash else float(wrong)
    except ValueError:
        raise InputError(
            f"reviewer error: {text!r}; give a share such as 0.02, or wrong/checked such as 3/150"
        ) from None


def _error(task: Task, checked: Mapping[str, Checked], among: set[str], none: str) -> Estimate:
    """Return the share of wrong labels among some items, exact for a random part of them."""
    from prelabel.gold_errors import finite_interval

    own = [one for item, one in checked.items() if item in among and one.given is not None]
    if not own:
        return Estimate(None, why=none)
    wrong = sum(not task.right(one.gold, one.given) for one in own)
    return Estimate(wrong / len(own), *finite_interval(wrong, len(own), len(among)), len(own))


def _audited(project: Project, routes: Routes) -> tuple[Estimate | None, list[str]]:
    """Return the error in the newest audit of the rule that was filled in, and notes."""
    from prelabel.audit_log import read_log
    from prelabel.audited_errors import strata_of
    from prelabel.audits import stratified_error

    log = read_log(project)
    for drawn in reversed(log.draws.values()):
        own = [one for (audit, _), one in log.outcomes.items() if audit == drawn.audit]
        if drawn.rule != routes.rule.hash or not own:
            continue
        found = stratified_error(strata_of(drawn, own))
        if found.low is None:
            return None, [f"the newest audit is not finished ({found.why}): gold is used instead"]
        size = sum(drawn.sizes.values()) + drawn.known
        if size != len(routes.accepted):
            return found, [
                f"{len(routes.accepted)} items are accepted now, {size} were at the audit"
            ]
        return found, []
    return None, []
