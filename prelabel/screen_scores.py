"""What the command line shows of scores, agreement and rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from prelabel.prompts import named
from prelabel.screen import as_json, dollars, notes, out, table

if TYPE_CHECKING:
    from prelabel.against_gold import ScoreReport
    from prelabel.estimate import Estimate
    from prelabel.ranking import Ranking
    from prelabel.scoring import Score

MOST_IN_MATRIX = 12
"""Labels of which a whole confusion matrix can be read."""

MOST_METRICS = 3
"""Figures beside accuracy in a table; the rest is in the details."""


def score(report: ScoreReport, *, details: bool, json: bool) -> None:
    """Print scores."""
    if json:
        as_json(report.to_dict())
        return
    every = [*report.annotators, *report.corrected]
    every += [report.consensus] if report.consensus else []
    part = f", split {report.split}" if report.split else ""
    shown = list(dict.fromkeys(name for one in every for name in one.metrics))[:MOST_METRICS]
    table(
        ["annotator", "n", "accuracy", *map(spaced, shown)],
        [
            (
                one.annotator,
                one.labeled,
                short(one.accuracy),
                *(short(one.metrics[name]) if name in one.metrics else "" for name in shown),
            )
            for one in every
        ],
        title=f"against {report.gold} gold items{part}: value [95% interval]",
        spare=[spaced(name) for name in shown[1:]],
    )
    outcomes(every)
    if details:
        for one in every:
            score_details(one, path=report.task == "hierarchical")
    undefined = [
        f"{one.annotator}: {spaced(what)} is not defined: {estimate.why}"
        for one in every
        for what, estimate in {"accuracy": one.accuracy, **one.metrics}.items()
        if estimate.value is None and what in ("accuracy", *shown)
    ]
    bare = [
        f"{spaced(name)} has no interval: {one.metrics[name].why}"
        for name in shown
        for one in every
        if name in one.metrics and one.metrics[name].value is not None and one.metrics[name].why
    ]
    own = [f"{one.annotator}: {note}" for one in every for note in one.notes]
    notes([*report.notes, *undefined, *bare, *own])


def spaced(name: str) -> str:
    """Write a figure's name as people do."""
    return name.replace("_", " ").replace(" f1", " F1").removeprefix("cohen ")


def short(estimate: Estimate) -> str:
    """Write an estimate with its interval in little room; a note says why one is not defined."""
    if estimate.value is None:
        return "n/a"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} [none]"
    digits = 2 if round(estimate.low, 2) <= estimate.value <= round(estimate.high, 2) else 3
    low, high = (f"{round(end, digits) + 0.0:.{digits}f}" for end in (estimate.low, estimate.high))
    return f"{round(estimate.value, 3) + 0.0:.3f} [{low}, {high}]"


def outcomes(every: Sequence[Score]) -> None:
    """Print what became of the gold items, and what that took."""
    counts = [outcome_counts(one) for one in every]
    kinds = dict.fromkeys(kind for count in counts for kind in count)
    extra = [kind for kind in kinds if any(count.get(kind) for count in counts)]
    rows = [
        (
            one.annotator,
            f"{one.coverage.value or 0:.0%}",
            *(count.get(kind, 0) for kind in extra),
            per_right(one),
            "" if one.seconds_mean is None else f"{one.seconds_mean:.2f}",
        )
        for one, count in zip(every, counts, strict=True)
    ]
    names = ["annotator", "labeled", *extra, "$ a right label", "s an item"]
    table(names, rows, title="outcomes on gold items")


def outcome_counts(one: Score) -> dict[str, int]:
    """Return how many gold items did not get a label, by reason."""
    return {
        "abstained": one.abstained,
        **one.failed,
        "were examples": one.left_out,
        "not annotated": one.unlabeled,
    }


def per_right(one: Score) -> str:
    """Write what a right label cost."""
    cost = one.cost_per_correct.value
    return dollars(cost) if cost is not None else "unknown" if one.cost_total is None else "n/a"


def score_details(one: Score, *, path: bool) -> None:
    """Print one annotator's figures, labels, confusion and wrong items."""
    if len(one.metrics) > MOST_METRICS:
        rows = [(spaced(name), short(estimate)) for name, estimate in one.metrics.items()]
        table([one.annotator, "value [95% interval]"], rows)
    used = [row for row in one.labels if row.support + row.predicted]
    table(
        ["label", "gold", "given", "precision", "recall", "F1"],
        [
            (
                row.label,
                row.support,
                row.predicted,
                f"{row.precision:.2f}",
                f"{row.recall:.2f}",
                f"{row.f1:.2f}",
            )
            for row in used
        ],
        title=one.annotator,
    )
    if one.confusion:
        confusion(one)
    for wrong in one.wrong[:10]:
        gold, given = (named(label, path=path) for label in (wrong.gold, wrong.given))
        out.print(escape(f"  {wrong.item}: gold {gold}; given {given}"), soft_wrap=True)
    if len(one.wrong) > 10:
        out.print(f"  … and {len(one.wrong) - 10} more wrong items (--json has all)")


def confusion(one: Score) -> None:
    """Print gold against given: all of it, or of many labels what is confused most."""
    counts = one.confusion or ()
    at = [n for n, row in enumerate(one.labels) if row.support + row.predicted]
    names = {n: str(one.labels[n].label) for n in at}
    if len(at) <= MOST_IN_MATRIX:
        cells = [(f"gold {names[i]}", *(counts[i][j] for j in at)) for i in at]
        table(["", *(f"given {names[j]}" for j in at)], cells)
        return
    off = ((counts[i][j], names[i], names[j]) for i in at for j in at if i != j)
    pairs = sorted(off, reverse=True)
    rows = [(gold, given, n) for n, gold, given in pairs[:MOST_IN_MATRIX] if n]
    table(["most confused: gold", "given", "items"], rows)


def ranking(found: Ranking, *, json: bool) -> None:
    """Print a ranking."""
    if json:
        as_json(found.to_dict())
        return
    rows = [(row.name, row.rank, f"{row.strength:.2f}", row.items) for row in found.strengths]
    table(["contestant", "rank", "strength [95% interval]", "items"], rows)
    notes(found.notes)


def candidates(found: Mapping[str, Mapping[int, Estimate]], *, json: bool) -> None:
    """Print the recall of a preselection of labels."""
    if json:
        as_json({name: {k: asdict(e) for k, e in each.items()} for name, each in found.items()})
        return
    ks = list(next(iter(found.values())))
    rows = [(name, *(f"{each[k]:.3f}" for k in ks)) for name, each in found.items()]
    table(["labels known by", *(f"right label among {k}" for k in ks)], rows)
