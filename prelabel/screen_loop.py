"""What the command line shows of qualifications and of changes to the guideline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.prompts import named
from prelabel.screen import as_json, notes, out, table
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prelabel.accepting import CarriedOver, NewGuideline
    from prelabel.affected import Affected
    from prelabel.gating import Gate
    from prelabel.qualifying import Qualification
    from prelabel.revising import Revision
    from prelabel.rulings import ProposedRuling

MOST_ERRORS = 10
MOST_CHARACTERS = 300


def qualification(found: Qualification, *, json: bool) -> None:
    """Print how an annotator stands, what it got wrong, and what to do next."""
    if json:
        as_json(found.to_dict())
        return
    for one in found.errors[:MOST_ERRORS]:
        given = "no label" if one.given is None else named(one.given)
        say(f"{one.item}: {clipped(one.text)}")
        say(f"  given {given}; gold says {named(one.gold)}")
        for line in one.guideline:
            say(f"  | {clipped(line)}")
    if (more := len(found.errors) - MOST_ERRORS) > 0:
        say(f"{more} more errors with --json")
    if found.accuracy.value is not None:
        what = f"test {found.attempt}" if found.attempt else "practice"
        say(f"{what}: {short(found.accuracy)} right of {found.accuracy.n}")
    colour = "green" if found.qualified else "yellow"
    out.print(f"{escape(found.annotator)}: [{colour}]{found.stage}[/]", end="")
    say(f" for {found.threshold:g} under guideline {found.guideline_hash[:8]}: {found.reason}")
    if found.next:
        say(f"next: {found.next}")
    notes(found.notes)


def say(text: str) -> None:
    """Print a text as it is, on a line of its own."""
    out.print(escape(text), soft_wrap=True)


def clipped(text: str) -> str:
    """Return a text on one line, cut where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST_CHARACTERS else flat[: MOST_CHARACTERS - 1] + "…"


def revision(found: Revision, *, json: bool) -> None:
    """Print what a proposal follows from, and what is left to a person."""
    if json:
        as_json(found.to_dict())
        return
    for one in found.taken_in:
        say(f"ruling {one.id}: {clipped(one.text)} is {named(one.label)} ({one.why})")
    if found.taken_in:
        out.print()
    written = {draft.topic: draft for draft in found.drafts if not draft.failure}
    for topic in found.topics:
        say(topic.what)
        for case in topic.cases:
            given = f", given {case.given}" if case.given else ""
            note = f"; {case.note}" if case.note else ""
            say(f"  {case.item}: {clipped(case.text)} (right: {case.right}{given}{note})")
        if draft := written.get(topic):
            say(f"  draft by {draft.author}: when {draft.when}: {draft.then}. {draft.why}")
    if found.waiting:
        names = " ".join(f"--accept {one.id}" for one in found.waiting)
        say(
            f"{len(found.waiting)} rulings wait for a word: prelabel guideline rulings {names} "
            "--author NAME --reason TEXT"
        )
    if found.path is None:
        say("nothing to propose")
    else:
        counts = f"{len(found.taken_in)} rulings, {len(written)} drafts"
        left = len(found.topics) - len(written)
        say(f"wrote {found.path}: {counts}; {left} things to write are in its comments")
        say("next: read and edit it, then prelabel guideline gate")
    notes(found.notes)


def rulings(found: Sequence[ProposedRuling], *, json: bool) -> None:
    """Print rulings and what became of them."""
    if json:
        as_json([one.to_dict() for one in found])
        return
    for one in found:
        label = "a label that is gone" if one.label is None else named(one.label)
        say(f"{one.id} {one.status}: {clipped(one.text)} is {label} ({one.author}: {one.why})")
        if one.said_by:
            say(f"  {one.said_by}: {one.reason}")
    if not found:
        say("no rulings; on the review page a decision with a note can be made one")


def affected(found: Affected, *, json: bool) -> None:
    """Print what changed, and how many items each change reaches."""
    if json:
        as_json(found.to_dict())
        return
    for one, n in zip(found.changes, found.counts, strict=True):
        say(f"{one.what}: {n} items")
    say(f"affected: {len(found.items)} of {found.total} items")
    if found.items:
        say("next: " + f"prelabel label --affected-by {found.old[:8]}")
    notes(found.notes)


def gate(found: Gate, *, json: bool) -> None:
    """Print whether a changed guideline is better."""
    if json:
        as_json(found.to_dict())
        return
    table(
        ["annotator", "n", "only the change right", "only the present right",
         "accuracy, change - present", "p", "gold to tell"],
        [
            (
                one.a,
                one.n,
                one.only_a,
                one.only_b,
                short(one.difference),
                f"{one.p_corrected:.3g}",
                "" if one.items_needed is None else f"{one.items_needed:,}",
            )
            for one in found.comparisons
        ],
        title=f"guideline {found.new[:8]} against {found.old[:8]}: McNemar's mid-p, Holm",
    )  # fmt: skip
    for item, name, gold, old, new in found.changed[:MOST_ERRORS]:
        say(f"  {item}, {name}: {named(old)} became {named(new)}; gold says {named(gold)}")
    say(
        f"{found.n} of {found.held_out} held-out gold items, {found.left_out} left out because a "
        f"guideline shows them; all annotators were right on {found.agreed} of the {found.n}"
    )
    say(f"labels changed on items that the change does not reach: {short(found.elsewhere)}")
    colour = {"better": "green", "worse": "red"}.get(found.verdict, "yellow")
    out.print(f"the change is [{colour}]{found.verdict}[/]")
    notes(found.notes)


def accepted(found: NewGuideline) -> None:
    """Print what a new guideline means for the labels."""
    say(f"{found.path} is guideline {found.new[:8]} now; the old one is kept as {found.kept}")
    old = found.old[:8]
    say(f"what changed, and for which items: prelabel guideline diff {old} {found.path} --items")
    say(f"label those again: prelabel label --affected-by {old}")
    say(f"let the other labels count: prelabel guideline carry {old} --author … --reason …")


def carried(found: CarriedOver, *, json: bool) -> None:
    """Print how many annotations were carried over."""
    if json:
        as_json(found.to_dict())
        return
    counts = ", ".join(
        [f"{n} of {name}" for name, n in found.carried.items()]
        + ([f"{found.opinions} of people's opinions"] if found.opinions else [])
    )
    say(
        f"carried over from guideline {found.old[:8]}: {counts}; {found.affected} of "
        f"{found.total} items are affected and were not: prelabel label --affected-by "
        f"{found.old[:8]}"
    )
    notes(found.notes)
