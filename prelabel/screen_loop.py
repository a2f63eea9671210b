"""What the command line shows of qualifications and of changes to the guideline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.prompts import named
from prelabel.screen import as_json, notes, out
from prelabel.screen_scores import short

if TYPE_CHECKING:
    from prelabel.qualifying import Qualification

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
        say(f"{found.set}: {short(found.accuracy)} right of {found.accuracy.n}")
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
