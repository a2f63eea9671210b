"""What the command line shows of comparisons, and of how many gold items they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from prelabel.screen import as_json, dollars, notes, out, table
from prelabel.screen_scores import short, spaced

if TYPE_CHECKING:
    from prelabel.comparing import Compared, Comparison
    from prelabel.gold_sizes import GoldSize
    from prelabel.leaderboard import Standing

MOST_PAIRS = 30
CORRECTIONS = {"holm": "Holm", "bh": "Benjamini-Hochberg, for exploring", "none": "not corrected"}


def compared(found: Compared, *, json: bool) -> None:
    """Print a comparison."""
    if json:
        as_json(found.to_dict())
        return
    if found.standings:
        standings(found.standings, found.gold)
    pairs(found.comparisons[:MOST_PAIRS], found)
    for part, own in found.slices.items():
        pairs(own[:MOST_PAIRS], found, part)
    extra = []
    if len(found.comparisons) > MOST_PAIRS:
        extra.append(
            f"{len(found.comparisons)} pairs, the first {MOST_PAIRS} printed (--json: all)"
        )
    if found.cheapest:
        extra.append(f"the cheapest that no other is shown to beat: {found.cheapest}")
    extra.append("a tie: these gold items do not tell the two apart; they may still differ")
    notes([*found.notes, *extra])


def standings(rows: Sequence[Standing], gold: int) -> None:
    """Print the leaderboard; equal ranks and common letters are ties."""
    table(
        ["annotator", "rank", "ties", "accuracy", "n", "labeled", "$ an item", "frontier"],
        [
            (
                row.annotator,
                row.rank,
                row.letters,
                short(row.accuracy),
                row.accuracy.n,
                "n/a" if row.coverage.value is None else f"{row.coverage.value:.0%}",
                dollars(row.cost),
                "" if row.frontier is None else "yes" if row.frontier else "no",
            )
            for row in rows
        ],
        title=f"against {gold} gold items; with a letter in common, not shown to differ",
        spare=["frontier", "$ an item"],
    )


def pairs(rows: Sequence[Comparison], found: Compared, part: str = "") -> None:
    """Print pairs of annotators."""
    margin = bool(rows and rows[0].noninferior)
    figure = spaced(rows[0].metric) if rows else ""
    table(
        ["annotators", "n", "alone right", "accuracy, 1st - 2nd",
         f"{figure}, 1st - 2nd", "p", "the 1st is", "gold to tell",
         *(["within the margin"] if margin else [])],
        [
            (
                f"{one.a} - {one.b}",
                one.n,
                f"{one.only_a} / {one.only_b}",
                short(one.difference),
                short(one.metric_difference),
                f"{one.p_corrected:.3g}",
                one.verdict,
                "" if one.items_needed is None else f"{one.items_needed:,}",
                *([within(one)] if margin else []),
            )
            for one in rows
        ],
        title=f"{part + ': ' if part else ''}McNemar's mid-p, {CORRECTIONS[found.correction]}; "
        f"failures {found.failures}",
        spare=[f"{figure}, 1st - 2nd", "gold to tell"],
    )  # fmt: skip


def within(one: Comparison) -> str:
    """Write whether non-inferiority was shown."""
    test = one.noninferior
    return (
        ""
        if test is None
        else f"{'shown' if test.shown else 'not shown'} (p {test.p_corrected:.3g})"
    )


def gold_size(rows: Sequence[GoldSize], *, json: bool) -> None:
    """Print how many gold items each question takes."""
    if json:
        as_json([asdict(row) for row in rows])
        return
    table(
        ["question", "gold items", "power"],
        [
            (
                f"{row.question}\n  if {row.assumed}",
                f"{row.items:,}",
                "" if row.power is None else f"{row.power:.0%}",
            )
            for row in rows
        ],
    )
    out.print("For items drawn at random. Where several share a document, take more.")
