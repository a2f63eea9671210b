"""What `fit` and `route` show."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from prelabel.known import unit_name
from prelabel.prompts import named
from prelabel.screen import as_json, notes, out, table
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from prelabel.api import FittedRule, Routes
    from prelabel.confidence_report import ConfidenceReport
    from prelabel.decide import DecisionRule
    from prelabel.records import Routed


def fitted(found: FittedRule, *, json: bool) -> None:
    """Print what was fitted: the aggregator, what tells right from wrong, and the promise."""
    rule = found.rule
    if json:
        as_json(
            {
                "rule": rule.hash,
                "file": str(found.path),
                "aggregate": rule.aggregate,
                "gold": rule.gold,
                "items": rule.fitted_on,
                "choice": found.choice and found.choice.to_dict(),
                "confidence": found.confidence and found.confidence.to_dict(),
                "promises": {g: p.to_dict() for g, p in rule.promises.items()},
                "notes": list(rule.notes),
            }
        )
        return
    learned = f", learned on {rule.gold} gold items" if rule.learned and rule.gold else ""
    last = rule.params.get("escalation")
    asked = (
        f", {last['name']} where the others are least sure ({last['share']:.0%})" if last else ""
    )
    out.print(
        f"labels by [bold]{rule.aggregate}[/]{learned}{escape(asked)}; rule {rule.hash}",
        soft_wrap=True,
    )
    if found.confidence is not None:
        confidence(found.confidence)
    promised(rule)
    notes([*(found.choice.notes if found.choice else ()), *rule.notes])
    out.print(str(found.path), soft_wrap=True)


def confidence(report: ConfidenceReport) -> None:
    """Print what each kind of signal adds to the votes alone."""
    rows = [
        (
            one.name,
            "yes" if one.used else "no",
            short(one.auroc),
            "" if one is report.alone else short(one.auroc_change),
            short(one.log_loss),
            "" if one is report.alone else short(one.log_loss_change),
            "" if one.accepted is None else f"{one.accepted:.0%}",
        )
        for one in (report.alone, *report.groups, report.together)
    ]
    changes = ["AUROC gained", "log-loss changed"]
    columns = ["confidence from", "used", "AUROC", changes[0], "log-loss", changes[1], "accepted"]
    title = f"{report.method}: on {report.items} gold items, {report.wrong} of them wrong"
    table(columns, rows, title, spare=[changes[1], changes[0]])
    notes(report.notes)


def promised(rule: DecisionRule) -> None:
    """Print what a rule promises, group by group."""
    if rule.promise is None:
        out.print(f"accepts at agreement {rule.min_agreement:.2f} or more; {NO_PROMISE}")
    for group, promise in rule.promises.items():
        out.print(f"{f'{group}: ' if group else ''}{promise.sentence()}", soft_wrap=True)
        notes(promise.notes)


NO_PROMISE = "no promise about errors"


def routes(found: Routes, show: int, *, json: bool) -> None:
    """Print what was accepted, and the review queue."""
    if json:
        items = {r.item_id: _as_dict(found, r) for r in found.items.values()}
        as_json({"rule": found.rule.hash, "items": items})
        return
    rule = found.rule
    how = (
        f"agreement {rule.min_agreement:.2f} or more, {rule.min_votes} votes or more; {NO_PROMISE}"
        if rule.promise is None
        else f"{rule.promise['kind']} promise"
    )
    out.print(
        f"{len(found.accepted)} of {len(found.items)} items accepted, {len(found.queue)} to review "
        f"(rule {rule.hash}: {how})",
        soft_wrap=True,
    )
    if found.stopped:
        out.print(f"[red]stopped[/]: {escape(found.stopped)}; nothing is accepted", soft_wrap=True)
    elif rule.promise is not None:
        promised(rule)
    _queue("to review", found, found.queue[:show])
    notes([*found.evidence.notes, *rule.notes])


def budget(found: Routes, reviews: int, show: int, *, json: bool) -> None:
    """Print what to spend a number of reviews on, and what is expected to stay wrong."""
    chosen = found.best_reviews(reviews)
    taken = {r.item_id for r in chosen}
    rest = [r for r in found.items.values() if r.item_id not in taken]
    unlabeled = sum(r.consensus.label is None for r in rest)
    sure = [r.consensus.confidence for r in rest if r.consensus.label is not None]
    known = [p for p in sure if p is not None]
    wrong = fsum(1 - p for p in known) if len(known) == len(sure) else None
    if json:
        as_json(
            {
                "rule": found.rule.hash,
                "reviews": [{"id": r.item_id} | _as_dict(found, r) for r in chosen],
                "left": len(rest),
                "left_unlabeled": unlabeled,
                "left_wrong_expected": wrong,
            }
        )
        return
    said = (
        f"of the {len(rest)} others about {wrong:.0f} labels are expected to be wrong, by the "
        f"confidence learned from {found.rule.gold} gold items"
        if wrong is not None
        else "a rule with a promise (`prelabel fit --promise …`) would also tell how many of the "
        f"{len(rest)} others to expect wrong"
    )
    out.print(f"{len(chosen)} reviews are spent best on these; {said}", soft_wrap=True)
    if unlabeled:
        out.print(f"{unlabeled} of the others have no label")
    _queue("to review", found, chosen[:show])
    notes([*found.evidence.notes, *found.rule.notes])


def _queue(title: str, found: Routes, some: Sequence[Routed]) -> None:
    path = found.evidence.task.name == "hierarchical"
    rows = [
        (
            r.item_id,
            "-" if r.consensus.label is None else named(r.consensus.label, path=path),
            f"{found.worth(r):.2f}",
            "; ".join(r.reasons),
        )
        for r in some
    ]
    if rows:
        table([title, "consensus", "worth", "reasons"], rows)


def _as_dict(found: Routes, routed: Routed) -> dict[str, Any]:
    return {
        "accepted": routed.accepted,
        "label": routed.consensus.label,
        "agreement": routed.consensus.agreement,
        "confidence": routed.consensus.confidence,
        "votes": routed.consensus.votes,
        "worth": round(found.worth(routed), 4),
        "agreement_by_unit": {
            unit_name(unit): share for unit, share in routed.consensus.shares.items() if unit
        },
        "reasons": list(routed.reasons),
    }
