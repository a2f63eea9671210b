"""What the command line shows behind scores: slices, mistakes, shift, throughput, the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.prompts import named
from prelabel.screen import dollars, notes, out, table
from prelabel.screen_scores import short, spaced
from prelabel.screen_validation import beside

if TYPE_CHECKING:
    from prelabel.behind_scores import ScoreDetails
    from prelabel.estimate import Estimate
    from prelabel.human_ceiling import Ceiling
    from prelabel.mistakes import Mistake
    from prelabel.shift import Shift
    from prelabel.slices import SliceScore
    from prelabel.throughput import Throughput

MOST_TEXT = 300
"""Characters of an item's text on the screen; files have all."""

MOST_LABELS = 5

ABOUT_TIME = (
    "seconds are those of an annotation's calls, without waiting for a turn; a minute's count is "
    "of what was paid, from the first to the last of a run; annotators that run together share "
    "their minutes"
)
ABOUT_POOL = (
    "accuracy in the pool: (a) where gold was drawn at random or by what annotators said, "
    "(b) where it was drawn by its true label; labels of gold alone cannot tell which"
)


def score_details(found: ScoreDetails, *, everything: bool, errors: int, path: bool) -> None:
    """Print slices and mistakes, and with ``everything`` shift, throughput and the ceiling.

    ``path`` says that a label's names lead from one to the next.
    """
    said = list(found.notes)
    if found.slices:
        slices(found.slices, found.metric)
    if everything:
        shifts(found.shifts)
        throughput(found.throughput)
        said += [ABOUT_TIME] if any(one.paid for one in found.throughput) else []
        said += [ABOUT_POOL] if any(one.labels for one in found.shifts) else []
        if found.ceiling:
            ceiling(found.ceiling)
            said += found.ceiling.notes
    if errors:
        mistakes(found.mistakes[:errors], found.wrong, path=path)
    notes(said)


def slices(found: Sequence[SliceScore], metric: str) -> None:
    """Print each column's slices, a table a column."""
    for column in dict.fromkeys(one.column for one in found):
        rows = [
            (
                one.value,
                one.annotator,
                one.gold_n if one.accuracy.n == one.gold_n else f"{one.accuracy.n} of {one.gold_n}",
                short(one.accuracy),
                "" if one.metric.value is None else short(one.metric),
                short(one.difference),
                "" if one.p_corrected is None else f"{one.p_corrected:.3g}",
                one.verdict,
            )
            for one in found
            if one.column == column
        ]
        names = [column, "annotator", "n", "accuracy", spaced(metric)]
        names += ["minus elsewhere", "corrected p", "shown"]
        title = f"by {column}: value [95% interval]"
        table(names, rows, title=title, spare=[spaced(metric), "corrected p"])


def mistakes(found: Sequence[Mistake], wrong: int, *, path: bool) -> None:
    """Print mistakes, the surest first."""
    sure = any(one.self_confidence is not None for one in found)
    first = "the surest first" if sure else "first what most others said, too"
    out.print(f"{wrong} wrong labels; {len(found)} of them, {first}:", soft_wrap=True)
    last = ""
    for one in found:
        said = "" if one.self_confidence is None else f", {one.self_confidence:.2f} sure"
        said += f", {one.same} of {one.others} others said so" if one.others else ""
        gold, given = named(one.gold, path=path), named(one.given, path=path)
        head = f"{one.item}: gold {gold}; {one.annotator} said {given}{said}"
        out.print(f"[bold]{escape(head)}", soft_wrap=True)
        text = one.text if one.item != last else ""
        for more in (text, one.rationale and f"because: {one.rationale}"):
            if more:
                out.print(escape(f"  {shortened(more)}"), soft_wrap=True)
        last = one.item
    out.print()


def shortened(text: str) -> str:
    """Return a text on one line, its end left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_TEXT else line[: MOST_TEXT - 1] + "…"


def shifts(found: Sequence[Shift]) -> None:
    """Print how gold and pool differ in labels, and what follows for accuracy."""
    alone = [one.annotator for one in found if not one.labels]
    found = [one for one in found if one.labels]
    if alone:
        out.print(
            escape(f"no shift to be seen, labels on gold only or on none: {', '.join(alone)}\n"),
            soft_wrap=True,
        )
    if not found:
        return
    table(
        ["annotator", "gold", "pool", "distance", "by chance", "corrected p", "accuracy on gold",
         "in the pool (a)", "in the pool (b)"],
        [
            (
                one.annotator,
                one.gold_n,
                one.pool_n,
                short(one.distance),
                "" if one.by_chance is None else f"{one.by_chance:.3f}",
                "" if one.p_corrected is None else f"{one.p_corrected:.3g}",
                short(one.accuracy),
                short(one.accuracy_if_given),
                short(one.accuracy_if_true),
            )
            for one in found
        ],
        title="labels on gold and in the pool, by annotator: value [95% interval]",
        spare=["by chance", "accuracy on gold", "in the pool (b)", "in the pool (a)"],
    )  # fmt: skip
    table(
        ["label", "annotator", "on gold", "in the pool", "difference"],
        [
            (each.label, one.annotator, short(each.gold), short(each.pool), short(each.difference))
            for one in found
            for each in one.labels[:MOST_LABELS]
        ],
    )
    for one in found:
        out.print(escape(one.said()), soft_wrap=True)
    out.print()


def throughput(found: Sequence[Throughput]) -> None:
    """Print what labeling took."""
    names = ["annotator", "labeled", "paid", "replayed", "s, median", "s, 95th percentile"]
    names += ["a minute", "tokens in/out", "$ for 1,000", "$ a right label"]
    rows = [
        (
            one.annotator,
            one.labeled,
            one.paid,
            one.replayed,
            short(one.median),
            short(one.p95),
            "" if one.per_minute is None else f"{one.per_minute:.1f}",
            ""
            if one.input_tokens is None
            else f"{one.input_tokens:.0f}/{one.output_tokens or 0:.0f}",
            dollars(one.per_1000),
            money(one.per_correct),
        )
        for one in found
        if one.paid or one.replayed or one.per_1000 is not None
    ]
    if rows:
        table(
            names,
            rows,
            title="what labeling took",
            spare=["s, 95th percentile", "replayed", "paid"],
        )
    if unknown := len(found) - len(rows):
        out.print(f"what it took is unknown of {unknown} annotators, whose labels were imported\n")


def ceiling(found: Ceiling) -> None:
    """Print annotators beside people, and how well people do."""
    out.print(
        f"people against the {found.against} of the other people: {short(found.people)} "
        f"({found.measure}, {found.people.n} items)",
        soft_wrap=True,
    )
    beside(found.beside)


def money(estimate: Estimate) -> str:
    """Write dollars with their interval."""
    if estimate.value is None:
        return "unknown" if estimate.why == "a price is unknown" else "n/a"
    if estimate.low is None or estimate.high is None:
        return dollars(estimate.value)
    return f"{dollars(estimate.value)} [{dollars(estimate.low)}, {dollars(estimate.high)}]"
