"""What the command line shows of audits and of the whole dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.promise import percent
from prelabel.prompts import named
from prelabel.screen import as_json, notes, out, table
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from prelabel.audited_errors import AuditReport
    from prelabel.auditing_accepted import Audit
    from prelabel.dataset_estimates import Mean
    from prelabel.dataset_quality import Prevalence, Quality
    from prelabel.drift import Watched


MOST_WRONG = 20
"""Wrong items on screen."""


def audit(found: Audit, *, json: bool) -> None:
    """Print what was drawn for an audit."""
    if json:
        as_json(found.to_dict())
        return
    rows = [(name, size, drawn) for name, (size, drawn) in found.strata.items()]
    rows += [("audited earlier", found.known, 0)] if found.known else []
    table(["stratum", "accepted", "to audit"], rows, title=f"{found.accepted} accepted items")
    watch = "" if found.target is None else f", watched for an error of {percent(found.target)}"
    out.print(
        f"{len(found.table)} items to label blind in {escape(str(found.path))}{watch}\n"
        f"next: fill the column label, then prelabel audit-error {escape(str(found.path))}",
        soft_wrap=True,
    )
    notes(found.notes)


def audit_error(found: AuditReport, *, json: bool) -> None:
    """Print the error of accepted labels, and whether to stop."""
    if json:
        as_json(found.to_dict())
        return
    out.print(
        f"error of {found.accepted} accepted labels: {found.error:.4f} ({found.checked} of "
        f"{found.drawn} audited, {found.new} recorded now)",
        soft_wrap=True,
    )
    rows = [(one.name, one.size, one.checked, one.wrong) for one in found.strata]
    table(["stratum", "accepted", "audited", "wrong"], rows)
    wrong = [(one.item, named(one.accepted), named(one.label), one.stratum) for one in found.wrong]
    if wrong:
        table(["wrong", "accepted", "audited", "stratum"], wrong[:MOST_WRONG])
    if len(wrong) > MOST_WRONG:
        out.print(f"and {len(wrong) - MOST_WRONG} more (--json has all)")
    if found.watched:
        monitor(found.watched)
    if found.stopped:
        out.print(
            f"[red]stop accepting[/]: {escape(found.stopped)}; from now on this rule sends every "
            "item to review. Label new random gold, then fit the rule again.",
            soft_wrap=True,
        )
    notes(found.notes)


def monitor(found: Watched) -> None:
    """Print what a monitor makes of all audits so far."""
    out.print(
        f"all audits of this rule: {found.wrong} of {found.audits} wrong; bets against an error of "
        f"{percent(found.target)}: above it {found.evidence:.3g}, lately risen {found.change:.3g}, "
        f"below it {found.certainty:.3g}",
        soft_wrap=True,
    )
    if found.certified:
        out.print(f"shown to be below {percent(found.target)} at audit {found.certified}")
    if not found.reason:
        out.print("no alarm: accepting may go on")


def prevalence(found: Prevalence, *, json: bool) -> None:
    """Print how often labels occur."""
    if json:
        as_json(found.to_dict())
        return
    rows = [_row(name, one) for name, one in found.labels.items()]
    rows += [_row("mean rating", found.mean)] if found.mean else []
    title = f"{found.items} items, {found.gold} with gold: value [95% interval]"
    table(["label", "share of items", "in the consensus", "by", "weight"], rows, title=title)
    why = [
        f"{name}: gold alone, because {one.why}" for name, one in found.labels.items() if one.why
    ]
    notes([*found.notes, *why])


def _row(name: str, one: Mean) -> tuple[str, ...]:
    weight = "" if one.weight is None else f"{one.weight:.2f}"
    return name, short(one.estimate), f"{one.labels:.3f}", one.method, weight


def quality(found: Quality, *, json: bool) -> None:
    """Print the error of the final dataset."""
    if json:
        as_json(found.to_dict())
        return
    rows = [
        (
            f"{found.accepted} accepted (by {found.source})",
            found.accepted_error.n,
            short(found.accepted_error),
        ),
        (f"{found.review} for review", found.review_error.n, short(found.review_error)),
        ("people", found.reviewer_error.n or "assumed", short(found.reviewer_error)),
        ("dataset before review", found.before.n, short(found.before)),
        ("dataset after review", found.after.n or "assumed", short(found.after)),
    ]
    title = f"{found.items} items: share of wrong labels [95% interval]"
    table(["", "checked", "error"], rows, title=title)
    undefined = [
        f"{what}: not defined: {one.why}"
        for what, one in (("before review", found.before), ("after review", found.after))
        if one.value is None
    ]
    unlabeled = [f"{found.unlabeled} items have no consensus"] if found.unlabeled else []
    notes([*undefined, *unlabeled, *found.notes])
